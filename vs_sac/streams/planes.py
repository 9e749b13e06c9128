"""Masks for every plane of a clip, and selection of samples by such masks."""

import vapoursynth as vs

from ..core.clips import check_constant_format, check_mask, check_same_shape
from ..core.errors import SacFormatError

__all__ = ["plane_mask", "select"]


def plane_mask(
    clip: vs.VideoNode, mask: vs.VideoNode, func: str, names: tuple[str, str] = ("clip", "mask")
) -> vs.VideoNode:
    """Return the mask with the planes of the clip, each in the size of that plane.

    Args:
        clip: Clip with integer samples.
        mask: GRAY8 mask of the same size and length.
        func: Name of the calling function, for the error message.
        names: Names of its two arguments, for the same.

    Raises:
        SacFormatError: `clip` does not have integer samples, `mask` is not GRAY8, or sizes or lengths differ.
    """
    check_constant_format(clip, func, names[0])
    if clip.format.sample_type != vs.INTEGER:
        raise SacFormatError(f"the {names[0]} is {clip.format.name}; accepted: integer samples", func)
    check_mask(mask, func, names[1])
    check_same_shape(clip, mask, "mask", func)
    if clip.format.num_planes == 1:
        return mask
    sub_w, sub_h = clip.format.subsampling_w, clip.format.subsampling_h
    chroma = mask
    if sub_w or sub_h:
        # Point sampling at the top-left of the pixels that a chroma sample covers; any other resampling would blur the
        # mask over its edges.
        chroma = mask.resize.Point(
            mask.width >> sub_w, mask.height >> sub_h,
            src_left=-0.5 if sub_w else 0, src_top=-0.5 if sub_h else 0,
        )  # fmt: skip
    family = vs.YUV if clip.format.color_family == vs.YUV else vs.RGB
    return vs.core.std.ShufflePlanes([mask, chroma, chroma], [0, 0, 0], family)


def select(planes: vs.VideoNode, roi: vs.VideoNode, non_roi: vs.VideoNode) -> vs.VideoNode:
    """Select every sample from `roi` if the mask of its plane is above 0, else from `non_roi`."""
    return vs.core.std.Expr([roi, non_roi, planes], "z 0 > x y ?")
