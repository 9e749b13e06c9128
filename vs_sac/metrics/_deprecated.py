"""Names of earlier releases that still work."""

import warnings
from typing import Any

import numpy.typing as npt

from ..core.macroblocks import BLOCK
from ..masks.grid import expand_grid_array

__all__ = ["expand_grid"]


def expand_grid(grid: npt.NDArray[Any], height: int, width: int, block: int = BLOCK) -> npt.NDArray[Any]:
    """`masks.expand_grid_array` with height before width. Deprecated."""
    warnings.warn(
        "metrics.expand_grid(grid, height, width) is deprecated; use masks.expand_grid_array(grid, width, height)",
        DeprecationWarning,
        stacklevel=2,
    )
    return expand_grid_array(grid, width, height, block)
