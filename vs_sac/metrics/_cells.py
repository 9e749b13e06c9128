"""Sums over square cells of a plane, from which every region's sum follows."""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["by_region", "cell_counts", "cell_sums"]

type BoolArray = npt.NDArray[np.bool_]
type IntArray = npt.NDArray[np.int64]


def cell_sums(
    plane: npt.NDArray[np.uint16] | npt.NDArray[np.uint32], size: tuple[int, int], margin: int = 0
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Exact sums over the cells of a plane, partial ones at the right and bottom included.

    Args:
        plane: Shape (H, W).
        size: Rows and columns of a cell.
        margin: Rows and columns at each border that do not count; the plane is more than twice as large.

    Returns:
        Shape (ceil(H / rows), ceil(W / columns)).
    """
    rows, columns = size
    height, width = plane.shape
    small = plane.dtype == np.uint16 and rows * columns <= 1 << 16
    kind: type[np.unsignedinteger[Any]] = np.uint32 if small else np.uint64
    whole = height // rows
    sums = np.zeros((-(-height // rows), -(-width // columns) * columns), kind)
    np.add.reduce(plane[: whole * rows].reshape(whole, rows, width), axis=1, dtype=kind, out=sums[:whole, :width])
    if whole < len(sums):
        np.add.reduce(plane[whole * rows :], axis=0, dtype=kind, out=sums[whole, :width])
    if margin:
        for row in (*range(margin), *range(height - margin, height)):
            sums[row // rows, :width] -= plane[row]
        sums[:, :margin] = sums[:, width - margin :] = 0
    if columns == 1:
        return sums
    # An integer product with ones is the quickest exact sum over a short last axis.
    return sums.reshape(len(sums), -1, columns) @ np.ones(columns, kind)


@lru_cache(maxsize=32)
def cell_counts(shape: tuple[int, ...], size: tuple[int, int], margin: int = 0) -> IntArray:
    """How many samples of a plane of this shape each sum of `cell_sums` holds."""
    groups = []
    for length, step in zip(shape, size, strict=True):
        counted = np.ones(length, np.int64)
        counted[:margin] = counted[length - margin :] = 0
        groups.append(np.add.reduceat(counted, np.arange(0, length, step)))
    counts: IntArray = np.outer(*groups)
    counts.setflags(write=False)
    return counts


def by_region(cells: npt.NDArray[Any], masks: tuple[BoolArray, BoolArray] | None) -> tuple[int, ...]:
    """Sums over `Region`'s members in their order, given the ROI and the ring; 0 but for the first without them."""
    total = int(cells.sum(dtype=np.uint64))
    if masks is None:
        return total, 0, 0, 0
    roi, ring = (int(cells.sum(dtype=np.uint64, where=mask)) for mask in masks)
    return total, roi, total - roi, ring
