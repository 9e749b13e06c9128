"""Class maps as a tint over the picture, for viewing."""

import vapoursynth as vs

from ..core.clips import check_constant_format
from ..core.errors import SacFormatError, SacValueError
from .planes import plane_mask

__all__ = ["overlay"]

#: Tint by class as 8-bit (Cb, Cr), neutral at 128; the ROI (class 0) has no tint.
_TINTS = {1: (170, 90), 2: (60, 80), 3: (190, 128)}


def overlay(clip: vs.VideoNode, class_map: vs.VideoNode, *, strength: float = 0.55) -> vs.VideoNode:
    """Tint construction, nature and sky in a picture; the ROI keeps its colours.

    Args:
        clip: YUV clip.
        class_map: GRAY8 class map of the same size and length. A mask works too if its non-ROI (value 0) is first
            replaced by a class.
        strength: Opacity of the tint, 0–1.

    Returns:
        Clip of the input's format.

    Raises:
        SacFormatError: `clip` is not YUV, or sizes or lengths differ.
        SacValueError: `strength` is outside 0–1.
    """
    if not 0 <= strength <= 1:
        raise SacValueError(f"strength {strength!r} is outside 0-1", "overlay")
    check_constant_format(clip, "overlay")
    if clip.format.color_family != vs.YUV:
        raise SacFormatError(f"the clip is {clip.format.name}; accepted: YUV", "overlay")
    classes = plane_mask(clip, class_map, "overlay", ("clip", "class_map"))
    scale = 1 << (clip.format.bits_per_sample - 8)
    chroma = [" ".join(f"y {c} = {tint[i] * scale}" for c, tint in _TINTS.items()) + " x ? ? ?" for i in (0, 1)]

    def mixed(target: str) -> str:
        return f"y 0 = x x {1 - strength} * {target} {strength} * + ?"

    # Luma is dimmed only slightly, so that the picture stays recognizable.
    return vs.core.std.Expr([clip, classes], [mixed("x 0.8 *"), mixed(chroma[0]), mixed(chroma[1])])
