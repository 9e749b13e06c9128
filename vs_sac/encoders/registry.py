"""Finding installed programs: the best encoder of a codec, ffmpeg and mkvmerge."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache

from ..core.choices import Codec
from ..core.errors import SacMissingError
from .base import Encoder
from .ffmpeg import FfmpegEncoder
from .native import NativeX264, NativeX265
from .roi import RoiEncoder

__all__ = ["find_encoder", "find_ffmpeg", "find_mkvmerge", "plain_encoder"]

#: Smallest side in pixels that the y4m reader of the x265 program accepts; libx265 has no such limit.
_X265_SMALLEST = 64


def find_encoder(codec: Codec, smallest_side: int = _X265_SMALLEST) -> Encoder:
    """Return the native program if it is on PATH and accepts the picture, else an ffmpeg with the library.

    x265 writes a raw stream, which only mkvmerge multiplexes into Matroska with correct timestamps. Without mkvmerge,
    ffmpeg is therefore used instead of x265.

    Args:
        codec: The codec.
        smallest_side: The smaller of the picture's width and height, in pixels.

    Raises:
        SacMissingError: No encoder is installed.
    """
    native = shutil.which(codec.value)
    if native and codec is Codec.X264:
        return NativeX264(native)
    if native and find_mkvmerge() and smallest_side >= _X265_SMALLEST:
        return NativeX265(native)
    for program in _ffmpegs():
        if f"lib{codec}" in _ffmpeg_encoders(program):
            return FfmpegEncoder(program, codec)
    raise SacMissingError(f"no {codec} encoder found: install {codec}, or pip install imageio-ffmpeg", "encode")


def plain_encoder(codec: Codec, smallest_side: int = _X265_SMALLEST) -> Encoder:
    """Return the encoder of a stream without QP offsets: the installed x264, or libx265 as supplied by PyAV.

    PyAV's libx265 also encodes single streams, so the modes are comparable. Its version 4.3 needs 1 % fewer bytes than
    the version 3.5 of Linux distributions (docs/rate.md). If PyAV has no libx265, `find_encoder` chooses.

    Args:
        codec: The codec.
        smallest_side: The smaller of the picture's width and height, in pixels.

    Raises:
        SacMissingError: No encoder is installed.
    """
    if codec is Codec.X265:
        library = RoiEncoder.without_offsets(codec)
        try:
            library.find()
        except SacMissingError:
            pass
        else:
            return library
    return find_encoder(codec, smallest_side)


def find_ffmpeg() -> str:
    """Return the ffmpeg program on PATH, else the one that the package imageio-ffmpeg contains.

    Raises:
        SacMissingError: No ffmpeg is installed.
    """
    if found := next(iter(_ffmpegs()), None):
        return found
    raise SacMissingError("no ffmpeg found: install ffmpeg, or pip install imageio-ffmpeg", "find_ffmpeg")


def find_mkvmerge() -> str | None:
    """Return the mkvmerge program; None if it is not on PATH."""
    return shutil.which("mkvmerge")


def _ffmpegs() -> Iterator[str]:
    first = shutil.which("ffmpeg")
    if first:
        yield first
    try:
        import imageio_ffmpeg

        second = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return
    if second != first and os.access(second, os.X_OK):
        yield second


@cache
def _ffmpeg_encoders(program: str) -> frozenset[str]:
    try:
        listed = subprocess.run([program, "-v", "error", "-encoders"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    words = [line.split() for line in listed.stdout.decode(errors="replace").splitlines()]
    return frozenset(line[1] for line in words if len(line) > 1)
