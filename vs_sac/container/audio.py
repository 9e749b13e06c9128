"""Audio of a source: which tracks are carried into the output as they are, which are transcoded, and their packets."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from ..core.choices import AudioMode
from ..core.errors import SacFileError, SacWarning
from .files import opened

__all__ = ["AudioPackets", "AudioTrack", "plan_audio"]

#: FFmpeg's muxer → name of the container.
_NAMES = {"matroska": "Matroska", "mp4": "MP4"}

#: Metadata of an audio track that is carried.
_CARRIED = ("language", "title")


@dataclass(frozen=True)
class AudioTrack:
    """An audio track of a file, and how it is carried.

    Attributes:
        path: The file.
        number: Number among the file's audio tracks, from 0.
        transcode: Whether it is transcoded to FLAC.
    """

    path: Path
    number: int
    transcode: bool = False


def plan_audio(path: Path, mode: AudioMode = AudioMode.COPY, container: str = "matroska") -> tuple[AudioTrack, ...]:
    """Decide how the audio of a file is carried, before anything is encoded.

    A track that the container cannot hold is transcoded to FLAC, and one that cannot be decoded either is left out.
    Both give a `SacWarning`.

    Args:
        path: The source.
        mode: ``copy`` as far as possible, ``flac``, or ``none``.
        container: Name of FFmpeg's muxer, ``matroska`` or ``mp4``.

    Returns:
        The tracks to carry; nothing if `path` is not a media file.
    """
    if mode is AudioMode.NONE:
        return ()
    try:
        with opened(path) as file:
            found = len(file.streams.audio)
            tracks = (AudioTrack(path, number, transcode=mode is AudioMode.FLAC) for number in range(found))
            return tuple(track for track in (_usable(file, each, container) for each in tracks) if track)
    except SacFileError:
        return ()


def _usable(file: Any, track: AudioTrack, container: str) -> AudioTrack | None:
    """A track as the container can hold it; None if there is no way."""
    stream = file.streams.audio[track.number]
    name = stream.codec_context.name if stream.codec_context else "an unknown codec"
    if not track.transcode:
        why = _refusal(stream, container)
        if not why:
            return track
        if stream.codec_context:
            warnings.warn(
                f"{_NAMES[container]} cannot hold audio track {track.number} of {track.path} ({name}: {why}); it"
                " becomes FLAC",
                SacWarning, stacklevel=4,
            )  # fmt: skip
    if stream.codec_context:
        return AudioTrack(track.path, track.number, transcode=True)
    warnings.warn(
        f"audio track {track.number} of {track.path} ({name}) can be neither copied nor decoded; it is left out",
        SacWarning, stacklevel=4,
    )  # fmt: skip
    return None


def _refusal(stream: Any, container: str) -> str:
    """Why the container cannot hold a stream; empty if it can."""
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError, RuntimeError) as error:
        return str(getattr(error, "strerror", None) or error).lower()
    return ""


class AudioPackets:
    """The packets of audio tracks for one output file.

    Args:
        tracks: The tracks, all of one file.
        out: The output file, opened by PyAV; its audio streams are added here.
        span: Only packets that begin in this time in seconds; all if None.
    """

    def __init__(self, tracks: Sequence[AudioTrack], out: Any, span: tuple[Fraction, Fraction] | None = None) -> None:
        self._tracks, self._span = tracks, span
        self._streams: list[Any] = []
        if not tracks:
            return
        # Without edit lists, as the priming that they hide would be announced as a delay of the codec. Packets that are
        # hidden are left out instead.
        with _opened(tracks[0].path, ignore_editlist="1") as file:
            for track in tracks:
                source = file.streams.audio[track.number]
                if track.transcode:
                    made = out.add_stream("flac", rate=source.rate, layout=source.layout.name, format=_depth(source))
                else:
                    made = out.add_stream_from_template(source)
                for name in _CARRIED:
                    if name in source.metadata:
                        made.metadata[name] = source.metadata[name]
                self._streams.append(made)

    def start(self) -> Fraction | None:
        """Presentation time in seconds at which the first track begins; None if there is no audio."""
        return min((time for n in range(len(self._tracks)) if (time := self._first(n)) is not None), default=None)

    def _first(self, number: int) -> Fraction | None:
        """Time of the first packet or, as it is the decoder that leaves out hidden samples, of the first sample."""
        track = self._tracks[number]
        with _opened(track.path) as file:
            source = file.streams.audio[track.number]
            found = file.decode(source) if track.transcode else _copied(file, source)
            times = (each.pts * each.time_base for each in found if each.pts is not None)
            return next((time for time in times if self._heard(time)), None)

    def _heard(self, time: Fraction) -> bool:
        return self._span is None or self._span[0] <= time < self._span[1]

    def packets(self, shift: Fraction) -> list[Iterator[tuple[Fraction, Any]]]:
        """For every track its packets, each with its time in seconds, both moved by `shift` seconds."""
        return [self._moved(n, shift) for n in range(len(self._tracks))]

    def _moved(self, number: int, shift: Fraction) -> Iterator[tuple[Fraction, Any]]:
        for time, packet in self._of(number):
            moved = round(shift / packet.time_base)
            packet.pts += moved
            packet.dts = packet.pts
            yield time + shift, packet

    def _of(self, number: int) -> Iterator[tuple[Fraction, Any]]:
        track, made = self._tracks[number], self._streams[number]
        with _opened(track.path) as file:
            source = file.streams.audio[track.number]
            if track.transcode:
                packets = _transcoded(file, source, made, self._heard)
            else:
                packets = (each for each in _copied(file, source) if self._heard(each.pts * each.time_base))
            for packet in packets:
                packet.stream = made
                yield packet.pts * packet.time_base, packet


def _copied(file: Any, source: Any) -> Iterator[Any]:
    """The packets that are heard. A packet without a time follows the one before it."""
    following = 0
    for packet in file.demux(source):
        if not packet.size or packet.is_discard:
            continue
        if packet.pts is None:
            packet.pts = following
        following = packet.pts + (packet.duration or 0)
        yield packet


def _transcoded(file: Any, source: Any, made: Any, heard: Callable[[Fraction], bool]) -> Iterator[Any]:
    """The packets of a FLAC encode; the decoder leaves out the samples that are not heard.

    A part of a recording is cut before it is encoded, because the packets of FLAC are longer than those of a source.
    """
    resampler = av.AudioResampler(format=_depth(source), layout=source.layout.name, rate=source.rate)
    tick, following = Fraction(1, source.rate), 0
    for frame in file.decode(source):
        # Some containers have no times for audio; its samples then follow each other.
        frame.pts = following if frame.pts is None else round(frame.pts * frame.time_base / tick)
        frame.time_base, following = tick, frame.pts + frame.samples
        if not heard(frame.pts * tick):
            continue
        for each in resampler.resample(frame):
            yield from made.encode(each)
    for each in resampler.resample(None):
        yield from made.encode(each)
    yield from made.encode(None)


def _depth(source: Any) -> str:
    """The sample format of FLAC for a stream: 16 bits, or 24 bits in 32 for deeper samples."""
    return "s16" if (source.format.bits if source.format else 16) <= 16 else "s32"


def _opened(path: Path, **options: str) -> Any:
    return av.open(f"file:{path}", options=options)
