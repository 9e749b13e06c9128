"""Morphology on macroblock grids: closing within a picture, and dilation in time."""

import vapoursynth as vs

from ..core.clips import check_mask, delay
from ..core.errors import SacValueError

__all__ = ["LONGEST_HOLD", "WIDEST_GAP", "morphological_closing", "temporal_dilation"]

#: Largest number of frames that `temporal_dilation` accepts.
LONGEST_HOLD = 16

#: Largest number of macroblocks that `morphological_closing` accepts.
WIDEST_GAP = 8

_ROI = 255


def morphological_closing(grid: vs.VideoNode, blocks: int) -> vs.VideoNode:
    """Add small holes and narrow gaps of the ROI to the ROI. The ROI has fewer edges then, and is larger.

    The ROI is dilated by a number of blocks in all directions and then eroded by the same number (morphological closing
    with a square; Serra, *Image Analysis and Mathematical Morphology*, 1982). No block leaves the ROI.

    Args:
        grid: Block grid, values 0 and 255.
        blocks: Number of blocks, 0 to 8. Gaps of up to twice this number are closed; 0 changes nothing.

    Returns:
        Grid of the same size and length.

    Raises:
        SacFormatError: `grid` is not GRAY8.
        SacValueError: `blocks` is out of range.
    """
    check_mask(grid, "morphological_closing", "grid")
    _check_range("blocks", blocks, WIDEST_GAP, "morphological_closing")
    if not blocks:
        return grid
    # The margin around the picture is non-ROI during the dilation and ROI during the erosion. It has at least 2 pixels,
    # because the filters need a minimum width.
    margin = dict.fromkeys(("left", "right", "top", "bottom"), max(blocks, 2))
    closed = grid.std.AddBorders(**margin, color=0)
    for _ in range(blocks):
        closed = closed.std.Maximum()
    closed = closed.std.Crop(**margin).std.AddBorders(**margin, color=_ROI)
    for _ in range(blocks):
        closed = closed.std.Minimum()
    return closed.std.Crop(**margin)


def temporal_dilation(mask: vs.VideoNode, frames: int) -> vs.VideoNode:
    """Keep a block in the ROI for some frames after it has become non-ROI. The mask flickers less; the ROI is larger.

    The ROI of a frame becomes the union of its own ROI and the ROIs of the `frames` frames before it. Blocks still
    enter the ROI without delay, so recall can only rise.

    Args:
        mask: GRAY8 mask or block grid; values 0 and 255.
        frames: Number of frames for which a block is kept, 0 to 16; 0 changes nothing.

    Returns:
        Mask of the same size and length.

    Raises:
        SacFormatError: `mask` is not GRAY8.
        SacValueError: `frames` is out of range.
    """
    check_mask(mask, "temporal_dilation")
    _check_range("frames", frames, LONGEST_HOLD, "temporal_dilation")
    held = mask
    for earlier in range(1, frames + 1):
        held = vs.core.std.Expr([held, delay(mask, earlier)], "x y max")
    return held


def _check_range(name: str, value: int, most: int, func: str) -> None:
    if not 0 <= value <= most:
        raise SacValueError(f"{name} {value!r} is outside 0-{most}", func)
