"""Decoding a video track at one or several places: frames by number, found by their timestamps."""

import contextlib
import os
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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
from .timeline import Timeline, video_streams

__all__ = ["PLACES", "Reader", "decoded_frames", "numbered_frames", "opened"]

#: Number of recent frames that can be requested again; VapourSynth's threads run ahead of each other by a few frames.
_KEPT = 16

#: Frames that are decoded and thrown away rather than seeking.
_NEAR = 48

#: Number of frames that `samples` decodes ahead; there is no graph that would request frames early.
_AHEAD = 4

#: Places of a file that are decoded at the same time if the frames are not read sequentially.
PLACES = 8


@dataclass
class _Losses:
    """Frames that could not be decoded, or only with errors."""

    missing: set[int] = field(default_factory=set)
    corrupt: set[int] = field(default_factory=set)
    why: str = ""


class Reader:
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

    def __init__(self, reader: Reader, start: int, threads: int) -> None:
        self.lock = threading.Lock()
        self._reader = reader
        self._next = reader.timeline.keyframe_before(start) if reader.seek else 0
        self._kept: dict[int, av.VideoFrame] = {}
        self._pending: tuple[int, av.VideoFrame, str] | None = None
        self._decoded = numbered_frames(reader.path, reader.track, reader.timeline, self._next, threads)

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


def numbered_frames(
    path: Path, track: int, timeline: Timeline, start: int, threads: int
) -> Generator[tuple[int, av.VideoFrame, str]]:
    """The frames of a track from `start` on by number, each with the error that came before it."""
    with opened(path) as file:
        stream = video_streams(file)[track]
        stream.thread_type = "AUTO"
        # If FFmpeg's messages are redirected to Python's logging, a decoder thread that logs a message waits for
        # Python, while Python may wait for that thread. One thread avoids this deadlock.
        stream.codec_context.thread_count = threads if av.logging.get_level() is None else 1
        if start:
            file.seek(timeline.pts[start], stream=stream)
        for count, (frame, why) in enumerate(decoded_frames(file, stream)):
            if not timeline.timed:
                yield count, frame, why
                continue
            number = bisect_left(timeline.pts, frame.pts) if frame.pts is not None else len(timeline.pts)
            # Frames before the start of the timeline or of an edit are decoded, but not displayed.
            if number < len(timeline.pts) and timeline.pts[number] == frame.pts:
                yield number, frame, why


def decoded_frames(file: Any, stream: Any) -> Iterator[tuple[av.VideoFrame, str]]:
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


def opened(path: Path) -> Any:
    """A file opened by PyAV; closed when the block is left."""
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
