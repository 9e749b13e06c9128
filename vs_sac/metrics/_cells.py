"""Sums over square cells of a plane, from which every region's sum follows."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .quality import SSIM_MARGIN

__all__ = ["Borders", "by_region", "cell_counts", "cell_sums"]

type BoolArray = npt.NDArray[np.bool_]
type IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Borders:
    """Rows and columns at a plane's edges that do not count.

    Attributes:
        top: Rows at the top.
        bottom: Rows at the bottom.
        sides: Columns at the left and at the right.
    """

    top: int
    bottom: int
    sides: int

    @classmethod
    def of(cls, step: int) -> Self:
        """The rows and columns of a map, taken in every step-th row, around which no whole SSIM window fits.

        Row r of the map is row step·r of a plane of H rows, a multiple of step. It counts from step·r >= 5 up to
        step·r <= H - 6.
        """
        return cls(top=-(-SSIM_MARGIN // step), bottom=SSIM_MARGIN // step, sides=SSIM_MARGIN)


def cell_sums(
    plane: npt.NDArray[np.uint16] | npt.NDArray[np.uint32], size: tuple[int, int], borders: Borders | None = None
) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Exact sums over the cells of a plane, partial ones at the right and bottom included.

    Args:
        plane: Shape (H, W).
        size: Rows and columns of a cell.
        borders: What does not count, nothing if None.

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
    if borders is not None:
        for row in (*range(borders.top), *range(height - borders.bottom, height)):
            sums[row // rows, :width] -= plane[row]
        sums[:, : borders.sides] = 0
        sums[:, width - borders.sides :] = 0
    if columns == 1:
        return sums
    # An integer product with ones is the quickest exact sum over a short last axis.
    return sums.reshape(len(sums), -1, columns) @ np.ones(columns, kind)


@lru_cache(maxsize=32)
def cell_counts(shape: tuple[int, ...], size: tuple[int, int], borders: Borders | None = None) -> IntArray:
    """How many samples of a plane of this shape each sum of `cell_sums` holds."""
    rows, columns = np.ones(shape[0], np.int64), np.ones(shape[1], np.int64)
    if borders is not None:
        rows[: borders.top] = rows[shape[0] - borders.bottom :] = 0
        columns[: borders.sides] = columns[shape[1] - borders.sides :] = 0
    groups = [np.add.reduceat(axis, np.arange(0, len(axis), n)) for axis, n in zip((rows, columns), size, strict=True)]
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
