"""Reading a video by PyAV, sequentially or at several places at once, without an index.

Source plugins first make an index. For it they decode the whole file, which is as much work as the job itself. Here, a
file is only demuxed in advance (`timeline`), and frames are found by their timestamps. A frame that cannot be decoded
is either an error, or it is replaced by the frame before it and reported at the end (`report_damage`).
"""

import contextlib
import os
import threading
import warnings
import weakref
from bisect import bisect_left
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..core.clips import awaited
from ..core.errors import SacDamageWarning, SacFileError
from ..core.watchdog import StallWatch, own_activity
from .timeline import Timeline, read_timeline, video_streams

__all__ = [
    "at_rate",
    "converted",
    "damage_of",
    "open_video",
    "relabelled",
    "report_damage",
    "samples",
    "timeline_of",
    "trimmed",
]

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

#: Demuxers whose keyframes can be found by timestamp. Files of other formats are decoded from their start.
_SEEKABLE = ("mov,", "matroska,", "image2")

#: Number of recent frames that can be requested again; VapourSynth's threads run ahead of each other by a few frames.
_KEPT = 16

#: Frames that are decoded and thrown away rather than seeking.
_NEAR = 48

#: Number of frames that `samples` decodes ahead; there is no graph that would request frames early.
_AHEAD = 4

#: Places of a file that are decoded at the same time if the frames are not read sequentially.
_PLACES = 8

#: Rotation in degrees → the filters that turn the picture upright.
_TURNS = {90: ("Transpose", "FlipHorizontal"), 180: ("Turn180",), 270: ("Transpose", "FlipVertical")}


@dataclass
class _Origin:
    """Where a clip comes from.

    Attributes:
        reader: What decodes its file.
        timeline: When its frames are displayed.
        plain: Whether its samples are exactly those of the file, from the first frame on.
    """

    reader: "_Reader"
    timeline: Timeline
    plain: bool = True


_ORIGINS: "weakref.WeakKeyDictionary[vs.VideoNode, _Origin]" = weakref.WeakKeyDictionary()


def open_video(
    path: Path, track: int, *, sequential: bool, strict: bool = True, images: Sequence[Path] = ()
) -> vs.VideoNode | None:
    """Open a video track.

    Args:
        path: Video file, or printf pattern of images.
        track: Number of the video track, from 0.
        sequential: Whether the frames will be requested in order. Otherwise several places are decoded at once.
        strict: Whether a frame that cannot be decoded is an error. Otherwise the frame before it takes its place, and
            `report_damage` warns of it.
        images: The images that a pattern stands for. Errors name them, and their orientation is left to the caller.

    Returns:
        The clip in its own format, with the same samples as a source plugin gives, upright, and with the frame
        properties that `source.open_clip` needs. None if the file needs a source plugin.
    """
    try:
        with _opened(path) as file:
            streams = video_streams(file)
            if track >= len(streams):
                return None
            stream = streams[track]
            first = _first_frame(file, stream)
            if first is None or stream.codec_context.name not in _CODECS or first.format.name not in _FORMATS:
                return None
            turn = 0 if images else round(-first.rotation) % 360
            if first.interlaced_frame or (turn and turn not in _TURNS):
                return None
            rate = stream.codec_context.framerate
            # The aspect ratio of the codec overrides that of the container, as in source plugins.
            aspect = stream.codec_context.sample_aspect_ratio or stream.sample_aspect_ratio
            seekable = file.format.name.startswith(_SEEKABLE)
        with _opened(path) as file:
            timeline = read_timeline(file, track, rate=Fraction(rate) if rate else None, first=first.pts)
    except (av.FFmpegError, OSError, ValueError):
        return None
    if timeline is None:
        return None
    if timeline.damage and not strict:
        timeline = _without_lost_end(path, track, timeline, seekable)
    reader = _Reader(path, track, first, timeline, places=1 if sequential else _PLACES,
                     strict=strict, seek=seekable, images=images)  # fmt: skip
    clip = _node(reader, first, aspect)
    if turn:
        for turned in _TURNS[turn]:
            clip = getattr(clip.std, turned)()
        if aspect and turn != 180:
            clip = clip.std.SetFrameProps(_SARNum=aspect.denominator, _SARDen=aspect.numerator)
    _ORIGINS[clip] = _Origin(reader, timeline, plain=not turn)
    return clip


def _without_lost_end(path: Path, track: int, timeline: Timeline, seekable: bool) -> Timeline:
    """The timeline of a truncated file without the frames at its end that cannot be decoded."""
    start = timeline.keyframe_before(len(timeline.pts) - 1) if seekable else 0
    with contextlib.closing(_numbered(path, track, timeline, start, vs.core.num_threads)) as decoded:
        last = max((number for number, _, _ in decoded), default=len(timeline.pts) - 1)
    return timeline.part(0, last + 1)


def _node(reader: "_Reader", first: av.VideoFrame, aspect: Fraction | None) -> vs.VideoNode:
    """The frames of a reader as a clip."""
    family, bits, *sub = _FORMATS[first.format.name]
    wanted = vs.core.query_video_format(family, vs.INTEGER, bits, *sub)
    fps = reader.timeline.fps
    blank = vs.core.std.BlankClip(
        width=first.width, height=first.height, format=wanted.id, length=len(reader.timeline.pts), keep=True,
        fpsnum=fps.numerator, fpsden=fps.denominator,
    )  # fmt: skip
    return blank.std.ModifyFrame(blank, reader.frame).std.SetFrameProps(**_props(first, aspect))


def _first_frame(file: Any, stream: Any) -> "av.VideoFrame | None":
    """The first frame that the decoder outputs, past packets that it refuses."""
    return next((frame for frame, _ in _decoded_frames(file, stream)), None)


def relabelled(clip: vs.VideoNode, by: vs.VideoNode) -> vs.VideoNode:
    """Return `by` with the origin of `clip`; only frame properties may differ from `clip`."""
    if origin := _ORIGINS.get(clip):
        _ORIGINS[by] = origin
    return by


def at_rate(clip: vs.VideoNode, fps: Fraction) -> vs.VideoNode:
    """The clip at a constant frame rate, whatever the times of its frames were."""
    made = clip.std.AssumeFPS(fpsnum=fps.numerator, fpsden=fps.denominator)
    if origin := _ORIGINS.get(clip):
        _ORIGINS[made] = replace(origin, timeline=origin.timeline.at_rate(fps))
    return made


def converted(clip: vs.VideoNode, by: vs.VideoNode) -> vs.VideoNode:
    """Return `by` with the origin of `clip`, of which it has the frames with other samples."""
    if origin := _ORIGINS.get(clip):
        _ORIGINS[by] = replace(origin, plain=False)
    return by


def trimmed(clip: vs.VideoNode, start: int, stop: int) -> vs.VideoNode:
    """The frames from `start` to before `stop`, which keep their times."""
    part = clip[start:stop]
    if origin := _ORIGINS.get(clip):
        _ORIGINS[part] = replace(origin, timeline=origin.timeline.part(start, stop), plain=origin.plain and not start)
    return part


def timeline_of(clip: vs.VideoNode) -> Timeline | None:
    """When the frames of a clip are displayed; None if `open_video` has not made the clip."""
    origin = _ORIGINS.get(clip)
    return origin.timeline if origin else None


def damage_of(clip: vs.VideoNode) -> str:
    """What was found to be damaged in the file of a clip up to now; empty if nothing was."""
    origin = _ORIGINS.get(clip)
    return origin.reader.damage() if origin else ""


def report_damage(clip: vs.VideoNode) -> str:
    """Warn (`SacDamageWarning`) of what was found to be damaged in the file of a clip, and return it."""
    damage = damage_of(clip)
    if damage:
        warnings.warn(damage, SacDamageWarning, stacklevel=2)
    return damage


def samples(clip: vs.VideoNode, planes: Sequence[int]) -> Generator[list[npt.NDArray[Any]]] | None:
    """Read the samples of a clip in order without the VapourSynth graph, which would copy every plane.

    Args:
        clip: Any clip.
        planes: Indices of the planes to return.

    Returns:
        Generator of the planes of each frame: read-only arrays of shape (H, W) with padded rows. None if the clip does
        not have the samples of a file that `open_video` reads.

    Raises:
        SacFileError: During the iteration: a frame cannot be decoded, or the format changes.
    """
    origin = _ORIGINS.get(clip)
    return origin.reader.samples(planes, clip.num_frames) if origin and origin.plain else None


@dataclass
class _Losses:
    """Frames that could not be decoded, or only with errors."""

    missing: set[int] = field(default_factory=set)
    corrupt: set[int] = field(default_factory=set)
    why: str = ""


class _Reader:
    """Decodes a video track at one or several places."""

    def __init__(
        self,
        path: Path,
        track: int,
        first: av.VideoFrame,
        timeline: Timeline,
        *,
        places: int,
        strict: bool,
        seek: bool,
        images: Sequence[Path] = (),
    ) -> None:
        self.path, self.track, self.timeline, self.strict, self.seek = path, track, timeline, strict, seek
        self._like = (first.format.name, first.width, first.height)
        self._places, self._images = places, images
        self._lock = threading.Lock()
        self._cursors: list[_Cursor] = []
        self._losses = _Losses()

    def frame(self, n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        """Return frame `n`; a callback of `std.ModifyFrame`."""
        cursor = self._cursor(n)
        with cursor.lock:
            decoded = cursor.at(n)
        frame = vs.core.create_video_frame(f.format, f.width, f.height)
        for plane, samples in enumerate(_planes(decoded)):
            np.copyto(np.asarray(frame[plane]), samples)
        return frame

    def _cursor(self, n: int) -> "_Cursor":
        """The place from which frame `n` is closest; the places used last come last."""
        with self._lock:
            found = next((cursor for cursor in self._cursors if cursor.reaches(n)), None)
            if found is None:
                found = _Cursor(self, n, vs.core.num_threads)
            else:
                self._cursors.remove(found)
            self._cursors = [*self._cursors, found][-self._places :]
            return found

    def samples(self, planes: Sequence[int], length: int) -> Generator[list[npt.NDArray[Any]]]:
        """Implement `samples` for a clip of `length` frames; a thread decodes a few frames ahead."""
        # Half of the processors, because other files are decoded at the same time.
        cursor, watch = _Cursor(self, 0, max(1, (os.cpu_count() or 1) // 2)), StallWatch(own_activity())
        pool = ThreadPoolExecutor(1)

        def shown(number: int) -> list[npt.NDArray[Any]]:
            decoded = list(_planes(cursor.at(number)))
            return [decoded[plane] for plane in planes]

        asked = deque(pool.submit(shown, number) for number in range(min(_AHEAD, length)))
        try:
            for number in range(length):
                frame = awaited(asked.popleft(), number, watch)
                if number + _AHEAD < length:
                    asked.append(pool.submit(shown, number + _AHEAD))
                yield frame
        finally:
            for late in asked:
                late.cancel()
            # The thread is not awaited, because a decoder may hang.
            pool.submit(cursor.close)
            pool.shutdown(wait=False)

    def check(self, frame: av.VideoFrame, number: int) -> None:
        """Refuse a frame of another format or size, and note one that was decoded with errors.

        Raises:
            SacFileError: The format or the size changes, or the reader is strict and the frame has errors.
        """
        if (frame.format.name, frame.width, frame.height) != self._like:
            raise SacFileError(f"{self._named(number)} changes format or size", "open_clip")
        if frame.is_corrupt:
            if self.strict:
                raise SacFileError(f"{self.path} is damaged at frame {number}: it was decoded with errors", "open_clip")
            self._losses.corrupt.add(number)

    def lose(self, number: int, why: str) -> None:
        """Note a frame that cannot be decoded.

        Raises:
            SacFileError: The reader is strict.
        """
        if self.strict:
            if number < len(self._images):
                raise SacFileError(f"{self._images[number]} cannot be decoded", "open_clip")
            raise SacFileError(f"{self.path} cannot be decoded beyond frame {number}", "open_clip")
        self._losses.missing.add(number)
        self._losses.why = self._losses.why or why

    def _named(self, number: int) -> str:
        """A frame, for messages."""
        return str(self._images[number]) if number < len(self._images) else f"{self.path}, at frame {number},"

    def damage(self) -> str:
        """What is known to be damaged, in one line; empty if nothing is."""
        total, losses = len(self.timeline.pts), self._losses
        parts = []
        if losses.missing:
            why = f" ({losses.why})" if losses.why else ""
            parts.append(f"{len(losses.missing)} of {total} frames cannot be decoded{why}, the first is frame"
                         f" {min(losses.missing)}; the frame before takes their place")  # fmt: skip
        if losses.corrupt - losses.missing:
            parts.append(f"{len(losses.corrupt - losses.missing)} of {total} frames were decoded with errors")
        if self.timeline.damage:
            parts.append(self.timeline.damage)
        return f"{self.path} is damaged: {'; '.join(parts)}" if parts else ""


class _Cursor:
    """A place in a file: decodes from there on, and keeps the most recent frames."""

    def __init__(self, reader: _Reader, start: int, threads: int) -> None:
        self.lock = threading.Lock()
        self._reader = reader
        self._next = reader.timeline.keyframe_before(start) if reader.seek else 0
        self._kept: dict[int, av.VideoFrame] = {}
        self._pending: tuple[int, av.VideoFrame, str] | None = None
        self._decoded = _numbered(reader.path, reader.track, reader.timeline, self._next, threads)

    def reaches(self, n: int) -> bool:
        """Whether frame `n` is kept, or near enough to be decoded from here."""
        if n in self._kept:
            return True
        reader = self._reader
        from_key = reader.timeline.keyframe_before(n) if reader.seek else 0
        return self._next <= n and (n - self._next <= _NEAR or from_key <= self._next)

    def at(self, n: int) -> av.VideoFrame:
        """Frame `n`, which `reaches` has accepted; another thread may have gone on in the meantime.

        Raises:
            SacFileError: It cannot be decoded.
        """
        if n not in self._kept and n < self._next:
            # Too far back by now.
            self.close()
            self.__init__(self._reader, n, vs.core.num_threads)  # type: ignore[misc]
        while self._next <= n:
            self._advance()
        return self._kept[n]

    def _advance(self) -> None:
        number = self._next
        found = self._pending or next(self._decoded, None)
        self._pending = None
        if found is not None and found[0] < number:
            return
        if found is not None and found[0] == number:
            frame = found[1]
            self._reader.check(frame, number)
        else:
            self._pending = found
            self._reader.lose(number, found[2] if found else "the file ends")
            stand_in = self._kept.get(number - 1) or (found[1] if found else None)
            if stand_in is None:
                raise SacFileError(f"{self._reader.path} cannot be decoded at frame {number}", "open_clip")
            frame = stand_in
        self._kept[number], self._next = frame, number + 1
        self._kept.pop(number - _KEPT, None)

    def close(self) -> None:
        """Close the file."""
        self._decoded.close()


def _numbered(
    path: Path, track: int, timeline: Timeline, start: int, threads: int
) -> Generator[tuple[int, av.VideoFrame, str]]:
    """The frames of a track from `start` on by number, each with the error that came before it."""
    with _opened(path) as file:
        stream = video_streams(file)[track]
        stream.thread_type = "AUTO"
        # If FFmpeg's messages are redirected to Python's logging, a decoder thread that logs a message waits for
        # Python, while Python may wait for that thread. One thread avoids this deadlock.
        stream.codec_context.thread_count = threads if av.logging.get_level() is None else 1
        if start:
            file.seek(timeline.pts[start], stream=stream)
        for count, (frame, why) in enumerate(_decoded_frames(file, stream)):
            if not timeline.timed:
                yield count, frame, why
                continue
            number = bisect_left(timeline.pts, frame.pts) if frame.pts is not None else len(timeline.pts)
            # Frames before the start of the timeline or of an edit are decoded, but not displayed.
            if number < len(timeline.pts) and timeline.pts[number] == frame.pts:
                yield number, frame, why


def _decoded_frames(file: Any, stream: Any) -> Iterator[tuple[av.VideoFrame, str]]:
    """The frames that a decoder outputs, each with the last error; packets that it refuses are passed over."""
    why = ""
    packets = file.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError) as error:
            why, packet = str(getattr(error, "strerror", None) or error), None
        if packet is None:
            return
        try:
            # Packets are empty at the end, which makes the decoder output what it holds.
            for frame in packet.decode():
                yield frame, why
        except (av.error.InvalidDataError, av.error.EOFError) as error:
            why = str(error.strerror)


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
