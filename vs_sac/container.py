"""The SAC file: Matroska with coded tracks and the mask, and tags that say how to put them together.

Two streams are the tracks ROI and non-ROI, a single stream is the track video.
"""

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import vapoursynth as vs

from .errors import SacDamageError, SacFileError, SacFormatError, SacWarning
from .half_size import SCALES, enlarge, half_size
from .manifest import NAME, Manifest, TrackSum, scan
from .masks import BLOCK, expand_grid, grid_size
from .outputs import check_name
from .source import open_raw
from .streams import merge
from .types import Fill, Mode

__all__ = ["FASTEST", "MASK_TRACK", "NON_ROI_TRACK", "ROI_TRACK", "SLOWEST", "TRACKS", "VIDEO_TRACK", "RateGoal",
           "SacInfo", "TrackState", "open_mask_grid", "open_sac", "opened", "probe", "shown_times",
           "verify"]  # fmt: skip

VERSION = "1"
ROI_TRACK, NON_ROI_TRACK, VIDEO_TRACK, MASK_TRACK = "ROI", "non-ROI", "video", "mask"

#: The tracks of a file, in order.
TRACKS = {
    Mode.TWO_STREAM: (ROI_TRACK, NON_ROI_TRACK, MASK_TRACK),
    Mode.SINGLE_STREAM: (VIDEO_TRACK, MASK_TRACK),
}

#: Largest side, and rates, that are believed.
_LARGEST = 1 << 15
SLOWEST, FASTEST = Fraction(1, 86400), Fraction(1000)

#: Tag of a file in which nothing is masked out.
_NO_FILL = "none"


@dataclass(frozen=True)
class RateGoal:
    """What a file was meant to weigh, its audio left out.

    Attributes:
        bytes: Bytes wanted.
        match_crf: CRF of the uniform encode that weighs as much; None where a bitrate was asked for.
        kbps: Bitrate asked for, in kbit/s.
    """

    bytes: int
    match_crf: float | None = None
    kbps: float | None = None

    def tags(self) -> dict[str, str]:
        """The Matroska tags."""
        named = {"SAC_MATCH_CRF": self.match_crf, "SAC_TARGET_KBPS": self.kbps}
        return {name: f"{value:g}" for name, value in named.items() if value is not None} | {
            "SAC_TARGET_BYTES": str(self.bytes)
        }

    @classmethod
    def read(cls, tags: Mapping[str, str]) -> "RateGoal | None":
        """The goal that tags speak of.

        Raises:
            ValueError: A tag that is no number.
        """
        if "SAC_TARGET_BYTES" not in tags:
            return None
        crf, kbps = (float(tags[name]) if name in tags else None for name in ("SAC_MATCH_CRF", "SAC_TARGET_KBPS"))
        return cls(int(tags["SAC_TARGET_BYTES"]), crf, kbps)


@dataclass(frozen=True, kw_only=True)
class SacInfo:
    """What a SAC file says about itself.

    Attributes:
        path: The file.
        version: Version of the layout.
        mode: How it was coded.
        block: Side of a macroblock in pixels.
        width: Width of the picture.
        height: Height of the picture.
        codec: Codec of the coded tracks.
        crf_roi: CRF of the ROI.
        crf_non_roi: CRF of the non-ROI.
        fill: Fill of the masked-out parts; None for a single stream, which has none.
        model: Name of the model, or of the mask source.
        fps: Frame rate.
        frames: Number of frames.
        goal: What it was meant to weigh; None where the CRFs were given.
        non_roi_scale: What the sides of the non-ROI were divided by, 1 or 2.
        tracks: Track name → number among the file's video tracks.
        audio: Number of audio tracks.
        sums: Checksums by track name; empty in a file that has lost them.
        times: When each frame is shown, in milliseconds from the first; empty where the rate is constant.
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
    tracks: Mapping[str, int] = field(default_factory=dict)
    audio: int = 0
    sums: Mapping[str, TrackSum] = field(default_factory=dict)
    times: tuple[int, ...] = ()

    def tags(self) -> dict[str, str]:
        """The Matroska tags."""
        return {
            "SAC_VERSION": self.version,
            "SAC_MODE": self.mode.value,
            "SAC_BLOCK": str(self.block),
            "SAC_WIDTH": str(self.width),
            "SAC_HEIGHT": str(self.height),
            "SAC_CODEC": self.codec,
            "SAC_CRF_ROI": f"{self.crf_roi:g}",
            "SAC_CRF_NON_ROI": f"{self.crf_non_roi:g}",
            "SAC_FILL": self.fill.value if self.fill else _NO_FILL,
            # Names of files may hold what text and XML cannot.
            "SAC_MODEL": "".join(letter if letter.isprintable() else "?" for letter in self.model),
            "SAC_FPS": f"{self.fps.numerator}/{self.fps.denominator}",
            "SAC_FRAMES": str(self.frames),
            # Left out where readers without it read the file right.
            **({"SAC_NON_ROI_SCALE": str(self.non_roi_scale)} if self.non_roi_scale != 1 else {}),
            **(self.goal.tags() if self.goal else {}),
        }

    def track_bytes(self) -> dict[str, int]:
        """Bytes of the coded frames by track name, of all audio, and of the whole file (``file``)."""
        sizes = dict.fromkeys([*self.tracks, "audio"], 0)
        by_number = {number: name for name, number in self.tracks.items()}
        with opened(self.path) as file:
            names = {stream.index: by_number.get(i, "") for i, stream in enumerate(file.streams.video)}
            for packet in file.demux():
                name = names.get(packet.stream.index, "audio")
                sizes[name or "audio"] += packet.size or 0
        return {**sizes, "file": self.path.stat().st_size}


def has_audio(path: Path) -> bool:
    """Whether a file has an audio track; False for what is no media file."""
    try:
        with opened(path) as file:
            return bool(file.streams.audio)
    except SacFileError:
        return False


def shown_times(path: Path, frames: int, fps: Fraction) -> tuple[int, ...]:
    """When the frames of a video are shown, where that is not by a constant rate.

    Args:
        path: The video.
        frames: How many it has.
        fps: Their rate.

    Returns:
        Milliseconds from the first frame on; nothing where no frame is half a frame or more away from a constant rate,
        and where the file does not have a time for every frame.
    """
    try:
        with opened(path) as file:
            stream = file.streams.video[0]
            found = sorted(float(p.pts * p.time_base) for p in file.demux(stream) if p.size and p.pts is not None)
    except (SacFileError, IndexError, av.FFmpegError):
        return ()
    if len(found) != frames or all(abs((t - found[0]) * fps - n) < 0.5 for n, t in enumerate(found)):
        return ()
    return tuple(round(1000 * (time - found[0])) for time in found)


def is_sac(path: Path) -> bool:
    """Whether a file is a SAC file."""
    try:
        with opened(path) as file:
            return "SAC_VERSION" in _upper(file.metadata) or _attached(file) is not None
    except SacFileError:
        return False


def probe(path: str | Path, *, allow_missing: bool = False) -> SacInfo:
    """Read what a SAC file says about itself.

    Args:
        path: The file.
        allow_missing: Accept a file that lacks tracks or its checksums.

    Raises:
        SacFileError: It is missing, no SAC file, of a later version, lacks a track, a tag or its checksums, or
            contradicts itself.
    """
    path = Path(path)
    with opened(path) as file:
        tags = {key: value for key, value in _upper(file.metadata).items() if key.startswith("SAC_")}
        names = [_upper(stream.metadata).get("TITLE", "") for stream in file.streams.video]
        audio = len(file.streams.audio)
        attached = _attached(file)
    manifest = _manifest(attached, path, allow_missing)
    if manifest:
        # Where the end of the file is lost, so may be the tags.
        lies = [key for key, value in tags.items() if manifest.tags.get(key) != value]
        if lies:
            raise SacFileError(f"the tag {lies[0]} of {path} is not what was written ({tags[lies[0]]!r})", "probe")
        tags = dict(manifest.tags)
    if "SAC_VERSION" not in tags:
        raise SacFileError(f"{path} is no SAC file (it has no tag SAC_VERSION)", "probe")
    if tags["SAC_VERSION"] != VERSION:
        raise SacFileError(f"{path} has version {tags['SAC_VERSION']}; this release reads {VERSION}", "probe")
    try:
        info = SacInfo(
            path=path,
            version=tags["SAC_VERSION"],
            mode=Mode(tags["SAC_MODE"]),
            block=int(tags["SAC_BLOCK"]),
            width=int(tags["SAC_WIDTH"]),
            height=int(tags["SAC_HEIGHT"]),
            codec=tags["SAC_CODEC"],
            crf_roi=float(tags["SAC_CRF_ROI"]),
            crf_non_roi=float(tags["SAC_CRF_NON_ROI"]),
            fill=Fill(tags["SAC_FILL"]) if tags["SAC_FILL"] != _NO_FILL else None,
            model=tags["SAC_MODEL"],
            fps=Fraction(tags["SAC_FPS"]),
            frames=int(tags["SAC_FRAMES"]),
            goal=RateGoal.read(tags),
            non_roi_scale=int(tags.get("SAC_NON_ROI_SCALE", "1")),
            tracks={name: number for number, name in enumerate(names) if name},
            audio=audio,
            sums=manifest.tracks if manifest else {},
            times=manifest.times if manifest else (),
        )
    except KeyError as error:
        raise SacFileError(f"{path} lacks the tag {error.args[0]}", "probe") from None
    except (ValueError, ZeroDivisionError) as error:
        raise SacFileError(f"{path} has a tag that cannot be read: {error}", "probe") from None
    if (
        info.block != BLOCK
        or info.non_roi_scale not in (SCALES if info.mode is Mode.TWO_STREAM else (1,))
        or not (BLOCK <= info.width <= _LARGEST and BLOCK <= info.height <= _LARGEST)
        or not (SLOWEST <= info.fps <= FASTEST and 0 < info.frames < 2**31)
    ):
        what = f"{info.frames} frames of {info.width}x{info.height} at {info.fps} fps in blocks of {info.block}"
        what += f" and a non-ROI of 1/{info.non_roi_scale} of the size" if info.non_roi_scale != 1 else ""
        raise SacFileError(f"{path} claims {what}, which no SAC file holds", "probe")
    missing = [name for name in TRACKS[info.mode] if name not in info.tracks]
    if missing and not allow_missing:
        raise SacFileError(f"{path} lacks the track {', '.join(missing)}", "probe")
    if manifest is None and not allow_missing:
        raise SacFileError(f"{path} has lost its checksums, the attachment {NAME}; --allow-missing reads it", "probe")
    return info


def _manifest(attached: bytes | None, path: Path, allow_missing: bool) -> Manifest | None:
    try:
        return Manifest.load(attached, path) if attached is not None else None
    except SacFileError:
        if allow_missing:
            return None
        raise


@dataclass(frozen=True)
class TrackState:
    """How a track has kept.

    Attributes:
        name: The track.
        frames: How many frames from the first on can be shown as they were coded.
        damage: What is wrong; empty if nothing is.
    """

    name: str
    frames: int
    damage: str = ""


def verify(info: SacInfo) -> list[TrackState]:
    """Compare the coded frames of every track with their checksums, without decoding.

    Of a file that has lost them only the number of frames is compared.

    Returns:
        One per track that the file's mode has, in order.
    """
    with opened(info.path) as file:
        scans = scan(file)
    states = []
    for name in TRACKS[info.mode]:
        if name not in info.tracks:
            states.append(TrackState(name, 0, f"the track {name} of {info.path} is missing"))
            continue
        found, stored = scans[info.tracks[name]], info.sums.get(name)
        coded = stored.intact(found.sum) if stored else min(found.sum.frames, info.frames)
        if coded == info.frames == found.sum.frames:
            states.append(TrackState(name, info.frames))
        else:
            shown = min(found.shown(coded, float(info.fps), info.times), info.frames)
            damage = f"the track {name} of {info.path} is damaged from frame {shown} of {info.frames} on"
            states.append(TrackState(name, shown, damage))
    return states


def open_sac(
    path: str | Path, *, frames: int | None = None, allow_missing: bool = False, in_order: bool = False
) -> vs.VideoNode:
    """Open a SAC file as the reconstructed clip: of two streams, every block from the one it belongs to.

    Args:
        path: The file.
        frames: Open this many frames from the first on and ask nothing of the rest, as after a `SacDamageError`.
        allow_missing: Where one of two coded streams is lost or damaged, mid-grey stands in its blocks from there on;
            where the checksums are lost, frames are taken as they come. Each is a `SacWarning`.
        in_order: See `source.open_clip`.

    Returns:
        Clip with the source's size, format, length, frame rate and colour properties.

    Raises:
        SacDamageError: A track lacks frames or has others than were written.
        SacFileError: It is no SAC file, or its tracks do not fit together.
    """
    info = probe(path, allow_missing=allow_missing)
    states = {state.name: state for state in verify(info)}
    coded = [states[name] for name in TRACKS[info.mode] if name != MASK_TRACK]
    length = _length(list(states.values()), coded, allow_missing)
    if length < (info.frames if frames is None else frames):
        worst = min(states.values(), key=lambda state: state.frames)
        raise SacDamageError(worst.damage, "open_sac", frames=length)
    if not info.sums:
        warnings.warn(f"{path} has lost its checksums; frames are taken as they come", SacWarning, stacklevel=2)
    for state in states.values() if allow_missing else ():
        if state.damage:
            warnings.warn(state.damage, SacWarning, stacklevel=2)
    length = info.frames if frames is None else frames
    clips = [
        _open_track(info, state.name, min(state.frames, length), in_order) if state.frames else None for state in coded
    ]
    like = next(clip for clip in clips if clip)
    sizes = [_track_size(info, state.name, like) for state in coded]
    for clip, (width, height) in zip(clips, sizes, strict=True):
        if clip and (clip.width, clip.height) != (width, height):
            raise SacFileError(f"{path} says {width}x{height}, a track is {clip.width}x{clip.height}", "open_sac")
    first, *others = (_filled(clip, like, size, length) for clip, size in zip(clips, sizes, strict=True))
    if not others:
        return first
    grid = _open_mask_grid(info, length, in_order)
    rest, mask = others[0], expand_grid(grid, info.width, info.height, info.block)
    try:
        return merge(first, rest if info.non_roi_scale == 1 else enlarge(rest, first, grid), mask)
    except SacFormatError as error:
        raise SacFileError(f"the tracks of {path} do not fit together: {error}", "open_sac") from error


def _length(states: Sequence[TrackState], coded: Sequence[TrackState], allow_missing: bool) -> int:
    """How many frames can be reconstructed."""
    if not allow_missing:
        return min(state.frames for state in states)
    # Two streams need the mask to be told apart; a single one is whole without it.
    return min([max(state.frames for state in coded)] + [s.frames for s in states if len(coded) > 1 and s not in coded])


def _track_size(info: SacInfo, name: str, like: vs.VideoNode) -> tuple[int, int]:
    """Width and height of a coded track, whose subsampling is that of `like`."""
    if name != NON_ROI_TRACK or info.non_roi_scale == 1:
        return info.width, info.height
    return half_size(info.width, info.height, (like.format.subsampling_w, like.format.subsampling_h))


def _filled(clip: vs.VideoNode | None, like: vs.VideoNode, size: tuple[int, int], length: int) -> vs.VideoNode:
    """A clip of that length and size, grey where there are no frames."""
    if clip is not None and clip.num_frames == length:
        return clip
    planes = like.format.num_planes
    grey = vs.core.std.BlankClip(
        like, *size, length=length, color=[1 << (like.format.bits_per_sample - 1)] * planes, keep=True
    )
    grey = grey.std.CopyFrameProps(like[0] * length)
    return grey if clip is None else clip + grey[clip.num_frames :]


def open_mask_grid(info: SacInfo, *, in_order: bool = False) -> vs.VideoNode:
    """The mask track of a SAC file as a grid clip.

    Raises:
        SacDamageError: It is damaged.
        SacFileError: Its size is not that of the picture's grid.
    """
    state = verify(info)[-1]
    if state.damage:
        raise SacDamageError(state.damage, "open_mask_grid", frames=state.frames)
    return _open_mask_grid(info, info.frames, in_order)


def _open_mask_grid(info: SacInfo, frames: int, in_order: bool) -> vs.VideoNode:
    grid = _open_track(info, MASK_TRACK, frames, in_order)
    grid = vs.core.std.ShufflePlanes(grid, 0, vs.GRAY)
    if (grid.width, grid.height) != grid_size(info.width, info.height, info.block):
        raise SacFileError(f"the mask of {info.path} is {grid.width}x{grid.height}, not its block grid", "open_sac")
    return grid


def _open_track(info: SacInfo, name: str, frames: int, in_order: bool) -> vs.VideoNode:
    """The first frames of a track; all of them must be all that can be decoded."""
    clip = open_raw(info.path, fps=info.fps, track=info.tracks[name], in_order=in_order)
    if clip.num_frames != frames if frames == info.frames else clip.num_frames < frames:
        raise SacFileError(f"track {name} of {info.path} has {clip.num_frames} of {frames} frames", "open_sac")
    return clip if clip.num_frames == frames else clip[:frames]


def _attached(file: Any) -> bytes | None:
    """The manifest that is attached to a file."""
    for stream in file.streams.attachments:
        if _upper(stream.metadata).get("FILENAME") == NAME:
            return bytes(stream.data or b"")
    return None


def _upper(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key.upper(): value for key, value in metadata.items()}


def opened(path: Path) -> Any:
    """A media file, opened by PyAV; closed when the block is left.

    Raises:
        SacFileError: It is missing or no media file.
    """
    check_name(path, "probe")
    if not path.exists():
        raise SacFileError(f"{path} does not exist", "probe")
    try:
        # "file:" keeps names such as "a:b" or "-" from being taken for a protocol.
        return contextlib.closing(av.open(f"file:{path}"))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SacFileError(f"{path} is no media file: {getattr(error, 'strerror', error)}", "probe") from error
