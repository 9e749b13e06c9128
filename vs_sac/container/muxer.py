"""Multiplexing Matroska or MP4 by PyAV: coded video with the times it is displayed at, audio, tags, an attachment.

All times are on one clock, so audio and video keep the distance they had in the source. No program parses a name.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from ..core.errors import SacProcessError
from ..encoders.base import PictureFormat
from .audio import AudioPackets, AudioTrack
from .files import opened
from .header import described

__all__ = ["MATROSKA", "MP4", "Attachment", "Format", "Track", "constant_times", "format_of", "multiplex"]


@dataclass(frozen=True)
class Format:
    """A container format.

    Attributes:
        name: Name of FFmpeg's muxer.
        tick: Unit of the video's times in seconds.
        options: Options of the muxer.
    """

    name: str
    tick: Fraction
    options: Mapping[str, str]


MATROSKA = Format("matroska", Fraction(1, 1000), {"fflags": "+bitexact"})

#: The index comes first, so that a player can start before it has the whole file. The unit of time is that of MPEG.
MP4 = Format("mp4", Fraction(1, 90000), {"fflags": "+bitexact", "movflags": "+faststart", "strict": "experimental"})


def format_of(out: Path) -> Format:
    """The container format of a file to write, by its suffix."""
    return MP4 if out.suffix.lower() == ".mp4" else MATROSKA


@dataclass(frozen=True)
class Track:
    """A video file that becomes a track.

    Attributes:
        name: Name of the track.
        path: The video file: one video track with ascending display times, whatever they are.
        picture: Format of the picture, whose colour and HDR metadata the track states; None if the file states enough.
    """

    name: str
    path: Path
    picture: PictureFormat | None = None


@dataclass(frozen=True)
class Attachment:
    """A file inside a file."""

    name: str
    mime_type: str
    content: bytes


def constant_times(frames: int, fps: Fraction) -> list[Fraction]:
    """Display times in seconds at a constant rate from 0."""
    return [number / fps for number in range(frames)]


def multiplex(
    out: Path,
    tracks: Sequence[Track],
    times: Sequence[Fraction],
    *,
    fps: Fraction,
    audio: Sequence[AudioTrack] = (),
    tags: Mapping[str, str] | None = None,
    attachment: Attachment | None = None,
    cut_audio: bool = False,
    container: Format = MATROSKA,
) -> None:
    """Write a Matroska or MP4 file.

    The earliest track begins at 0; the others keep their distance from it. The same input gives the same bytes.

    Args:
        out: The file to write.
        tracks: The video tracks, in order.
        times: Display time of every frame in seconds, on the clock of the audio.
        fps: Nominal frame rate, for the duration of the last frame.
        audio: The audio tracks, after the video tracks.
        tags: Global tags.
        attachment: A file to attach; MP4 has no attachments.
        cut_audio: Leave out audio before the first frame and after the last one.
        container: The container format.

    Raises:
        SacProcessError: Writing failed.
    """
    try:
        with av.open(f"file:{out}", "w", format=container.name, options=dict(container.options)) as file:
            file.metadata.update(tags or {})
            streams = [_add_track(file, track, container, default=not n) for n, track in enumerate(tracks)]
            span = (times[0], times[-1] + 1 / fps) if cut_audio else None
            sound = AudioPackets(audio, file, span)
            if attachment:
                file.add_attachment(attachment.name, attachment.mime_type, attachment.content)
            file.start_encoding()
            began = sound.start()
            shift = -(times[0] if began is None else min(times[0], began))
            shown = _in_ticks(times, shift, container.tick)
            packets = [
                _retimed(track.path, made, shown, container.tick) for track, made in zip(tracks, streams, strict=True)
            ]
            for _, packet in heapq.merge(*packets, *sound.packets(shift), key=lambda pair: pair[0]):
                file.mux(packet)
    except (av.FFmpegError, ValueError, RuntimeError) as error:
        raise SacProcessError(
            f"cannot write {container.name}: {getattr(error, 'strerror', None) or error}", "mux"
        ) from error


def _add_track(file: Any, track: Track, container: Format, *, default: bool) -> Any:
    with opened(track.path) as source, described(source.streams.video[0], track.picture) as template:
        made = file.add_stream_from_template(template)
        if container is MP4:
            made.time_base = container.tick
            if source.streams.video[0].codec_context.name == "hevc":
                # Players of Apple accept only this tag, with which the parameter sets are not repeated in the stream.
                made.codec_context.codec_tag = "hvc1"
    made.metadata.update({"title": track.name, "language": "und"} if track.name else {})
    made.disposition = av.stream.Disposition.default if default else av.stream.Disposition(0)
    return made


def _in_ticks(times: Sequence[Fraction], shift: Fraction, unit: Fraction) -> list[int]:
    """Display times in the container's unit, ascending.

    Steps are rounded from the first frame on, whatever its time is.
    """
    first = round((times[0] + shift) / unit)
    ticks: list[int] = []
    for time in times:
        tick = first + round((time - times[0]) / unit)
        ticks.append(max(tick, ticks[-1] + 1) if ticks else tick)
    return ticks


def _retimed(path: Path, made: Any, shown: Sequence[int], tick: Fraction) -> Iterator[tuple[Fraction, Any]]:
    """The packets of a video file with the display times of its frames, in decoding order."""
    with opened(path) as file:
        order = [packet.pts for packet in file.demux(file.streams.video[0]) if packet.size]
    place = {pts: number for number, pts in enumerate(sorted(order))}
    # A frame is decoded no later than it is displayed.
    delay = max((shown[n] - shown[place[pts]] for n, pts in enumerate(order)), default=0)
    with opened(path) as file:
        number = 0
        for packet in file.demux(file.streams.video[0]):
            if not packet.size:
                continue
            packet.pts, packet.dts = shown[place[packet.pts]], shown[number] - delay
            packet.time_base, packet.duration = tick, 0
            packet.stream = made
            yield packet.dts * tick, packet
            number += 1
