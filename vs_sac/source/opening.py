"""Opening videos and image sequences as VapourSynth clips in formats that the encoders accept."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import vapoursynth as vs

from ..core.arguments import check_path
from ..core.choices import parse_choice
from ..core.clips import check_constant_format, plugin
from ..core.errors import SacFileError, SacFormatError, SacMissingError, SacValueError
from ..core.lazy import renamed_argument
from ..core.outputs import check_name
from .conversion import to_encodable, warn_interlaced
from .images import damage_of_images, image_files, linked_pattern, read_headers, undecodable, upright
from .pipe import is_pipe
from .script import is_script, open_script
from .timeline import video_streams
from .video import at_rate, converted, open_video

__all__ = ["SourcePlugin", "open_clip", "open_raw", "parse_fps"]

_DEFAULT_FPS = Fraction(25)


class SourcePlugin(StrEnum):
    """VapourSynth source plugins, in the order in which they are tried."""

    FFMS2 = "ffms2"
    BESTSOURCE = "bs"
    LSMAS = "lsmas"


@renamed_argument("in_order", "sequential")
def open_clip(
    path: str | Path | Sequence[Path],
    *,
    fps: Fraction | str | None = None,
    track: int = 0,
    source: SourcePlugin | str | None = None,
    sequential: bool = False,
    strict: bool = True,
) -> vs.VideoNode:
    """Open a driving video or an image sequence.

    Args:
        path: A video file, a folder of images (opened in the order of their names, in which frame2 comes before
            frame10; hidden files are skipped), a printf pattern such as ``frame%05d.png``, the image files themselves,
            or a VapourSynth script (``.vpy``), of which output 0 is taken.
        fps: Frame rate of an image sequence (default 25), or a frame rate that replaces that of a video.
        track: Number of the video track in the file, from 0.
        source: Plugin that reads the file. Default: ffms2 if it is loaded, else BestSource, else L-SMASH.
        sequential: Whether the frames will be read from the first to the last, which needs less memory. The frames are
            the same.
        strict: Whether a frame that cannot be decoded is an error. Otherwise the frame before it takes its place, and
            `source.report_damage` says how many such frames there were.

    Returns:
        YUV clip, 8 or 10 bits, 4:2:0, 4:2:2 or 4:4:4, with constant format and frame rate. Its frames have the
        properties `_Matrix`, `_Primaries`, `_Transfer`, `_Range` and `_ChromaLocation`, and those of HDR metadata
        (`MasteringDisplay…`, `ContentLightLevel…`) if the source has it. RGB is converted to YUV BT.709 or BT.2020
        limited range (4:2:0 if the size is even), grey to YUV with neutral chroma, and more than 10 bits to 10 bits.
        Rotated video and images with an Exif orientation are turned upright. Interlaced video gives a `SacWarning`.

    Raises:
        SacFileError: The file is missing, is not a video, or has no frames.
        SacFormatError: The format changes midway or is not accepted; CMYK images are not.
        SacMissingError: No source plugin is loaded.
        SacTypeError: `path` is not a path.
        SacValueError: `fps` or `source` is not accepted.
    """
    clip = open_raw(path, fps=parse_fps(fps), track=track, source=source, sequential=sequential, strict=strict)
    with clip.get_frame(0) as frame:
        interlaced = frame.props.get("_FieldBased", 0)
    if interlaced:
        warn_interlaced(path)
        clip = clip.std.SetFieldBased(0)
    return to_encodable(clip)


def open_raw(
    path: str | Path | Sequence[Path],
    *,
    fps: Fraction | None = None,
    track: int = 0,
    source: SourcePlugin | str | None = None,
    sequential: bool = False,
    strict: bool = True,
) -> vs.VideoNode:
    """Open a video or an image sequence in its own format; arguments and errors are those of `open_clip`."""
    chosen = parse_choice(SourcePlugin, source, "open_clip") if source is not None else None
    if is_pipe(path):
        raise SacFileError(f"{path} is a pipe, which can be read only once; accepted by encode and segment",
                           "open_clip")  # fmt: skip
    if isinstance(path, str | Path):
        check_name(Path(path), "open_clip")
        files = image_files(Path(path))
    else:
        if not isinstance(path, list | tuple):
            check_path(path, "path", "open_clip")
        for each in path:
            check_path(each, "path", "open_clip")
        files = [Path(each) for each in path]
    if files:
        clip = _open_images(files, fps or _DEFAULT_FPS, chosen, sequential, strict)
    elif isinstance(path, str | Path) and is_script(path):
        clip = open_script(Path(path))
        if not (clip.fps_num or fps):
            raise SacValueError(f"output 0 of {path} has no constant frame rate; give it with --fps", "open_clip")
    elif isinstance(path, str | Path):
        clip = _open_video(Path(path), track, chosen, sequential, strict)
    else:
        raise SacFileError("no images", "open_clip")
    check_constant_format(clip, "open_clip")
    if not clip.num_frames:
        raise SacFileError(f"{path} has no frames", "open_clip")
    if not clip.fps_num:
        fps = fps or _DEFAULT_FPS
    return at_rate(clip, fps) if fps else clip


def parse_fps(fps: Fraction | str | None) -> Fraction | None:
    """Convert a frame rate such as ``30000/1001`` to a fraction; None stays None.

    Raises:
        SacValueError: It is not a number above 0.
    """
    if fps is None:
        return None
    try:
        rate = Fraction(fps)
    except (TypeError, ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise SacValueError(f"frame rate {fps!r} is not a number above 0 such as 25 or 30000/1001", "open_clip")
    return rate


def _open_images(
    files: list[Path], fps: Fraction, source: SourcePlugin | None, sequential: bool, strict: bool
) -> vs.VideoNode:
    pattern, headers = linked_pattern(files), read_headers(files)
    other = next((n for n, header in enumerate(headers) if header.samples != headers[0].samples), None)
    # Only a plugin says beforehand whether it can make one format of several.
    ours = source is None and other is None
    clip = open_video(pattern, 0, sequential=sequential, strict=strict, images=files,
                      damage=damage_of_images(files, headers)) if ours else None  # fmt: skip
    clip = clip or _read(pattern, -1, source or SourcePlugin.BESTSOURCE, files[0])
    if other is not None and clip.format.color_family == vs.UNDEFINED:
        raise SacFormatError(f"{files[other]} has another pixel format than {files[0].name}; all images of a sequence"
                             " must have one", "open_clip")  # fmt: skip
    if clip.num_frames != len(files):
        named = undecodable(files) or f"one of the images next to {files[0]}"
        message = f"only {clip.num_frames} of {len(files)} images can be decoded; the first that cannot is {named}"
        raise SacFileError(message, "open_clip")
    return at_rate(converted(clip, upright(clip, headers)), fps)


def _open_video(path: Path, track: int, source: SourcePlugin | None, sequential: bool, strict: bool) -> vs.VideoNode:
    if not path.exists():
        raise SacFileError(f"{path} does not exist", "open_clip")
    if not path.is_file():
        raise SacFileError(f"{path} is not a file", "open_clip")
    clip = open_video(path, track, sequential=sequential, strict=strict) if source is None else None
    return clip or _read(path, _stream_index(path, track), source or _first_loaded(), path)


def _stream_index(path: Path, track: int) -> int:
    """Number of a video track among all tracks of a file, without cover art, which source plugins would count.

    Raises:
        SacFileError: The file has no video track.
        SacValueError: The file has fewer video tracks.
    """
    try:
        with av.open(f"file:{path.absolute()}") as file:
            found = [int(stream.index) for stream in video_streams(file)]
    except (av.FFmpegError, OSError, ValueError):
        # The plugin says what is wrong with the file.
        return -1 - track
    if not found:
        raise SacFileError(f"{path} has no video track; cover art does not count", "open_clip")
    if track >= len(found):
        tracks = "one video track" if len(found) == 1 else f"{len(found)} video tracks"
        raise SacValueError(f"{path} has {tracks}, counted from 0, and no track {track}", "open_clip")
    return found[track]


def _first_loaded() -> SourcePlugin:
    for candidate in SourcePlugin:
        if hasattr(vs.core, candidate.value):
            return candidate
    raise SacMissingError("no VapourSynth source plugin is loaded: pip install vapoursynth-bestsource", "open_clip")


def _read(path: Path, index: int, source: SourcePlugin, shown: Path) -> vs.VideoNode:
    """Read a track, by its number among all tracks or, from -1 down, by its number among the video tracks."""
    reader = plugin(source.value, "open_clip")
    try:
        clip = _READERS[source](reader, str(path.absolute()), index)
    except vs.Error as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "unknown error"
        # Images are read through links, whose names say nothing.
        reason = reason.replace(str(path.absolute()), str(shown))
        raise SacFileError(f"cannot open {shown} as video: {reason}", "open_clip") from error
    return clip


def _read_ffms2(reader: Any, path: str, index: int) -> vs.VideoNode:
    return reader.Source(source=path, cache=False, track=max(index, -1))


def _read_bestsource(reader: Any, path: str, index: int) -> vs.VideoNode:
    # Negative track numbers count only video tracks. No index is kept on disk: a stale index would be worse than the
    # seconds it takes to make one. `variableformat=-1` passes all formats on, so that a change of format midway is
    # detected instead of silently dropped. The cache of decoded frames has 32 MiB instead of the default 1000 MiB.
    return reader.VideoSource(
        source=path, track=index, cachemode=0, cachesize=32, variableformat=-1, showprogress=False
    )


def _read_lsmas(reader: Any, path: str, index: int) -> vs.VideoNode:
    return reader.LWLibavSource(source=path, cache=0, stream_index=max(index, -1))


_READERS: dict[SourcePlugin, Callable[[Any, str, int], vs.VideoNode]] = {
    SourcePlugin.FFMS2: _read_ffms2,
    SourcePlugin.BESTSOURCE: _read_bestsource,
    SourcePlugin.LSMAS: _read_lsmas,
}
