"""Encoders as command lines, and finding the best one that is installed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache

from ..errors import SacMissingError
from ..types import Codec
from .base import DEFAULT_CRF, PRESETS, Encoder, EncoderSettings, PictureFormat, pace_args, parse_args
from .ffmpeg import FfmpegEncoder, ffv1_command
from .native import NativeX264, NativeX265
from .roi import RoiEncoder

__all__ = [
    "DEFAULT_CRF",
    "PRESETS",
    "Encoder",
    "EncoderSettings",
    "FfmpegEncoder",
    "NativeX264",
    "NativeX265",
    "PictureFormat",
    "RoiEncoder",
    "ffv1_command",
    "find_encoder",
    "find_ffmpeg",
    "find_mkvmerge",
    "pace_args",
    "parse_args",
]


#: x265's own y4m reader refuses smaller pictures; the library does not.
_X265_SMALLEST = 64


def find_encoder(codec: Codec, smallest_side: int = _X265_SMALLEST) -> Encoder:
    """The native program if it is on PATH and takes the picture, else an ffmpeg with the library.

    x265 writes a raw stream that only mkvmerge puts into Matroska with correct timestamps, so without mkvmerge
    ffmpeg is taken instead.

    Args:
        codec: Which.
        smallest_side: The smaller of the picture's width and height.

    Raises:
        SacMissingError: Neither is there.
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


def find_ffmpeg() -> str:
    """An ffmpeg program: from PATH, else the one imageio-ffmpeg carries.

    Raises:
        SacMissingError: Neither is there.
    """
    if found := next(iter(_ffmpegs()), None):
        return found
    raise SacMissingError("no ffmpeg found: install ffmpeg, or pip install imageio-ffmpeg", "find_ffmpeg")


def find_mkvmerge() -> str | None:
    """mkvmerge, if it is on PATH."""
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
