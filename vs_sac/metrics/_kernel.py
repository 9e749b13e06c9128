"""The compiled part of the measurement: squared errors and SSIM of one plane, summed over cells.

numba compiles the functions at the first call and caches the result on disk, in this folder or in the user's cache,
if one of them is writable. The functions release the GIL, so frames can be measured in parallel. SSIM is computed tile
by tile, so that the results of one pass are still in the processor's cache when the next pass reads them.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from .quality import SSIM_MARGIN, gaussian_window, ssim_constants

__all__ = ["masked_structure", "squared_errors", "structure"]

type FloatArray = npt.NDArray[np.float64]
type Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# SSIM is computed on a scale of 0 to 255 at any bit depth, minus 128. Without the offset, single precision would lose
# up to 1e-2 of a variance to the square of the mean, while C2 is 58.
_PEAK: Final = 255
_OFFSET: Final = np.float32(128)
_C1, _C2 = (np.float32(c) for c in ssim_constants(_PEAK))
_TWO: Final = np.float32(2)

#: The taps of one half of the symmetric window, from the outermost tap to the centre.
_W0, _W1, _W2, _W3, _W4, _W5 = (np.float32(w) for w in gaussian_window()[: SSIM_MARGIN + 1])
_REACH: Final = 2 * SSIM_MARGIN

#: Windows per tile. Eleven rows of the four planes fit the first-level cache, the whole tile fits the second.
_ROWS, _COLUMNS = 64, 128
#: Distance from one plane of a row to the next, and from one row to the next. Neither is a multiple of the size of a
#: cache way, because rows would then evict each other from the cache.
_PLANE: Final = _COLUMNS + 16
_PITCH: Final = 4 * _PLANE + 16
#: Samples per vector, and rows per group: rows are processed in whole vectors, columns four rows at a time.
_VECTOR: Final = 16
_GROUP: Final = 4

# Unsigned type for indices. numba adds a wrap-around check for signed indices, and such indices prevent vectorization
# where they contain a product.
_N: Final = np.uint64

# Sums may be reordered so that they can be vectorized. Quotients stay exact, so that identical pictures give exactly 1.
_FAST: Final[dict[str, Any]] = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}
_inlined = numba.njit(**_FAST, inline="always")


def _compiled[F: Callable[..., Any]](function: F) -> F:
    try:
        return numba.njit(**_FAST, nogil=True, cache=_has_cache_folder())(function)  # type: ignore[no-any-return]
    except RuntimeError:
        # Neither this folder nor the user's cache is writable: every process compiles for itself.
        return numba.njit(**_FAST, nogil=True)(function)  # type: ignore[no-any-return]


def _has_cache_folder() -> bool:
    """Whether the user's cache is a folder. Without a home, numba would create "~" in the working directory."""
    folder = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(Path.home() if folder is None else folder).is_absolute()
    except RuntimeError:
        return False


def squared_errors(x: Samples, y: Samples, size: tuple[int, int]) -> npt.NDArray[np.uint64]:
    """Sum squared differences over cells, exactly.

    Args:
        x: Shape (H, W), up to 16 bits.
        y: Same shape and type.
        size: Rows and columns of a cell.

    Returns:
        Shape (ceil(H / rows), ceil(W / columns)).
    """
    sums = np.zeros(_cells(x, size), np.uint64)
    # The sum of 8-bit errors over up to 66051 rows fits 32 bits, and 32-bit sums are twice as fast.
    small = x.dtype == np.uint8 and size[0] <= 1 << 16
    column = np.zeros(x.shape[1], np.uint32 if small else np.uint64)
    _squared_errors(_rows(x), _rows(y), x.shape[1], size[0], size[1], column, sums)
    return sums


def structure(x: Samples, y: Samples, bits: int, size: tuple[int, int]) -> FloatArray:
    """Sum the SSIM map over cells.

    The outer `SSIM_MARGIN` rows and columns add nothing, because no complete window fits there.

    Args:
        x: Shape (H, W), at least 11×11, up to 16 bits.
        y: Same shape and type.
        bits: Bit depth of the samples.
        size: Rows and columns of a cell.

    Returns:
        Shape (ceil(H / rows), ceil(W / columns)).
    """
    sums = np.zeros(_cells(x, size))
    _structure(_rows(x), _rows(y), x.shape[1], _scale(bits), size[0], size[1], sums)
    return sums


def masked_structure(
    x: Samples, y: Samples, bits: int, roi: npt.NDArray[np.bool_], cell: int, sums: FloatArray, counts: npt.NDArray[Any]
) -> tuple[float, float]:
    """Sum the SSIM map of two masked frames: one in which all but the ROI is black, one in which the ROI is black.

    A window that lies entirely in one region has the SSIM of the unmasked frames where that region is shown, and 1
    where it is black. Only windows across a mask edge are computed again.

    Args:
        x: Shape (H, W), at least 11×11, up to 16 bits.
        y: Same shape and type.
        bits: Bit depth of the samples.
        roi: Shape (ceil(H / cell), ceil(W / cell)).
        cell: Side of a cell in pixels.
        sums: Result of `structure` for these cells.
        counts: Number of windows in each cell.

    Returns:
        Sums over all windows: of the frame with the ROI, and of the frame with the non-ROI.
    """
    # Tiles are larger than the reach of a window, so a window in a tile covers at most the neighbouring tiles.
    factor = -(-(SSIM_MARGIN + 1) // cell)
    some, every = _pooled(roi, factor, False), ~_pooled(~roi, factor, False)
    edge = _spread(some) & _spread(~every)
    inner_sums, inner_counts = (np.where(_repeat(edge, factor, roi.shape), 0, values) for values in (sums, counts))
    inside = float((inner_sums * roi).sum() + (inner_counts * ~roi).sum())
    outside = float((inner_sums * ~roi).sum() + (inner_counts * roi).sum())
    on_edge = _masked_structure(_rows(x), _rows(y), x.shape[1], _scale(bits), roi, cell, edge, factor * cell)
    return inside + on_edge[0], outside + on_edge[1]


def _cells(x: Samples, size: tuple[int, int]) -> tuple[int, int]:
    return -(-x.shape[0] // size[0]), -(-x.shape[1] // size[1])


def _scale(bits: int) -> np.float32:
    return np.float32(_PEAK / ((1 << bits) - 1))


def _rows(plane: Any) -> Any:
    """The plane including the padding at the end of its rows, which makes it contiguous without a copy."""
    pitch, step = plane.strides
    if step != plane.itemsize or pitch % step or pitch < plane.shape[1] * step:
        return np.ascontiguousarray(plane)
    # The last row may have no padding. The padding is never read.
    return np.lib.stride_tricks.as_strided(plane, (plane.shape[0], pitch // step), writeable=False)


def _pooled(grid: npt.NDArray[np.bool_], factor: int, outside: bool) -> npt.NDArray[np.bool_]:
    """True for tiles in which any cell is set."""
    rows, columns = -(-grid.shape[0] // factor), -(-grid.shape[1] // factor)
    padded = np.full((rows * factor, columns * factor), outside)
    padded[: grid.shape[0], : grid.shape[1]] = grid
    return padded.reshape(rows, factor, columns, factor).any((1, 3))


def _repeat(grid: npt.NDArray[np.bool_], factor: int, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    return grid.repeat(factor, 0).repeat(factor, 1)[: shape[0], : shape[1]]


def _spread(grid: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """True for tiles that are set and for their eight neighbours."""
    padded = np.pad(grid, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]


@_compiled
def _add_cells(column, left, stop, columns, cells):
    """Add the sums of columns `left` to `stop` to the cells that contain them, and reset the sums to 0."""
    index = left // columns
    begin = left
    while begin < stop:
        end = min((index + 1) * columns, stop)
        total = 0 * column[0]
        for j in range(begin - left, end - left):
            total += column[j]
            column[j] = 0
        cells[index] += total
        begin = end
        index += 1


@_compiled
def _squared_errors(x, y, width, rows, columns, column, sums):
    height = x.shape[0]
    for r in range(height):
        for j in range(width):
            error = np.int32(x[r, j]) - np.int32(y[r, j])
            column[j] += np.uint32(error * error)
        if r == height - 1 or (r + 1) % rows == 0:
            _add_cells(column, 0, width, columns, sums[r // rows])


@_compiled
def _convert(x, y, line, left, count, scale, planes):
    """Compute x, y, x·y and (x - y)² of a row.

    With d = x - y, var(x) + var(y) = var(d) + 2·cov(x, y). The blurred versions of these four planes are therefore
    sufficient for SSIM.
    """
    row, start = _N(line), _N(left)
    for j in range(_N(count)):
        a = np.float32(x[row, start + j]) * scale - _OFFSET
        b = np.float32(y[row, start + j]) * scale - _OFFSET
        planes[j] = a
        planes[j + _N(_PLANE)] = b
        planes[j + _N(2 * _PLANE)] = a * b
        planes[j + _N(3 * _PLANE)] = (a - b) * (a - b)


@_compiled
def _convert_shown(x, y, line, left, count, scale, shown, planes):
    """Like `_convert`, for frames that are black where `shown` is 0."""
    for j in range(count):
        a = np.float32(x[line, left + j]) * scale * shown[j] - _OFFSET
        b = np.float32(y[line, left + j]) * scale * shown[j] - _OFFSET
        planes[j] = a
        planes[j + _PLANE] = b
        planes[j + 2 * _PLANE] = a * b
        planes[j + 3 * _PLANE] = (a - b) * (a - b)


@_compiled
def _blur_row(planes, count, row, blurred):
    """Blur the four planes of a row horizontally."""
    for plane in range(4):
        source, target = _N(plane * _PLANE), _N(row * _PITCH + plane * _PLANE)
        for j in range(_N(count)):
            s = source + j
            blurred[target + j] = (
                _W5 * planes[s + _N(5)]
                + _W4 * (planes[s + _N(4)] + planes[s + _N(6)])
                + _W3 * (planes[s + _N(3)] + planes[s + _N(7)])
                + _W2 * (planes[s + _N(2)] + planes[s + _N(8)])
                + _W1 * (planes[s + _N(1)] + planes[s + _N(9)])
                + _W0 * (planes[s] + planes[s + _N(10)])
            )


@_inlined
def _blur_columns(blurred, at):
    """Blur one column vertically for four rows at a time. Most of the fourteen samples read serve all four rows."""
    r0, r1, r2, r3 = (blurred[at], blurred[at + _N(_PITCH)], blurred[at + _N(2 * _PITCH)], blurred[at + _N(3 * _PITCH)])
    r4, r5, r6 = blurred[at + _N(4 * _PITCH)], blurred[at + _N(5 * _PITCH)], blurred[at + _N(6 * _PITCH)]
    r7, r8, r9 = blurred[at + _N(7 * _PITCH)], blurred[at + _N(8 * _PITCH)], blurred[at + _N(9 * _PITCH)]
    r10, r11 = blurred[at + _N(10 * _PITCH)], blurred[at + _N(11 * _PITCH)]
    r12, r13 = blurred[at + _N(12 * _PITCH)], blurred[at + _N(13 * _PITCH)]
    return (
        _W5 * r5 + _W4 * (r4 + r6) + _W3 * (r3 + r7) + _W2 * (r2 + r8) + _W1 * (r1 + r9) + _W0 * (r0 + r10),
        _W5 * r6 + _W4 * (r5 + r7) + _W3 * (r4 + r8) + _W2 * (r3 + r9) + _W1 * (r2 + r10) + _W0 * (r1 + r11),
        _W5 * r7 + _W4 * (r6 + r8) + _W3 * (r5 + r9) + _W2 * (r4 + r10) + _W1 * (r3 + r11) + _W0 * (r2 + r12),
        _W5 * r8 + _W4 * (r7 + r9) + _W3 * (r6 + r10) + _W2 * (r5 + r11) + _W1 * (r4 + r12) + _W0 * (r3 + r13),
    )


@_compiled
def _blur_rows(blurred, row, count, moments):
    """Blur the four planes of four rows vertically, from the rows that `_blur_row` has blurred horizontally."""
    for plane in range(4):
        first, target = _N(row * _PITCH + plane * _PLANE), _N(plane * _PLANE)
        for j in range(_N(count)):
            a, b, c, d = _blur_columns(blurred, first + j)
            moments[target + j] = a
            moments[target + j + _N(_PITCH)] = b
            moments[target + j + _N(2 * _PITCH)] = c
            moments[target + j + _N(3 * _PITCH)] = d


@_compiled
def _ssim_row(moments, first, count, ssim, target):
    """Compute the SSIM of a row from its four blurred planes."""
    for j in range(_N(count)):
        a, b = moments[first + j], moments[first + j + _N(_PLANE)]
        covariance = _TWO * (moments[first + j + _N(2 * _PLANE)] - a * b) + _C2
        means = _TWO * (a + _OFFSET) * (b + _OFFSET) + _C1
        gap = (a - b) * (a - b)
        variances = covariance + moments[first + j + _N(3 * _PLANE)] - gap
        ssim[target + j] = means * covariance / ((means + gap) * variances)


@_compiled
def _ssim_tile(blurred, rows, count, moments, ssim):
    """Compute the SSIM map of a tile.

    Rows are computed in groups of four. Rows beyond the last one are computed too and never used.
    """
    for row in range(0, rows, _GROUP):
        _blur_rows(blurred, row, count, moments)
        for k in range(_GROUP):
            _ssim_row(moments, _N(k * _PITCH), count, ssim, _N((row + k) * _COLUMNS))


@_compiled
def _whole_vectors(columns):
    return (columns + _VECTOR - 1) // _VECTOR * _VECTOR


@_compiled
def _structure(x, y, width, scale, cell_rows, cell_columns, sums):
    height = x.shape[0]
    planes = np.zeros(_PITCH, np.float32)
    blurred = np.zeros((_ROWS + _REACH) * _PITCH, np.float32)
    moments = np.zeros(_GROUP * _PITCH, np.float32)
    ssim = np.zeros(_ROWS * _COLUMNS, np.float32)
    column = np.zeros(_COLUMNS, np.float32)
    for left in range(0, width - _REACH, _COLUMNS):
        columns = min(_COLUMNS, width - _REACH - left)
        count = _whole_vectors(columns)
        for top in range(0, height - _REACH, _ROWS):
            rows = min(_ROWS, height - _REACH - top)
            # The first rows of this tile are the last rows of the tile above.
            for k in range(_N(_REACH * _PITCH)):
                blurred[k] = blurred[k + _N(_ROWS * _PITCH)]
            for r in range(_REACH if top else 0, rows + _REACH):
                _convert(x, y, top + r, left, columns + _REACH, scale, planes)
                _blur_row(planes, count, r, blurred)
            _ssim_tile(blurred, rows, count, moments, ssim)
            for r in range(rows):
                for j in range(_N(columns)):
                    column[j] += ssim[_N(r * _COLUMNS) + j]
                line = top + r + SSIM_MARGIN
                if r == rows - 1 or (line + 1) % cell_rows == 0:
                    start = left + SSIM_MARGIN
                    _add_cells(column, start, start + columns, cell_columns, sums[line // cell_rows])


@_compiled
def _masked_structure(x, y, width, scale, roi, cell, edge, side):
    """Sum over the windows whose centres lie in the tiles of `edge`. The side of a tile is a multiple of `cell`."""
    height = x.shape[0]
    planes = np.zeros(_PITCH, np.float32)
    blurred = np.zeros((_ROWS + _REACH) * _PITCH, np.float32)
    moments = np.zeros(_GROUP * _PITCH, np.float32)
    ssim = np.zeros(_ROWS * _COLUMNS, np.float32)
    shown = np.empty(_COLUMNS + _REACH, np.float32)
    sums = np.zeros(2)
    for row in range(edge.shape[0]):
        first, last = max(row * side, SSIM_MARGIN), min((row + 1) * side, height - SSIM_MARGIN)
        begin = 0
        while begin < edge.shape[1]:
            end = begin
            while end < edge.shape[1] and edge[row, end]:
                end += 1
            start, stop = max(begin * side, SSIM_MARGIN), min(end * side, width - SSIM_MARGIN)
            for top in range(first, last, _ROWS):
                rows = min(_ROWS, last - top)
                for left in range(start, stop, _COLUMNS):
                    columns = min(_COLUMNS, stop - left)
                    count = _whole_vectors(columns)
                    for region in range(2):
                        for r in range(rows + _REACH):
                            line, edge_left = top + r - SSIM_MARGIN, left - SSIM_MARGIN
                            if r == 0 or line % cell == 0:
                                for j in range(columns + _REACH):
                                    shown[j] = roi[line // cell, (edge_left + j) // cell] == (region == 0)
                            _convert_shown(x, y, line, edge_left, columns + _REACH, scale, shown, planes)
                            _blur_row(planes, count, r, blurred)
                        _ssim_tile(blurred, rows, count, moments, ssim)
                        for r in range(rows):
                            total = np.float32(0)
                            for j in range(_N(columns)):
                                total += ssim[_N(r * _COLUMNS) + j]
                            sums[region] += total
            begin = end + 1
    return sums[0], sums[1]
