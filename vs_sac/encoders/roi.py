"""Streams with two qualities: libx264 and libx265 in PyAV, which get the block grid with every frame."""

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

#: CRF and QP offset of the encoder check, and the smallest difference between the regions in dB that passes it. The
#: CRF is far from the ends of the QP range, where an offset could have no effect. The difference is 7 to 8 dB if the
#: encoder applies offsets, and 0 dB if it ignores them.
_PROBE_CRF, _PROBE_OFFSET, _PROBE_ANSWER = 18, 8, 2.0

#: Presets that turn off adaptive quantization; offsets have no effect without it.
_WITHOUT_AQ = {Codec.X264: ("ultrafast",), Codec.X265: ("ultrafast", "superfast")}

#: Smallest side in pixels at which cu-tree stays on. With cu-tree, the libx265 4.3 of PyAV's wheels corrupts its memory
#: on pictures 34 to 48 pixels wide. It never did so from this side on, or without cu-tree.
_SAFE_SIDE = 64

#: Strength of adaptive quantization in a single x264 stream. Adaptive quantization moves bits to flat parts, such as
#: road and sky, while the offsets move bits to the ROI. At the preset's strength of 1.0, ROI coding gains 2 percentage
#: points less over a uniform encode in the same settings, and the single stream needs 11 to 13 % more bytes for the
#: same PSNR of the ROI, and 6 to 8 % more for the same SSIM of the ROI (docs/rate.md).
_X264_AQ_STRENGTH = "0.6"

#: Options of streams with a map. Perception networks lose colour first: with chroma 6 QP finer they agree with the
#: source as well at 5 to 10 % fewer bytes, with a map and without. The adaptive quantization of mode 2 was as good as
#: the preset's for one judge and better for another.
_MAP_DEFAULTS = {
    Codec.X264: [("chroma-qp-offset", "-6"), ("aq-mode", "2")],
    Codec.X265: [("cbqpoffs", "-6"), ("crqpoffs", "-6")],
}

#: Tunes of x264 that do not change adaptive quantization; all other tunes set its strength.
_NEUTRAL_TUNES = {"fastdecode", "zerolatency"}

#: Default sides of x265's quantization groups and coding trees in pixels. The two fastest presets have coding trees of
#: 32 pixels, which is not smaller than a group.
_X265_GROUP, _X265_TREE = 32, 64


@dataclass(frozen=True)
class RoiEncoder:
    """libx264 or libx265 with a QP offset per region; writes Matroska.

    In a single stream, the CRF is that of the ROI, which has no offset; equal CRFs of ROI and non-ROI therefore give a
    plain encode. Another reference CRF gives the same result. The same qualities were encoded with CRF 18 and offsets 0
    and 9, CRF 22.5 and offsets ∓4.5, and CRF 27 and offsets −9 and 0. The bytes of x264 differ by 0.2 % on Cityscapes
    aachen_000000 (12 frames) and on vd_test_small1 (32 frames), those of x265 by 0.2 % on vd_test_small1 (24 frames).
    The PSNR of either region differs by less than 0.05 dB.

    x265 has one quantizer for each group of 32×32 pixels, from the mean offset of the group's blocks. The ROI is
    therefore grown to whole groups, for the offsets only, and all coding units are searched down to their smallest
    parts (``--rskip 0``). Groups of 16 pixels (``--qg-size 16``) follow the mask, but cost more than that
    (docs/rate.md).

    Attributes:
        codec: The codec.
        non_roi: QP offset of the non-ROI, relative to the CRF.
        roi: QP offset of the ROI, relative to the CRF.
        map: Whether the grid holds QP offsets instead of regions; `roi` and `non_roi` are then 0. The preset's adaptive
            quantization is kept, and chroma gets a finer quantizer (docs/perception.md).
        plain: Whether the preset's adaptive quantization (x264) and search depth (x265) are kept. False for single
            streams, True for all other streams.
        suffix: Suffix of the file that the encoder writes.
        needs_grid: True; see `encoders.base.Encoder`.
    """

    codec: Codec
    non_roi: Fraction
    roi: Fraction = Fraction(0)
    map: bool = False
    plain: bool = False
    suffix: str = ".mkv"
    needs_grid: bool = True

    @property
    def name(self) -> str:
        """Library, and version of PyAV."""
        return f"lib{self.codec} (PyAV {av.__version__})"

    @classmethod
    def without_offsets(cls, codec: Codec, *, plain: bool = True) -> Self:
        """Return the library as an ordinary encoder, with the same quality in the whole picture."""
        return cls(codec, non_roi=Fraction(0), plain=plain)

    def command(self, picture: PictureFormat, settings: EncoderSettings, crf: float, out: Path) -> list[str]:
        """Return the whole command line; `encoders.wire` describes the standard input of the program."""
        return [*worker_program(), *self._task(picture, settings, crf, self.roi, self.non_roi).arguments(), f"{out}"]

    def find(self) -> str:
        """Check that PyAV has the library, and return the name of the encoder.

        Linux distributions build PyAV without the libraries.

        Raises:
            SacMissingError: PyAV does not have the library.
        """
        if f"lib{self.codec}" not in av.codecs_available:
            raise SacMissingError(f"PyAV has no lib{self.codec}: pip install av", "encode")
        return self.name

    def check(self, picture: PictureFormat, settings: EncoderSettings, workers: WorkerPool | None = None) -> None:
        """Encode a small texture to check that the encoder applies QP offsets in these settings.

        Args:
            picture: Format of the clip.
            settings: The settings to check.
            workers: Pool from which a waiting worker is taken.

        Raises:
            SacMissingError: PyAV does not have the library.
            SacValueError: The encoder ignores offsets in these settings.
            SacProcessError: The encoder does not accept the settings.
        """
        self.find()
        if self.roi == self.non_roi == 0 and not self.map:
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
        if self.map:
            # A tune that sets the strength of adaptive quantization, such as psnr, keeps it.
            kept = () if tunes <= _NEUTRAL_TUNES else ("aq-mode",)
            defaults += [(name, value) for name, value in _MAP_DEFAULTS[self.codec] if name not in kept]
        elif not self.plain and self.codec is Codec.X264 and tunes <= _NEUTRAL_TUNES:
            defaults += [("aq-strength", _X264_AQ_STRENGTH)]
        if self.codec is Codec.X265:
            if not self.plain:
                # x265 judges a large coding unit by the mean of its offsets, and would often stop there without
                # searching its parts.
                defaults += [("rskip", "0")]
            if min(picture.width, picture.height) < _SAFE_SIDE:
                defaults += [("cutree", "0")]
        options = [*_colours(picture), *library_options(picture, settings, crf, defaults)]
        return Task(codec=f"lib{self.codec}", options=tuple(options), roi_offset=roi, non_roi_offset=non_roi,
                    group=self._group(settings))  # fmt: skip

    def offset_side(self, settings: EncoderSettings) -> int:
        """Return the side of the square that gets one QP offset, in pixels: 16, or x265's quantization group."""
        return BLOCK * self._group(settings)

    def _group(self, settings: EncoderSettings) -> int:
        """Return the side of a quantization group in macroblocks: 1 in H.264; in H.265 it depends on x265's options."""
        if self.codec is Codec.X264:
            return 1
        given = {name: int(value) for name, value in settings.args if value is not None and value.isdecimal()}
        side = min(given.get("qg-size", _X265_GROUP), given.get("ctu", _X265_TREE))
        return max(1, side // BLOCK)


def _colours(picture: PictureFormat) -> list[tuple[str, str]]:
    """Return the colour of a picture as options of libavcodec, which uses the numbers of ITU-T H.273."""
    known = colour_names(picture)
    options = [("color_range", "pc" if picture.full_range else "tv")]
    options += [("colorspace", str(picture.matrix))] if "colormatrix" in known else []
    options += [("color_primaries", str(picture.primaries))] if "colorprim" in known else []
    options += [("color_trc", str(picture.transfer))] if "transfer" in known else []
    return options
