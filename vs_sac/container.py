"""The SAC file: Matroska with coded tracks and the mask, and tags that say how to put them together.

Two streams are the tracks ROI and non-ROI, a single stream is the track video.
"""

import contextlib
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import vapoursynth as vs

from .encoders import find_ffmpeg, find_mkvmerge
from .errors import SacFileError, SacFormatError
from .masks import expand_grid, grid_size
from .process import run
from .source import open_raw
from .streams import merge
from .types import Fill, Mode

__all__ = ["MASK_TRACK", "NON_ROI_TRACK", "ROI_TRACK", "TRACKS", "VIDEO_TRACK", "RateGoal", "SacInfo", "Track",
           "open_mask_grid", "open_sac", "probe", "write", "write_video"]  # fmt: skip

VERSION = "1"
ROI_TRACK, NON_ROI_TRACK, VIDEO_TRACK, MASK_TRACK = "ROI", "non-ROI", "video", "mask"

#: The tracks of a file, in order.
TRACKS = {
    Mode.TWO_STREAM: (ROI_TRACK, NON_ROI_TRACK, MASK_TRACK),
    Mode.SINGLE_STREAM: (VIDEO_TRACK, MASK_TRACK),
}

#: Tag of a file in which nothing is masked out.
_NO_FILL = "none"


@dataclass(frozen=True)
class Track:
    """A video file that becomes a track."""

    name: str
    path: Path


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
        tracks: Track name → number among the file's video tracks.
        audio: Number of audio tracks.
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
    tracks: Mapping[str, int] = field(default_factory=dict)
    audio: int = 0

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
            "SAC_MODEL": self.model,
            "SAC_FPS": f"{self.fps.numerator}/{self.fps.denominator}",
            "SAC_FRAMES": str(self.frames),
            **(self.goal.tags() if self.goal else {}),
        }

    def track_bytes(self) -> dict[str, int]:
        """Bytes of the coded frames by track name, of all audio, and of the whole file (``file``)."""
        sizes = dict.fromkeys([*self.tracks, "audio"], 0)
        by_number = {number: name for name, number in self.tracks.items()}
        with _opened(self.path) as file:
            names = {stream.index: by_number.get(i, "") for i, stream in enumerate(file.streams.video)}
            for packet in file.demux():
                name = names.get(packet.stream.index, "audio")
                sizes[name or "audio"] += packet.size or 0
        return {**sizes, "file": self.path.stat().st_size}


def write(out: Path, tracks: Sequence[Track], info: SacInfo, work: Path, audio: Path | None = None) -> None:
    """Multiplex a SAC file.

    Args:
        out: The file to write.
        tracks: The tracks, in order.
        info: What the tags say.
        work: Folder for temporary files.
        audio: A file whose audio tracks are carried over.

    Raises:
        SacMissingError: Neither mkvmerge nor ffmpeg is installed.
        SacProcessError: Multiplexing failed.
    """
    _mux(out, tracks, info.fps, info.tags(), work, audio)


def write_video(out: Path, track: Track, fps: Fraction, work: Path) -> None:
    """Multiplex an ordinary video as a SAC file's tracks are; see `write`."""
    _mux(out, [track], fps, {}, work, None)


def _mux(
    out: Path, tracks: Sequence[Track], fps: Fraction, tags: Mapping[str, str], work: Path, audio: Path | None
) -> None:
    mkvmerge = find_mkvmerge()
    if mkvmerge:
        run("mux", _mkvmerge_command(mkvmerge, out, tracks, fps, tags, work, audio), ok=(0, 1))
    else:
        run("mux", _ffmpeg_command(find_ffmpeg(), out, tracks, tags, audio))


def _mkvmerge_command(
    program: str,
    out: Path,
    tracks: Sequence[Track],
    fps: Fraction,
    tags: Mapping[str, str],
    work: Path,
    audio: Path | None,
) -> list[str]:
    root = ET.Element("Tags")
    tag = ET.SubElement(root, "Tag")
    ET.SubElement(tag, "Targets")
    for name, value in tags.items():
        simple = ET.SubElement(tag, "Simple")
        ET.SubElement(simple, "Name").text = name
        ET.SubElement(simple, "String").text = value
    tag_file = work / "tags.xml"
    ET.ElementTree(root).write(tag_file, encoding="utf-8", xml_declaration=True)
    # A fixed seed and no date: the same input gives the same bytes.
    command = [program, "--quiet", "--output", str(out), "--deterministic", "vs_sac", "--no-date",
               "--disable-track-statistics-tags", *(["--global-tags", str(tag_file)] if tags else [])]  # fmt: skip
    for number, track in enumerate(tracks):
        command += ["--track-name", f"0:{track.name}", "--default-track-flag", f"0:{'no' if number else 'yes'}"]
        command += ["--language", "0:und", "--no-global-tags", "--no-track-tags", "--no-chapters"]
        if track.path.suffix == ".hevc":
            # Raw streams carry no time; "p" says that the number counts whole frames.
            command += ["--default-duration", f"0:{fps.numerator}/{fps.denominator}p"]
        command.append(str(track.path))
    if audio:
        command += ["--no-video", "--no-subtitles", "--no-buttons", "--no-attachments", "--no-chapters",
                    "--no-global-tags", str(audio)]  # fmt: skip
    return command


def _ffmpeg_command(
    program: str, out: Path, tracks: Sequence[Track], tags: Mapping[str, str], audio: Path | None
) -> list[str]:
    command = [program, "-hide_banner", "-v", "error", "-nostdin", "-y"]
    for path in [*(track.path for track in tracks), *([audio] if audio else [])]:
        command += ["-i", f"file:{path}"]
    for number, track in enumerate(tracks):
        command += ["-map", f"{number}:v:0", f"-metadata:s:v:{number}", f"title={track.name}"]
        command += [f"-disposition:v:{number}", "0" if number else "default"]
    if audio:
        command += ["-map", f"{len(tracks)}:a?"]
    command += ["-map_metadata", "-1"]
    for name, value in tags.items():
        command += ["-metadata", f"{name}={value}"]
    return [*command, "-c", "copy", "-fflags", "+bitexact", "-f", "matroska", f"file:{out}"]


def has_audio(path: Path) -> bool:
    """Whether a file has an audio track; False for what is no media file."""
    try:
        with _opened(path) as file:
            return bool(file.streams.audio)
    except SacFileError:
        return False


def is_sac(path: Path) -> bool:
    """Whether a file is a SAC file."""
    try:
        with _opened(path) as file:
            return "SAC_VERSION" in _upper(file.metadata)
    except SacFileError:
        return False


def probe(path: str | Path) -> SacInfo:
    """Read what a SAC file says about itself.

    Raises:
        SacFileError: It is missing, no SAC file, of a later version, or lacks a track or tag.
    """
    path = Path(path)
    with _opened(path) as file:
        tags = _upper(file.metadata)
        names = [_upper(stream.metadata).get("TITLE", "") for stream in file.streams.video]
        audio = len(file.streams.audio)
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
            tracks={name: number for number, name in enumerate(names) if name},
            audio=audio,
        )
    except KeyError as error:
        raise SacFileError(f"{path} lacks the tag {error.args[0]}", "probe") from None
    except (ValueError, ZeroDivisionError) as error:
        raise SacFileError(f"{path} has a tag that cannot be read: {error}", "probe") from None
    missing = [name for name in TRACKS[info.mode] if name not in info.tracks]
    if missing:
        raise SacFileError(f"{path} lacks the track {', '.join(missing)}", "probe")
    return info


def open_sac(path: str | Path) -> vs.VideoNode:
    """Open a SAC file as the reconstructed clip: of two streams, every block from the one it belongs to.

    Args:
        path: The file.

    Returns:
        Clip with the source's size, format, length, frame rate and colour properties.

    Raises:
        SacFileError: It is no SAC file, or its tracks do not fit together.
    """
    info = probe(path)
    first, *others = (_open_track(info, name) for name in TRACKS[info.mode] if name != MASK_TRACK)
    if (first.width, first.height) != (info.width, info.height):
        size = f"{first.width}x{first.height}"
        raise SacFileError(f"{path} says {info.width}x{info.height}, its track is {size}", "open_sac")
    if not others:
        return first
    mask = expand_grid(open_mask_grid(info), info.width, info.height, info.block)
    try:
        return merge(first, others[0], mask)
    except SacFormatError as error:
        raise SacFileError(f"the tracks of {path} do not fit together: {error}", "open_sac") from error


def open_mask_grid(info: SacInfo) -> vs.VideoNode:
    """The mask track of a SAC file as a grid clip.

    Raises:
        SacFileError: Its size is not that of the picture's grid.
    """
    grid = _open_track(info, MASK_TRACK)
    grid = vs.core.std.ShufflePlanes(grid, 0, vs.GRAY)
    if (grid.width, grid.height) != grid_size(info.width, info.height, info.block):
        raise SacFileError(f"the mask of {info.path} is {grid.width}x{grid.height}, not its block grid", "open_sac")
    return grid


def _open_track(info: SacInfo, name: str) -> vs.VideoNode:
    clip = open_raw(info.path, fps=info.fps, track=info.tracks[name])
    if clip.num_frames != info.frames:
        raise SacFileError(f"track {name} of {info.path} has {clip.num_frames} of {info.frames} frames", "open_sac")
    return clip


def _upper(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key.upper(): value for key, value in metadata.items()}


def _opened(path: Path) -> Any:
    if not path.exists():
        raise SacFileError(f"{path} does not exist", "probe")
    try:
        # "file:" keeps names such as "a:b" or "-" from being taken for a protocol.
        return contextlib.closing(av.open(f"file:{path}"))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SacFileError(f"{path} is no media file: {getattr(error, 'strerror', error)}", "probe") from error
