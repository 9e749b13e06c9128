"""The colour, HDR metadata and sample aspect ratio of a decoded frame as VapourSynth's frame properties."""

from fractions import Fraction
from typing import Any

import av
from av.sidedata.sidedata import Type

from ..core.hdr import side_data_props

__all__ = ["frame_props"]


def frame_props(frame: av.VideoFrame, aspect: Fraction | None) -> dict[str, Any]:
    """Return the frame properties that BestSource would set; colours are numbers of ITU-T H.273.

    Args:
        frame: A decoded frame.
        aspect: Sample aspect ratio, if known.
    """
    rgb = frame.format.name == "rgb24"
    full = rgb or frame.format.name.startswith("yuvj") or frame.color_range == 2
    props: dict[str, Any] = {"_Range": int(full), "_Matrix": 0 if rgb else int(frame.colorspace)}
    props |= {"_Primaries": int(frame.color_primaries), "_Transfer": int(frame.color_trc)}
    if frame.chroma_location:
        # FFmpeg's numbers start with 0 for "unspecified".
        props["_ChromaLocation"] = int(frame.chroma_location) - 1
    if aspect:
        props |= {"_SARNum": aspect.numerator, "_SARDen": aspect.denominator}
    return props | side_data_props(
        _side_data(frame, Type.MASTERING_DISPLAY_METADATA), _side_data(frame, Type.CONTENT_LIGHT_LEVEL)
    )


def _side_data(frame: av.VideoFrame, kind: Type) -> bytes | None:
    found = frame.side_data.get(kind)
    return bytes(found) if found is not None else None
