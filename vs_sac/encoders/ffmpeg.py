"""ffmpeg: libx264 and libx265 where the native programs are missing, and FFV1 for masks and decoded video."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.choices import Codec
from .base import EncoderSettings, PictureFormat, colour_names

__all__ = ["FfmpegEncoder", "ffv1_command", "library_options"]

#: Options that libavcodec takes itself instead of passing them to the library.
_OWN = ("tune", "profile", "preset")


@dataclass(frozen=True)
class FfmpegEncoder:
    """libx264 or libx265 inside ffmpeg; writes Matroska."""

    program: str
    codec: Codec
    suffix: str = ".mkv"
    needs_grid: bool = False

    @property
    def name(self) -> str:
        """Program and codec."""
        return f"lib{self.codec} ({self.program})"

    def command(self, picture: PictureFormat, settings: EncoderSettings, crf: float, out: Path) -> list[str]:
        """The whole command line; the user's options are translated to the library's parameters."""
        options = [(f"-{name}:v" if name == "profile" else f"-{name}", value)
                   for name, value in library_options(picture, settings, crf)]  # fmt: skip
        return [
            self.program, "-hide_banner", "-v", "warning", "-nostdin", "-y", "-f", "yuv4mpegpipe", "-i", "-",
            *_colours(picture), "-c:v", f"lib{self.codec}", *(word for option in options for word in option),
            "-fflags", "+bitexact", "-f", "matroska", f"file:{out}",
        ]  # fmt: skip


def library_options(
    picture: PictureFormat, settings: EncoderSettings, crf: float, defaults: Sequence[tuple[str, str]] = ()
) -> list[tuple[str, str]]:
    """Settings as options of libavcodec's libx264 and libx265: preset, tune, profile and the library's parameters.

    Args:
        picture: The picture's format.
        settings: Effort and the user's options in the native program's form.
        crf: Constant rate factor.
        defaults: Further parameters; the user's options win.

    Returns:
        (name, value) pairs.
    """
    own = [(name, value or "") for name, value in settings.args if name in _OWN]
    # The CRF goes the same way as the user's options, so that a later one wins as it does natively.
    params: list[tuple[str, str | None]] = [("crf", f"{crf:g}"), *defaults]
    params += [(name, "1" if value is None else value) for name, value in settings.args if name not in _OWN]
    if picture.chroma_location is not None:
        params.insert(0, ("chromaloc", str(picture.chroma_location)))
    if settings.codec is Codec.X265:
        params.insert(0, ("log-level", "warning"))
    joined = ":".join(f"{_positive(name)[0]}={_positive(name)[1] or _escaped(value or '')}" for name, value in params)
    return [("preset", settings.preset), *own, (f"{settings.codec}-params", joined)]


def _escaped(value: str) -> str:
    """A value in a list of parameters, which colons separate."""
    return re.sub(r"([\\':])", r"\\\1", value)


def _positive(name: str) -> tuple[str, str]:
    """``no-mbtree`` is ``mbtree=0`` to the libraries."""
    return (name.removeprefix("no-"), "0") if name.startswith("no-") else (name, "")


def _colours(picture: PictureFormat) -> list[str]:
    """Options that label the colours and leave the samples alone.

    The filter labels the frames; the output option says the same, since without it newer releases may convert
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
    """Lossless FFV1 in Matroska from a y4m stream; `picture` labels the colours, None stands for masks.

    Masks are a few pixels wide, so a frame is one slice (level 1). They repeat themselves: the range coder with its
    larger context, kept over 30 frames, makes them a tenth smaller, and the container has an index entry for each
    keyframe only.
    """
    mask = ["-level", "1", "-coder", "1", "-context", "1", "-g", "30"]
    return [
        program, "-hide_banner", "-v", "warning", "-nostdin", "-y", "-f", "yuv4mpegpipe", "-i", "-",
        *(_colours(picture) if picture else []), "-c:v", "ffv1", *(["-level", "3"] if picture else mask),
        "-strict", "-1", "-fflags", "+bitexact", "-f", "matroska", f"file:{out}",
    ]  # fmt: skip
