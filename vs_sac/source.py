"""Opening videos and image sequences as VapourSynth clips fit for the encoders."""

import atexit
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

import vapoursynth as vs

from .errors import SacFileError, SacFormatError, SacMissingError, SacValueError, SacWarning
from .graph import check_constant_format, plugin
from .guard import make_folder
from .in_order import open_in_order, relabelled
from .outputs import check_name
from .types import parse_choice

__all__ = ["SourcePlugin", "image_files", "open_clip", "open_raw", "to_encodable"]

_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
_PRINTF = re.compile(r"%0?\d*d")
_DEFAULT_FPS = Fraction(25)


class SourcePlugin(StrEnum):
    """Source plugins, in the order in which they are tried."""

    FFMS2 = "ffms2"
    BESTSOURCE = "bs"
    LSMAS = "lsmas"


def open_clip(
    path: str | Path | Sequence[Path],
    *,
    fps: Fraction | str | None = None,
    track: int = 0,
    source: SourcePlugin | str | None = None,
    in_order: bool = False,
) -> vs.VideoNode:
    """Open a driving video or an image sequence.

    Args:
        path: A video file, a folder of images (taken in name order), a printf pattern such as
            ``frame%05d.png``, or the images themselves.
        fps: Frame rate of an image sequence (default 25), or one to assume for a video.
        track: Which of the file's video tracks, from 0.
        source: Plugin to read with; by default ffms2 if it is loaded, else BestSource, else L-SMASH.
        in_order: The frames will be read from the first to the last. Then no index is made, which takes as long as
            decoding everything once, where the format allows it; the frames are the same.

    Returns:
        A YUV clip of 8 or 10 bits, 4:2:0, 4:2:2 or 4:4:4, of constant format and frame rate, whose frames carry
        `_Matrix`, `_Primaries`, `_Transfer`, `_Range` and `_ChromaLocation`. RGB becomes YUV BT.709 limited range
        (4:2:0 where the size is even), grey becomes YUV with neutral chroma, more than 10 bits become 10. Rotated
        video stands upright; interlaced video is a `SacWarning`.

    Raises:
        SacFileError: The file is missing, not a video, or has no frames.
        SacFormatError: The format changes midway, or is one that is not accepted.
        SacMissingError: No source plugin is loaded.
        SacValueError: Bad `fps` or `source`.
    """
    rate = _parse_fps(fps) if fps is not None else None
    clip = open_raw(path, fps=rate, track=track, source=source, in_order=in_order)
    with clip.get_frame(0) as frame:
        interlaced = frame.props.get("_FieldBased", 0)
    if interlaced:
        message = f"{path} is interlaced; its frames are coded as they are, as if they were progressive"
        warnings.warn(message, SacWarning, stacklevel=2)
        clip = clip.std.SetFieldBased(0)
    return to_encodable(clip)


def open_raw(
    path: str | Path | Sequence[Path],
    *,
    fps: Fraction | None = None,
    track: int = 0,
    source: SourcePlugin | str | None = None,
    in_order: bool = False,
) -> vs.VideoNode:
    """Open a video or an image sequence in its own format; takes and raises what `open_clip` does."""
    chosen = parse_choice(SourcePlugin, source, "open_clip") if source is not None else None
    if isinstance(path, str | Path):
        check_name(Path(path), "open_clip")
        files = image_files(Path(path))
    else:
        files = list(path)
    if files:
        clip = _open_images(files, fps or _DEFAULT_FPS, chosen, in_order)
    elif isinstance(path, str | Path):
        clip = _open_video(Path(path), track, chosen, in_order)
    else:
        raise SacFileError("no images", "open_clip")
    check_constant_format(clip, "open_clip")
    if not clip.num_frames:
        raise SacFileError(f"{path} has no frames", "open_clip")
    if not clip.fps_num:
        fps = fps or _DEFAULT_FPS
    return _at_rate(clip, fps) if fps else clip


def image_files(path: Path) -> list[Path]:
    """The images of a folder or printf pattern in order; nothing where `path` names a single file.

    Raises:
        SacFileError: The folder holds no images, or the pattern matches none.
    """
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in _IMAGES)
        if not found:
            raise SacFileError(f"{path} holds no images ({', '.join(sorted(_IMAGES))})", "open_clip")
    elif not path.exists() and (match := _PRINTF.search(path.name)):
        head, tail = re.escape(path.name[: match.start()]), re.escape(path.name[match.end() :])
        # %d matches numbers as printf writes them: %05d does not name frame7.png.
        number = re.compile(f"{head}(\\d+){tail}")
        numbered = {}
        for file in path.parent.iterdir() if path.parent.is_dir() else ():
            hit = number.fullmatch(file.name)
            if hit and path.name.replace(match[0], match[0] % int(hit[1])) == file.name:
                numbered[int(hit[1])] = file
        found = [numbered[n] for n in sorted(numbered)]
        if not found:
            raise SacFileError(f"no file matches the pattern {path}", "open_clip")
    else:
        return []
    return found


def to_encodable(clip: vs.VideoNode) -> vs.VideoNode:
    """Convert to what the encoders take and complete the colour properties; see `open_clip`.

    Raises:
        SacFormatError: Float samples.
    """
    check_constant_format(clip, "open_clip")
    fmt = clip.format
    if fmt.sample_type != vs.INTEGER:
        raise SacFormatError(f"the clip is {fmt.name}; accepted: integer samples", "open_clip")
    bits = 8 if fmt.bits_per_sample == 8 else 10
    if fmt.color_family == vs.RGB:
        # Chroma is halved where the size allows it: that is what players take.
        wanted = vs.core.query_video_format(vs.YUV, vs.INTEGER, bits, clip.width % 2 == 0, clip.height % 2 == 0)
        if wanted.subsampling_h and not wanted.subsampling_w:
            wanted = vs.core.query_video_format(vs.YUV, vs.INTEGER, bits, 0, 0)
        clip = clip.resize.Bicubic(
            format=wanted.id, matrix=vs.MATRIX_BT709, range=0, primaries_in=1, primaries=1, transfer_in=1, transfer=1
        )
    else:
        if fmt.bits_per_sample != bits:
            to = vs.core.query_video_format(fmt.color_family, vs.INTEGER, bits, fmt.subsampling_w, fmt.subsampling_h)
            clip = clip.resize.Point(format=to.id, dither_type="ordered")
        if fmt.color_family == vs.GRAY:
            clip = _grey_to_yuv(clip)
    if (
        clip.format.subsampling_w > 1
        or clip.format.subsampling_h > 1
        or (clip.format.subsampling_h and not clip.format.subsampling_w)
    ):
        to = vs.core.query_video_format(vs.YUV, vs.INTEGER, bits, 0, 0)
        clip = clip.resize.Bicubic(format=to.id)
    return _complete_props(clip)


def _grey_to_yuv(clip: vs.VideoNode) -> vs.VideoNode:
    """Add neutral chroma, at half size where the size allows it."""
    bits = clip.format.bits_per_sample
    even = clip.width % 2 == 0 and clip.height % 2 == 0
    grey = vs.core.query_video_format(vs.GRAY, vs.INTEGER, bits, 0, 0)
    chroma = vs.core.std.BlankClip(
        clip, clip.width >> even, clip.height >> even, grey.id, color=1 << (bits - 1), keep=True
    )
    return vs.core.std.ShufflePlanes([clip, chroma, chroma], [0, 0, 0], vs.YUV, prop_src=[clip])


def _complete_props(clip: vs.VideoNode) -> vs.VideoNode:
    """Fill colour properties the source left open, once, from the first frame."""
    with clip.get_frame(0) as frame:
        props = dict(frame.props)
    # What players assume: BT.709 from HD on, BT.601 below.
    matrix = vs.MATRIX_BT709 if clip.height > 576 or clip.width > 1024 else vs.MATRIX_ST170_M
    unknown = (None, vs.MATRIX_UNSPECIFIED, vs.MATRIX_RGB)
    new: dict[str, int] = {}
    if props.get("_Matrix") in unknown:
        new["_Matrix"] = int(matrix)
    for name in ("_Primaries", "_Transfer"):
        if props.get(name) in (None, 0, 2):
            new[name] = int(new.get("_Matrix", props.get("_Matrix", matrix)))
            new[name] = new[name] if new[name] in (1, 5, 6, 9) else 1
            # BT.2020's transfer is that of BT.709 with another number.
            new[name] = {("_Transfer", 9): 14, ("_Transfer", 5): 6}.get((name, new[name]), new[name])
    if "_Range" not in props:
        new["_Range"] = 0
    if clip.format.subsampling_w and "_ChromaLocation" not in props:
        new["_ChromaLocation"] = 0
    # BestSource describes its frames further; encoders and comparisons need none of that.
    return relabelled(clip, clip.std.SetFrameProps(**new)) if new else clip


def _parse_fps(fps: Fraction | str) -> Fraction:
    try:
        rate = Fraction(fps)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise SacValueError(f"frame rate {fps!r} is not a number above 0 such as 25 or 30000/1001", "open_clip")
    return rate


def _open_images(files: list[Path], fps: Fraction, source: SourcePlugin | None, in_order: bool) -> vs.VideoNode:
    """Read images in their own format through numbered links, whatever their names are."""
    suffixes = {file.suffix.lower() for file in files}
    if len(suffixes) > 1:
        kinds = ", ".join(sorted(suffixes))
        raise SacFormatError(f"the folder mixes image types ({kinds}); keep one type", "open_clip")
    suffix = suffixes.pop()
    try:
        links = make_folder(Path(tempfile.gettempdir()), "vs-sac-images-")
        # The links must live as long as frames may be asked for: until the process ends.
        atexit.register(shutil.rmtree, links, ignore_errors=True)
        for number, file in enumerate(files):
            (links / f"{number:08d}{suffix}").symlink_to(file.resolve())
    except OSError as error:
        raise SacFileError(f"cannot make links to the images: {error.strerror}", "open_clip") from error
    pattern = links / f"%08d{suffix}"
    clip = open_in_order(pattern, 0) if in_order and source is None else None
    clip = clip or _read(pattern, 0, source or SourcePlugin.BESTSOURCE, files[0])
    if clip.num_frames != len(files):
        raise SacFileError(
            f"only {clip.num_frames} of the {len(files)} images next to {files[0]} can be read", "open_clip"
        )
    return _at_rate(clip, fps)


def _at_rate(clip: vs.VideoNode, fps: Fraction) -> vs.VideoNode:
    return relabelled(clip, clip.std.AssumeFPS(fpsnum=fps.numerator, fpsden=fps.denominator))


def _open_video(path: Path, track: int, source: SourcePlugin | None, in_order: bool) -> vs.VideoNode:
    if not path.exists():
        raise SacFileError(f"{path} does not exist", "open_clip")
    if not path.is_file():
        raise SacFileError(f"{path} is not a file", "open_clip")
    clip = open_in_order(path, track) if in_order and source is None else None
    return clip or _read(path, track, source or _first_loaded(), path)


def _first_loaded() -> SourcePlugin:
    for candidate in SourcePlugin:
        if hasattr(vs.core, candidate.value):
            return candidate
    raise SacMissingError("no VapourSynth source plugin is loaded: pip install vapoursynth-bestsource", "open_clip")


def _read(path: Path, track: int, source: SourcePlugin, shown: Path) -> vs.VideoNode:
    reader = plugin(source.value, "open_clip")
    try:
        clip = _READERS[source](reader, str(path.absolute()), track)
    except vs.Error as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "unknown error"
        raise SacFileError(f"cannot open {shown} as video: {reason}", "open_clip") from error
    return clip


def _read_ffms2(reader: Any, path: str, track: int) -> vs.VideoNode:
    if track:
        # ffms2 counts all tracks; the nth video track is not known before indexing.
        return _read_bestsource(plugin("bs", "open_clip"), path, track)
    return reader.Source(source=path, cache=False)


def _read_bestsource(reader: Any, path: str, track: int) -> vs.VideoNode:
    # Negative numbers count video tracks. No index is kept on disk: a stale one would be worse than the seconds.
    # All formats are let through so that a change midway is seen instead of silently dropped.
    # Decoded frames are kept in 32 MiB, not in the default 1000.
    return reader.VideoSource(
        source=path, track=-1 - track, cachemode=0, cachesize=32, variableformat=-1, showprogress=False
    )


def _read_lsmas(reader: Any, path: str, track: int) -> vs.VideoNode:
    if track:
        raise SacMissingError("reading a further video track needs BestSource: pip install vapoursynth-bestsource")
    return reader.LWLibavSource(source=path, cache=0)


_READERS: dict[SourcePlugin, Callable[[Any, str, int], vs.VideoNode]] = {
    SourcePlugin.FFMS2: _read_ffms2,
    SourcePlugin.BESTSOURCE: _read_bestsource,
    SourcePlugin.LSMAS: _read_lsmas,
}
