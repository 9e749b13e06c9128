"""Writing the SAC file: mkvmerge or ffmpeg multiplexes tracks, audio, tags and checksums; the result is read again."""

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from html import escape
from pathlib import Path

from ..core.choices import Codec
from ..core.errors import SacFileError, SacProcessError, SacWarning
from ..core.processes import run
from ..encoders.registry import find_ffmpeg, find_mkvmerge
from .files import opened
from .info import MASK_TRACK, SacInfo
from .manifest import MIME_TYPE, NAME, Manifest, Scan, TrackSum, scan
from .reader import probe, verify

__all__ = ["Track", "retime", "write", "write_video"]


@dataclass(frozen=True)
class Track:
    """A video file that becomes a track.

    Attributes:
        name: Name of the track.
        path: The video file.
    """

    name: str
    path: Path


def write(out: Path, tracks: Sequence[Track], info: SacInfo, work: Path, audio: Path | None = None) -> SacInfo:
    """Multiplex a SAC file, read it again and check that it contains every frame.

    Args:
        out: The file to write.
        tracks: The tracks, in order.
        info: The description, which becomes the tags.
        work: Folder for temporary files.
        audio: A file whose audio tracks are copied.

    Returns:
        The description of the written file.

    Raises:
        SacMissingError: Neither mkvmerge nor ffmpeg is installed.
        SacProcessError: A track lacks frames, or multiplexing failed.
    """
    mkvmerge = find_mkvmerge()
    tracks = [_wrapped(track, info, mkvmerge) for track in tracks]
    sums = {track.name: _written_sum(track, info.frames) for track in tracks}
    manifest = work / NAME
    manifest.write_bytes(Manifest(info.tags(), sums, info.times).dump())
    if mkvmerge:
        run("mux", _mkvmerge_command(mkvmerge, out, tracks, info, work, audio), ok=(0, 1))
    else:
        if info.times:
            _warn_of_constant_rate()
            info = replace(info, times=())
            manifest.write_bytes(Manifest(info.tags(), sums).dump())
        run("mux", _ffmpeg_command(find_ffmpeg(), out, tracks, info.tags(), manifest, audio))
    written = probe(out)
    if damage := [state.damage for state in verify(written) if state.damage]:
        raise SacProcessError(f"the file is not what was to be written: {damage[0]}", "mux")
    return written


def write_video(out: Path, track: Track, fps: Fraction) -> None:
    """Multiplex an ordinary video in the same way as the tracks of a SAC file.

    Raises:
        SacMissingError: Neither mkvmerge nor ffmpeg is installed.
        SacProcessError: Multiplexing failed.
    """
    mkvmerge = find_mkvmerge()
    if mkvmerge:
        run("mux", _wrap_command(mkvmerge, out, track, fps), ok=(0, 1))
    else:
        run("mux", _ffmpeg_command(find_ffmpeg(), out, [track], {}, None, None))


def retime(video: Path, times: Sequence[int], out: Path, work: Path) -> bool:
    """Copy a video and set the display times of its frames.

    Args:
        video: The video.
        times: Display time of each frame in milliseconds.
        out: The file to write.
        work: Folder for temporary files.

    Returns:
        Whether the copy was made. If not, because mkvmerge is not installed, there is a `SacWarning`.

    Raises:
        SacProcessError: Multiplexing failed.
    """
    mkvmerge, timing = find_mkvmerge(), _times_file(times, work)
    if mkvmerge is None or timing is None:
        _warn_of_constant_rate()
        return False
    run("mux", [mkvmerge, "--quiet", "--output", str(out), "--timestamps", f"0:{timing}", str(video)], ok=(0, 1))
    return True


def _warn_of_constant_rate() -> None:
    message = "the frame rate varies, which only mkvmerge can write; a constant one is written instead"
    warnings.warn(message, SacWarning, stacklevel=4)


def _times_file(times: Sequence[int], work: Path) -> Path | None:
    if not times:
        return None
    path = work / "times.txt"
    path.write_text("# timestamp format v2\n" + "".join(f"{time}\n" for time in times))
    return path


def _wrapped(track: Track, info: SacInfo, mkvmerge: str | None) -> Track:
    """Return an H.265 track as mkvmerge writes it; mkvmerge rewrites its headers and gives times to a raw stream.

    Checksums are computed after this step, because mkvmerge rewrites the headers only once. Other tracks are returned
    unchanged.
    """
    if not mkvmerge or info.codec != Codec.X265 or track.name == MASK_TRACK or not track.path.is_file():
        return track
    path = track.path.with_suffix(".wrapped.mkv")
    run("mux", _wrap_command(mkvmerge, path, track, info.fps), ok=(0, 1))
    return Track(track.name, path)


def _wrap_command(program: str, out: Path, track: Track, fps: Fraction) -> list[str]:
    command = [program, "--quiet", "--output", str(out), "--deterministic", track.name, "--no-date",
               "--disable-track-statistics-tags"]  # fmt: skip
    if track.path.suffix == ".hevc":
        # The suffix "p" means that the number is a frame rate, not a field rate.
        command += ["--default-duration", f"0:{fps.numerator}/{fps.denominator}p"]
    return [*command, str(track.path)]


def _written_sum(track: Track, frames: int) -> TrackSum:
    """Return the checksums of the file that an encoder wrote.

    Raises:
        SacProcessError: The encoder did not write every frame, although it ended without an error.
    """
    found: list[Scan] = []
    with contextlib.suppress(SacFileError), opened(track.path) as file:
        found = scan(file)
    written = found[0].sum.frames if found else 0
    if written != frames:
        raise SacProcessError(f"ended without an error but wrote {written} of {frames} frames", f"{track.name} encoder")
    return found[0].sum


def _mkvmerge_command(
    program: str, out: Path, tracks: Sequence[Track], info: SacInfo, work: Path, audio: Path | None
) -> list[str]:
    tags = work / "tags.xml"
    tags.write_text(_tags_xml(info.tags()), encoding="utf-8")
    # With a fixed seed and without a date, the same input gives the same bytes.
    command = [program, "--quiet", "--output", str(out), "--deterministic", "vs_sac", "--no-date",
               "--disable-track-statistics-tags", "--global-tags", str(tags), "--attachment-name", NAME,
               "--attachment-mime-type", MIME_TYPE, "--attach-file", str(work / NAME)]  # fmt: skip
    timing = _times_file(info.times, work)
    for number, track in enumerate(tracks):
        command += ["--timestamps", f"0:{timing}"] if timing else []
        command += ["--track-name", f"0:{track.name}", "--default-track-flag", f"0:{'no' if number else 'yes'}"]
        command += ["--language", "0:und", "--no-global-tags", "--no-track-tags", "--no-chapters"]
        command.append(str(track.path))
    if audio:
        command += ["--no-video", "--no-subtitles", "--no-buttons", "--no-attachments", "--no-chapters",
                    "--no-global-tags", str(audio)]  # fmt: skip
    return command


def _tags_xml(tags: Mapping[str, str]) -> str:
    """Global tags as mkvmerge reads them."""
    simple = (f"<Simple><Name>{name}</Name><String>{escape(value)}</String></Simple>" for name, value in tags.items())
    return f'<?xml version="1.0" encoding="utf-8"?>\n<Tags><Tag><Targets/>{"".join(simple)}</Tag></Tags>\n'


def _ffmpeg_command(
    program: str,
    out: Path,
    tracks: Sequence[Track],
    tags: Mapping[str, str],
    manifest: Path | None,
    audio: Path | None,
) -> list[str]:
    command = [program, "-hide_banner", "-v", "error", "-nostdin", "-y"]
    for path in [*(track.path for track in tracks), *([audio] if audio else [])]:
        command += ["-i", f"file:{path}"]
    for number, track in enumerate(tracks):
        command += ["-map", f"{number}:v:0", f"-metadata:s:v:{number}", f"title={track.name}"]
        command += [f"-disposition:v:{number}", "0" if number else "default"]
    if audio:
        command += ["-map", f"{len(tracks)}:a?"]
    if manifest:
        command += ["-attach", f"file:{manifest}", "-metadata:s:t", f"mimetype={MIME_TYPE}", "-metadata:s:t",
                    f"filename={NAME}"]  # fmt: skip
    command += ["-map_metadata", "-1"]
    for name, value in tags.items():
        command += ["-metadata", f"{name}={value}"]
    return [*command, "-c", "copy", "-fflags", "+bitexact", "-f", "matroska", f"file:{out}"]
