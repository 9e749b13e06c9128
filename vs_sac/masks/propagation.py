"""Macroblock masks of the frames between segmented frames: propagated by block motion, by native filters."""

from fractions import Fraction

import vapoursynth as vs

from ..core.clips import check_constant_format, check_mask, check_same_shape, pin_cache, plugin
from ..core.errors import SacValueError
from ..core.macroblocks import BLOCK, grid_size
from .grid import block_grid

__all__ = ["LONGEST_EVERY", "default_every", "propagate_mask"]

#: Default interval between segmented frames in seconds; docs/performance.md gives the measurements behind it.
_DEFAULT_SECONDS = Fraction(3, 10)

#: Largest accepted distance between segmented frames, in frames.
LONGEST_EVERY = 32

#: Side of a cell in pixels. Motion is searched and masks are propagated on a plane with 4×4 cells per macroblock; a
#: cell is ROI if any of its pixels is ROI.
_CELL = 4

#: Side of the blocks of the motion search and their overlap, in cells. If overlapping blocks disagree, the cell is ROI.
_SEARCHED, _OVERLAP = 8, 4

#: A block is ROI if no block of the segmented frame matches it within `_UNKNOWN`, a sum of absolute differences over
#: 8×8 samples of 8 bits. The whole frame is ROI if about half of its blocks match worse than `_CUT_SAD`, as after a
#: scene cut; `_CUT_SHARE` is that share in 1/256.
_UNKNOWN = 1200
_CUT_SAD, _CUT_SHARE = 400, 130

_ROI = 255

#: Smallest side in pixels for which masks are propagated; the plugin divides by zero on pictures of 3 macroblocks.
_SMALLEST = 64


def default_every(fps: Fraction) -> int:
    """Return the default distance between segmented frames: one frame per 0.3 s, which is every 8th frame at 25 fps.

    Example:
        >>> default_every(Fraction(25))
        8
    """
    return max(1, min(LONGEST_EVERY, round(_DEFAULT_SECONDS * fps)))


def propagate_mask(clip: vs.VideoNode, mask: vs.VideoNode, every: int | None = None) -> vs.VideoNode:
    """Return the block grid of a mask, but request only every `every`-th frame of the mask.

    A requested frame has the grid of `block_grid`. In the frames between, each block takes the mask from the position
    in the last requested frame from which its picture content came (block motion of luma at a quarter of the size).
    Doubtful macroblocks become ROI: a macroblock is ROI if any of the overlapping blocks moves an ROI pixel into it, or
    if its content is not found in the requested frame. The search only looks back, so it adds no delay.

    Args:
        clip: The video, YUV or grey with integer samples.
        mask: GRAY8 mask of the same size and length; every value above 0 is ROI.
        every: Distance between requested frames, 1 (each frame has its own grid) to 32. Default: `default_every`, or 1
            if the plugin for the motion search is not loaded. It is 1 for pictures with a side below 64 pixels.

    Returns:
        Grid in the format of `block_grid`.

    Raises:
        SacFormatError: `mask` is not GRAY8 or has another size or length, or the format of the clip varies.
        SacMissingError: `every` is above 1, but the plugin for the motion search is not installed.
        SacValueError: `every` is out of range.
    """
    check_constant_format(clip, "propagate_mask")
    check_mask(mask, "propagate_mask")
    check_same_shape(clip, mask, "mask", "propagate_mask")
    if every is None:
        every = default_every(clip.fps) if hasattr(vs.core, "mv") else 1
    if not 1 <= every <= LONGEST_EVERY:
        raise SacValueError(f"every {every!r} is outside 1-{LONGEST_EVERY}", "propagate_mask")
    if every == 1 or min(clip.width, clip.height) < _SMALLEST:
        return block_grid(mask)
    search = plugin("mv", "propagate_mask")
    columns, rows = grid_size(clip.width, clip.height)
    per_block = BLOCK // _CELL
    width, height = columns * per_block, rows * per_block
    cells = block_grid(mask, _CELL)
    cells = cells.std.AddBorders(right=width - cells.width, bottom=height - cells.height)
    luma = clip.std.ShufflePlanes(0, vs.GRAY).resize.Bilinear(
        width, height, format=vs.GRAY8, src_width=width * _CELL, src_height=height * _CELL
    )
    # The clips are padded to whole periods, so that the parts can be interleaved; the added frames are never requested.
    length, lacking = clip.num_frames, -clip.num_frames % every
    cells, luma = (c + c[-1] * lacking if lacking else c for c in (cells, luma))
    pyramid = search.Super(luma, pel=1, chroma=False)
    pin_cache(pyramid, every + 8)
    segmented = cells[::every]
    pin_cache(segmented, 4)
    unknown = vs.core.std.BlankClip(segmented, color=_ROI, keep=True)
    known = vs.core.std.Interleave([segmented, *[unknown] * (every - 1)])
    source = search.Super(known, pel=1, levels=1, chroma=False)
    carried = []
    for distance in range(1, every):
        vectors = search.Analyse(
            pyramid, delta=distance, blksize=_SEARCHED, overlap=_OVERLAP, chroma=False, truemotion=False
        )
        # If there is no match, and after a cut, Compensate uses the frame's own samples, which are ROI.
        moved = search.Compensate(
            known, source, vectors, thsad=_UNKNOWN, scbehavior=1, thscd1=_CUT_SAD, thscd2=_CUT_SHARE
        )
        carried.append(moved[distance::every])
    return block_grid(vs.core.std.Interleave([segmented, *carried])[:length], per_block)
