"""Decoding: SAC file → video."""

from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import vapoursynth as vs

from ..container import writer
from ..container.audio import plan_audio
from ..container.files import opened
from ..container.writer import carried_metadata
from ..core.arguments import check_path
from ..core.clips import frames
from ..core.errors import SacDamageError, SacFileError, SacValueError
from ..core.outputs import check_outputs, workspace
from ..core.processes import ProcessGroup, run
from ..core.progress import Progress
from ..encoders.base import PictureFormat
from ..encoders.ffmpeg import ffv1_command
from ..encoders.registry import find_ffmpeg
from ..encoders.y4m import stream_header
from ..source.timeline import read_timeline
from .feeding import feed, frame_chunks
from .reconstruction import open_sac

__all__ = ["decode", "write_y4m"]


def decode(
    source: str | Path,
    out: str | Path | BinaryIO,
    *,
    allow_missing: bool = False,
    native: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> int:
    """Decode a SAC file.

    Args:
        source: SAC file.
        out: Path of a ``.y4m`` or ``.mkv`` file (lossless FFV1, with the audio), or a binary stream, which gets y4m.
        allow_missing: Continue if one of two coded streams is lost or damaged; see `reconstruction.open_sac`.
        native: Keep the coded size of a picture that was coded smaller than its source.
        force: Overwrite `out`.
        progress: Called after each frame.

    Returns:
        Number of frames.

    Raises:
        SacDamageError: `source` is damaged. `out` contains the frames before the damage, if there are any.
        SacError: `source` cannot be decoded, or `out` cannot be written. `out` is unchanged.
    """
    check_path(source, "source", "decode")
    if isinstance(out, str | Path):
        out = Path(out)
        if out.suffix.lower() not in (".y4m", ".mkv"):
            raise SacValueError(f"{out} must end in .y4m or .mkv (FFV1), or be - for y4m on stdout", "decode")
        check_outputs({"output": out}, {"source": source}, force=force, func="decode")
    elif not hasattr(out, "write"):
        check_path(out, "out", "decode")
    try:
        clip = open_sac(source, allow_missing=allow_missing, sequential=True, native=native)
    except SacDamageError as damage:
        if not damage.frames:
            raise
        clip = open_sac(source, frames=damage.frames, allow_missing=allow_missing, sequential=True, native=native)
        _write_decoded(clip, Path(source), out, force, progress)
        message = f"{damage}; the {damage.frames} frames before were decoded"
        raise SacDamageError(message, frames=damage.frames) from None
    _write_decoded(clip, Path(source), out, force, progress)
    return int(clip.num_frames)


def _write_decoded(
    clip: vs.VideoNode, source: Path, out: Path | BinaryIO, force: bool, progress: Progress | None
) -> None:
    if not isinstance(out, Path):
        write_y4m(clip, out, progress)
        return
    with workspace(out, force=force, func="decode") as work:
        if out.suffix.lower() == ".y4m":
            try:
                with work.result.open("wb") as file:
                    write_y4m(clip, file, progress)
            except OSError as error:
                raise SacFileError(f"cannot write {out}: {error.strerror}", "decode") from error
        else:
            _write_ffv1(clip, work.result, work.folder, source, progress)


def write_y4m(clip: vs.VideoNode, file: BinaryIO, progress: Progress | None = None) -> None:
    """Write a clip as y4m."""
    file.write(stream_header(clip))
    for done, frame in enumerate(frames(clip), 1):
        with frame:
            for chunk in frame_chunks(frame):
                file.write(chunk)
        if progress:
            progress(done, clip.num_frames)
    file.flush()


def _write_ffv1(clip: vs.VideoNode, out: Path, folder: Path, source: Path, progress: Progress | None) -> None:
    video, picture, aspect = folder / "video.mkv", PictureFormat.of(clip), _display_aspect(clip)
    with ProcessGroup() as group:
        feed([clip], [group.start("decode", ffv1_command(find_ffmpeg(), video, picture))], progress)
        group.finish()
    with opened(source) as file:
        timeline = read_timeline(file, 0)
    known = timeline is not None and len(timeline.pts) >= clip.num_frames
    times = timeline.seconds()[: clip.num_frames] if timeline and known else None
    made = folder / "multiplexed.mkv" if aspect else out
    writer.write_video(made, writer.Track("", video, picture), clip.fps, times=times, audio=plan_audio(source),
                       metadata=carried_metadata(source))  # fmt: skip
    if aspect:
        # PyAV cannot state the aspect ratio of a track, and FFV1 has no place for it that players read.
        run("decode", [find_ffmpeg(), "-v", "error", "-nostdin", "-y", "-i", f"file:{made}", "-map", "0", "-c", "copy",
                       "-copyts", "-aspect", f"{aspect.numerator}:{aspect.denominator}", "-fflags", "+bitexact",
                       f"file:{out}"])  # fmt: skip


def _display_aspect(clip: vs.VideoNode) -> Fraction | None:
    """Display aspect ratio of a clip whose pixels are not square, else None."""
    with clip.get_frame(0) as frame:
        across, down = (int(frame.props.get(name, 0)) for name in ("_SARNum", "_SARDen"))
    return Fraction(clip.width * across, clip.height * down) if across > 0 < down and across != down else None
