"""The manifest: tags and checksums of a SAC file in one attachment at the front of the file.

Each group of `GROUP` coded frames of a track has a CRC-32, in the order in which the frames are stored. The decoder
setup of each track has another CRC-32. Damage is therefore found without decoding, and the frames before the damage are
known to be intact. The checksums protect against faults of disks, transport and programs, but not against deliberate
changes.
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

#: Number of coded frames per checksum.
GROUP = 16


@dataclass(frozen=True)
class TrackSum:
    """Checksums of a track.

    Attributes:
        frames: Number of coded frames.
        setup: CRC-32 of the decoder setup (Matroska's CodecPrivate).
        groups: CRC-32 of each group of `GROUP` coded frames; the last group may be shorter.
    """

    frames: int
    setup: int
    groups: tuple[int, ...]

    def intact(self, found: "TrackSum") -> int:
        """Return the number of intact coded frames at the front of a track.

        Args:
            found: The checksums of the track as it is now.
        """
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
        sum: Checksums of the track.
        times: Presentation times in seconds, in coding order; None for a frame without a time.
    """

    sum: TrackSum
    times: list[float | None] = field(default_factory=list)

    def shown(self, coded: int, fps: float, times: Sequence[int] = ()) -> int:
        """Return how many frames, counted from the first in display order, are among the first `coded` coded frames.

        The number can be smaller than `coded`, because the coding order differs from the display order.

        Args:
            coded: Number of coded frames.
            fps: Frame rate.
            times: Display time of each frame in milliseconds, if the frame rate is not constant.
        """
        first = min((time for time in self.times if time is not None), default=0.0)
        since = [time - first for time in self.times[:coded] if time is not None]
        # Matroska rounds times to milliseconds.
        numbers = sorted(bisect_left(times, round(1000 * t) - 1) if times else round(t * fps) for t in since)
        return next((n for n, number in enumerate(numbers) if n != number), len(numbers))


@dataclass(frozen=True)
class Manifest:
    """The content of the attachment.

    Attributes:
        tags: The tags of the file. The Matroska tags, which players and tools read, may be stored after the frames, and
            are then lost if the end of the file is lost.
        tracks: Checksums by track name.
        times: Display time of each frame in milliseconds from the first frame; empty if the frame rate is constant.
    """

    tags: Mapping[str, str]
    tracks: Mapping[str, TrackSum]
    times: tuple[int, ...] = ()

    def dump(self) -> bytes:
        """Return the bytes of the attachment."""
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
        """Parse an attachment.

        Args:
            data: The bytes of the attachment.
            path: Path of the SAC file, for the error message.

        Raises:
            SacFileError: The attachment is damaged or of another kind.
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
    """Read every video track of an opened file (PyAV) until its end, or until no more can be read.

    Returns:
        One scan per video track, in the order of the tracks.
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
        # The packets that were read before the error count.
        pass
    for n, count in enumerate(counts):
        if count % GROUP:
            groups[n].append(crcs[n])
    # A codec that FFmpeg does not know has no context.
    contexts = [stream.codec_context for stream in file.streams.video]
    setups = [zlib.crc32((context and context.extradata) or b"") for context in contexts]
    return [Scan(TrackSum(counts[n], setups[n], tuple(groups[n])), times[n]) for n in range(len(order))]
