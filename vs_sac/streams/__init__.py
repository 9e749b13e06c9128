"""Splitting a clip into ROI and non-ROI, and merging the two (paper eqs. 2, 3 and 7)."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .fills import HOLD_WINDOW
    from .filtering import LARGEST_SIGMA, low_pass
    from .filtering import low_pass as soften
    from .merging import merge
    from .overlays import overlay
    from .splitting import split

__all__ = ["HOLD_WINDOW", "LARGEST_SIGMA", "low_pass", "merge", "overlay", "soften", "split"]

_HOMES = {
    "HOLD_WINDOW": "fills",
    "LARGEST_SIGMA": "filtering",
    "low_pass": "filtering",
    "merge": "merging",
    "overlay": "overlays",
    "split": "splitting",
}

_named = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> object:
    # `soften` is the name of `low_pass` in earlier releases.
    return _named("low_pass" if name == "soften" else name)
