"""Macroblock masks of the frames between segmented frames: propagated by block motion, by native filters."""

from fractions import Fraction

import vapoursynth as vs

from ..core.clips import check_constant_format, check_mask, check_same_shape, pin_cache, plugin
from ..core.errors import SacValueError
from ..core.macroblocks import BLOCK, OFFSET_ZERO, grid_size
from .grid import block_grid

__all__ = ["LONGEST_EVERY", "BlockMotion", "default_every", "propagate_mask", "propagate_offsets"]

#: Default interval between segmented frames in seconds; docs/performance.md gives the measurements behind it.
_DEFAULT_SECONDS = Fraction(3, 10)

#: Largest accepted distance between segmented frames, in frames.
LONGEST_EVERY = 32

#: Side of a cell in pixels. Motion is searched and masks are propagated on a plane with 4×4 cells per macroblock; a
#: cell is ROI if any of its pixels is ROI.
_CELL = 4

_PER_BLOCK = BLOCK // _CELL

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


class BlockMotion:
    """The motion of a clip since the last segmented frame, by which anything known there is carried on.

    The search runs once, whatever is carried: masks and QP offsets share it.

    Args:
        clip: The video, YUV or grey with integer samples.
        every: Distance between segmented frames; see `propagate_mask`.
        func: Name of the calling function, for messages.

    Attributes:
        every: Distance between segmented frames; 1 if nothing is carried.
        width: Width of the planes that `carry` takes, in cells of 4×4 pixels; a multiple of 4.
        height: Their height.

    Raises:
        SacMissingError: `every` is above 1, but the plugin for the motion search is not installed.
        SacValueError: `every` is out of range.
    """

    def __init__(self, clip: vs.VideoNode, every: int | None, func: str) -> None:
        if every is None:
            every = default_every(clip.fps) if hasattr(vs.core, "mv") else 1
        if not 1 <= every <= LONGEST_EVERY:
            raise SacValueError(f"every {every!r} is outside 1-{LONGEST_EVERY}", func)
        columns, rows = grid_size(clip.width, clip.height)
        self.every = 1 if min(clip.width, clip.height) < _SMALLEST else every
        self.width, self.height = columns * _PER_BLOCK, rows * _PER_BLOCK
        self._length = clip.num_frames
        if self.every == 1:
            return
        self._search = plugin("mv", func)
        luma = clip.std.ShufflePlanes(0, vs.GRAY).resize.Bilinear(
            self.width, self.height, format=vs.GRAY8, src_width=self.width * _CELL, src_height=self.height * _CELL
        )
        pyramid = self._search.Super(self._padded(luma), pel=1, chroma=False)
        pin_cache(pyramid, self.every + 8)
        self._vectors = [
            self._search.Analyse(
                pyramid, delta=distance, blksize=_SEARCHED, overlap=_OVERLAP, chroma=False, truemotion=False
            )
            for distance in range(1, self.every)
        ]

    def _padded(self, clip: vs.VideoNode) -> vs.VideoNode:
        """Pad a clip to whole periods, so that the parts can be interleaved; the new frames are never requested."""
        lacking = -self._length % self.every
        return clip + clip[-1] * lacking if lacking else clip

    def carry(self, cells: vs.VideoNode, unknown: int) -> vs.VideoNode:
        """Carry the values of the segmented frames to the frames between them.

        Args:
            cells: GRAY8 of `width` × `height`, of which every `every`-th frame is requested.
            unknown: Value where a frame shows what the segmented frame did not, and after a cut.

        Returns:
            Clip of the same size and length.
        """
        segmented = self._padded(cells)[:: self.every]
        pin_cache(segmented, 4)
        blank = vs.core.std.BlankClip(segmented, color=unknown, keep=True)
        known = vs.core.std.Interleave([segmented, *[blank] * (self.every - 1)])
        source = self._search.Super(known, pel=1, levels=1, chroma=False)
        carried = []
        for distance, vectors in enumerate(self._vectors, 1):
            # If there is no match, and after a cut, Compensate uses the frame's own samples, which are unknown.
            moved = self._search.Compensate(
                known, source, vectors, thsad=_UNKNOWN, scbehavior=1, thscd1=_CUT_SAD, thscd2=_CUT_SHARE
            )
            carried.append(moved[distance :: self.every])
        return vs.core.std.Interleave([segmented, *carried])[: self._length]


def propagate_mask(
    clip: vs.VideoNode, mask: vs.VideoNode, every: int | None = None, *, motion: BlockMotion | None = None
) -> vs.VideoNode:
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
        motion: The motion of the clip, if it is shared with other propagations; `every` is then that of the motion.

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
    motion = motion or BlockMotion(clip, every, "propagate_mask")
    if motion.every == 1:
        return block_grid(mask)
    cells = block_grid(mask, _CELL)
    width, height = motion.width, motion.height
    cells = cells.std.AddBorders(right=width - cells.width, bottom=height - cells.height)
    return block_grid(motion.carry(cells, _ROI), _PER_BLOCK)


def propagate_offsets(offsets: vs.VideoNode, motion: BlockMotion) -> vs.VideoNode:
    """Carry QP offsets of macroblocks from segmented frames to the frames between them.

    A macroblock gets the mean of what its 16 cells carry. What the segmented frame did not show has the offset 0.

    Args:
        offsets: GRAY8 grid, 128 + 2 · offset; only every `motion.every`-th frame is requested.
        motion: The motion of the clip.

    Returns:
        Grid of the same size and length.
    """
    if motion.every == 1:
        return offsets
    cells = motion.carry(offsets.resize.Point(motion.width, motion.height), OFFSET_ZERO)
    # Sums of four along each side, of which the one that begins at the block is kept; see `block_grid`.
    taps = [1] * _PER_BLOCK + [0]
    summed = cells.std.Convolution(taps, mode="h").resize.Point(width=offsets.width, src_left=0.5)
    return summed.std.Convolution(taps, mode="v").resize.Point(height=offsets.height, src_top=0.5)
