"""Morphology on macroblock grids: closing in the picture, dilation in time."""

import vapoursynth as vs

from ..core.clips import check_mask, delay
from ..core.errors import SacValueError

__all__ = ["LONGEST_HOLD", "WIDEST_GAP", "morphological_closing", "temporal_dilation"]

#: Largest number of frames that `temporal_dilation` takes.
LONGEST_HOLD = 16

#: Largest number of macroblocks that `morphological_closing` takes.
WIDEST_GAP = 8

_ROI = 255


def morphological_closing(grid: vs.VideoNode, blocks: int) -> vs.VideoNode:
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
    check_mask(grid, "morphological_closing", "grid")
    _check_range("blocks", blocks, WIDEST_GAP, "morphological_closing")
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


def temporal_dilation(mask: vs.VideoNode, frames: int) -> vs.VideoNode:
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
    check_mask(mask, "temporal_dilation")
    _check_range("frames", frames, LONGEST_HOLD, "temporal_dilation")
    held = mask
    for earlier in range(1, frames + 1):
        held = vs.core.std.Expr([held, delay(mask, earlier)], "x y max")
    return held


def _check_range(name: str, value: int, most: int, func: str) -> None:
    if not 0 <= value <= most:
        raise SacValueError(f"{name} {value!r} is outside 0-{most}", func)
