"""Sums over cells of a plane. The sum over a region is the sum over the region's cells."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["by_region", "cell_counts"]

type BoolArray = npt.NDArray[np.bool_]
type IntArray = npt.NDArray[np.int64]


@lru_cache(maxsize=32)
def cell_counts(shape: tuple[int, ...], size: tuple[int, int], margin: int = 0) -> IntArray:
    """Count the samples in each cell of a plane.

    Args:
        shape: Rows and columns of the plane.
        size: Rows and columns of a cell. Cells at the right and bottom edge may be partial.
        margin: Rows and columns at each border that are not counted.

    Returns:
        Read-only int64 array of shape (ceil(H / rows), ceil(W / columns)).
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
    """Sums over the members of `Region`, in their order.

    The sums are exact if the cells are integers.

    Args:
        cells: One sum per cell, shape (rows, columns).
        masks: ROI and ring, bool of the same shape. Without masks the sums of ROI, non-ROI and ring are 0.
    """
    total = cells.sum().item()
    if masks is None:
        return total, 0, 0, 0
    roi, ring = (cells.sum(where=mask).item() for mask in masks)
    return total, roi, total - roi, ring
