"""The compiled part of measuring: squared errors and SSIM of one plane, summed over cells.

Compiled by numba at the first call and kept on disk; the functions release the interpreter's lock, so that frames can
be measured in parallel. SSIM works tile by tile, so that what one pass leaves is still in the processor's cache when
the next one needs it.
"""

from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from .quality import SSIM_MARGIN, gaussian_window, ssim_constants

__all__ = ["masked_structure", "squared_errors", "structure"]

type FloatArray = npt.NDArray[np.float64]
type Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# SSIM is taken on a scale of 0 to 255 whatever the depth, less 128: without the offset single precision would lose
# up to 1e-2 of a variance to the square of the mean, beside a C2 of 58.
_PEAK: Final = 255
_OFFSET: Final = np.float32(128)
_C1, _C2 = (np.float32(c) for c in ssim_constants(_PEAK))
_TWO: Final = np.float32(2)

#: The window is symmetric: its outermost tap first, its centre last.
_W0, _W1, _W2, _W3, _W4, _W5 = (np.float32(w) for w in gaussian_window()[: SSIM_MARGIN + 1])
_REACH: Final = 2 * SSIM_MARGIN

#: Windows per tile: eleven rows of four planes fit the first-level cache, the whole of them the second.
_ROWS, _COLUMNS = 128, 128

# Sums may be reordered, so that they fill vector registers; quotients stay exact, so that equal pictures give 1.
_compiled = numba.njit(nogil=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy", cache=True)


def squared_errors(x: Samples, y: Samples, size: tuple[int, int]) -> npt.NDArray[np.uint64]:
    """Exact sums of squared differences over cells.

    Args:
        x: Shape (H, W), up to 16 bits.
        y: Same shape and type.
        size: Rows and columns of a cell.

    Returns:
        Shape (ceil(H / rows), ceil(W / columns)).
    """
    sums = np.zeros(_cells(x, size), np.uint64)
    # 8-bit errors of up to 66051 rows fit 32 bits, which are twice as quick.
    small = x.dtype == np.uint8 and size[0] <= 1 << 16
    _squared_errors(_rows(x), _rows(y), size[0], size[1], np.zeros(x.shape[1], np.uint32 if small else np.uint64), sums)
    return sums


def structure(x: Samples, y: Samples, bits: int, size: tuple[int, int]) -> FloatArray:
    """Sums of the SSIM map over cells; the outer `SSIM_MARGIN` rows and columns, where no window fits, add nothing.

    Args:
        x: Shape (H, W), at least 11×11, up to 16 bits.
        y: Same shape and type.
        bits: Depth of the samples.
        size: Rows and columns of a cell.

    Returns:
        Shape (ceil(H / rows), ceil(W / columns)).
    """
    sums = np.zeros(_cells(x, size))
    _structure(_rows(x), _rows(y), _scale(bits), size[0], size[1], sums)
    return sums


def masked_structure(
    x: Samples, y: Samples, bits: int, roi: npt.NDArray[np.bool_], cell: int, sums: FloatArray, counts: npt.NDArray[Any]
) -> tuple[float, float]:
    """Sums of the SSIM map of masked frames: one with all but the ROI black, one with the ROI black.

    Where a window lies in one region altogether, its SSIM there is that of the unmasked frames, and 1 in the frames
    where it is black. Only windows on an edge are computed anew.

    Args:
        x: Shape (H, W), at least 11×11, up to 16 bits.
        y: Same shape and type.
        bits: Depth of the samples.
        roi: Shape (ceil(H / cell), ceil(W / cell)).
        cell: Side of a cell.
        sums: What `structure` returns for these cells.
        counts: How many windows each of those sums holds.

    Returns:
        Sum over all windows of the frame with the ROI, and of the one with the rest.
    """
    # Tiles are larger than a window's reach, so that a tile's neighbours are all that its windows see.
    factor = -(-(SSIM_MARGIN + 1) // cell)
    some, every = _pooled(roi, factor, False), ~_pooled(~roi, factor, False)
    edge = _spread(some) & _spread(~every)
    inner_sums, inner_counts = (np.where(_repeat(edge, factor, roi.shape), 0, values) for values in (sums, counts))
    inside = float((inner_sums * roi).sum() + (inner_counts * ~roi).sum())
    outside = float((inner_sums * ~roi).sum() + (inner_counts * roi).sum())
    on_edge = _masked_structure(_rows(x), _rows(y), _scale(bits), roi, cell, edge, factor * cell)
    return inside + on_edge[0], outside + on_edge[1]


def _cells(x: Samples, size: tuple[int, int]) -> tuple[int, int]:
    return -(-x.shape[0] // size[0]), -(-x.shape[1] // size[1])


def _scale(bits: int) -> np.float32:
    return np.float32(_PEAK / ((1 << bits) - 1))


def _rows(plane: Any) -> Any:
    """The plane without the padding that frames have at the end of their rows."""
    return np.ascontiguousarray(plane)


def _pooled(grid: npt.NDArray[np.bool_], factor: int, outside: bool) -> npt.NDArray[np.bool_]:
    """Whether any cell of a tile is set."""
    rows, columns = -(-grid.shape[0] // factor), -(-grid.shape[1] // factor)
    padded = np.full((rows * factor, columns * factor), outside)
    padded[: grid.shape[0], : grid.shape[1]] = grid
    return padded.reshape(rows, factor, columns, factor).any((1, 3))


def _repeat(grid: npt.NDArray[np.bool_], factor: int, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    return grid.repeat(factor, 0).repeat(factor, 1)[: shape[0], : shape[1]]


def _spread(grid: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Set tiles and their eight neighbours."""
    padded = np.pad(grid, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]


@_compiled
def _squared_errors(x, y, rows, columns, column, sums):
    height, width = x.shape
    for top in range(0, height, rows):
        column[:] = 0
        for r in range(top, min(top + rows, height)):
            a, b = x[r], y[r]
            for j in range(width):
                error = np.int32(a[j]) - np.int32(b[j])
                column[j] += np.uint32(error * error)
        band = sums[top // rows]
        for j in range(width):
            band[j // columns] += np.uint64(column[j])


@_compiled
def _blur_row(source, target, count):
    for j in range(count):
        target[j] = (
            _W5 * source[j + 5]
            + _W4 * (source[j + 4] + source[j + 6])
            + _W3 * (source[j + 3] + source[j + 7])
            + _W2 * (source[j + 2] + source[j + 8])
            + _W1 * (source[j + 1] + source[j + 9])
            + _W0 * (source[j] + source[j + 10])
        )


@_compiled
def _blur_column(source, target, count):
    """`source` holds 11 rows end to end."""
    for j in range(count):
        target[j] = (
            _W5 * source[j + 5 * _COLUMNS]
            + _W4 * (source[j + 4 * _COLUMNS] + source[j + 6 * _COLUMNS])
            + _W3 * (source[j + 3 * _COLUMNS] + source[j + 7 * _COLUMNS])
            + _W2 * (source[j + 2 * _COLUMNS] + source[j + 8 * _COLUMNS])
            + _W1 * (source[j + 1 * _COLUMNS] + source[j + 9 * _COLUMNS])
            + _W0 * (source[j] + source[j + 10 * _COLUMNS])
        )


@_compiled
def _tile(x, y, rows, columns, blurred, ssim):
    """The SSIM map of a tile, from samples that reach `_REACH` rows and columns further than its windows' centres.

    With d = x - y: var(x) + var(y) = var(d) + 2·cov(x, y), so that four blurred quantities do: x, y, x·y and d².
    """
    product, square = np.empty(_COLUMNS + _REACH, np.float32), np.empty(_COLUMNS + _REACH, np.float32)
    for r in range(rows + _REACH):
        a, b = x[r], y[r]
        for j in range(columns + _REACH):
            gap = a[j] - b[j]
            product[j] = a[j] * b[j]
            square[j] = gap * gap
        at = r * _COLUMNS
        _blur_row(a, blurred[0, at:], columns)
        _blur_row(b, blurred[1, at:], columns)
        _blur_row(product, blurred[2, at:], columns)
        _blur_row(square, blurred[3, at:], columns)
    mean_x, mean_y = np.empty(_COLUMNS, np.float32), np.empty(_COLUMNS, np.float32)
    for r in range(rows):
        at = r * _COLUMNS
        _blur_column(blurred[0, at:], mean_x, columns)
        _blur_column(blurred[1, at:], mean_y, columns)
        _blur_column(blurred[2, at:], product, columns)
        _blur_column(blurred[3, at:], square, columns)
        out = ssim[r]
        for j in range(columns):
            a, b = mean_x[j], mean_y[j]
            covariance = _TWO * (product[j] - a * b) + _C2
            means = _TWO * (a + _OFFSET) * (b + _OFFSET) + _C1
            gap = (a - b) * (a - b)
            out[j] = means * covariance / ((means + gap) * (covariance + square[j] - gap))


@_compiled
def _structure(x, y, scale, cell_rows, cell_columns, sums):
    height, width = x.shape
    blurred = np.empty((4, (_ROWS + _REACH) * _COLUMNS), np.float32)
    a = np.empty((_ROWS + _REACH, _COLUMNS + _REACH), np.float32)
    b = np.empty_like(a)
    ssim = np.empty((_ROWS, _COLUMNS), np.float32)
    column = np.zeros(_COLUMNS, np.float32)
    for top in range(0, height - _REACH, _ROWS):
        rows = min(_ROWS, height - _REACH - top)
        for left in range(0, width - _REACH, _COLUMNS):
            columns = min(_COLUMNS, width - _REACH - left)
            for r in range(rows + _REACH):
                x_row, y_row, a_row, b_row = x[top + r, left:], y[top + r, left:], a[r], b[r]
                for j in range(columns + _REACH):
                    a_row[j] = np.float32(x_row[j]) * scale - _OFFSET
                    b_row[j] = np.float32(y_row[j]) * scale - _OFFSET
            _tile(a, b, rows, columns, blurred, ssim)
            for r in range(rows):
                line, out = top + r + SSIM_MARGIN, ssim[r]
                for j in range(columns):
                    column[j] += out[j]
                if r == rows - 1 or (line + 1) % cell_rows == 0:
                    band = sums[line // cell_rows]
                    for j in range(columns):
                        band[(left + j + SSIM_MARGIN) // cell_columns] += column[j]
                        column[j] = 0


@_compiled
def _masked_structure(x, y, scale, roi, cell, edge, side):
    """Sums over the windows centred in the tiles of `edge`, whose side is a multiple of the cells' of `roi`."""
    height, width = x.shape
    blurred = np.empty((4, (_ROWS + _REACH) * _COLUMNS), np.float32)
    a = np.empty((_ROWS + _REACH, _COLUMNS + _REACH), np.float32)
    b = np.empty_like(a)
    ssim = np.empty((_ROWS, _COLUMNS), np.float32)
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
                    for region in range(2):
                        for r in range(rows + _REACH):
                            line, edge_left = top + r - SSIM_MARGIN, left - SSIM_MARGIN
                            if r == 0 or line % cell == 0:
                                cells = roi[line // cell]
                                for j in range(columns + _REACH):
                                    shown[j] = cells[(edge_left + j) // cell] == (region == 0)
                            x_row, y_row, a_row, b_row = x[line, edge_left:], y[line, edge_left:], a[r], b[r]
                            for j in range(columns + _REACH):
                                a_row[j] = np.float32(x_row[j]) * scale * shown[j] - _OFFSET
                                b_row[j] = np.float32(y_row[j]) * scale * shown[j] - _OFFSET
                        _tile(a, b, rows, columns, blurred, ssim)
                        for r in range(rows):
                            for j in range(columns):
                                sums[region] += ssim[r, j]
            begin = end + 1
    return sums[0], sums[1]
