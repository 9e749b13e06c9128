"""Macroblock masks between the frames that are segmented: carried along by block motion, natively in the graph."""

from fractions import Fraction

import vapoursynth as vs

from ..core.clips import check_constant_format, check_mask, check_same_shape, pin_cache, plugin
from ..core.errors import SacValueError
from ..core.macroblocks import BLOCK, grid_size
from .grid import block_grid

__all__ = ["LONGEST_EVERY", "default_every", "propagate_mask"]

#: Seconds between segmented frames where nothing is said; the figures behind it: docs/performance.md.
_DEFAULT_SECONDS = Fraction(3, 10)

#: The rarest segmented frames that can be asked for.
LONGEST_EVERY = 32

#: Motion is searched, and masks are carried, on a plane of 4×4 cells a macroblock; a cell is ROI where any pixel is.
_CELL = 4

#: Blocks of the search in cells, and how far they overlap. Where overlapping blocks disagree the cell is ROI.
_SEARCHED, _OVERLAP = 8, 4

#: A block that nothing in the segmented frame matches to within this sum of absolute differences (8×8 samples of 8
#: bits) is ROI; so is a frame of which half matches badly, as behind a cut.
_UNKNOWN = 1200
_CUT_SAD, _CUT_SHARE = 400, 130

_ROI = 255

#: The plugin divides by zero on pictures of 3 macroblocks.
_SMALLEST = 64


def default_every(fps: Fraction) -> int:
    """Which frames are segmented where nothing is said: one in 0.3 s, which are 8 frames at 25 a second."""
    return max(1, min(LONGEST_EVERY, round(_DEFAULT_SECONDS * fps)))


def propagate_mask(clip: vs.VideoNode, mask: vs.VideoNode, every: int | None = None) -> vs.VideoNode:
    """The block grid of a mask of which only every `every`-th frame is asked for.

    Those frames have the grid that `block_grid` gives. Between them, blocks fetch the mask of the last such frame from
    where the picture came from (block motion of luma at a quarter of the size), in favour of the ROI: a macroblock that
    one of the overlapping blocks brings a ROI pixel to is ROI, and so is one whose picture is not found again. Nothing
    looks ahead.

    Args:
        clip: The video, YUV or grey with integer samples.
        mask: GRAY8 mask of the same size and length; every value above 0 is ROI.
        every: 1 (every frame's own grid) to 32; `default_every` if not given, and 1 where the plugin that searches
            motion is absent. Of pictures with a side below 64 pixels every frame is asked for.

    Returns:
        Grid as `block_grid` gives it.

    Raises:
        SacFormatError: `mask` is not GRAY8, or of another size or length; or the clip's format varies.
        SacMissingError: The plugin that searches motion is not installed.
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
    # Whole periods, so that the parts can be put together again; nobody asks for the frames that are added.
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
        # Where there is no match, and behind a cut, it takes the frame's own samples, which are ROI.
        moved = search.Compensate(
            known, source, vectors, thsad=_UNKNOWN, scbehavior=1, thscd1=_CUT_SAD, thscd2=_CUT_SHARE
        )
        carried.append(moved[distance::every])
    return block_grid(vs.core.std.Interleave([segmented, *carried])[:length], per_block)
