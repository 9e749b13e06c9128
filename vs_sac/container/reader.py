"""Reading SAC files: the description, the check of the checksums, and the tracks as clips."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import vapoursynth as vs

from ..core.arguments import check_path
from ..core.choices import Fill, Mode
from ..core.errors import SacDamageError, SacFileError
from ..core.macroblocks import BLOCK, grid_size
from ..source.opening import open_raw
from ..streams.resampling import SCALES
from .files import opened
from .info import FASTEST, LARGEST_SIDE, MASK_TRACK, NO_FILL, SLOWEST, TRACKS, VERSION, RateGoal, SacInfo
from .manifest import NAME, Manifest, scan

__all__ = ["TrackState", "is_sac", "open_first_masks", "open_mask_grid", "open_track", "probe",
           "verify"]  # fmt: skip


def is_sac(path: Path) -> bool:
    """Return whether a file is a SAC file."""
    try:
        with opened(path) as file:
            return "SAC_VERSION" in _upper(file.metadata) or _attached(file) is not None
    except SacFileError:
        return False


def probe(path: str | Path, *, allow_missing: bool = False) -> SacInfo:
    """Read the description of a SAC file.

    Args:
        path: The file.
        allow_missing: Whether missing tracks and missing checksums are accepted.

    Raises:
        SacFileError: The file is missing, is not a SAC file, has another version, lacks a track, a tag or its
            checksums, or contradicts itself.
    """
    check_path(path, "path", "probe")
    path = Path(path)
    with opened(path) as file:
        tags = {key: value for key, value in _upper(file.metadata).items() if key.startswith("SAC_")}
        names = [_upper(stream.metadata).get("TITLE", "") for stream in file.streams.video]
        audio = len(file.streams.audio)
        attached = _attached(file)
    manifest = _manifest(attached, path, allow_missing)
    if manifest:
        # The Matroska tags may be lost with the end of the file, so those of the manifest are used.
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
            fill=Fill(tags["SAC_FILL"]) if tags["SAC_FILL"] != NO_FILL else None,
            model=tags["SAC_MODEL"],
            fps=Fraction(tags["SAC_FPS"]),
            frames=int(tags["SAC_FRAMES"]),
            goal=RateGoal.read(tags),
            non_roi_scale=int(tags.get("SAC_NON_ROI_SCALE", "1")),
            map=tags.get("SAC_MAP"),
            source_size=_source_size(tags),
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
        or not (BLOCK <= info.width <= LARGEST_SIDE and BLOCK <= info.height <= LARGEST_SIDE)
        or (info.source_size and not (info.width <= info.source_size[0] <= LARGEST_SIDE
                                      and info.height <= info.source_size[1] <= LARGEST_SIDE))
        or not (SLOWEST <= info.fps <= FASTEST and 0 < info.frames < 2**31)
    ):  # fmt: skip
        what = f"{info.frames} frames of {info.width}x{info.height} at {info.fps} fps in blocks of {info.block}"
        what += f" and a non-ROI of 1/{info.non_roi_scale} of the size" if info.non_roi_scale != 1 else ""
        what += " of a source of {}x{}".format(*info.source_size) if info.source_size else ""
        raise SacFileError(f"{path} claims {what}, which no SAC file holds", "probe")
    missing = [name for name in TRACKS[info.mode] if name not in info.tracks]
    if missing and not allow_missing:
        raise SacFileError(f"{path} lacks the track {', '.join(missing)}", "probe")
    if manifest is None and not allow_missing:
        raise SacFileError(f"{path} has lost its checksums, the attachment {NAME}; --allow-missing reads it", "probe")
    return info


def _source_size(tags: Mapping[str, str]) -> tuple[int, int] | None:
    """The size of the source; None if neither side is stated, which means that of the coded picture."""
    names = ("SAC_SOURCE_WIDTH", "SAC_SOURCE_HEIGHT")
    return (int(tags[names[0]]), int(tags[names[1]])) if any(name in tags for name in names) else None


def _manifest(attached: bytes | None, path: Path, allow_missing: bool) -> Manifest | None:
    try:
        return Manifest.load(attached, path) if attached is not None else None
    except SacFileError:
        if allow_missing:
            return None
        raise


@dataclass(frozen=True)
class TrackState:
    """Result of the check of a track.

    Attributes:
        name: Name of the track.
        frames: Number of intact frames, counted from the first in display order.
        damage: Description of the damage; empty if the track is intact.
    """

    name: str
    frames: int
    damage: str = ""


def verify(info: SacInfo) -> list[TrackState]:
    """Compare the coded frames of every track with their checksums, without decoding.

    If the file has lost its checksums, only the number of frames is compared.

    Returns:
        One state per track of the file's mode, in order.
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


def open_mask_grid(info: SacInfo, *, sequential: bool = False) -> vs.VideoNode:
    """Open the mask track of a SAC file as a grid clip.

    Args:
        info: Description of the file.
        sequential: Whether the frames will be read in order; see `source.open_clip`.

    Raises:
        SacDamageError: The mask track is damaged.
        SacFileError: The size of the masks is not that of the picture's grid.
    """
    state = verify(info)[-1]
    if state.damage:
        raise SacDamageError(state.damage, "open_mask_grid", frames=state.frames)
    return open_first_masks(info, info.frames, sequential)


def open_first_masks(info: SacInfo, frames: int, sequential: bool) -> vs.VideoNode:
    """Open the first `frames` frames of the mask track as a grid clip; arguments and errors as for `open_track`."""
    grid = open_track(info, MASK_TRACK, frames, sequential)
    grid = vs.core.std.ShufflePlanes(grid, 0, vs.GRAY)
    if (grid.width, grid.height) != grid_size(info.width, info.height, info.block):
        raise SacFileError(f"the mask of {info.path} is {grid.width}x{grid.height}, not its block grid", "open_sac")
    return grid


def open_track(info: SacInfo, name: str, frames: int, sequential: bool) -> vs.VideoNode:
    """Open the first `frames` frames of a track.

    Args:
        info: Description of the file.
        name: Name of the track.
        frames: Number of frames.
        sequential: Whether the frames will be read in order; see `source.open_clip`.

    Raises:
        SacFileError: The track has fewer frames that can be decoded, or, if `frames` is the number of frames of the
            file, more.
    """
    clip = open_raw(info.path, fps=info.fps, track=info.tracks[name], sequential=sequential)
    if clip.num_frames != frames if frames == info.frames else clip.num_frames < frames:
        raise SacFileError(f"track {name} of {info.path} has {clip.num_frames} of {frames} frames", "open_sac")
    return clip if clip.num_frames == frames else clip[:frames]


def _attached(file: Any) -> bytes | None:
    """Return the bytes of the attached manifest; None if the file has none."""
    for stream in file.streams.attachments:
        if _upper(stream.metadata).get("FILENAME") == NAME:
            return bytes(stream.data or b"")
    return None


def _upper(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key.upper(): value for key, value in metadata.items()}
