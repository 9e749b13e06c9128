"""ffmpeg: libx264 and libx265 if the native programs are missing, and FFV1 for masks and decoded video."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.choices import Codec
from .base import EncoderSettings, PictureFormat, colour_names, hdr_options

__all__ = ["FfmpegEncoder", "LosslessEncoder", "ffv1_command", "library_options"]

#: Options of libavcodec itself; all others are passed to the library as parameters.
_OWN = ("tune", "profile", "preset")


@dataclass(frozen=True)
class FfmpegEncoder:
    """libx264 or libx265 in ffmpeg; writes Matroska."""

    program: str
    codec: Codec
    suffix: str = ".mkv"
    needs_grid: bool = False

    @property
    def name(self) -> str:
        """Program and codec."""
        return f"lib{self.codec} ({self.program})"

    def command(self, picture: PictureFormat, settings: EncoderSettings, crf: float, out: Path) -> list[str]:
        """Return the whole command line; the user's options are translated to parameters of the library."""
        options = [(f"-{name}:v" if name == "profile" else f"-{name}", value)
                   for name, value in library_options(picture, settings, crf)]  # fmt: skip
        return [
            self.program, "-hide_banner", "-v", "warning", "-nostdin", "-y", "-f", "yuv4mpegpipe", "-i", "-",
            *_colours(picture), "-c:v", f"lib{self.codec}", *(word for option in options for word in option),
            "-fflags", "+bitexact", "-f", "matroska", f"file:{out}",
        ]  # fmt: skip


@dataclass(frozen=True)
class LosslessEncoder:
    """FFV1 for grids; see `ffv1_command`. It has no quality: settings and CRF are ignored."""

    program: str
    suffix: str = ".mkv"
    needs_grid: bool = False

    @property
    def name(self) -> str:
        """Program and codec."""
        return f"ffv1 ({self.program})"

    def command(self, picture: PictureFormat, settings: EncoderSettings, crf: float, out: Path) -> list[str]:
        """Return the whole command line."""
        return ffv1_command(self.program, out)


def library_options(
    picture: PictureFormat, settings: EncoderSettings, crf: float, defaults: Sequence[tuple[str, str]] = ()
) -> list[tuple[str, str]]:
    """Return options of libavcodec for libx264 and libx265: preset, tune, profile and the library's parameters.

    Args:
        picture: Format of the picture.
        settings: Preset, and the user's options in the form of the native program.
        crf: Constant rate factor.
        defaults: Further parameters of the library; the user's options override them.

    Returns:
        (name, value) pairs.
    """
    own = [(name, value or "") for name, value in settings.args if name in _OWN]
    # The CRF is passed like the user's options, so that a later option overrides it, as in the native program.
    given = [*hdr_options(picture, settings.codec), ("crf", f"{crf:g}"), *defaults]
    given += [(name, value) for name, value in settings.args if name not in _OWN]
    params = [(name, "1" if value is None else value) for name, value in given]
    if picture.chroma_location is not None:
        params.insert(0, ("chromaloc", str(picture.chroma_location)))
    if settings.codec is Codec.X265:
        params.insert(0, ("log-level", "warning"))
    joined = ":".join(f"{_positive(name)[0]}={_positive(name)[1] or _escaped(value)}" for name, value in params)
    return [("preset", settings.preset), *own, (f"{settings.codec}-params", joined)]


def _escaped(value: str) -> str:
    """Escape a value for a list of parameters that are separated by colons."""
    return re.sub(r"([\\':])", r"\\\1", value)


def _positive(name: str) -> tuple[str, str]:
    """Convert an option such as ``no-mbtree`` to the library's form ``mbtree=0``, as a pair of name and value."""
    return (name.removeprefix("no-"), "0") if name.startswith("no-") else (name, "")


def _colours(picture: PictureFormat) -> list[str]:
    """Return options that label the colours and do not change the samples.

    The filter labels the frames. The output option repeats the range: without it, newer releases of ffmpeg may convert
    full-range samples for an encoder that prefers the other range.
    """
    names = colour_names(picture)
    span = "pc" if picture.full_range else "tv"
    tags = {"range": span}
    tags |= {"colorspace": names["colormatrix"]} if "colormatrix" in names else {}
    tags |= {"color_primaries": names["colorprim"]} if "colorprim" in names else {}
    tags |= {"color_trc": names["transfer"]} if "transfer" in names else {}
    return ["-vf", "setparams=" + ":".join(f"{key}={value}" for key, value in tags.items()), "-color_range", span]


def ffv1_command(program: str, out: Path, picture: PictureFormat | None = None) -> list[str]:
    """Return the command line for lossless FFV1 in Matroska from a y4m stream.

    A mask has few pixels, so its frames have one slice (level 1). Successive masks are similar: the range coder with
    its larger context, kept over 30 frames, makes the track 10 % smaller, and the container has an index entry only for
    each keyframe.

    Args:
        program: The ffmpeg program.
        out: The file to write.
        picture: Format of a video, for the colour labels; None for masks.
    """
    mask = ["-level", "1", "-coder", "1", "-context", "1", "-g", "30"]
    return [
        program, "-hide_banner", "-v", "warning", "-nostdin", "-y", "-f", "yuv4mpegpipe", "-i", "-",
        *(_colours(picture) if picture else []), "-c:v", "ffv1", *(["-level", "3"] if picture else mask),
        "-strict", "-1", "-fflags", "+bitexact", "-f", "matroska", f"file:{out}",
    ]  # fmt: skip
