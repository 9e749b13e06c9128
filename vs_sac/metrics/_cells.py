"""Sums over square cells of a plane, from which every region's sum follows."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["by_region", "cell_counts"]

type BoolArray = npt.NDArray[np.bool_]
type IntArray = npt.NDArray[np.int64]


@lru_cache(maxsize=32)
def cell_counts(shape: tuple[int, ...], size: tuple[int, int], margin: int = 0) -> IntArray:
    """How many samples each cell of a plane of this shape holds.

    Args:
        shape: Rows and columns of the plane.
        size: Rows and columns of a cell; those at the right and bottom may be partial.
        margin: Rows and columns at each border that do not count.

    Returns:
        Shape (ceil(H / rows), ceil(W / columns)).
    """
    groups = []
    for length, step in zip(shape, size, strict=True):
        counted = np.ones(length, np.int64)
        counted[:margin] = counted[length - margin :] = 0
        groups.append(np.add.reduceat(counted, np.arange(0, length, step)))
    counts: IntArray = np.outer(*groups)
    counts.setflags(write=False)
    return counts


def by_region(cells: npt.NDArray[Any], masks: tuple[BoolArray, BoolArray] | None) -> tuple[float, ...]:
    """Sums over `Region`'s members in their order, given the ROI and the ring; 0 but for the first without them.

    Sums of integers are exact.
    """
    total = cells.sum().item()
    if masks is None:
        return total, 0, 0, 0
    roi, ring = (cells.sum(where=mask).item() for mask in masks)
    return total, roi, total - roi, ring
