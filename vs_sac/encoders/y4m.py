"""YUV4MPEG2 (y4m), the pipe format of all encoders: stream header and frames of a clip."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import vapoursynth as vs

from ..core.clips import check_constant_format
from ..core.errors import SacFormatError

__all__ = ["FRAME_HEADER", "frame_planes", "stream_header"]

FRAME_HEADER = b"FRAME\n"

_COLOURSPACES = {
    (vs.GRAY, 0, 0): ("mono", "mono{bits}"),
    (vs.YUV, 1, 1): ("420jpeg", "420p{bits}"),
    (vs.YUV, 1, 0): ("422", "422p{bits}"),
    (vs.YUV, 0, 0): ("444", "444p{bits}"),
}


def stream_header(clip: vs.VideoNode) -> bytes:
    """Return the stream header of a clip.

    The format has no fields for range and matrix; the reader of the stream must get them in another way.

    Raises:
        SacFormatError: The format of the clip has no y4m equivalent, or the clip has no frame rate.
    """
    check_constant_format(clip, "stream_header")
    fmt = clip.format
    names = _COLOURSPACES.get((fmt.color_family, fmt.subsampling_w, fmt.subsampling_h))
    if names is None or fmt.sample_type != vs.INTEGER or not clip.fps_num:
        raise SacFormatError(f"{fmt.name} at {clip.fps} fps cannot be piped; accepted: YUV or grey", "stream_header")
    with clip.get_frame(0) as frame:
        aspect = f"{frame.props.get('_SARNum', 0)}:{frame.props.get('_SARDen', 0)}"
        left_sited = frame.props.get("_ChromaLocation", 0) == vs.CHROMA_LEFT
    colourspace = names[0] if fmt.bits_per_sample == 8 else names[1].format(bits=fmt.bits_per_sample)
    if colourspace == "420jpeg" and left_sited:
        colourspace = "420mpeg2"
    rate = f"{clip.fps_num}:{clip.fps_den}"
    return f"YUV4MPEG2 W{clip.width} H{clip.height} F{rate} Ip A{aspect} C{colourspace}\n".encode()


def frame_planes(frame: vs.VideoFrame) -> Iterator[memoryview]:
    """Yield the samples of a frame plane by plane; a plane without padding between its rows is not copied."""
    for plane in range(frame.format.num_planes):
        samples: np.ndarray[Any, Any] = np.ascontiguousarray(np.asarray(frame[plane]))
        yield memoryview(samples).cast("B")
