"""Writing the SAC file: its tracks, audio, tags and checksums are multiplexed, and the result is read again."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from ..core.errors import SacFileError, SacProcessError
from ..core.processes import run
from ..encoders.registry import find_mkvmerge
from .audio import AudioTrack
from .files import opened
from .info import SacInfo
from .manifest import MIME_TYPE, NAME, Manifest, Scan, TrackSum, scan
from .muxer import MATROSKA, MP4, Attachment, Format, Track, constant_times, format_of, multiplex
from .reader import probe, verify

__all__ = ["Track", "carried_metadata", "mask_file_of", "write", "write_mp4", "write_video"]

#: Metadata of a source that describes its container, not its content.
_OF_THE_CONTAINER = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration"}


def write(
    out: Path,
    tracks: Sequence[Track],
    info: SacInfo,
    *,
    times: Sequence[Fraction] | None = None,
    audio: Sequence[AudioTrack] = (),
    metadata: Mapping[str, str] | None = None,
    cut_audio: bool = False,
) -> SacInfo:
    """Multiplex a SAC file, read it again and check that it contains every frame.

    Args:
        out: The file to write.
        tracks: The tracks, in order.
        info: The description, which becomes the tags.
        times: Display time of every frame in seconds, on the clock of the audio; the constant rate from 0 if not given.
        audio: Audio tracks of the source.
        metadata: Global metadata of the source.
        cut_audio: Leave out audio before the first frame and after the last one.

    Returns:
        The description of the written file.

    Raises:
        SacProcessError: A track lacks frames, or multiplexing failed.
    """
    tracks = [_timed(track, info.fps) for track in tracks]
    sums = {track.name: _written_sum(track, info.frames) for track in tracks}
    content = Manifest(info.tags(), sums, info.times).dump()
    multiplex(out, tracks, times or constant_times(info.frames, info.fps), fps=info.fps, audio=audio,
              tags={**(metadata or {}), **info.tags()}, attachment=Attachment(NAME, MIME_TYPE, content),
              cut_audio=cut_audio)  # fmt: skip
    written = probe(out)
    if damage := [state.damage for state in verify(written) if state.damage]:
        raise SacProcessError(f"the file is not what was to be written: {damage[0]}", "mux")
    return written


def write_video(
    out: Path,
    track: Track,
    fps: Fraction,
    *,
    times: Sequence[Fraction] | None = None,
    audio: Sequence[AudioTrack] = (),
    metadata: Mapping[str, str] | None = None,
    cut_audio: bool = False,
    container: Format = MATROSKA,
) -> None:
    """Multiplex an ordinary video in the same way as the tracks of a SAC file.

    Arguments are those of `write`, and the container format.

    Raises:
        SacProcessError: Multiplexing failed.
    """
    track = _timed(track, fps)
    times = times or constant_times(_scanned(track).sum.frames, fps)
    multiplex(out, [track], times, fps=fps, audio=audio, tags=metadata, cut_audio=cut_audio, container=container)


def mask_file_of(out: Path) -> Path | None:
    """The file beside an MP4 that holds its mask, such as drive.mask.mkv; None for a SAC file."""
    return out.with_suffix(".mask.mkv") if format_of(out) is MP4 else None


def write_mp4(
    out: Path,
    mask_out: Path,
    tracks: Sequence[Track],
    info: SacInfo,
    *,
    times: Sequence[Fraction] | None = None,
    audio: Sequence[AudioTrack] = (),
    metadata: Mapping[str, str] | None = None,
    cut_audio: bool = False,
) -> tuple[SacInfo, dict[str, int]]:
    """Multiplex a single stream as an ordinary MP4 and its mask as a Matroska file beside it.

    Args:
        out: The MP4 to write.
        mask_out: The Matroska file of the mask to write.
        tracks: The video and the mask.
        info: The description. MP4 has no place for it.
        times: See `write`.
        audio: See `write`.
        metadata: See `write`.
        cut_audio: See `write`.

    Returns:
        The description with the tracks of the MP4, and sizes in bytes: coded frames of the video (``video``) and of the
        mask (``mask``), audio (``audio``), the MP4 (``file``) and the mask's file (``mask_file``).

    Raises:
        SacProcessError: A track lacks frames, or multiplexing failed.
    """
    video, mask = tracks
    for track in tracks:
        _written_sum(track, info.frames)
    times = times or constant_times(info.frames, info.fps)
    write_video(out, video, info.fps, times=times, audio=audio, metadata=metadata, cut_audio=cut_audio, container=MP4)
    write_video(mask_out, mask, info.fps, times=times)
    for track in (Track(video.name, out), Track(mask.name, mask_out)):
        _written_sum(track, info.frames)
    written = replace(info, path=out, tracks={video.name: 0}, audio=len(audio))
    sizes = written.track_bytes()
    masks = replace(info, path=mask_out, tracks={mask.name: 0}).track_bytes()
    return written, {**sizes, mask.name: masks[mask.name], "mask_file": masks["file"]}


def carried_metadata(path: Path) -> dict[str, str]:
    """Global metadata of a source that describes its content: creation time, location, title and the like."""
    try:
        with opened(path) as file:
            found = {str(key): str(value) for key, value in file.metadata.items()}
    except SacFileError:
        return {}
    return {
        key: value for key, value in found.items()
        if key.lower() not in _OF_THE_CONTAINER and not key.upper().startswith("SAC_")
    }  # fmt: skip


def _timed(track: Track, fps: Fraction) -> Track:
    """A track whose packets have times: mkvmerge gives them to the raw stream that the native x265 writes."""
    if track.path.suffix != ".hevc":
        return track
    path = track.path.with_suffix(".timed.mkv")
    # The suffix "p" means that the number is a frame rate, not a field rate.
    run("mux", [find_mkvmerge() or "mkvmerge", "--quiet", "--output", str(path), "--no-date", "--default-duration",
                f"0:{fps.numerator}/{fps.denominator}p", str(track.path)], ok=(0, 1))  # fmt: skip
    return replace(track, path=path)


def _written_sum(track: Track, frames: int) -> TrackSum:
    """Return the checksums of the file that an encoder wrote.

    Raises:
        SacProcessError: The encoder did not write every frame, although it ended without an error.
    """
    found = _scanned(track)
    if found.sum.frames != frames:
        raise SacProcessError(
            f"ended without an error but wrote {found.sum.frames} of {frames} frames", f"{track.name} encoder"
        )
    return found.sum


def _scanned(track: Track) -> Scan:
    """What is in a video file; nothing if it cannot be read."""
    with contextlib.suppress(SacFileError), opened(track.path) as file:
        found = scan(file)
        if found:
            return found[0]
    return Scan(TrackSum(0, 0, ()))
