"""ROI mask ↔ macroblock grid (paper Sec. III.C), by native VapourSynth filters and, for single frames, on arrays.

A *mask* is a GRAY8 clip, 255 = ROI, 0 = non-ROI. A *grid* is a mask with one pixel per macroblock:
ceil(width / block) × ceil(height / block) pixels, partial blocks at the right and bottom included.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..core.clips import check_mask
from ..core.errors import SacFormatError, SacValueError
from ..core.macroblocks import BLOCK, grid_size

__all__ = ["BLOCK", "blank_grid", "block_grid", "block_grid_array", "expand_grid", "expand_grid_array", "grid_size",
           "macroblock_mask", "scaled_block_grid", "scaled_block_grid_array"]  # fmt: skip

_ROI = 255

#: Limits of `std.Convolution`: the smallest side of a plane, and the longest sum that is a power of two. A window has
#: at most 25 taps; the windows here have one tap more than the sum.
_SMALLEST_PLANE, _LONGEST_SUM = 4, 16


def block_grid(mask: vs.VideoNode, block: int = BLOCK) -> vs.VideoNode:
    """Reduce a mask to its block grid: a block is ROI if any of its pixels is ROI (paper Sec. III.C).

    Args:
        mask: GRAY8 mask; every value above 0 is ROI.
        block: Side of a block in pixels, a power of two from 2 to 64.

    Returns:
        Grid of ceil(width / block) × ceil(height / block) pixels, values 0 and 255.

    Raises:
        SacFormatError: `mask` is not GRAY8.
        SacValueError: `block` is not accepted.

    Example:
        >>> mask = vs.core.std.BlankClip(None, 40, 48, vs.GRAY8, color=255)
        >>> grid = block_grid(mask)
        >>> grid.width, grid.height
        (3, 3)
    """
    check_mask(mask, "block_grid")
    _check_block(block, "block_grid")
    columns, rows = grid_size(mask.width, mask.height, block)
    # Convolution does not accept smaller planes.
    wide, high = max(columns, _SMALLEST_PLANE), max(rows, _SMALLEST_PLANE)
    grid = mask.std.Lut(lut=[0] + [_ROI] * 255)
    grid = grid.std.AddBorders(right=wide * block - mask.width, bottom=high * block - mask.height, color=0)
    # Saturating sums along x and then along y; of each block, one sum is kept. This takes a third of the time of
    # maxima of pairs. The sum at the middle of a block begins at the first pixel of the block, and the shift by half a
    # pixel makes point sampling select that middle.
    while grid.width > wide:
        side = min(grid.width // wide, _LONGEST_SUM)
        summed = grid.std.Convolution([1] * side + [0], divisor=1, mode="h")
        grid = summed.resize.Point(width=grid.width // side, src_left=0.5)
    while grid.height > high:
        side = min(grid.height // high, _LONGEST_SUM)
        summed = grid.std.Convolution([1] * side + [0], divisor=1, mode="v")
        grid = summed.resize.Point(height=grid.height // side, src_top=0.5)
    return grid.std.Crop(right=wide - columns, bottom=high - rows)


def scaled_block_grid(mask: vs.VideoNode, width: int, height: int, block: int = BLOCK) -> vs.VideoNode:
    """Reduce a mask to the block grid that its picture has after it was scaled to another size.

    A block is ROI if any pixel of the mask that it covers, even in part, is ROI.

    Args:
        mask: GRAY8 mask of the picture before scaling; every value above 0 is ROI.
        width: Width of the scaled picture in pixels.
        height: Height of the scaled picture in pixels.
        block: Side of a block in pixels of the scaled picture.

    Returns:
        Grid of ceil(width / block) × ceil(height / block) pixels, values 0 and 255.

    Raises:
        SacFormatError: `mask` is not GRAY8.
    """
    check_mask(mask, "scaled_block_grid")
    blank = vs.core.std.BlankClip(mask, *grid_size(width, height, block), keep=True)

    def reduced(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        grid, samples = f[0].copy(), np.asarray(f[1][0])
        np.copyto(np.asarray(grid[0]), scaled_block_grid_array(samples, width, height, block) * np.uint8(_ROI))
        return grid

    return blank.std.ModifyFrame([blank, mask], reduced)


def expand_grid(grid: vs.VideoNode, width: int, height: int, block: int = BLOCK) -> vs.VideoNode:
    """Enlarge a block grid to a mask of full size; the inverse of `block_grid` for block-aligned masks.

    Args:
        grid: Block grid, GRAY8.
        width: Width of the mask in pixels.
        height: Height of the mask in pixels.
        block: Side of a block in pixels, a power of two from 2 to 64.

    Returns:
        GRAY8 mask of width × height pixels.

    Raises:
        SacFormatError: `grid` is not GRAY8, or its size is not that of the grid of such a frame.
        SacValueError: `block` is not accepted.
    """
    check_mask(grid, "expand_grid", "grid")
    _check_block(block, "expand_grid")
    size = grid_size(width, height, block)
    if (grid.width, grid.height) != size:
        raise SacFormatError(
            f"the grid is {grid.width}x{grid.height}; {width}x{height} in blocks of {block} needs {size[0]}x{size[1]}",
            "expand_grid",
        )
    full = grid.resize.Point(width=size[0] * block, height=size[1] * block)
    return full.std.Crop(right=full.width - width, bottom=full.height - height)


def macroblock_mask(mask: vs.VideoNode, block: int = BLOCK) -> vs.VideoNode:
    """Grow the ROI of a mask to whole macroblocks; arguments and errors are those of `block_grid`.

    Returns:
        Mask of the input's size with uniform blocks. The function is idempotent.
    """
    return expand_grid(block_grid(mask, block), mask.width, mask.height, block)


def blank_grid(clip: vs.VideoNode) -> vs.VideoNode:
    """Return a block grid without ROI for a clip, with the length of the clip."""
    return vs.core.std.BlankClip(clip, *grid_size(clip.width, clip.height), vs.GRAY8, keep=True)


def block_grid_array(mask: npt.NDArray[np.generic], block: int = BLOCK) -> npt.NDArray[np.bool_]:
    """Reduce the mask of one frame to its block grid, like `block_grid`.

    Args:
        mask: Shape (H, W), bool or unsigned integer; every value above 0 is ROI.
        block: Side of a block in pixels.

    Returns:
        Shape (ceil(H / block), ceil(W / block)), bool.

    Example:
        >>> mask = np.zeros((48, 40), bool)
        >>> mask[20, 35] = True
        >>> block_grid_array(mask).astype(int)
        array([[0, 0, 0],
               [0, 0, 1],
               [0, 0, 0]])
    """
    height, width = mask.shape
    columns, rows = grid_size(width, height, block)
    padded = np.zeros((rows * block, columns * block), np.bool_)
    padded[:height, :width] = mask != 0
    return padded.reshape(rows, block, columns, block).any((1, 3))


def scaled_block_grid_array(
    mask: npt.NDArray[np.generic], width: int, height: int, block: int = BLOCK
) -> npt.NDArray[np.bool_]:
    """Reduce the mask of one frame to the block grid of its scaled picture, like `scaled_block_grid`.

    Args:
        mask: Shape (H, W), bool or unsigned integer; every value above 0 is ROI.
        width: Width of the scaled picture in pixels.
        height: Height of the scaled picture in pixels.
        block: Side of a block in pixels of the scaled picture.

    Returns:
        Shape (ceil(height / block), ceil(width / block)), bool.

    Example:
        >>> mask = np.zeros((32, 64), bool)
        >>> mask[0, 32] = True
        >>> scaled_block_grid_array(mask, width=32, height=16).astype(int)
        array([[0, 1]])
    """
    # One more row and column, because `reduceat` takes no index after the last sample.
    found: npt.NDArray[Any] = np.pad(mask, ((0, 1), (0, 1)))
    for axis, (side, scaled) in enumerate(zip(mask.shape, (height, width), strict=True)):
        found = np.maximum.reduceat(found, _covered(side, scaled, block), axis)
        # Every second result is that of what lies between two blocks.
        found = found[::2] if axis == 0 else found[:, ::2]
    return found.astype(np.bool_)


def _covered(side: int, scaled: int, block: int) -> list[int]:
    """For each block of a scaled side: its first sample before scaling, and the sample after its last one."""
    ends = range(0, scaled, block)
    return [at for end in ends for at in (end * side // scaled, -(-min(end + block, scaled) * side // scaled))]


def expand_grid_array(grid: npt.NDArray[Any], width: int, height: int, block: int = BLOCK) -> npt.NDArray[Any]:
    """Enlarge the block grid of one frame to full size, like `expand_grid`.

    Args:
        grid: Shape (ceil(height / block), ceil(width / block)), any type.
        width: Width of the plane in pixels.
        height: Height of the plane in pixels.
        block: Side of a block in pixels.

    Returns:
        Shape (height, width), type of the grid.

    Raises:
        SacFormatError: The shape of the grid does not match the plane.

    Example:
        >>> expand_grid_array(np.array([[False, True]]), width=24, height=16).sum()
        np.int64(128)
    """
    columns, rows = grid_size(width, height, block)
    if grid.shape != (rows, columns):
        raise SacFormatError(
            f"the grid has the shape {grid.shape}; a plane of {width}x{height} in blocks of {block} needs"
            f" {(rows, columns)}", "expand_grid_array",
        )  # fmt: skip
    return grid.repeat(block, 0).repeat(block, 1)[:height, :width]


def _check_block(block: int, func: str) -> None:
    if block not in (2, 4, 8, 16, 32, 64):
        raise SacValueError(f"block {block!r} is not accepted; accepted: 2, 4, 8, 16, 32, 64", func)
