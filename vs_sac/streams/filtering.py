"""A low-pass on the non-ROI, which saves bits with any encoder."""

import math

import vapoursynth as vs

from ..core.errors import SacValueError
from .planes import plane_mask

__all__ = ["LARGEST_SIGMA", "low_pass"]

#: Largest standard deviation that `low_pass` takes; its window is then VapourSynth's longest.
LARGEST_SIGMA = 4.0

#: Pixels beside the ROI over which `low_pass` sets in.
_FEATHER = 8


def low_pass(clip: vs.VideoNode, mask: vs.VideoNode, sigma: float) -> vs.VideoNode:
    """Low-pass the non-ROI before it is coded, so that any encoder, also one without ROI control, spends less on it.

    The ROI keeps every sample. The filter sets in over the first 8 pixels beside it, on the non-ROI's side, so that no
    edge appears where there was none.

    Args:
        clip: YUV or grey clip, integer samples.
        mask: GRAY8 mask of the same size and length, above 0 = ROI; see `split`.
        sigma: Standard deviation of the Gaussian in luma pixels, 0 (no filter) to 4; subsampled chroma gets the same
            in the picture's terms.

    Returns:
        Clip of the input's format.

    Raises:
        SacFormatError: `clip` or `mask` has another format, size or length.
        SacValueError: `sigma` out of range.
    """
    if not 0 <= sigma <= LARGEST_SIGMA:
        raise SacValueError(f"sigma {sigma!r} is outside 0-{LARGEST_SIGMA:g}", "low_pass")
    planes = plane_mask(clip, mask, "low_pass")
    if not sigma:
        return clip
    soft = clip
    for plane in range(clip.format.num_planes):
        scale = 1 << (clip.format.subsampling_w if plane else 0)
        if len(taps := _gaussian(sigma / scale)) > 1:
            soft = soft.std.Convolution(taps, mode="hv", planes=[plane])
    # The share of ROI in a window is a half at a straight edge and none beyond its reach.
    binary = mask.std.Lut(lut=[0] + [255] * 255)
    near = binary.std.BoxBlur(hradius=_FEATHER, vradius=_FEATHER)
    weight = near.std.Expr("255 x 2 * - 0 max")
    if clip.format.num_planes > 1:
        size = (clip.width >> clip.format.subsampling_w, clip.height >> clip.format.subsampling_h)
        chroma = weight.resize.Bilinear(*size)
        weight = vs.core.std.ShufflePlanes([weight, chroma, chroma], [0, 0, 0], clip.format.color_family)
    # In a corner of a small ROI the window holds less than a half of it, hence the mask decides first.
    return vs.core.std.Expr([clip, soft, weight, planes], "a 0 > x x y x - z 255 / * + ?")


def _gaussian(sigma: float) -> list[int]:
    """Integer taps whose sum is the divisor; at most VapourSynth's 25."""
    if sigma < 0.2:
        # The neighbours' weight would round to nothing.
        return [1]
    reach = math.ceil(3 * sigma)
    taps = [math.exp(-(n**2) / (2 * sigma**2)) for n in range(-reach, reach + 1)]
    rounded = [round(512 * tap) for tap in taps]
    return [tap for tap in rounded if tap]
