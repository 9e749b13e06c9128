"""The description of a SAC file in its tracks and tags.

With two streams, the tracks are ROI, non-ROI and mask. With a single stream, they are video and mask.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from ..core.choices import Fill, Mode
from .files import opened
from .manifest import TrackSum

__all__ = ["FASTEST", "MASK_TRACK", "NON_ROI_TRACK", "NO_FILL", "ROI_TRACK", "SLOWEST", "TRACKS", "VERSION",
           "VIDEO_TRACK", "RateGoal", "SacInfo"]  # fmt: skip

VERSION = "1"
ROI_TRACK, NON_ROI_TRACK, VIDEO_TRACK, MASK_TRACK = "ROI", "non-ROI", "video", "mask"

#: Names of the tracks of a file by mode, in order.
TRACKS = {
    Mode.TWO_STREAM: (ROI_TRACK, NON_ROI_TRACK, MASK_TRACK),
    Mode.SINGLE_STREAM: (VIDEO_TRACK, MASK_TRACK),
}

#: Largest side in pixels, and range of frame rates, that a file may claim.
LARGEST_SIDE = 1 << 15
SLOWEST, FASTEST = Fraction(1, 86400), Fraction(1000)

#: Value of the tag SAC_FILL in a file without a masked-out part.
NO_FILL = "none"


@dataclass(frozen=True)
class RateGoal:
    """The requested size of a file, without its audio.

    Attributes:
        bytes: Requested size in bytes.
        match_crf: CRF of the uniform encode whose size was requested; None if a bitrate was requested.
        kbps: Requested bitrate in kbit/s; None if the size of a uniform encode was requested.
    """

    bytes: int
    match_crf: float | None = None
    kbps: float | None = None

    def tags(self) -> dict[str, str]:
        """Return the Matroska tags."""
        named = {"SAC_MATCH_CRF": self.match_crf, "SAC_TARGET_KBPS": self.kbps}
        return {name: f"{value:g}" for name, value in named.items() if value is not None} | {
            "SAC_TARGET_BYTES": str(self.bytes)
        }

    @classmethod
    def read(cls, tags: Mapping[str, str]) -> "RateGoal | None":
        """Read the requested size from tags; None if the tags do not contain one.

        Raises:
            ValueError: A tag is not a number.
        """
        if "SAC_TARGET_BYTES" not in tags:
            return None
        crf, kbps = (float(tags[name]) if name in tags else None for name in ("SAC_MATCH_CRF", "SAC_TARGET_KBPS"))
        return cls(int(tags["SAC_TARGET_BYTES"]), crf, kbps)


@dataclass(frozen=True, kw_only=True)
class SacInfo:
    """The description of a SAC file.

    Attributes:
        path: The file.
        version: Version of the file format.
        mode: Method of ROI coding.
        block: Side of a macroblock in pixels.
        width: Width of the coded picture in pixels.
        height: Height of the coded picture in pixels.
        codec: Codec of the encoded tracks.
        crf_roi: CRF of the ROI.
        crf_non_roi: CRF of the non-ROI.
        fill: Fill of the masked-out parts; None for a single stream, which has none.
        model: Name of the model, or of the source of the masks.
        fps: Frame rate.
        frames: Number of frames.
        goal: Requested size; None if the CRFs were given.
        non_roi_scale: Divisor of the sides of the non-ROI, 1 or 2.
        map: Where the QP offsets come from: ``tiers``, ``task`` or ``clip``; None if they follow the two CRFs.
        source_size: Width and height of the source in pixels; None if it was coded at its own size.
        tracks: Track name → number among the file's video tracks.
        audio: Number of audio tracks.
        sums: Checksums by track name; empty if the file has lost them.
        times: Display time of each frame in milliseconds from the first frame; empty if the frame rate is constant.
    """

    path: Path
    version: str
    mode: Mode
    block: int
    width: int
    height: int
    codec: str
    crf_roi: float
    crf_non_roi: float
    fill: Fill | None
    model: str
    fps: Fraction
    frames: int
    goal: RateGoal | None = None
    non_roi_scale: int = 1
    map: str | None = None
    source_size: tuple[int, int] | None = None
    tracks: Mapping[str, int] = field(default_factory=dict)
    audio: int = 0
    sums: Mapping[str, TrackSum] = field(default_factory=dict)
    times: tuple[int, ...] = ()

    def tags(self) -> dict[str, str]:
        """Return the Matroska tags."""
        names = ("SAC_SOURCE_WIDTH", "SAC_SOURCE_HEIGHT")
        return {
            "SAC_VERSION": self.version,
            "SAC_MODE": self.mode.value,
            "SAC_BLOCK": str(self.block),
            "SAC_WIDTH": str(self.width),
            "SAC_HEIGHT": str(self.height),
            "SAC_CODEC": self.codec,
            "SAC_CRF_ROI": f"{self.crf_roi:g}",
            "SAC_CRF_NON_ROI": f"{self.crf_non_roi:g}",
            "SAC_FILL": self.fill.value if self.fill else NO_FILL,
            # File names may contain characters that are not valid in text or XML.
            "SAC_MODEL": "".join(letter if letter.isprintable() else "?" for letter in self.model),
            "SAC_FPS": f"{self.fps.numerator}/{self.fps.denominator}",
            "SAC_FRAMES": str(self.frames),
            # Left out if readers that do not know these tags read the file correctly.
            **({"SAC_NON_ROI_SCALE": str(self.non_roi_scale)} if self.non_roi_scale != 1 else {}),
            **({"SAC_MAP": self.map} if self.map else {}),
            **dict(zip(names, map(str, self.source_size), strict=True) if self.source_size else ()),
            **(self.goal.tags() if self.goal else {}),
        }

    def track_bytes(self) -> dict[str, int]:
        """Return sizes in bytes: coded frames by track name, all audio (``audio``) and the whole file (``file``)."""
        sizes = dict.fromkeys([*self.tracks, "audio"], 0)
        by_number = {number: name for name, number in self.tracks.items()}
        with opened(self.path) as file:
            names = {stream.index: by_number.get(i, "") for i, stream in enumerate(file.streams.video)}
            for packet in file.demux():
                name = names.get(packet.stream.index, "audio")
                sizes[name or "audio"] += packet.size or 0
        return {**sizes, "file": self.path.stat().st_size}
