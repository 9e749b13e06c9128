"""Reading y4m (YUV4MPEG2) from a pipe: standard input, a FIFO, or a process substitution of a shell.

A pipe is read once, from its start, and its length is unknown until it ends. Its clip therefore has a nominal length
that no recording reaches. Frames after the end repeat the last one, and `Pipe.length` says how many there really are.
"""

import contextlib
import fcntl
import os
import re
import sys
import threading
import warnings
import weakref
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np
import vapoursynth as vs

from ..core.errors import SacDamageWarning, SacFileError, SacFormatError, SacValueError
from .conversion import to_encodable, warn_interlaced

__all__ = ["STDIN", "Pipe", "is_pipe", "open_pipe"]

#: Name of standard input as a source.
STDIN = "-"

#: Nominal number of frames of a pipe: 310 days at 10 frames per second.
_ENDLESS = 1 << 28

#: Number of recent frames that can be requested again; VapourSynth's threads run ahead of each other by a few frames.
_KEPT = 16

#: Wanted size of the pipe's buffer in bytes.
_PIPE_BYTES = 1 << 20

#: Longest accepted header line in bytes.
_LONGEST_LINE = 4096

_MAGIC = b"YUV4MPEG2"

#: Colour space without its bits → colour family, chroma subsampling (log2, horizontal and vertical), chroma location.
_COLOURSPACES: dict[str, tuple[Any, int, int, Any]] = {
    "420": (vs.YUV, 1, 1, None),
    "420jpeg": (vs.YUV, 1, 1, vs.CHROMA_CENTER),
    "420mpeg2": (vs.YUV, 1, 1, vs.CHROMA_LEFT),
    "420paldv": (vs.YUV, 1, 1, vs.CHROMA_TOP_LEFT),
    "422": (vs.YUV, 1, 0, None),
    "444": (vs.YUV, 0, 0, None),
    "411": (vs.YUV, 2, 0, None),
    "mono": (vs.GRAY, 0, 0, None),
}


def is_pipe(source: object) -> TypeGuard[str | Path]:
    """Whether a source is ``-`` or the path of a FIFO."""
    return str(source) == STDIN or (isinstance(source, str | Path) and Path(source).is_fifo())


@dataclass(frozen=True)
class Pipe:
    """A y4m stream that is being read.

    Attributes:
        clip: The stream as a clip of nominal length, in a format that the encoders accept.
        reader: What reads the stream.
        first: Number of the stream's frame that is frame 0 of the clip.
    """

    clip: vs.VideoNode
    reader: "_Reader"
    first: int = 0

    def length(self) -> int | None:
        """Number of frames of the clip that exist; None before the end of the stream has been seen."""
        if self.reader.end is None:
            return None
        return int(min(max(self.reader.end - self.first, 0), self.clip.num_frames))

    @property
    def total(self) -> int:
        """Number of frames to expect; 0 if it is unknown."""
        return int(self.clip.num_frames) if self.clip.num_frames < _ENDLESS - self.first else 0

    def part(self, start: float, end: float | None, frames: int | None) -> "Pipe":
        """The frames from `start` to before `end`, in seconds, but at most `frames` frames.

        Raises:
            SacValueError: The stream ends before `start`, or no frame lies between `start` and `end`.
        """
        first = _frames_before(start, self.clip.fps)
        last = _ENDLESS if end is None else _frames_before(end, self.clip.fps)
        last = last if frames is None else min(last, first + frames)
        if first >= last:
            raise SacValueError(f"there is no frame from {start:g} s to {end:g} s", "encode")
        part = replace(self, clip=self.clip[first:last], first=first)
        self.reader.read_to(first)
        if part.length() == 0:
            held = f"{self.reader.name} ends after {self.reader.end} frames"
            raise SacValueError(f"there is no frame from {start:g} s on; {held}", "encode")
        return part

    def report_damage(self) -> str:
        """Warn (`SacDamageWarning`) if the stream was truncated or damaged, and return what was found."""
        if self.reader.damage:
            warnings.warn(self.reader.damage, SacDamageWarning, stacklevel=2)
        return self.reader.damage


def _frames_before(seconds: float, fps: Fraction) -> int:
    """Number of frames that are displayed before a time."""
    return min(-int(-Fraction(repr(seconds)) * fps // 1), _ENDLESS)


def open_pipe(source: str | Path, *, fps: Fraction | None = None, strict: bool = False) -> Pipe:
    """Open a y4m stream. Opening a FIFO waits until something writes to it.

    Args:
        source: ``-`` for standard input, or the path of a FIFO such as ``/dev/fd/63``.
        fps: Frame rate that replaces that of the stream.
        strict: Whether a stream that ends within a frame is an error. Otherwise it ends before that frame, and
            `Pipe.report_damage` warns of it.

    Raises:
        SacFileError: The stream cannot be read, is not y4m, or has no frames.
        SacFormatError: The format is not accepted.
        SacValueError: Neither the stream nor `fps` gives a frame rate.
    """
    name = "standard input" if str(source) == STDIN else str(source)
    file = _opened(source, name)
    try:
        header = _Header.read(file, name)
        rate = fps or header.fps
        if not rate:
            raise SacValueError(f"{name} does not say its frame rate; give it with --fps", "encode")
    except BaseException:
        file.close()
        raise
    reader = _Reader(file, name, header, strict)
    blank = vs.core.std.BlankClip(
        width=header.width, height=header.height, format=header.format.id, length=_ENDLESS, keep=True,
        fpsnum=rate.numerator, fpsden=rate.denominator,
    )  # fmt: skip
    clip = blank.std.ModifyFrame(blank, reader.frame).std.SetFrameProps(**header.props)
    if header.interlaced:
        warn_interlaced(name)
    # The first frame is read here, because errors are clearer outside of the graph.
    reader.read_to(0)
    if reader.end == 0:
        raise SacFileError(reader.damage or f"{name} has no frames", "encode")
    return Pipe(to_encodable(clip), reader)


def _opened(source: str | Path, name: str) -> BinaryIO:
    """The stream, opened for reading."""
    try:
        if str(source) != STDIN:
            file: BinaryIO = Path(source).open("rb")  # noqa: SIM115
        elif sys.stdin is None:
            raise SacFileError("standard input is closed; pipe y4m into it", "encode")
        elif os.isatty(0):
            raise SacFileError("standard input is a terminal; pipe y4m into it", "encode")
        else:
            file = open(0, "rb", closefd=False)  # noqa: SIM115
    except SacFileError:
        raise
    except OSError as error:
        raise SacFileError(f"cannot read {name}: {error.strerror}", "encode") from error
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(file.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return file


@dataclass(frozen=True, kw_only=True)
class _Header:
    """The stream header.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        fps: Frame rate; None if it is unknown.
        format: Format of the frames.
        props: Frame properties.
        interlaced: Whether the frames are interlaced.
    """

    width: int
    height: int
    fps: Fraction | None
    format: Any
    props: dict[str, int]
    interlaced: bool

    @classmethod
    def read(cls, file: BinaryIO, name: str) -> "_Header":
        """Read the header of a stream; errors are those of `open_pipe`."""
        line = file.readline(_LONGEST_LINE)
        if not line:
            raise SacFileError(f"{name} is empty; accepted: a y4m stream", "encode")
        if not line.startswith(_MAGIC + b" ") or not line.endswith(b"\n"):
            hint = "pipe it through: ffmpeg -i - -f yuv4mpegpipe -strict -1 -"
            raise SacFileError(f"{name} is not y4m, as it begins with {line[:10]!r}; {hint}", "encode")
        words = line.decode("ascii", errors="replace").split()[1:]
        fields = {word[0]: word[1:] for word in words if word[0] != "X"}
        further = {word[1:].partition("=")[0]: word.partition("=")[2] for word in words if word[0] == "X"}
        try:
            width, height = int(fields["W"]), int(fields["H"])
            fps, aspect = _ratio(fields.get("F", "0:0")), _ratio(fields.get("A", "0:0"))
        except (KeyError, ValueError):
            raise SacFileError(f"the y4m header of {name} cannot be read: {line[:100]!r}", "encode") from None
        fmt, chroma = _format(fields.get("C", "420jpeg"), name)
        if not (0 < width < 1 << 16 and 0 < height < 1 << 16):
            raise SacFormatError(f"the y4m header of {name} says {width}x{height} pixels", "encode")
        if width % (1 << fmt.subsampling_w) or height % (1 << fmt.subsampling_h):
            message = f"{name} is {width}x{height}; accepted with {fmt.name}: even sides"
            raise SacFormatError(message, "encode")
        props = {"_Range": int(further.get("COLORRANGE", "").upper() == "FULL")}
        props |= {} if chroma is None else {"_ChromaLocation": int(chroma)}
        props |= {"_SARNum": aspect.numerator, "_SARDen": aspect.denominator} if aspect else {}
        return cls(width=width, height=height, fps=fps, format=fmt, props=props,
                   interlaced=fields.get("I", "p") in ("t", "b", "m"))  # fmt: skip


def _ratio(text: str) -> Fraction | None:
    """Two numbers with a colon between them; None if one of them is 0, which stands for an unknown ratio."""
    top, _, bottom = text.partition(":")
    return Fraction(int(top), int(bottom)) if int(top) > 0 and int(bottom) > 0 else None


def _format(text: str, name: str) -> tuple[Any, Any]:
    """The format of a colour space such as ``420p10``, and its chroma location."""
    match = re.fullmatch(r"(mono|4\d\d)(?:p?(\d+))|(.+)", text)
    base, bits = (match[1], int(match[2])) if match and match[1] else (text, 8)
    if base not in _COLOURSPACES or not 8 <= bits <= 16:
        accepted = "420, 422, 444, 411 and mono, with 8 to 16 bits"
        raise SacFormatError(f"{name} has the y4m colour space {text!r}; accepted: {accepted}", "encode")
    family, horizontal, vertical, chroma = _COLOURSPACES[base]
    return vs.core.query_video_format(family, vs.INTEGER, bits, horizontal, vertical), chroma


class _Reader:
    """Reads the frames of a stream in order, and keeps the most recent ones.

    Attributes:
        name: Name of the stream for messages.
        end: Number of frames of the stream; None before its end.
        damage: Why the stream ended early; empty if it did not.
    """

    def __init__(self, file: BinaryIO, name: str, header: _Header, strict: bool) -> None:
        self.name, self.damage = name, ""
        self.end: int | None = None
        self._file, self._header, self._strict = file, header, strict
        # A stream that is not read to its end is closed with its last clip.
        weakref.finalize(self, file.close)
        fmt = header.format
        sample = np.dtype(np.uint8 if fmt.bits_per_sample == 8 else "<u2")
        chroma = (header.height >> fmt.subsampling_h, header.width >> fmt.subsampling_w)
        self._shapes = [(header.height, header.width), *[chroma] * (fmt.num_planes - 1)]
        self._sample = sample
        self._buffer = bytearray(sum(rows * columns for rows, columns in self._shapes) * sample.itemsize)
        self._kept: dict[int, vs.VideoFrame] = {}
        self._next = 0
        self._lock = threading.Lock()

    def frame(self, n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        """Return frame `n`; a callback of `std.ModifyFrame`."""
        self.read_to(n)
        number = n if self.end is None else min(n, self.end - 1)
        found = self._kept.get(number)
        if found is None:
            raise SacFileError(f"frame {n} of {self.name} has been read and dropped; a pipe is read once", "encode")
        return found

    def read_to(self, n: int) -> None:
        """Read until frame `n` or the end.

        Raises:
            SacFileError: The stream is damaged, and the reader is strict.
        """
        with self._lock:
            while self._next <= n and self.end is None:
                if why := self._read_one():
                    self.damage = f"{self.name} is damaged: {why}; {self._next} frames come before that"
        if self.damage and self._strict:
            raise SacFileError(f"{self.damage}; without --strict they are coded", "encode")

    def _read_one(self) -> str:
        """Read a frame or find the end. Returns what is wrong with the frame; empty if nothing is."""
        number = self._next
        try:
            line = self._file.readline(_LONGEST_LINE)
            got = self._fill(self._buffer) if line.startswith(b"FRAME") and line.endswith(b"\n") else 0
        except OSError as error:
            self.end = number
            return f"reading stopped in frame {number} ({error.strerror})"
        if got == len(self._buffer):
            self._keep(number)
            return ""
        self.end = number
        if not line:
            return ""
        if got or line == b"FRAME\n" or b"FRAME\n".startswith(line):
            return f"it ends within frame {number}, after {got} of {len(self._buffer)} bytes"
        return f"frame {number} begins with {line[:10]!r} instead of FRAME"

    def _fill(self, buffer: bytearray) -> int:
        """Read bytes until a buffer is full or the stream ends; returns their number."""
        view, done = memoryview(buffer), 0
        while done < len(buffer):
            count = self._file.readinto(view[done:])  # type: ignore[attr-defined]
            if not count:
                break
            done += count
        return done

    def _keep(self, number: int) -> None:
        header, place = self._header, 0
        frame = vs.core.create_video_frame(header.format, header.width, header.height)
        for plane, shape in enumerate(self._shapes):
            size = shape[0] * shape[1]
            samples = np.frombuffer(self._buffer, self._sample, size, place)
            np.copyto(np.asarray(frame[plane]), samples.reshape(shape))
            place += size * self._sample.itemsize
        self._kept[number], self._next = frame, number + 1
        self._kept.pop(number - _KEPT, None)
