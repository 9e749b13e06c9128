"""Videos read once from their first frame to their last, for jobs that need nothing else.

Source plugins make an index first, for which they decode the whole file: as much work as the job itself. Here a file is
only demuxed beforehand, to count its frames.
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

#: Codecs of which every packet is one frame.
_CODECS = {"ffv1", "h264", "hevc", "mjpeg", "png", "rawvideo"}

#: FFmpeg's pixel formats → family, bits, chroma subsampling.
_FORMATS = {
    "gray": (vs.GRAY, 8, 0, 0),
    "rgb24": (vs.RGB, 8, 0, 0),
    **{f"yuv{j}{name}p": (vs.YUV, 8, *sub) for j in ("", "j") for name, sub in
       (("420", (1, 1)), ("422", (1, 0)), ("444", (0, 0)))},
    **{f"yuv{name}p{bits}le": (vs.YUV, bits, *sub) for bits in (10, 12) for name, sub in
       (("420", (1, 1)), ("422", (1, 0)), ("444", (0, 0)))},
}  # fmt: skip

#: Frames that can be asked for again; VapourSynth's threads run ahead of each other by a few.
_KEPT = 16

#: Frames decoded before they are asked for, where nothing else is.
_AHEAD = 4

#: Clips whose samples are those of a file as they are.
_READERS: "weakref.WeakKeyDictionary[vs.VideoNode, _Reader]" = weakref.WeakKeyDictionary()


def open_sequential(path: Path, track: int, files: Sequence[Path] = ()) -> vs.VideoNode | None:
    """Open a video whose frames will be asked for in order.

    Frames may be asked for in any order all the same; going back further than a few decodes from the start again.

    Args:
        path: Video file, or printf pattern of images.
        track: Which of the video tracks, from 0.
        files: The images of a pattern, which errors name.

    Returns:
        The clip in its own format, sample for sample what a source plugin gives, with the frame properties that
        `source.open_clip` needs; None for what only a plugin reads. A frame that cannot be decoded is an error.
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
            # A codec that knows better than the container is believed, as source plugins do.
            aspect = stream.codec_context.sample_aspect_ratio or stream.sample_aspect_ratio
        with _opened(path) as file:
            packets = file.demux(file.streams.video[track])
            # Packets that an edit list cuts off are decoded but not shown.
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
    reader = _Reader(path, track, first, files)
    clip = blank.std.ModifyFrame(blank, reader.frame).std.SetFrameProps(**_props(first, aspect))
    _READERS[clip] = reader
    return clip


def relabelled(clip: vs.VideoNode, by: vs.VideoNode) -> vs.VideoNode:
    """The clip `by`, made of `clip` by changing frame properties or the rate alone: `samples` takes it as well."""
    if clip in _READERS:
        _READERS[by] = _READERS[clip]
    return by


def samples(clip: vs.VideoNode, planes: Sequence[int]) -> Generator[list[npt.NDArray[Any]]] | None:
    """Read a clip from the first frame to the last past the graph, which would copy every plane.

    Args:
        clip: Any clip.
        planes: Indices of the planes to give.

    Returns:
        The planes of each frame, read-only, each of shape (H, W) with padded rows; None for clips that
        `open_sequential` has not made.

    Raises:
        SacFileError: While reading: a frame cannot be decoded, or the format changes.
    """
    reader = _READERS.get(clip)
    return None if reader is None else reader.samples(planes, clip.num_frames)


class _Reader:
    """Decodes one track and keeps its latest frames."""

    def __init__(self, path: Path, track: int, first: av.VideoFrame, files: Sequence[Path] = ()) -> None:
        self._path, self._track, self._files = path, track, files
        self._like = (first.format.name, first.width, first.height)
        self._lock = threading.Lock()
        self._kept: dict[int, av.VideoFrame] = {0: first}
        self._decoded: Iterator[tuple[int, av.VideoFrame]] = iter(())
        self._next = -1

    def samples(self, planes: Sequence[int], length: int) -> Generator[list[npt.NDArray[Any]]]:
        """`samples`, of a clip of that length, decoded a few frames ahead in a thread."""
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
            # Not waited for, as a decoder may hang.
            pool.submit(decoded.close)
            pool.shutdown(wait=False)

    def _all_samples(self, planes: Sequence[int], length: int) -> Generator[list[npt.NDArray[Any]]]:
        # Other files are decoded beside this one.
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
        """Frame n, for `std.ModifyFrame`."""
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
            named = self._files[number] if number < len(self._files) else f"{self._path}, at frame {number},"
            raise SacFileError(f"{named} changes format or size", "open_clip")

    def _ends(self, number: int) -> SacFileError:
        if number < len(self._files):
            return SacFileError(f"{self._files[number]} cannot be decoded", "open_clip")
        return SacFileError(f"{self._path} cannot be decoded beyond frame {number}", "open_clip")


def _decode(path: Path, track: int, threads: int) -> Generator[av.VideoFrame]:
    with _opened(path) as file:
        stream = file.streams.video[track]
        stream.thread_type = "AUTO"
        # A decoder's thread that has something to say waits for Python, which may wait for the thread, where somebody
        # has FFmpeg's messages go to Python's log.
        stream.codec_context.thread_count = threads if av.logging.get_level() is None else 1
        yield from file.decode(stream)


def _opened(path: Path) -> Any:
    # "file:" keeps names such as "a:b" from being taken for a protocol.
    return contextlib.closing(av.open(f"file:{path.absolute()}"))


def _planes(frame: av.VideoFrame) -> Iterator[npt.NDArray[Any]]:
    """The samples of every plane, without a copy."""
    dtype = np.dtype(np.uint8 if frame.format.components[0].bits == 8 else "<u2")
    for plane in frame.planes:
        rows: npt.NDArray[Any] = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
        if frame.format.name == "rgb24":
            packed = rows[: frame.height, : 3 * frame.width].reshape(frame.height, frame.width, 3)
            yield from (packed[..., channel] for channel in range(3))
        else:
            yield rows[: plane.height, : plane.width]


def _props(frame: av.VideoFrame, aspect: Fraction | None) -> dict[str, int]:
    """What FFmpeg says of the colour, in ITU-T H.273's numbers, and of the shape of pixels."""
    rgb = frame.format.name == "rgb24"
    full = rgb or frame.format.name.startswith("yuvj") or frame.color_range == 2
    props = {"_Range": int(full), "_Primaries": int(frame.color_primaries), "_Transfer": int(frame.color_trc)}
    props["_Matrix"] = 0 if rgb else int(frame.colorspace)
    if frame.chroma_location:
        # FFmpeg's numbers begin with "unspecified".
        props["_ChromaLocation"] = int(frame.chroma_location) - 1
    if aspect:
        props |= {"_SARNum": aspect.numerator, "_SARDen": aspect.denominator}
    return props
