"""Splitting a clip into ROI and non-ROI streams, and selecting them together again (paper eqs. 2, 3, 7)."""

import math
from collections.abc import Sequence

import vapoursynth as vs

from .errors import SacFormatError, SacValueError
from .graph import check_constant_format, check_mask, check_same_shape, delay
from .types import Fill, parse_choice

__all__ = ["HOLD_WINDOW", "LARGEST_SOFTENING", "merge", "overlay", "soften", "split"]

#: For how many frames `Fill.HOLD` remembers; then the fill turns grey.
HOLD_WINDOW = 16

#: Largest standard deviation that `soften` takes; its window is then VapourSynth's longest.
LARGEST_SOFTENING = 4.0

#: Pixels beside the ROI over which `soften` sets in.
_FEATHER = 8

#: Tint of a class in the overlay as (Cb, Cr) around 128 and its luma share, by class; ROI keeps its colours.
_TINTS = {1: (170, 90), 2: (60, 80), 3: (190, 128)}


def split(
    clip: vs.VideoNode, mask: vs.VideoNode, *, fill: Fill | str = Fill.BLACK
) -> tuple[vs.VideoNode, vs.VideoNode]:
    """Separate a clip into its ROI and its non-ROI (paper eqs. 2 and 3).

    Args:
        clip: YUV, RGB or grey clip, integer samples.
        mask: GRAY8 mask of the same size and length, above 0 = ROI. In subsampled planes a sample belongs to
            the region of the top-left luma pixel it covers, which is exact for masks of whole macroblocks.
        fill: What stands in the part that belongs to the other stream. Not `Fill.COARSE`, which the encoder makes.

    Returns:
        The ROI clip and the non-ROI clip, both of the input's format.

    Raises:
        SacFormatError: `clip` or `mask` has another format, size or length.
        SacValueError: A `fill` that is not accepted.
    """
    fill = parse_choice(Fill, fill, "split")
    if fill is Fill.COARSE:
        raise SacValueError("fill coarse is made by the encoder; accepted: black, grey, hold", "split")
    planes = _plane_mask(clip, mask, "split")
    if fill is Fill.HOLD:
        return _hold(clip, planes, keep_roi=True), _hold(clip, planes, keep_roi=False)
    flat = _flat(clip, _black(clip) if fill is Fill.BLACK else _grey(clip))
    # Expr takes properties from its first clip, and the flat one has none.
    return _select(planes, clip, flat), vs.core.std.CopyFrameProps(_select(planes, flat, clip), clip)


def merge(roi: vs.VideoNode, non_roi: vs.VideoNode, mask: vs.VideoNode) -> vs.VideoNode:
    """Put two streams together by selecting every sample from the stream it belongs to (paper eq. 7).

    Selecting, where the paper adds, cannot overflow and takes nothing of one stream's coding noise in the
    other's region. ``merge(*split(clip, mask), mask)`` is `clip`, bit for bit.

    Args:
        roi: ROI stream.
        non_roi: Non-ROI stream of the same format, size and length.
        mask: GRAY8 mask, above 0 = ROI; see `split`.

    Returns:
        Clip of the streams' format with the ROI stream's frame properties.

    Raises:
        SacFormatError: Formats, sizes or lengths differ.
    """
    check_constant_format(non_roi, "merge")
    planes = _plane_mask(roi, mask, "merge")
    if roi.format.id != non_roi.format.id:
        raise SacFormatError(f"the ROI is {roi.format.name}, the non-ROI {non_roi.format.name}", "merge")
    check_same_shape(roi, non_roi, "non-ROI", "merge")
    return vs.core.std.CopyFrameProps(_select(planes, roi, non_roi), roi)


def soften(clip: vs.VideoNode, mask: vs.VideoNode, sigma: float) -> vs.VideoNode:
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
    if not 0 <= sigma <= LARGEST_SOFTENING:
        raise SacValueError(f"sigma {sigma!r} is outside 0-{LARGEST_SOFTENING:g}", "soften")
    planes = _plane_mask(clip, mask, "soften")
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


def overlay(clip: vs.VideoNode, class_map: vs.VideoNode, *, strength: float = 0.55) -> vs.VideoNode:
    """Tint construction, nature and sky over the picture; ROI keeps its colours.

    Args:
        clip: YUV clip.
        class_map: GRAY8 class map, or mask, of the same size and length. (A mask's non-ROI, value 0, must be
            turned into a class first.)
        strength: Opacity of the tint, 0–1.

    Returns:
        Clip of the input's format.

    Raises:
        SacFormatError: `clip` is not YUV, or sizes or lengths differ.
        SacValueError: `strength` outside 0–1.
    """
    if not 0 <= strength <= 1:
        raise SacValueError(f"strength {strength!r} is outside 0-1", "overlay")
    check_constant_format(clip, "overlay")
    if clip.format.color_family != vs.YUV:
        raise SacFormatError(f"the clip is {clip.format.name}; accepted: YUV", "overlay")
    classes = _plane_mask(clip, class_map, "overlay")
    scale = 1 << (clip.format.bits_per_sample - 8)
    chroma = [" ".join(f"y {c} = {tint[i] * scale}" for c, tint in _TINTS.items()) + " x ? ? ?" for i in (0, 1)]

    def mixed(target: str) -> str:
        return f"y 0 = x x {1 - strength} * {target} {strength} * + ?"

    # Luma is only dimmed a little, so that the picture stays readable.
    return vs.core.std.Expr([clip, classes], [mixed("x 0.8 *"), mixed(chroma[0]), mixed(chroma[1])])


def _plane_mask(clip: vs.VideoNode, mask: vs.VideoNode, func: str) -> vs.VideoNode:
    """The mask with one plane per plane of the clip, at the planes' sizes."""
    check_constant_format(clip, func)
    if clip.format.sample_type != vs.INTEGER:
        raise SacFormatError(f"the clip is {clip.format.name}; accepted: integer samples", func)
    check_mask(mask, func)
    check_same_shape(clip, mask, "mask", func)
    if clip.format.num_planes == 1:
        return mask
    sub_w, sub_h = clip.format.subsampling_w, clip.format.subsampling_h
    chroma = mask
    if sub_w or sub_h:
        # Point sampling at the top-left of the pixels a chroma sample covers; a resampled mask would bleed.
        chroma = mask.resize.Point(
            mask.width >> sub_w, mask.height >> sub_h,
            src_left=-0.5 if sub_w else 0, src_top=-0.5 if sub_h else 0,
        )  # fmt: skip
    family = vs.YUV if clip.format.color_family == vs.YUV else vs.RGB
    return vs.core.std.ShufflePlanes([mask, chroma, chroma], [0, 0, 0], family)


def _select(planes: vs.VideoNode, roi: vs.VideoNode, non_roi: vs.VideoNode) -> vs.VideoNode:
    return vs.core.std.Expr([roi, non_roi, planes], "z 0 > x y ?")


def _flat(clip: vs.VideoNode, colour: Sequence[int]) -> vs.VideoNode:
    # Frame 0 serves every frame.
    return vs.core.std.BlankClip(clip, color=list(colour), keep=True)


def _black(clip: vs.VideoNode) -> list[int]:
    """Black in the clip's own range (limited range: 16 in 8 bits; ITU-R BT.709-6 item 4.6)."""
    bits = clip.format.bits_per_sample
    if clip.format.color_family == vs.RGB:
        return [0, 0, 0]
    with clip.get_frame(0) as frame:
        full = frame.props.get("_Range", 0) == 1
    return [0 if full else 16 << (bits - 8), *([1 << (bits - 1)] * (clip.format.num_planes - 1))]


def _grey(clip: vs.VideoNode) -> list[int]:
    return [1 << (clip.format.bits_per_sample - 1)] * clip.format.num_planes


def _hold(clip: vs.VideoNode, planes: vs.VideoNode, *, keep_roi: bool) -> vs.VideoNode:
    """Fill hidden samples with what was last visible there, at most `HOLD_WINDOW` - 1 frames ago, else grey.

    Written without state, so that frames can be asked for in any order: after step k every sample knows the
    latest visible value of the last 2^k frames, and one more look 2^k frames back doubles that.
    """
    visible = vs.core.std.Expr(planes, f"x 0 {'>' if keep_roi else '='} 255 0 ?")
    value = vs.core.std.Expr([clip, visible, _flat(clip, _grey(clip))], "y 0 > x z ?")
    span = 1
    while span < HOLD_WINDOW:
        earlier, known = delay(value, span), delay(visible, span)
        value = vs.core.std.Expr([value, earlier, visible], "z 0 > x y ?")
        visible = vs.core.std.Expr([visible, known], "x y max")
        span *= 2
    return vs.core.std.CopyFrameProps(value, clip)
