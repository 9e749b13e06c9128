"""``python -m vs_sac``."""

from .cli import main

main()
