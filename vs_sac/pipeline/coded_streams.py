"""The coded tracks of a plan: the clip, the encoder and the settings of each."""

from fractions import Fraction

import vapoursynth as vs

from ..container.info import NON_ROI_TRACK, ROI_TRACK, VIDEO_TRACK
from ..core.choices import Fill, Mode
from ..core.clips import pin_cache
from ..encoders.base import EncoderSettings
from ..encoders.registry import plain_encoder
from ..encoders.roi import RoiEncoder
from ..masks.grid import expand_grid
from ..streams.filtering import low_pass
from ..streams.resampling import coded_crf, shrink, shrink_grid
from ..streams.splitting import split
from .encoder_settings import COARSE_OFFSET, lighter_settings, non_roi_settings
from .feeding import Stream
from .mask_plan import SHARED_GRID
from .options import CrfPair
from .planning import EncodePlan

__all__ = ["coded_streams", "uniform_stream"]


def coded_streams(
    plan: EncodePlan, grid: vs.VideoNode, crfs: CrfPair, offsets: vs.VideoNode | None = None
) -> list[Stream]:
    """The coded tracks, in the order of the file.

    Args:
        plan: The plan of the encode.
        grid: The macroblock grid: the plan's own, or the same grid read back from its file.
        crfs: CRF of the ROI and of the non-ROI.
        offsets: The QP offsets of a single stream; by default those of the plan.
    """
    pin_cache(grid, SHARED_GRID)
    mask = expand_grid(grid, plan.clip.width, plan.clip.height)
    coded = low_pass(plan.clip, mask, plan.options.streams.non_roi_filter)
    offsets = plan.offsets if offsets is None else offsets
    if offsets is not None:
        return [Stream(VIDEO_TRACK, coded, RoiEncoder(plan.roi.codec, Fraction(0), map=True), plan.roi, crfs[0],
                       offsets)]  # fmt: skip
    if plan.mode is Mode.SINGLE_STREAM:
        encoder = RoiEncoder(plan.roi.codec, Fraction(f"{crfs[1]:g}") - Fraction(f"{crfs[0]:g}"))
        return [Stream(VIDEO_TRACK, coded, encoder, plan.roi, crfs[0], grid)]
    return _two_streams(plan, coded, grid, mask, crfs)


def _two_streams(
    plan: EncodePlan, coded: vs.VideoNode, grid: vs.VideoNode, mask: vs.VideoNode, crfs: CrfPair
) -> list[Stream]:
    roi, non_roi = plan.roi, plan.non_roi
    crf = coded_crf(crfs[1], plan.non_roi_scale)
    if plan.fill is not Fill.BLACK:
        roi, non_roi = lighter_settings(roi, non_roi)
        # With the paper's fill, black, the streams keep the preset's own settings, as the uniform encode does that they
        # are compared with.
        non_roi = non_roi_settings(non_roi, crfs)
    rest, rest_grid, rest_mask = coded, grid, mask
    if plan.non_roi_scale > 1:
        rest, rest_grid = shrink(coded), shrink_grid(grid)
        rest_mask = expand_grid(rest_grid, rest.width, rest.height)
    if plan.fill is Fill.COARSE:
        inside = RoiEncoder(roi.codec, non_roi=COARSE_OFFSET, plain=True)
        outside = RoiEncoder(roi.codec, Fraction(0), roi=COARSE_OFFSET, plain=True)
        return [
            Stream(ROI_TRACK, coded, inside, roi, crfs[0], grid),
            Stream(NON_ROI_TRACK, rest, outside, non_roi, crf, rest_grid),
        ]
    assert plan.fill is not None
    shown = split(coded, mask, fill=plan.fill)[0], split(rest, rest_mask, fill=plan.fill)[1]
    return [
        _plain_stream(ROI_TRACK, shown[0], roi, crfs[0]),
        _plain_stream(NON_ROI_TRACK, shown[1], non_roi, crf),
    ]


def uniform_stream(
    clip: vs.VideoNode, mode: Mode, settings: EncoderSettings, crf: float, fill: Fill | None, *, plain: bool = False
) -> Stream:
    """A uniform encode as a stream, by the encoder that a mode uses.

    Args:
        clip: The video.
        mode: The mode that the uniform encode is compared with.
        settings: Settings of the encoder.
        crf: CRF of the whole picture.
        fill: The fill of the two streams that the uniform encode is compared with.
        plain: Leave out the settings that only a single stream gets.
    """
    if mode is Mode.SINGLE_STREAM or fill is Fill.COARSE:
        encoder = RoiEncoder.without_offsets(settings.codec, plain=plain or mode is not Mode.SINGLE_STREAM)
        encoder.find()
        return Stream(VIDEO_TRACK, clip, encoder, settings, crf)
    return _plain_stream(VIDEO_TRACK, clip, settings, crf)


def _plain_stream(track: str, clip: vs.VideoNode, settings: EncoderSettings, crf: float) -> Stream:
    """A stream without QP offsets."""
    return Stream(track, clip, plain_encoder(settings.codec, min(clip.width, clip.height)), settings, crf)
