"""``python -m vs_sac`` and the command ``vs-sac``: the command line under a guard."""

import sys
from typing import NoReturn

from .guard import guarded


def main() -> NoReturn:
    """Run the command line and exit: 0 on success, 1 on a failed run, 2 on wrong usage."""
    guarded(_work)


def _work() -> int:
    try:
        # Takes half a second, in which the guard already stands.
        from .cli import run
    except (ImportError, MemoryError, OSError) as error:
        sys.stderr.write(f"vs-sac: cannot start: {str(error) or 'out of memory'}\n")
        return 1
    return run()


if __name__ == "__main__":
    main()
