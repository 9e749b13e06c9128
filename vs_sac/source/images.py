"""The files of image sequences: finding and checking them, and links by which a reader can open them in order."""

import atexit
import os
import re
import shutil
import struct
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import av
import vapoursynth as vs

from ..core.errors import SacError, SacFileError, SacFormatError
from ..core.supervisor import make_folder

__all__ = ["ImageHeader", "image_files", "input_files", "linked_pattern", "name_order", "read_headers", "undecodable",
           "upright"]  # fmt: skip

_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
_PRINTF = re.compile(r"%0?\d*d")
_DIGITS = re.compile(r"(\d+)")

#: Pixel formats into which FFmpeg decodes CMYK, by codec. A JPEG with four components is always CMYK or YCCK.
_CMYK = {"mjpeg": {"gbrap", "yuva420p", "yuva422p", "yuva444p"}, "tiff": {"rgb0"}}

#: Beginning of Exif data in JPEG, PNG (two forms, the second by ImageMagick) and WebP. A TIFF file is Exif data itself.
_EXIF_MARKS = (b"Exif\0\0", b"eXIf", b"profile type exif", b"profile type APP1", b"EXIF")

_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


@dataclass(frozen=True)
class ImageHeader:
    """Properties of an image file.

    Attributes:
        width: Width in pixels, as stored.
        height: Height in pixels, as stored.
        samples: Name of the sample format.
        turn: Steps from the stored to the upright image: transpose, flip horizontally, flip vertically.
    """

    width: int
    height: int
    samples: str
    turn: tuple[bool, bool, bool] = (False, False, False)


def name_order(path: Path) -> tuple[list[str | int], str]:
    """Sort key of the natural order: digits in names are compared as numbers, so that frame2 comes before frame10."""
    parts = _DIGITS.split(path.name)
    # Text and numbers alternate, so that two keys are always comparable.
    return [int(part) if n % 2 else part for n, part in enumerate(parts)], path.name


def image_files(path: Path) -> list[Path]:
    """List the images of a folder or of a printf pattern in order.

    The order is that of `name_order`. Hidden files, such as the `._frame1.png` of macOS, are skipped.

    Returns:
        Paths of the images; empty if `path` is a single file.

    Raises:
        SacFileError: The folder holds no images, or the pattern matches none.
    """
    if path.is_dir():
        found = [file for file in path.iterdir() if file.suffix.lower() in _IMAGES and not file.name.startswith(".")]
        found.sort(key=name_order)
        if not found:
            raise SacFileError(f"{path} holds no images ({', '.join(sorted(_IMAGES))})", "open_clip")
    elif not path.exists() and (match := _PRINTF.search(path.name)):
        head, tail = re.escape(path.name[: match.start()]), re.escape(path.name[match.end() :])
        # %d matches only numbers as printf writes them: %05d does not match the 7 of frame7.png.
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


def input_files(source: object) -> list[Path]:
    """Return the files of a source for `core.outputs.check_outputs`; none for a clip or an unreadable source."""
    if not isinstance(source, str | Path):
        return []
    try:
        return image_files(Path(source)) or [Path(source)]
    except (SacError, OSError):
        return []


def read_headers(files: Sequence[Path]) -> list[ImageHeader]:
    """Read the properties of the images of a sequence, and check that they can be one video.

    Raises:
        SacFileError: An image cannot be read. The message names it.
        SacFormatError: An image is CMYK or differs in size from the first. The message names it.
    """
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        headers = list(pool.map(_read_header, files))
    for file, header in zip(files, headers, strict=True):
        if _size(header) != _size(headers[0]):
            (width, height), (first_width, first_height) = _size(header), _size(headers[0])
            message = f"{file} is {width}x{height} and {files[0].name} is {first_width}x{first_height}"
            raise SacFormatError(f"{message}; all images of a sequence must have one size", "open_clip")
        if (header.width, header.height) != (headers[0].width, headers[0].height):
            message = f"{file} is stored turned by 90° (Exif orientation) and {files[0].name} is not"
            raise SacFormatError(f"{message}; turn the pixels themselves, for example with ImageMagick's -auto-orient",
                                 "open_clip")  # fmt: skip
    return headers


def _size(header: ImageHeader) -> tuple[int, int]:
    """Width and height of the upright image."""
    return (header.height, header.width) if header.turn[0] else (header.width, header.height)


def _read_header(file: Path) -> ImageHeader:
    try:
        data = file.read_bytes()
        turned = file.suffix.lower() in (".tif", ".tiff") or any(mark in data for mark in _EXIF_MARKS)
        if not turned and data.startswith(_PNG):
            # FFmpeg would decode the whole PNG for this.
            width, height, bits, colours = struct.unpack(">IIBB", data[len(_PNG) : len(_PNG) + 10])
            return ImageHeader(width, height, f"png {bits} {colours}")
        # "file:" keeps names such as "a:b" from being taken for a protocol.
        with av.open(f"file:{file.absolute()}") as opened:
            stream = opened.streams.video[0]
            context = stream.codec_context
            frame = next(opened.decode(stream), None) if turned else None
            samples = frame.format.name if frame else context.pix_fmt
            width, height = (frame.width, frame.height) if frame else (context.width, context.height)
            if turned and frame is None:
                raise ValueError("no picture in it")
    except (OSError, ValueError, IndexError, struct.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise SacFileError(f"cannot read the image {file}: {reason}", "open_clip") from error
    if not width or not height or samples is None:
        raise SacFileError(f"cannot read the image {file}: no picture in it", "open_clip")
    if samples in _CMYK.get(context.name, ()):
        raise SacFormatError(f"{file} is CMYK, a format for print; accepted: grey, RGB and YCbCr images", "open_clip")
    return ImageHeader(width, height, samples, _turn(frame))


def _turn(frame: av.VideoFrame | None) -> tuple[bool, bool, bool]:
    """Return the steps to the upright image, from the display matrix that FFmpeg makes of the Exif orientation."""
    matrix = frame.side_data.get("DISPLAYMATRIX") if frame else None
    if matrix is None:
        return False, False, False
    # Rows (a b u), (c d v), (x y w): x' = ax + cy, y' = bx + dy.
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    return (False, a < 0, d < 0) if a else (True, c < 0, b < 0)


def undecodable(files: Sequence[Path]) -> Path | None:
    """Return the first image that cannot be decoded; None if all can."""
    for file in files:
        try:
            with av.open(f"file:{file.absolute()}") as opened:
                if next(opened.decode(video=0), None) is None:
                    return file
        except (OSError, ValueError, IndexError):
            return file
    return None


def upright(clip: vs.VideoNode, headers: Sequence[ImageHeader]) -> vs.VideoNode:
    """Turn and flip the frames of a sequence according to their headers. Upright sequences are returned unchanged."""
    parts, start = [], 0
    for turn, group in groupby(header.turn for header in headers):
        stop = start + sum(1 for _ in group)
        part = clip if stop - start == clip.num_frames else clip[start:stop]
        for wanted, change in zip(turn, ("Transpose", "FlipHorizontal", "FlipVertical"), strict=True):
            part = getattr(part.std, change)() if wanted else part
        parts.append(part)
        start = stop
    return parts[0] if len(parts) == 1 else vs.core.std.Splice(parts)


def linked_pattern(files: Sequence[Path]) -> Path:
    """Make numbered links to images of any names, and return the printf pattern of the links.

    The links exist until the process ends, because frames may be requested until then.

    Raises:
        SacFileError: The links cannot be made.
        SacFormatError: The images are of more than one type.
    """
    suffix = files[0].suffix.lower()
    if other := next((file for file in files if file.suffix.lower() != suffix), None):
        raise SacFormatError(f"{other} is of another type than {files[0].name}; keep one type in a folder", "open_clip")
    try:
        links = make_folder(Path(tempfile.gettempdir()), "vs-sac-images-")
        atexit.register(shutil.rmtree, links, ignore_errors=True)
        for number, file in enumerate(files):
            (links / f"{number:08d}{suffix}").symlink_to(file.resolve())
    except OSError as error:
        raise SacFileError(f"cannot make links to the images: {error.strerror}", "open_clip") from error
    # In the folder's own name a % stands for itself.
    return Path(str(links.absolute()).replace("%", "%%"), f"%08d{suffix}")
