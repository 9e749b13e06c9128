"""ROI mask ↔ macroblock grid (paper Sec. III.C), natively in the graph, and the same on arrays.

A *mask* is a GRAY8 clip, 255 = ROI, 0 = non-ROI. A *grid* is a mask with one pixel per macroblock:
ceil(width / block) × ceil(height / block), partial blocks at the right and bottom included.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..core.clips import check_mask
from ..core.errors import SacFormatError, SacValueError
from ..core.macroblocks import BLOCK, grid_size

__all__ = ["BLOCK", "blank_grid", "block_grid", "block_grid_array", "expand_grid", "expand_grid_array", "grid_size",
           "macroblock_mask"]  # fmt: skip

_ROI = 255

#: What `std.Convolution` takes: planes of that side, and windows of at most 25, here a power of two and one.
_SMALLEST_PLANE, _LONGEST_SUM = 4, 16


def block_grid(mask: vs.VideoNode, block: int = BLOCK) -> vs.VideoNode:
    """Fit a mask to the block grid: a block is ROI wherever any of its pixels is (paper Sec. III.C).

    Args:
        mask: GRAY8 mask; every value above 0 is ROI.
        block: Side of a block in pixels, a power of two from 2 to 64.

    Returns:
        Grid of ceil(width / block) × ceil(height / block), values 0 and 255.

    Raises:
        SacFormatError: `mask` is not GRAY8.
        SacValueError: `block` is not accepted.
    """
    check_mask(mask, "block_grid")
    _check_block(block, "block_grid")
    columns, rows = grid_size(mask.width, mask.height, block)
    # Convolution takes no smaller planes.
    wide, high = max(columns, _SMALLEST_PLANE), max(rows, _SMALLEST_PLANE)
    grid = mask.std.Lut(lut=[0] + [_ROI] * 255)
    grid = grid.std.AddBorders(right=wide * block - mask.width, bottom=high * block - mask.height, color=0)
    # Sums that saturate, along one axis after the other, of which one in every block is kept: a third of the time that
    # maxima of pairs take. The window begins with the block; half a pixel makes point sampling hit its middle.
    while grid.width > wide:
        side = min(grid.width // wide, _LONGEST_SUM)
        summed = grid.std.Convolution([1] * side + [0], divisor=1, mode="h")
        grid = summed.resize.Point(width=grid.width // side, src_left=0.5)
    while grid.height > high:
        side = min(grid.height // high, _LONGEST_SUM)
        summed = grid.std.Convolution([1] * side + [0], divisor=1, mode="v")
        grid = summed.resize.Point(height=grid.height // side, src_top=0.5)
    return grid.std.Crop(right=wide - columns, bottom=high - rows)


def expand_grid(grid: vs.VideoNode, width: int, height: int, block: int = BLOCK) -> vs.VideoNode:
    """Draw a block grid at full size, the inverse of `block_grid` on block-aligned masks.

    Raises:
        SacFormatError: `grid` is not GRAY8 or has not the size of that frame's grid.
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
    """Grow a mask to whole macroblocks; takes and raises what `block_grid` does.

    Returns:
        Mask of the input's size whose blocks are uniform. Applying it twice changes nothing.
    """
    return expand_grid(block_grid(mask, block), mask.width, mask.height, block)


def blank_grid(clip: vs.VideoNode) -> vs.VideoNode:
    """A block grid as long as a clip and of its size, without ROI."""
    return vs.core.std.BlankClip(clip, *grid_size(clip.width, clip.height), vs.GRAY8, keep=True)


def block_grid_array(mask: npt.NDArray[np.generic], block: int = BLOCK) -> npt.NDArray[np.bool_]:
    """`block_grid` for one frame as an array.

    Args:
        mask: Shape (H, W), bool or unsigned; every value above 0 is ROI.
        block: Side of a block in pixels.

    Returns:
        Shape (ceil(H / block), ceil(W / block)), bool.
    """
    height, width = mask.shape
    columns, rows = grid_size(width, height, block)
    padded = np.zeros((rows * block, columns * block), np.bool_)
    padded[:height, :width] = mask != 0
    return padded.reshape(rows, block, columns, block).any((1, 3))


def expand_grid_array(grid: npt.NDArray[Any], width: int, height: int, block: int = BLOCK) -> npt.NDArray[Any]:
    """`expand_grid` for one frame as an array.

    Args:
        grid: Shape (ceil(height / block), ceil(width / block)), any type.
        width: Width of the plane in pixels.
        height: Height of the plane in pixels.
        block: Side of a block in pixels.

    Returns:
        Shape (height, width), the grid's type.

    Raises:
        SacFormatError: The grid does not fit the plane.
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
