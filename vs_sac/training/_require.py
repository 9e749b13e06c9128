"""Imported first by `vs_sac.training`: if torch is missing, the error says what to install."""

from ..core.errors import SacMissingError

try:
    import torch  # noqa: F401
except ImportError as error:
    raise SacMissingError(
        "torch is not installed; get it with: pip install 'vs-sac[train]'", "vs_sac.training"
    ) from error
