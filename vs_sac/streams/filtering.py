"""A low-pass filter for the non-ROI, which saves bits with any encoder."""

import math

import vapoursynth as vs

from ..core.errors import SacValueError
from .planes import plane_mask

__all__ = ["LARGEST_SIGMA", "low_pass"]

#: Largest standard deviation in luma pixels that `low_pass` accepts; the filter then has the longest window of
#: VapourSynth.
LARGEST_SIGMA = 4.0

#: Width in pixels of the transition beside the ROI, over which the effect of `low_pass` rises to its full strength.
_FEATHER = 8


def low_pass(clip: vs.VideoNode, mask: vs.VideoNode, sigma: float) -> vs.VideoNode:
    """Low-pass the non-ROI before encoding, so that any encoder, even one without ROI control, spends fewer bits on it.

    The samples of the ROI do not change. The filter rises to full strength over the first 8 pixels of the non-ROI
    beside the ROI, so that it creates no visible edge.

    Args:
        clip: YUV or grey clip, integer samples.
        mask: GRAY8 mask of the same size and length, above 0 = ROI; see `split`.
        sigma: Standard deviation of the Gaussian in luma pixels, 0 (no filter) to 4. In subsampled chroma, the
            Gaussian covers the same area of the picture.

    Returns:
        Clip of the input's format.

    Raises:
        SacFormatError: `clip` or `mask` has a format that is not accepted, or their sizes or lengths differ.
        SacValueError: `sigma` is out of range.
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
    # The share of the ROI in the window is 1/2 at a straight edge, and 0 where the window does not reach the ROI.
    binary = mask.std.Lut(lut=[0] + [255] * 255)
    near = binary.std.BoxBlur(hradius=_FEATHER, vradius=_FEATHER)
    weight = near.std.Expr("255 x 2 * - 0 max")
    if clip.format.num_planes > 1:
        size = (clip.width >> clip.format.subsampling_w, clip.height >> clip.format.subsampling_h)
        chroma = weight.resize.Bilinear(*size)
        weight = vs.core.std.ShufflePlanes([weight, chroma, chroma], [0, 0, 0], clip.format.color_family)
    # In a corner of a small ROI, the share of the ROI in the window is below 1/2. The mask therefore decides first.
    return vs.core.std.Expr([clip, soft, weight, planes], "a 0 > x x y x - z 255 / * + ?")


def _gaussian(sigma: float) -> list[int]:
    """Return the integer taps of a Gaussian, at most VapourSynth's 25; their sum is the divisor."""
    if sigma < 0.2:
        # The weight of the neighbours would be rounded to 0.
        return [1]
    reach = math.ceil(3 * sigma)
    taps = [math.exp(-(n**2) / (2 * sigma**2)) for n in range(-reach, reach + 1)]
    rounded = [round(512 * tap) for tap in taps]
    return [tap for tap in rounded if tap]
