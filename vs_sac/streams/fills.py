"""Fills for the masked-out part of a stream: flat black, flat grey, or the content that was last visible there."""

from collections.abc import Sequence

import vapoursynth as vs

from ..core.clips import delay

__all__ = ["HOLD_WINDOW", "black", "flat", "grey", "hold_last_visible"]

#: Number of frames over which `Fill.HOLD` keeps content, the current frame included; then the fill becomes grey.
HOLD_WINDOW = 16


def flat(clip: vs.VideoNode, colour: Sequence[int]) -> vs.VideoNode:
    """Return a clip of one colour with the format, size and length of another clip."""
    # `keep` makes one frame serve as every frame.
    return vs.core.std.BlankClip(clip, color=list(colour), keep=True)


def black(clip: vs.VideoNode) -> list[int]:
    """Return the sample values of black in the range of the clip (limited: luma 16 in 8 bits; ITU-R BT.709-6, 4.6)."""
    bits = clip.format.bits_per_sample
    if clip.format.color_family == vs.RGB:
        return [0, 0, 0]
    with clip.get_frame(0) as frame:
        full = frame.props.get("_Range", 0) == 1
    return [0 if full else 16 << (bits - 8), *([1 << (bits - 1)] * (clip.format.num_planes - 1))]


def grey(clip: vs.VideoNode) -> list[int]:
    """Return the sample values of mid-grey: half of the range in every plane."""
    return [1 << (clip.format.bits_per_sample - 1)] * clip.format.num_planes


def hold_last_visible(clip: vs.VideoNode, planes: vs.VideoNode, *, keep_roi: bool) -> vs.VideoNode:
    """Fill hidden samples with the last visible value of the `HOLD_WINDOW` - 1 frames before, else with grey.

    The filters have no state, so frames can be requested in any order: after step k, every sample has the latest
    visible value of the last 2^k frames, and the next step doubles this span with the result 2^k frames earlier.

    Args:
        clip: The clip.
        planes: Mask of every plane, above 0 = ROI.
        keep_roi: Whether the ROI is visible; otherwise the non-ROI is.
    """
    visible = vs.core.std.Expr(planes, f"x 0 {'>' if keep_roi else '='} 255 0 ?")
    value = vs.core.std.Expr([clip, visible, flat(clip, grey(clip))], "y 0 > x z ?")
    span = 1
    while span < HOLD_WINDOW:
        earlier, known = delay(value, span), delay(visible, span)
        value = vs.core.std.Expr([value, earlier, visible], "z 0 > x y ?")
        visible = vs.core.std.Expr([visible, known], "x y max")
        span *= 2
    return vs.core.std.CopyFrameProps(value, clip)
