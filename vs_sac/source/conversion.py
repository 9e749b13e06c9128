"""Converting a clip to a format that the encoders accept, with complete colour properties."""

import warnings

import vapoursynth as vs

from ..core.clips import check_constant_format
from ..core.errors import SacFormatError, SacWarning
from .video import converted, relabelled

__all__ = ["to_encodable", "warn_interlaced"]

#: Reserved numbers of ITU-T H.273 and the number of "unspecified".
_UNKNOWN = (0, 2, 3)


def warn_interlaced(source: object) -> None:
    """Warn (`SacWarning`) that the frames of an interlaced source are coded as progressive."""
    message = f"{source} is interlaced; its frames are coded as they are, as if they were progressive"
    warnings.warn(message, SacWarning, stacklevel=3)


def to_encodable(clip: vs.VideoNode) -> vs.VideoNode:
    """Convert a clip to a format that the encoders accept, and add missing colour properties.

    Returns:
        Clip with the formats and the frame properties that `open_clip` describes.

    Raises:
        SacFormatError: The clip has float samples, or its format varies.
    """
    check_constant_format(clip, "open_clip")
    source, fmt = clip, clip.format
    if fmt.sample_type != vs.INTEGER:
        raise SacFormatError(f"the clip is {fmt.name}; accepted: integer samples", "open_clip")
    bits = 8 if fmt.bits_per_sample == 8 else 10
    if fmt.color_family == vs.RGB:
        clip = _rgb_to_yuv(clip, bits)
    else:
        if fmt.bits_per_sample != bits:
            to = vs.core.query_video_format(fmt.color_family, vs.INTEGER, bits, fmt.subsampling_w, fmt.subsampling_h)
            clip = clip.resize.Point(format=to.id, dither_type="ordered")
        if fmt.color_family == vs.GRAY:
            clip = _grey_to_yuv(clip)
    if (
        clip.format.subsampling_w > 1
        or clip.format.subsampling_h > 1
        or (clip.format.subsampling_h and not clip.format.subsampling_w)
    ):
        to = vs.core.query_video_format(vs.YUV, vs.INTEGER, bits, 0, 0)
        clip = clip.resize.Bicubic(format=to.id)
    return _complete_props(clip if clip is source else converted(source, clip))


def _rgb_to_yuv(clip: vs.VideoNode, bits: int) -> vs.VideoNode:
    """Convert RGB to limited-range YUV by the matrix of BT.709, or by that of BT.2020 if those are its primaries.

    Stated primaries and transfer functions stay, apart from sRGB's, which is labelled as BT.709, as players expect.
    """
    # Chroma is subsampled if the size allows it, because players expect that.
    wanted = vs.core.query_video_format(vs.YUV, vs.INTEGER, bits, clip.width % 2 == 0, clip.height % 2 == 0)
    if wanted.subsampling_h and not wanted.subsampling_w:
        wanted = vs.core.query_video_format(vs.YUV, vs.INTEGER, bits, 0, 0)
    with clip.get_frame(0) as frame:
        stated = {name: int(frame.props.get(name, 2)) for name in ("_Primaries", "_Transfer")}
    labels = {name: number for name, number in stated.items() if number not in (1, *_UNKNOWN)}
    if labels.get("_Transfer") == vs.TRANSFER_IEC_61966_2_1:
        del labels["_Transfer"]
    matrix = vs.MATRIX_BT2020_NCL if labels.get("_Primaries") == vs.PRIMARIES_BT2020 else vs.MATRIX_BT709
    # The samples of the primaries and of the transfer function are not converted, so both sides get the same numbers.
    clip = clip.resize.Bicubic(
        format=wanted.id, matrix=matrix, range=0, primaries_in=1, primaries=1, transfer_in=1, transfer=1
    )
    return clip.std.SetFrameProps(**labels) if labels else clip


def _grey_to_yuv(clip: vs.VideoNode) -> vs.VideoNode:
    """Add neutral chroma planes, at half the size if width and height are even."""
    bits = clip.format.bits_per_sample
    even = clip.width % 2 == 0 and clip.height % 2 == 0
    grey = vs.core.query_video_format(vs.GRAY, vs.INTEGER, bits, 0, 0)
    chroma = vs.core.std.BlankClip(
        clip, clip.width >> even, clip.height >> even, grey.id, color=1 << (bits - 1), keep=True
    )
    return vs.core.std.ShufflePlanes([clip, chroma, chroma], [0, 0, 0], vs.YUV, prop_src=[clip])


def _complete_props(clip: vs.VideoNode) -> vs.VideoNode:
    """Add the colour properties that the source does not state; the first frame decides for all frames."""
    with clip.get_frame(0) as frame:
        props = dict(frame.props)
    # Players assume BT.709 from HD on, and BT.601 below.
    matrix = vs.MATRIX_BT709 if clip.height > 576 or clip.width > 1024 else vs.MATRIX_ST170_M
    new: dict[str, int] = {}
    # Number 0 is that of RGB, and the clip is YUV.
    if props.get("_Matrix") in (None, *_UNKNOWN):
        new["_Matrix"] = int(matrix)
    for name in ("_Primaries", "_Transfer"):
        if props.get(name) in (None, *_UNKNOWN):
            new[name] = int(new.get("_Matrix", props.get("_Matrix", matrix)))
            new[name] = new[name] if new[name] in (1, 5, 6, 9) else 1
            # The transfer function of BT.2020 is that of BT.709 under another number.
            new[name] = {("_Transfer", 9): 14, ("_Transfer", 5): 6}.get((name, new[name]), new[name])
    if "_Range" not in props:
        new["_Range"] = 0
    if clip.format.subsampling_w and "_ChromaLocation" not in props:
        new["_ChromaLocation"] = 0
    # BestSource sets more properties; encoders and comparisons need none of them.
    return relabelled(clip, clip.std.SetFrameProps(**new)) if new else clip
