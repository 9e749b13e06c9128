"""Class map → ROI mask → macroblock mask (paper Sec. III.C), all natively in the graph.

A *mask* is a GRAY8 clip, 255 = ROI, 0 = non-ROI. A *grid* is a mask with one pixel per macroblock:
ceil(width / block) × ceil(height / block), partial blocks at the right and bottom included.
"""

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from .errors import SacFormatError, SacValueError
from .graph import check_mask, delay
from .labels import GREY_TONES, SemanticClass

__all__ = ["BLOCK", "LONGEST_HOLD", "WIDEST_GAP", "blank_grid", "block_grid", "block_grid_array", "close_gaps",
           "expand_grid", "grey_tones", "grid_size", "hold_roi", "macroblock_mask", "roi_mask"]  # fmt: skip

#: Side of a macroblock in pixels (ITU-T H.264 clause 3, paper Sec. III.C).
BLOCK = 16

#: Most frames that `hold_roi` keeps a block.
LONGEST_HOLD = 16

#: Most macroblocks that `close_gaps` grows by.
WIDEST_GAP = 8

_ROI = 255

#: What `std.Convolution` takes: planes of that side, and windows of at most 25, here a power of two and one.
_SMALLEST_PLANE, _LONGEST_SUM = 4, 16


def grey_tones(class_map: vs.VideoNode) -> vs.VideoNode:
    """Render a class map in the paper's four greys: ROI 255, construction 170, nature 85, sky 0 (Sec. III.B).

    Args:
        class_map: GRAY8 clip with values 0–3.

    Returns:
        GRAY8 clip. Its value 255 means ROI, so it is at the same time a valid mask file.

    Raises:
        SacFormatError: `class_map` is not GRAY8.
    """
    check_mask(class_map, "grey_tones")
    return class_map.std.Lut(lut=[*GREY_TONES, *([_ROI] * (256 - len(GREY_TONES)))])


def roi_mask(class_map: vs.VideoNode) -> vs.VideoNode:
    """The region of interest of a class map: everything that is not construction, nature or sky.

    Args:
        class_map: GRAY8 clip with values 0–3; any other value counts as ROI.

    Returns:
        Mask of the same size.

    Raises:
        SacFormatError: `class_map` is not GRAY8.
    """
    check_mask(class_map, "roi_mask")
    non_roi = {int(c) for c in SemanticClass if c is not SemanticClass.ROI}
    return class_map.std.Lut(lut=[0 if value in non_roi else _ROI for value in range(256)])


def grid_size(width: int, height: int, block: int = BLOCK) -> tuple[int, int]:
    """Width and height of the block grid of a frame."""
    return -(-width // block), -(-height // block)


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


def blank_grid(clip: vs.VideoNode) -> vs.VideoNode:
    """A block grid as long as a clip and of its size, without ROI."""
    return vs.core.std.BlankClip(clip, *grid_size(clip.width, clip.height), vs.GRAY8, keep=True)


def hold_roi(mask: vs.VideoNode, frames: int) -> vs.VideoNode:
    """Let nothing leave the ROI before it has been outside for some frames: less flicker, and a larger ROI.

    A frame's ROI becomes the union of its own and of those of the frames before it. What enters the ROI does so at
    once, so recall can only rise.

    Args:
        mask: GRAY8 mask or block grid; values 0 and 255.
        frames: For how many frames a block stays in after it has left; 0 changes nothing, at most 16.

    Returns:
        Mask of the same size and length.

    Raises:
        SacFormatError: `mask` is not GRAY8.
        SacValueError: `frames` out of range.
    """
    check_mask(mask, "hold_roi")
    _check_range("frames", frames, LONGEST_HOLD, "hold_roi")
    held = mask
    for earlier in range(1, frames + 1):
        held = vs.core.std.Expr([held, delay(mask, earlier)], "x y max")
    return held


def close_gaps(grid: vs.VideoNode, blocks: int) -> vs.VideoNode:
    """Make non-ROI that lies within the ROI, or in a narrow gap of it, ROI too: fewer edges, and a larger ROI.

    The ROI is grown by so many blocks in all directions and then shrunk by as many (morphological closing with a
    square; Serra, *Image Analysis and Mathematical Morphology*, 1982). What is ROI stays ROI.

    Args:
        grid: Block grid, values 0 and 255.
        blocks: By how many blocks; gaps of up to twice as many are closed. 0 changes nothing, at most 8.

    Returns:
        Grid of the same size and length.

    Raises:
        SacFormatError: `grid` is not GRAY8.
        SacValueError: `blocks` out of range.
    """
    check_mask(grid, "close_gaps")
    _check_range("blocks", blocks, WIDEST_GAP, "close_gaps")
    if not blocks:
        return grid
    # Beyond the picture nothing is ROI while it grows, and all while it shrinks. The filters need some width.
    margin = dict.fromkeys(("left", "right", "top", "bottom"), max(blocks, 2))
    closed = grid.std.AddBorders(**margin, color=0)
    for _ in range(blocks):
        closed = closed.std.Maximum()
    closed = closed.std.Crop(**margin).std.AddBorders(**margin, color=_ROI)
    for _ in range(blocks):
        closed = closed.std.Minimum()
    return closed.std.Crop(**margin)


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


def expand_grid(grid: vs.VideoNode, width: int, height: int, block: int = BLOCK) -> vs.VideoNode:
    """Draw a block grid at full size, the inverse of `block_grid` on block-aligned masks.

    Raises:
        SacFormatError: `grid` is not GRAY8 or has not the size of that frame's grid.
        SacValueError: `block` is not accepted.
    """
    check_mask(grid, "expand_grid")
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


def _check_range(name: str, value: int, most: int, func: str) -> None:
    if not 0 <= value <= most:
        raise SacValueError(f"{name} {value!r} is outside 0-{most}", func)


def _check_block(block: int, func: str) -> None:
    if block not in (2, 4, 8, 16, 32, 64):
        raise SacValueError(f"block {block!r} is not accepted; accepted: 2, 4, 8, 16, 32, 64", func)
