"""Finding the predictor of importance that belongs to a network."""

from functools import lru_cache
from pathlib import Path

from ..segmentation.registry import Model, models_folder
from .importance import ImportancePredictor

__all__ = ["find_predictor", "predictor_path"]

#: Suffix of a network's own predictor, in place of that of its file.
_SUFFIX = ".importance.npz"

#: The predictor that comes with the package.
_SHIPPED = "importance.npz"


def predictor_path(model: Model, given: str | Path | None = None) -> Path:
    """Return the file of the predictor of a network.

    Args:
        model: The network.
        given: The file that the user chose; None for ``NAME.importance.npz`` beside the network, else the shipped one.
    """
    if given is not None:
        return Path(given)
    own = model.path.with_name(model.path.stem + _SUFFIX)
    return own if own.is_file() else models_folder() / _SHIPPED


def find_predictor(model: Model, given: str | Path | None = None) -> ImportancePredictor:
    """Load the predictor of a network; see `predictor_path`.

    Raises:
        SacFileError: The file does not exist or is no predictor.
    """
    path = predictor_path(model, given)
    return _loaded(path, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=4)
def _loaded(path: Path, stamp: int) -> ImportancePredictor:
    """`stamp` tells a file that was written anew from the one that was loaded."""
    del stamp
    return ImportancePredictor.load(path)
