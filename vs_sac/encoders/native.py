"""The x264 and x265 command-line programs."""

import subprocess
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..core.choices import Codec
from ..core.errors import SacWarning
from .base import EncoderSettings, PictureFormat, colour_options, flags, hdr_options

__all__ = ["NativeX264", "NativeX265"]


@dataclass(frozen=True)
class NativeX264:
    """x264; writes Matroska."""

    program: str
    suffix: str = ".mkv"
    needs_grid: bool = False

    @property
    def name(self) -> str:
        """Program and codec."""
        return f"x264 ({self.program})"

    def command(self, picture: PictureFormat, settings: EncoderSettings, crf: float, out: Path) -> list[str]:
        """Return the whole command line; the user's options come last, because later options override earlier ones."""
        colours = colour_options(picture, full="pc", limited="tv")
        if hdr := hdr_options(picture, Codec.X264):
            if all(f"--{name} " in _help(self.program) for name, _ in hdr):
                colours += hdr
            else:
                message = f"{self.name} is too old for HDR metadata, which only the container states; update x264"
                warnings.warn(message, SacWarning, stacklevel=2)
        return [
            # y4m does not state the range. Without --input-range, x264 would convert from the limited range.
            self.program, "--demuxer", "y4m", "--input-range", "pc" if picture.full_range else "tv",
            "--quiet", "--no-progress",
            "--preset", settings.preset, "--crf", f"{crf:g}",
            "--output-csp", f"i{picture.chroma}", "--output-depth", str(picture.bits),
            *flags(colours), *flags(settings.args), "--output", str(out), "-",
        ]  # fmt: skip


@dataclass(frozen=True)
class NativeX265:
    """x265; writes a raw stream."""

    program: str
    suffix: str = ".hevc"
    needs_grid: bool = False

    @property
    def name(self) -> str:
        """Program and codec."""
        return f"x265 ({self.program})"

    def command(self, picture: PictureFormat, settings: EncoderSettings, crf: float, out: Path) -> list[str]:
        """Return the whole command line; the user's options come last, because later options override earlier ones."""
        colours = [*colour_options(picture, full="full", limited="limited"), *hdr_options(picture, Codec.X265)]
        return [
            self.program, "--y4m", "--input", "-", "--no-progress", "--log-level", "warning",
            "--preset", settings.preset, "--crf", f"{crf:g}", "--output-depth", str(picture.bits),
            *flags(colours), *flags(settings.args), "--output", str(out),
        ]  # fmt: skip


@cache
def _help(program: str) -> str:
    """The options that an x264 program knows. Old ones have none for HDR metadata."""
    try:
        said = subprocess.run([program, "--fullhelp"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.decode(errors="replace")
