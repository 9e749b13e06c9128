"""Encoder settings beyond the user's options: fill, scale of the non-ROI, closing, references, lookahead and threads.

Every choice is based on measurements; see docs/rate.md and docs/performance.md.
"""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import vapoursynth as vs

from ..core.choices import Codec, Fill
from ..core.errors import SacFormatError, SacMissingError, SacValueError
from ..core.macroblocks import BLOCK
from ..encoders.base import PRESETS, EncoderSettings, PictureFormat, pace_args, parse_args
from ..encoders.roi import RoiEncoder
from ..encoders.worker_pool import WorkerPool
from ..streams.resampling import SCALES
from .options import CrfPair, RunOptions, StreamOptions

__all__ = ["COARSE_OFFSET", "choose_closing", "choose_fill", "choose_scale", "common_args", "lighter_settings",
           "non_roi_settings", "stream_settings"]  # fmt: skip

#: QP offset of the other region with `Fill.COARSE`. It gives every block there the codec's highest quantizer.
COARSE_OFFSET = Fraction(51)

#: From this CRF of the non-ROI on, half size pays: at this CRF it gives about the same PSNR at equal bytes, above it a
#: higher one, in a quarter of the time (docs/rate.md).
_HALVED_FROM = {Codec.X264: 29.0, Codec.X265: 32.0}

#: Default closing of gaps in the ROI, in macroblocks. Every mask edge costs bits in two streams, most with x265
#: (docs/rate.md). If the non-ROI is as fine as the ROI, a wider closing has no other cost.
_CLOSED_GAPS = {Codec.X264: 1, Codec.X265: 2}
_AS_FINE_CLOSED_GAPS = 4

#: Smallest picture side, in pixels, for which half size and closing pay. In smaller pictures a pixel holds more detail,
#: which half size would lose, and a block covers more of the scene.
_LARGE = 540

#: Options of the non-ROI's encoder, placed before the user's options, for presets up to medium. If the non-ROI is
#: coarser than the ROI, a single reference frame costs at most 1 % of its bytes and takes an eighth less time. If the
#: non-ROI has to be as good as the ROI, it keeps all reference frames, because background that reappears from behind
#: the ROI was last visible a few frames earlier. `no-info` stops x265 from repeating its settings, 2.3 kB that the ROI
#: stream already contains.
_COARSER_ARGS: dict[Codec, tuple[tuple[str, str | None], ...]] = {
    Codec.X264: (("ref", "1"),),
    Codec.X265: (("ref", "1"), ("no-info", None)),
}
_AS_FINE_ARGS: dict[Codec, tuple[tuple[str, str | None], ...]] = {
    Codec.X264: (),
    Codec.X265: (("no-info", None),),
}
_FAST_PRESETS = PRESETS[: PRESETS.index("medium") + 1]

#: Lookahead in frames when two x264 encoders run, by preset. The preset's own lookahead costs memory (6 MiB per frame
#: at 1920×1080) without benefit: bytes differ by 0.3 % and PSNR by 0.02 dB.
_LOOKAHEAD = {"medium": 30}
_NON_ROI_LOOKAHEAD = {"fast": 15, "medium": 15}

#: Options that set quantizers or rate independently of the CRF. With them, the CRF says nothing about quality.
_QUANTIZER_OPTIONS = {"qp", "lossless", "bitrate"}


def common_args(streams: StreamOptions, run: RunOptions) -> tuple[tuple[str, str | None], ...]:
    """Options that every encoder gets: those for threads and latency, followed by the user's."""
    each = run.threads
    if run.jobs > 1:
        each = max(1, (run.threads or vs.core.num_threads) // run.jobs)
    if each is not None and not streams.single:
        # Each of the two encoders gets half of the threads and one more. The regions differ in effort, so one encoder
        # uses the threads that the other leaves idle.
        each = min(each, each // 2 + 1)
    return (*pace_args(streams.codec, each, run.low_latency), *parse_args(streams.encoder_args))


def stream_settings(streams: StreamOptions, run: RunOptions) -> tuple[EncoderSettings, EncoderSettings]:
    """Settings of the ROI's encoder, also used for a single stream, and settings of the non-ROI's encoder."""
    common = common_args(streams, run)
    roi, non_roi = (
        EncoderSettings(codec=streams.codec, preset=streams.preset, args=common + parse_args(own))
        for own in (streams.encoder_args_roi, streams.encoder_args_non_roi)
    )
    return roi, non_roi


def choose_fill(
    asked: Fill | None,
    picture: PictureFormat,
    settings: tuple[EncoderSettings, EncoderSettings],
    workers: WorkerPool | None = None,
) -> Fill:
    """The fill of two streams: the requested one, or the best measured one that works with these settings.

    Args:
        asked: The requested fill; None for the default.
        picture: Format of the video.
        settings: Settings of the ROI's and the non-ROI's encoder.
        workers: Pool that provides the worker for the probe.

    Raises:
        SacValueError: `Fill.COARSE` is requested, and the encoder cannot produce it.
        SacMissingError: `Fill.COARSE` is requested, and PyAV lacks the encoder.
    """
    if asked not in (None, Fill.COARSE):
        return asked
    codec = settings[0].codec
    try:
        if codec is Codec.X265:
            raise SacValueError(
                "fill coarse needs x264: x265 averages the quantizers of a coding unit's blocks, so that the ROI beside"
                f" coarse blocks would turn coarse; accepted: {', '.join(f for f in Fill if f is not Fill.COARSE)}",
                "encode",
            )
        for each in dict.fromkeys(settings):
            RoiEncoder(codec, COARSE_OFFSET, plain=True).check(picture, each, workers)
    except (SacValueError, SacMissingError):
        if asked is not None:
            raise
        return Fill.GREY
    return Fill.COARSE


def choose_scale(
    asked: int | None, fill: Fill | None, picture: PictureFormat, non_roi: EncoderSettings, crf: float
) -> int:
    """The divisor of the non-ROI's sides: the requested one, or the better measured one.

    With the paper's fill, black, the default is the paper's full size.

    Args:
        asked: 1 or 2. None chooses by the size of the picture and the CRF of the non-ROI.
        fill: The requested fill.
        picture: Format of the video.
        non_roi: Settings of the non-ROI.
        crf: CRF of the non-ROI.

    Raises:
        SacValueError: `asked` is not accepted.
        SacFormatError: The picture is too small to be halved.
    """
    side = min(picture.width, picture.height)
    if asked is None:
        free = fill is not Fill.BLACK and _QUANTIZER_OPTIONS.isdisjoint(name for name, _ in non_roi.args)
        return 2 if free and side >= _LARGE and crf >= _HALVED_FROM[non_roi.codec] else 1
    if asked not in SCALES:
        raise SacValueError(f"non_roi_scale {asked!r} is not accepted; accepted: 1, 2", "encode")
    if asked > 1 and side < asked * BLOCK:
        raise SacFormatError(f"the video is {picture.width}x{picture.height}; half of its non-ROI would be smaller than"
                             f" {BLOCK}x{BLOCK}, leave out --non-roi-scale", "encode")  # fmt: skip
    return asked


def choose_closing(picture: PictureFormat, codec: Codec, crfs: CrfPair) -> int:
    """The best closing of gaps in the ROI for two streams, in macroblocks; see `masks.morphological_closing`."""
    if min(picture.width, picture.height) < _LARGE:
        return 0
    return _AS_FINE_CLOSED_GAPS if _is_as_fine(crfs) else _CLOSED_GAPS[codec]


def non_roi_settings(settings: EncoderSettings, crfs: CrfPair) -> EncoderSettings:
    """Settings of the non-ROI with the additions for a stream that is half empty. Applies to presets up to medium."""
    if settings.preset not in _FAST_PRESETS:
        return settings
    added = _AS_FINE_ARGS if _is_as_fine(crfs) else _COARSER_ARGS
    return replace(settings, args=(*added[settings.codec], *settings.args))


def lighter_settings(roi: EncoderSettings, non_roi: EncoderSettings) -> tuple[EncoderSettings, EncoderSettings]:
    """Settings of two encoders with a shorter lookahead. A lookahead in the user's options takes precedence."""
    return _with_lookahead(roi, _LOOKAHEAD), _with_lookahead(non_roi, _NON_ROI_LOOKAHEAD)


def _with_lookahead(settings: EncoderSettings, lookahead: Mapping[str, int]) -> EncoderSettings:
    frames = lookahead.get(settings.preset)
    if settings.codec is Codec.X265 or frames is None or ("tune", "zerolatency") in settings.args:
        return settings
    return replace(settings, args=(("rc-lookahead", str(frames)), *settings.args))


def _is_as_fine(crfs: CrfPair) -> bool:
    """Whether the CRF of the non-ROI is not above that of the ROI."""
    return crfs[1] <= crfs[0]
