"""When the frames of a video track are displayed, on the demuxer's clock.

FFmpeg's demuxers apply edit lists, start times, negative timestamps and B-frame delay. A timeline therefore has the
presentation times that ffmpeg shows. Every part of the package that needs a time or a frame rate takes it from here.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

__all__ = ["Timeline", "read_timeline", "video_streams"]

#: Largest distance in seconds from a constant rate at which the rate counts as constant: the resolution of Matroska.
_TOLERANCE = Fraction(1, 1000)

#: Frame rate of a raw stream that does not contain one, as in ffmpeg.
_RAW_RATE = Fraction(25)

#: Demuxers of raw streams, which have no timestamps; FFmpeg assumes 25 frames per second for them.
_RAW_FORMATS = {"h264", "hevc", "m4v", "obu", "mjpeg", "mpegvideo"}


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The displayed frames of a video track.

    Attributes:
        pts: Presentation time of every frame, ascending, in units of `time_base`; the first frame of a file need not be
            at 0.
        time_base: Unit of `pts` in seconds.
        fps: The frame rate if it is constant, else the mean frame rate.
        constant: Whether every frame is within 1 ms of the constant rate `fps`.
        keyframes: Indices of the frames from which decoding can start, ascending.
        timed: Whether the file has a timestamp for every frame; raw streams have none.
        damage: Why frames at the end are missing; empty if none are known to be missing.
    """

    pts: tuple[int, ...]
    time_base: Fraction
    fps: Fraction
    constant: bool
    keyframes: tuple[int, ...]
    timed: bool = True
    damage: str = ""

    @property
    def start(self) -> Fraction:
        """Presentation time of the first frame in seconds."""
        return self.pts[0] * self.time_base

    def seconds(self) -> list[Fraction]:
        """Presentation time of every frame in seconds; at a constant rate, exact multiples of the frame duration."""
        if self.constant:
            return [self.start + number / self.fps for number in range(len(self.pts))]
        return [pts * self.time_base for pts in self.pts]

    def milliseconds(self) -> tuple[int, ...]:
        """Time of every frame in milliseconds from the first; empty if the frame rate is constant."""
        return () if self.constant else tuple(round(1000 * (time - self.start)) for time in self.seconds())

    def keyframe_before(self, number: int) -> int:
        """The last frame at or before `number` from which decoding can start."""
        place = bisect_right(self.keyframes, number)
        return self.keyframes[place - 1] if place else 0

    def part(self, start: int, stop: int) -> "Timeline":
        """The timeline of the frames from `start` to before `stop`; it keeps their times."""
        inside = tuple(key - start for key in self.keyframes if start <= key < stop)
        return replace(self, pts=self.pts[start:stop], keyframes=inside)

    def at_rate(self, fps: Fraction) -> "Timeline":
        """The same frames at a constant rate, from the same start."""
        tick = 1 / fps
        first = round(self.start / tick)
        return replace(self, pts=tuple(range(first, first + len(self.pts))), time_base=tick, fps=fps, constant=True)


def video_streams(file: Any) -> list[Any]:
    """The video tracks of a file opened by PyAV; pictures such as cover art do not count."""
    return [s for s in file.streams.video if not s.disposition & av.stream.Disposition.attached_pic]


def read_timeline(file: Any, track: int, *, rate: Fraction | None = None, first: int | None = None) -> Timeline | None:
    """Read the packets of a video track, without decoding them.

    Args:
        file: File opened by PyAV, at its start.
        track: Number of the video track, from 0.
        rate: Frame rate that the codec states, which a decoded frame reveals; for raw streams.
        first: Timestamp of the first frame that the decoder outputs. Frames before it cannot be decoded, as after a
            cut in an open group of pictures.

    Returns:
        The timeline; None if the track has no frames.
    """
    stream = video_streams(file)[track]
    shown: list[tuple[int, bool]] = []
    untimed, read, damage = 0, 0, ""
    try:
        for packet in file.demux(stream):
            if not packet.size:
                continue
            read += 1
            # Packets that an edit list cuts off are decoded but not displayed.
            if packet.is_discard:
                continue
            if packet.pts is None:
                untimed += 1
            else:
                shown.append((packet.pts, packet.is_keyframe))
    except (av.FFmpegError, OSError) as error:
        damage = f"reading stopped: {getattr(error, 'strerror', None) or error}"
    # Only MP4 and MOV list every frame; the count in the header of an AVI file is not reliable.
    if not damage and file.format.name.startswith("mov") and stream.frames > read:
        damage = f"the file is truncated: it lists {stream.frames} frames and contains {read}"
    if not damage and file.format.name.startswith("matroska") and (lacking := _lacking_bytes(file.name)):
        damage = f"the file is truncated: {lacking} bytes are missing at its end"
    if untimed and shown and file.format.name.startswith("matroska"):
        # A time before 0, which Matroska cannot state: pictures before a cut in an open group, which are not displayed.
        untimed = 0
    # AVI has no display times; FFmpeg gives the decoding order's, which B-frames make another order.
    if untimed or (file.format.name == "avi" and stream.codec_context.has_b_frames):
        return _untimed(len(shown) + untimed, stream, file.format.name, rate, damage)
    shown.sort()
    if first is not None:
        shown = [entry for entry in shown if entry[0] >= first]
    if not shown:
        return None
    pts = tuple(time for time, _ in shown)
    keyframes = tuple(number for number, (_, key) in enumerate(shown) if key)
    known = [stream.guessed_rate, stream.average_rate, stream.base_rate, rate]
    fps, constant = _rate(pts, stream.time_base, [Fraction(value) for value in known if value])
    return Timeline(pts=pts, time_base=stream.time_base, fps=fps, constant=constant, keyframes=keyframes, damage=damage)


def _lacking_bytes(name: str) -> int:
    """Bytes that a Matroska file lacks at its end by its segment's size (RFC 8794, RFC 9559); 0 if that is unknown."""
    path = Path(name.removeprefix("file:"))
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        place = 0
        # The EBML header, then the segment.
        for _ in range(2):
            file.seek(place)
            head = file.read(12)
            if len(head) < 12 or not head[4]:
                return 0
            length = 9 - head[4].bit_length()
            size = int.from_bytes(head[4 : 4 + length]) & ((1 << 7 * length) - 1)
            if size == (1 << 7 * length) - 1:
                # A size of all ones is unknown, as in live streams.
                return 0
            place += 4 + length + size
        return max(0, int(place - path.stat().st_size))


def _untimed(frames: int, stream: Any, format_name: str, rate: Fraction | None, damage: str) -> Timeline:
    """The timeline of a stream without timestamps: a constant rate from 0."""
    raw = format_name in _RAW_FORMATS
    fps = (rate if raw else None) or (None if raw else stream.average_rate) or _RAW_RATE
    return Timeline(pts=tuple(range(frames)), time_base=1 / fps, fps=fps, constant=True, keyframes=(0,), timed=False,
                    damage=damage)  # fmt: skip


def _rate(pts: Sequence[int], time_base: Fraction, known: Sequence[Fraction]) -> tuple[Fraction, bool]:
    """The constant frame rate that fits every time, or the mean rate; and whether it is constant."""
    span = (pts[-1] - pts[0]) * time_base
    if not span:
        return (known[0] if known else _RAW_RATE), len(pts) == 1
    mean = (len(pts) - 1) / span
    nominal = [Fraction(round(mean * 1001), 1001), Fraction(round(mean)) if mean >= 1 else mean]
    tolerance = max(_TOLERANCE, time_base)
    for fps in dict.fromkeys([*known, *nominal, mean.limit_denominator(1001)]):
        if fps > 0 and _fits(pts, time_base, fps, tolerance):
            return fps, True
    return mean.limit_denominator(1001), False


def _fits(pts: Sequence[int], time_base: Fraction, fps: Fraction, tolerance: Fraction) -> bool:
    # In integers: fractions are slow, and a recording of an hour has 100,000 frames.
    first, scale, most = pts[0], time_base * fps, tolerance * fps
    top, bottom = scale.numerator, scale.denominator
    limit = most.numerator * bottom
    return all(
        abs((time - first) * top - number * bottom) * most.denominator <= limit for number, time in enumerate(pts)
    )
