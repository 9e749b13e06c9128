"""What a SAC file says about its own frames: tags and checksums in one attachment at its front.

Every `GROUP` coded frames of a track have a CRC-32, in the order in which they lie in the file; the decoder's setup of
the track has one of its own. So damage is found without decoding, and what lies before it is known to be whole. It
guards against faults of disks, transport and programs, not against people.
"""

import json
import zlib
from base64 import b85decode, b85encode
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av

from ..core.errors import SacFileError

__all__ = ["GROUP", "MIME_TYPE", "NAME", "Manifest", "Scan", "TrackSum", "scan"]

NAME, MIME_TYPE = "sac.json", "application/json"

#: Coded frames that share a checksum.
GROUP = 16


@dataclass(frozen=True)
class TrackSum:
    """Checksums of a track.

    Attributes:
        frames: Number of coded frames.
        setup: CRC-32 of the decoder's setup (Matroska's CodecPrivate).
        groups: CRC-32 of every `GROUP` coded frames.
    """

    frames: int
    setup: int
    groups: tuple[int, ...]

    def intact(self, found: "TrackSum") -> int:
        """How many coded frames at the front of a track are as they were, by what was found there now."""
        if found == self:
            return self.frames
        if found.setup != self.setup:
            return 0
        pairs = list(zip(self.groups, found.groups, strict=False))
        good = next((n for n, (stored, now) in enumerate(pairs) if stored != now), len(pairs))
        return min(good * GROUP, self.frames, found.frames)


@dataclass
class Scan:
    """A track as it was read.

    Attributes:
        sum: Its checksums.
        times: Presentation times in seconds, in coded order; None where there is none.
    """

    sum: TrackSum
    times: list[float | None] = field(default_factory=list)

    def shown(self, coded: int, fps: float, times: Sequence[int] = ()) -> int:
        """How many frames from the first on can be shown of the first `coded` ones, which come in another order.

        Args:
            coded: How many.
            fps: Frame rate.
            times: When each frame is shown, in milliseconds, where that is not by a constant rate.
        """
        first = min((time for time in self.times if time is not None), default=0.0)
        since = [time - first for time in self.times[:coded] if time is not None]
        # Files round to milliseconds.
        numbers = sorted(bisect_left(times, round(1000 * t) - 1) if times else round(t * fps) for t in since)
        return next((n for n, number in enumerate(numbers) if n != number), len(numbers))


@dataclass(frozen=True)
class Manifest:
    """The attachment.

    Attributes:
        tags: The file's tags. Players and tools see the Matroska ones, which may lie behind the frames and be lost
            with a file's end.
        tracks: Checksums by track name.
        times: When each frame is shown, in milliseconds from the first; empty where the rate is constant.
    """

    tags: Mapping[str, str]
    tracks: Mapping[str, TrackSum]
    times: tuple[int, ...] = ()

    def dump(self) -> bytes:
        """The attachment's bytes."""
        tracks = {
            name: [track.frames, track.setup, b85encode(b"".join(g.to_bytes(4) for g in track.groups)).decode()]
            for name, track in self.tracks.items()
        }
        content: dict[str, Any] = {"tags": dict(self.tags), "group": GROUP, "tracks": tracks}
        if self.times:
            content["times"] = list(self.times)
        return _plain({**content, "crc": zlib.crc32(_plain(content))})

    @classmethod
    def load(cls, data: bytes, path: Path) -> "Manifest":
        """Read an attachment.

        Raises:
            SacFileError: It is damaged or of another kind.
        """
        try:
            content = json.loads(data)
            stored = content.pop("crc")
            if stored != zlib.crc32(_plain(content)) or content["group"] != GROUP:
                raise ValueError
            tracks = {}
            for name, (frames, setup, packed) in content["tracks"].items():
                raw = b85decode(packed)
                groups = tuple(int.from_bytes(raw[n : n + 4]) for n in range(0, len(raw), 4))
                tracks[name] = TrackSum(int(frames), int(setup), groups)
            tags = {str(key): str(value) for key, value in content["tags"].items()}
            return cls(tags, tracks, tuple(int(time) for time in content.get("times", ())))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SacFileError(f"{path} is damaged: its attachment {NAME} cannot be read", "probe") from error


def _plain(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def scan(file: Any) -> list[Scan]:
    """Read every video track of an opened file (PyAV) to its end, or to where no more can be read.

    Returns:
        One per video track, in their order.
    """
    order = {stream.index: n for n, stream in enumerate(file.streams.video)}
    counts, crcs = [0] * len(order), [0] * len(order)
    groups: list[list[int]] = [[] for _ in order]
    times: list[list[float | None]] = [[] for _ in order]
    try:
        for packet in file.demux(list(file.streams.video)) if order else ():
            if not packet.size:
                continue
            n = order[packet.stream.index]
            crcs[n] = zlib.crc32(memoryview(packet), crcs[n])
            times[n].append(None if packet.pts is None else float(packet.pts * packet.time_base))
            counts[n] += 1
            if counts[n] % GROUP == 0:
                groups[n].append(crcs[n])
                crcs[n] = 0
    except av.FFmpegError:
        # What was read until here counts.
        pass
    for n, count in enumerate(counts):
        if count % GROUP:
            groups[n].append(crcs[n])
    # A codec that FFmpeg does not know has no context.
    contexts = [stream.codec_context for stream in file.streams.video]
    setups = [zlib.crc32((context and context.extradata) or b"") for context in contexts]
    return [Scan(TrackSum(counts[n], setups[n], tuple(groups[n])), times[n]) for n in range(len(order))]
