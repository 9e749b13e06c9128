"""Reading a video sequentially, once from the first frame to the last, without an index.

Source plugins first make an index. For it they decode the whole file, which is as much work as the job itself. Here, a
file is only demuxed in advance, to count its frames.
"""

import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..core.clips import awaited
from ..core.errors import SacFileError
from ..core.watchdog import StallWatch, own_activity

__all__ = ["open_sequential", "relabelled", "samples"]

#: Codecs in which every packet is one frame.
_CODECS = {"ffv1", "h264", "hevc", "mjpeg", "png", "rawvideo"}

#: FFmpeg's pixel format → colour family, bits per sample, chroma subsampling (log2, horizontal and vertical).
_FORMATS = {
    "gray": (vs.GRAY, 8, 0, 0),
    "rgb24": (vs.RGB, 8, 0, 0),
    **{f"yuv{j}{name}p": (vs.YUV, 8, *sub) for j in ("", "j") for name, sub in
       (("420", (1, 1)), ("422", (1, 0)), ("444", (0, 0)))},
    **{f"yuv{name}p{bits}le": (vs.YUV, bits, *sub) for bits in (10, 12) for name, sub in
       (("420", (1, 1)), ("422", (1, 0)), ("444", (0, 0)))},
}  # fmt: skip

#: Number of recent frames that can be requested again; VapourSynth's threads run ahead of each other by a few frames.
_KEPT = 16

#: Number of frames that `samples` decodes ahead; there is no graph that would request frames early.
_AHEAD = 4

#: Clips whose samples are exactly those of a file.
_READERS: "weakref.WeakKeyDictionary[vs.VideoNode, _Reader]" = weakref.WeakKeyDictionary()


def open_sequential(path: Path, track: int) -> vs.VideoNode | None:
    """Open a video whose frames will be requested in order.

    Any other order works too. A step back of more than a few frames decodes the video again from its start. Requesting
    a frame that cannot be decoded raises an error.

    Args:
        path: Video file, or printf pattern of images.
        track: Number of the video track, from 0.

    Returns:
        The clip in its own format, with the same samples as a source plugin gives and with the frame properties that
        `source.open_clip` needs. None if the file needs a source plugin.
    """
    try:
        with _opened(path) as file:
            if track >= len(file.streams.video):
                return None
            stream = file.streams.video[track]
            first = next(file.decode(stream), None)
            if first is None or stream.codec_context.name not in _CODECS or first.format.name not in _FORMATS:
                return None
            if first.interlaced_frame or first.rotation or not stream.average_rate:
                return None
            rate = stream.average_rate
            # The aspect ratio of the codec overrides that of the container, as in source plugins.
            aspect = stream.codec_context.sample_aspect_ratio or stream.sample_aspect_ratio
        with _opened(path) as file:
            packets = file.demux(file.streams.video[track])
            # Packets that an edit list cuts off are decoded but not displayed.
            length = sum(1 for packet in packets if packet.size and not packet.is_discard)
    except (av.FFmpegError, OSError, ValueError):
        return None
    if not length:
        return None
    family, bits, *sub = _FORMATS[first.format.name]
    wanted = vs.core.query_video_format(family, vs.INTEGER, bits, *sub)
    blank = vs.core.std.BlankClip(
        width=first.width, height=first.height, format=wanted.id, length=length, keep=True,
        fpsnum=rate.numerator, fpsden=rate.denominator,
    )  # fmt: skip
    reader = _Reader(path, track, first)
    clip = blank.std.ModifyFrame(blank, reader.frame).std.SetFrameProps(**_props(first, aspect))
    _READERS[clip] = reader
    return clip


def relabelled(clip: vs.VideoNode, by: vs.VideoNode) -> vs.VideoNode:
    """Return `by`, and make `samples` accept it; only frame properties or the frame rate may differ from `clip`."""
    if clip in _READERS:
        _READERS[by] = _READERS[clip]
    return by


def samples(clip: vs.VideoNode, planes: Sequence[int]) -> Generator[list[npt.NDArray[Any]]] | None:
    """Read the samples of a clip in order without the VapourSynth graph, which would copy every plane.

    Args:
        clip: Any clip.
        planes: Indices of the planes to return.

    Returns:
        Generator of the planes of each frame: read-only arrays of shape (H, W) with padded rows. None if
        `open_sequential` has not made the clip.

    Raises:
        SacFileError: During the iteration: a frame cannot be decoded, or the format changes.
    """
    reader = _READERS.get(clip)
    return None if reader is None else reader.samples(planes, clip.num_frames)


class _Reader:
    """Decodes a video track and keeps its most recent frames."""

    def __init__(self, path: Path, track: int, first: av.VideoFrame) -> None:
        self._path, self._track = path, track
        self._like = (first.format.name, first.width, first.height)
        self._lock = threading.Lock()
        self._kept: dict[int, av.VideoFrame] = {0: first}
        self._decoded: Iterator[tuple[int, av.VideoFrame]] = iter(())
        self._next = -1

    def samples(self, planes: Sequence[int], length: int) -> Generator[list[npt.NDArray[Any]]]:
        """Implement `samples` for a clip of `length` frames; a thread decodes a few frames ahead."""
        decoded, watch = self._all_samples(planes, length), StallWatch(own_activity())
        pool = ThreadPoolExecutor(1)
        asked = deque(pool.submit(next, decoded) for _ in range(min(_AHEAD, length)))
        try:
            for number in range(length):
                frame = awaited(asked.popleft(), number, watch)
                if number + _AHEAD < length:
                    asked.append(pool.submit(next, decoded))
                yield frame
        finally:
            for late in asked:
                late.cancel()
            # The thread is not awaited, because a decoder may hang.
            pool.submit(decoded.close)
            pool.shutdown(wait=False)

    def _all_samples(self, planes: Sequence[int], length: int) -> Generator[list[npt.NDArray[Any]]]:
        # Half of the processors, because other files are decoded at the same time.
        decoded = _decode(self._path, self._track, max(1, (os.cpu_count() or 1) // 2))
        with contextlib.closing(decoded):
            for number in range(length):
                try:
                    frame = next(decoded, None)
                except av.FFmpegError as error:
                    raise self._ends(number) from error
                if frame is None:
                    raise self._ends(number)
                self._check(frame, number)
                shown = list(_planes(frame))
                yield [shown[plane] for plane in planes]

    def frame(self, n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        """Return frame `n`; a callback of `std.ModifyFrame`."""
        with self._lock:
            decoded = self._at(n)
        frame = vs.core.create_video_frame(f.format, f.width, f.height)
        for plane, samples in enumerate(_planes(decoded)):
            np.copyto(np.asarray(frame[plane]), samples)
        return frame

    def _at(self, n: int) -> av.VideoFrame:
        if n in self._kept:
            return self._kept[n]
        if not 0 <= self._next <= n:
            self._decoded, self._kept = enumerate(_decode(self._path, self._track, vs.core.num_threads)), {}
        for number, frame in self._decoded:
            self._check(frame, number)
            self._kept[number], self._next = frame, number + 1
            if number > _KEPT:
                self._kept.pop(number - _KEPT, None)
            if number == n:
                return frame
        raise self._ends(max(self._next, 0))

    def _check(self, frame: av.VideoFrame, number: int) -> None:
        if (frame.format.name, frame.width, frame.height) != self._like:
            raise SacFileError(f"{self._path} changes format or size at frame {number}", "open_clip")

    def _ends(self, number: int) -> SacFileError:
        return SacFileError(f"{self._path} cannot be decoded beyond frame {number}", "open_clip")


def _decode(path: Path, track: int, threads: int) -> Generator[av.VideoFrame]:
    with _opened(path) as file:
        stream = file.streams.video[track]
        stream.thread_type = "AUTO"
        # If FFmpeg's messages are redirected to Python's logging, a decoder thread that logs a message waits for
        # Python, while Python may wait for that thread. One thread avoids this deadlock.
        stream.codec_context.thread_count = threads if av.logging.get_level() is None else 1
        yield from file.decode(stream)


def _opened(path: Path) -> Any:
    # With "file:", FFmpeg does not interpret a name such as "a:b" as a protocol.
    return contextlib.closing(av.open(f"file:{path.absolute()}"))


def _planes(frame: av.VideoFrame) -> Iterator[npt.NDArray[Any]]:
    """Yield the samples of every plane as an array of shape (H, W), without a copy."""
    dtype = np.dtype(np.uint8 if frame.format.components[0].bits == 8 else "<u2")
    for plane in frame.planes:
        rows: npt.NDArray[Any] = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
        if frame.format.name == "rgb24":
            packed = rows[: frame.height, : 3 * frame.width].reshape(frame.height, frame.width, 3)
            yield from (packed[..., channel] for channel in range(3))
        else:
            yield rows[: plane.height, : plane.width]


def _props(frame: av.VideoFrame, aspect: Fraction | None) -> dict[str, int]:
    """Return the colour (as ITU-T H.273 numbers) and the sample aspect ratio of a frame as frame properties."""
    rgb = frame.format.name == "rgb24"
    full = rgb or frame.format.name.startswith("yuvj") or frame.color_range == 2
    props = {"_Range": int(full), "_Primaries": int(frame.color_primaries), "_Transfer": int(frame.color_trc)}
    props["_Matrix"] = 0 if rgb else int(frame.colorspace)
    if frame.chroma_location:
        # FFmpeg's numbers start with 0 for "unspecified".
        props["_ChromaLocation"] = int(frame.chroma_location) - 1
    if aspect:
        props |= {"_SARNum": aspect.numerator, "_SARDen": aspect.denominator}
    return props
