"""Streams with two qualities: libx264 and libx265 inside PyAV, fed the block grid along with every frame."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self

import av

from ..core.choices import Codec
from ..core.errors import SacMissingError, SacValueError
from ..core.macroblocks import BLOCK
from ..core.processes import run
from .base import EncoderSettings, PictureFormat, colour_names
from .ffmpeg import library_options
from .wire import Task
from .worker_pool import WorkerPool, worker_program

__all__ = ["RoiEncoder"]

#: CRF and offset the encoder is probed with, far from the ends of the QP range where an offset could not show, and how
#: much of the offset must be seen, in dB. Encoders that obey show 7 to 8 dB, one that ignores offsets none.
_PROBE_CRF, _PROBE_OFFSET, _PROBE_ANSWER = 18, 8, 2.0

#: Presets that turn adaptive quantization off, and with it offsets.
_WITHOUT_AQ = {Codec.X264: ("ultrafast",), Codec.X265: ("ultrafast", "superfast")}

#: The libx265 4.3 of PyAV's wheels damages its memory on pictures 34 to 48 pixels wide while cu-tree is on; from this
#: side on, and without cu-tree, it never did.
_SAFE_SIDE = 64

#: Strength of a single x264 stream's adaptive quantization. It moves bits to flat parts, which the regions do as well:
#: at the preset's 1.0, ROI coding gains 2 points less over a uniform encode in the same settings, and the single stream
#: needs 11 to 13 % more bytes for the ROI's PSNR, 6 to 8 % more for its SSIM (docs/rate.md).
_X264_AQ_STRENGTH = "0.6"

#: Tunes of x264 that leave its adaptive quantization as it is; the others choose its strength.
_NEUTRAL_TUNES = {"fastdecode", "zerolatency"}

#: Sides of x265's quantization groups and coding trees in pixels where no option says otherwise. (Its two fastest
#: presets have trees of 32, no smaller than a group.)
_X265_GROUP, _X265_TREE = 32, 64


@dataclass(frozen=True)
class RoiEncoder:
    """libx264 or libx265 with a QP offset for the macroblocks that are not ROI; writes Matroska.

    The CRF of the settings is the ROI's, which has no offset, so that equal CRFs give a plain encode. Any other anchor
    gives the same: with CRF 18 and offsets 0 and 9, 22.5 and ∓4.5, 27 and −9 and 0, x264's bytes differ by 0.2 % on
    Cityscapes aachen_000000 (12 frames) and on vd_test_small1 (32), x265's by 0.2 % on the latter (24), PSNR of either
    region by less than 0.05 dB.
    x265 quantizes groups of 32 pixels alike, by the mean of their blocks' offsets; the ROI is therefore grown to whole
    groups here, for the offsets only, and units are searched to the bottom (``--rskip 0``). Groups of 16 pixels
    (``--qg-size 16``) follow the mask and cost more than that: docs/rate.md.

    Attributes:
        codec: Which.
        non_roi: What is added to the CRF of the settings outside of the ROI.
        roi: What is added in the ROI.
        plain: Leave x264's adaptive quantization and x265's search as the preset has them, for all but single streams.
        suffix: Of the file it writes.
        needs_grid: True; see `base.Encoder`.
    """

    codec: Codec
    non_roi: Fraction
    roi: Fraction = Fraction(0)
    plain: bool = False
    suffix: str = ".mkv"
    needs_grid: bool = True

    @property
    def name(self) -> str:
        """Library and where it lives."""
        return f"lib{self.codec} (PyAV {av.__version__})"

    @classmethod
    def without_offsets(cls, codec: Codec, *, plain: bool = True) -> Self:
        """The library as an ordinary encoder: the same quality everywhere."""
        return cls(codec, non_roi=Fraction(0), plain=plain)

    def command(self, picture: PictureFormat, settings: EncoderSettings, crf: float, out: Path) -> list[str]:
        """The whole command line; its standard input is described in `wire`."""
        return [*worker_program(), *self._task(picture, settings, crf, self.roi, self.non_roi).arguments(), f"{out}"]

    def find(self) -> str:
        """Its name, if PyAV has the library; distributions build PyAV without.

        Raises:
            SacMissingError: It has not.
        """
        if f"lib{self.codec}" not in av.codecs_available:
            raise SacMissingError(f"PyAV has no lib{self.codec}: pip install av", "encode")
        return self.name

    def check(self, picture: PictureFormat, settings: EncoderSettings, workers: WorkerPool | None = None) -> None:
        """Encode a small texture and see whether blocks get the quality that offsets ask for.

        Args:
            picture: Format of the clip.
            settings: The settings to be checked.
            workers: Where to take a worker from.

        Raises:
            SacMissingError: PyAV lacks the library.
            SacValueError: The encoder ignores offsets in these settings.
            SacProcessError: It does not take the settings.
        """
        self.find()
        if self.roi == self.non_roi == 0:
            return
        task = self._task(picture, settings, _PROBE_CRF, Fraction(0), Fraction(_PROBE_OFFSET))
        pixels = f"yuv{picture.chroma}p" + ("" if picture.bits == 8 else f"{picture.bits}le")
        command = [*worker_program(), *task.arguments(), "--probe", pixels]
        said = run("encode", command, process=workers.take(command) if workers else None)
        if float(said.split()[-1]) < _PROBE_ANSWER:
            raise SacValueError(
                f"{self.codec} ignores QP offsets in these settings, so ROI and the rest would get the same quality:"
                " adaptive quantization must be on and the rate by CRF (leave out --aq-mode 0, --qp, --lossless,"
                " --tune psnr, or use --mode two-stream)", "encode",
            )  # fmt: skip

    def _task(
        self, picture: PictureFormat, settings: EncoderSettings, crf: float, roi: Fraction, non_roi: Fraction
    ) -> Task:
        defaults = []
        if settings.preset in _WITHOUT_AQ[self.codec]:
            defaults += [("aq-mode", "1" if self.codec is Codec.X264 else "2"), ("aq-strength", "1")]
        tunes = {word for name, value in settings.args if name == "tune" for word in (value or "").split(",")}
        if not self.plain and self.codec is Codec.X264 and tunes <= _NEUTRAL_TUNES:
            defaults += [("aq-strength", _X264_AQ_STRENGTH)]
        if self.codec is Codec.X265:
            if not self.plain:
                # x265 judges a large unit by the mean of its offsets, and would often stop there without looking at
                # its parts.
                defaults += [("rskip", "0")]
            if min(picture.width, picture.height) < _SAFE_SIDE:
                defaults += [("cutree", "0")]
        options = [*_colours(picture), *library_options(picture, settings, crf, defaults)]
        return Task(codec=f"lib{self.codec}", options=tuple(options), roi_offset=roi, non_roi_offset=non_roi,
                    group=self._group(settings))  # fmt: skip

    def _group(self, settings: EncoderSettings) -> int:
        """Macroblocks along the side of a quantization group: one in H.264, what x265's options say in H.265."""
        if self.codec is Codec.X264:
            return 1
        given = {name: int(value) for name, value in settings.args if value is not None and value.isdecimal()}
        side = min(given.get("qg-size", _X265_GROUP), given.get("ctu", _X265_TREE))
        return max(1, side // BLOCK)


def _colours(picture: PictureFormat) -> list[tuple[str, str]]:
    """The picture's colour as options of libavcodec, which counts as ITU-T H.273 does."""
    known = colour_names(picture)
    options = [("color_range", "pc" if picture.full_range else "tv")]
    options += [("colorspace", str(picture.matrix))] if "colormatrix" in known else []
    options += [("color_primaries", str(picture.primaries))] if "colorprim" in known else []
    options += [("color_trc", str(picture.transfer))] if "transfer" in known else []
    return options
