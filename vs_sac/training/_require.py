"""Imported before everything else of `vs_sac.nn`: says what to install where torch is missing."""

from ..core.errors import SacMissingError

try:
    import torch  # noqa: F401
except ImportError as error:
    raise SacMissingError("torch is not installed; get it with: pip install 'vs-sac[train]'", "vs_sac.nn") from error
