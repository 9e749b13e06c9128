"""`evaluation`: everything that ``vs-sac evaluate`` reports on a clip, as one JSON object."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import Any

import vapoursynth as vs

from ..core.errors import SacValueError
from ..core.macroblocks import BLOCK
from .clips import check_pair, measure, measure_masked
from .quality import Region
from .rate import bitrate_kbps, compression_ratio, raw_bytes
from .semantic import FAIR_WEIGHTS, Weights, paper_psnr
from .series import Lows, PlaneSeries, Pooling, Quality

__all__ = ["ByteCount", "Evaluation", "PaperScore", "RegionScore", "evaluation", "plain"]


@dataclass(frozen=True)
class ByteCount:
    """Bytes of everything that has to be transmitted.

    The four parts are None if the file has no such part.

    Attributes:
        total: All bytes of the file.
        roi: Bytes of the ROI stream.
        non_roi: Bytes of the non-ROI stream.
        mask: Bytes of the mask track.
        container: All other bytes: headers, indices, tags.
    """

    total: int
    roi: int | None = None
    non_roi: int | None = None
    mask: int | None = None
    container: int | None = None

    def __post_init__(self) -> None:
        """Reject counts that do not add up."""
        parts = (self.roi, self.non_roi, self.mask, self.container)
        known = [part for part in parts if part is not None]
        if self.total < 1 or min(known, default=0) < 0 or sum(known) > self.total:
            raise SacValueError(f"parts {parts} do not fit a total of {self.total} bytes", "ByteCount")
        if len(known) == len(parts) and sum(known) != self.total:
            raise SacValueError(f"parts {parts} sum to {sum(known)}, not to {self.total} bytes", "ByteCount")


@dataclass(frozen=True)
class RegionScore:
    """The figures of one metric by region. None if a region is empty or unknown, or if the metric was not measured."""

    all: float | None
    roi: float | None
    non_roi: float | None
    ring: float | None


@dataclass(frozen=True)
class PaperScore:
    """Figures in the paper's convention (eqs. 11-14): masked frames over the whole frame area, weights from the CRFs.

    Attributes:
        psnr_roi: P_i in dB.
        psnr_non_roi: P_n in dB.
        ssim_roi: S_i, the SSIM of the frames with all but the ROI black; None if SSIM was not measured.
        ssim_non_roi: S_n, the SSIM of the frames with the ROI black; None if SSIM was not measured.
        sa_psnr: Eq. 14 in dB.
        sa_ssim: Eq. 13.
        r_roi: Eq. 11, the weight of the non-ROI figures.
        r_non: Eq. 12, the weight of the ROI figures.
    """

    psnr_roi: float
    psnr_non_roi: float
    ssim_roi: float | None
    ssim_non_roi: float | None
    sa_psnr: float
    sa_ssim: float | None
    r_roi: float
    r_non: float


@dataclass(frozen=True)
class Evaluation:
    """What ``vs-sac evaluate`` reports. The attributes are the keys of the JSON object.

    Figures are of luma and pooled over the whole sequence (`Pooling.SEQUENCE`) unless the description says otherwise.

    Attributes:
        frames: Number of frames.
        width: In pixels.
        height: In pixels.
        fps: Frames per second.
        roi_share: Share of the pixels that are ROI; None without a mask.
        bytes: Bytes of the file and its parts.
        bitrate_kbps: Bitrate of the whole file in kbit/s.
        compression_ratio: Raw bytes in the reference's own format divided by total bytes.
        psnr: In dB.
        ssim: In [-1, 1].
        sa_psnr: SA-PSNR in the fair convention, in dB; None if a weighted region is empty or unknown.
        sa_ssim: SA-SSIM in the fair convention.
        weights: Weights of the fair convention.
        paper: Figures in the paper's convention; None without a mask or without CRFs.
        psnr_frames: Mean of the frames' PSNR in dB.
        ssim_frames: Mean of the frames' SSIM.
        lows: Means of the worst 1 % and 5 % of the frames, by metric and region.
        planes: PSNR and SSIM of every measured plane, by the plane's name.
        quality: The sums behind all figures, with the per-frame series; not part of the JSON object.
    """

    frames: int
    width: int
    height: int
    fps: float
    roi_share: float | None
    bytes: ByteCount
    bitrate_kbps: float
    compression_ratio: float
    psnr: RegionScore
    ssim: RegionScore
    sa_psnr: float | None
    sa_ssim: float | None
    weights: Weights
    paper: PaperScore | None
    psnr_frames: RegionScore
    ssim_frames: RegionScore
    lows: dict[str, dict[str, Lows]]
    planes: dict[str, dict[str, RegionScore]]
    quality: Quality

    def to_dict(self, *, per_frame: bool = False) -> dict[str, Any]:
        """The report in JSON's types. An infinite figure is the string ``"inf"``, an undefined one is None.

        Args:
            per_frame: Add the per-frame series as ``per_frame``, a list with one object per frame.
        """
        report = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "quality"}
        if per_frame:
            report["per_frame"] = self.quality.rows()
        return {key: plain(value) for key, value in report.items()}

    def to_json(self, *, per_frame: bool = False, indent: int | None = 2) -> str:
        """The report as strict JSON."""
        return json.dumps(self.to_dict(per_frame=per_frame), indent=indent, allow_nan=False)


def evaluation(
    reference: vs.VideoNode,
    distorted: vs.VideoNode,
    mask: vs.VideoNode | None = None,
    *,
    bytes: ByteCount,
    fps: Fraction | float,
    crf_roi: float | None = None,
    crf_non_roi: float | None = None,
    weights: Weights | tuple[float, float] = FAIR_WEIGHTS,
    ssim: bool = True,
    block: int = BLOCK,
    progress: Callable[[int, int], None] | None = None,
    planes: tuple[int, ...] | None = (0,),
) -> Evaluation:
    """Measure a clip against its reference and report everything.

    Args:
        reference: YUV or GRAY, integer samples of 8 to 16 bits.
        distorted: Clip of the same format, size and length.
        mask: GRAY8 block grid or full-size mask, 255 = ROI. Without a mask, the regions have no figures.
        bytes: Bytes of the file and its parts.
        fps: Frames per second.
        crf_roi: C_roi of eq. 11. With both CRFs and a mask, the report includes the paper's figures.
        crf_non_roi: C_non of eq. 12.
        weights: Weights of ROI and non-ROI in the fair convention.
        ssim: Also measure SSIM.
        block: Side of a block of the grid, in pixels.
        progress: Called with (frames done, frames in all).
        planes: Planes to measure, including luma; None measures all.

    Raises:
        SacFormatError: The format of a clip or of the mask is not accepted, or the clips do not match.
        SacValueError: An argument is out of range.
    """
    weights = weights if isinstance(weights, Weights) else Weights(*weights)
    if planes is not None and 0 not in planes:
        raise SacValueError(f"planes must hold luma, got {planes}", "evaluation")
    if (crf_roi is None) != (crf_non_roi is None):
        raise SacValueError("needs both CRFs or none", "evaluation")
    paper_weights = None
    if mask is not None and crf_roi is not None and crf_non_roi is not None:
        paper_weights = Weights.from_crf(crf_roi, crf_non_roi)
    check_pair(reference, distorted, "evaluation")
    masked_ssim = (math.nan, math.nan)
    if paper_weights is not None and mask is not None and ssim:
        quality, masked_ssim = measure_masked(reference, distorted, mask, block=block, progress=progress, planes=planes)
    else:
        quality = measure(reference, distorted, mask, ssim=ssim, block=block, progress=progress, planes=planes)
    return _report(quality, reference.format, bytes, fps, weights, paper_weights, masked_ssim)


def _report(
    quality: Quality,
    source: vs.VideoFormat,
    size: ByteCount,
    fps: Fraction | float,
    weights: Weights,
    paper_weights: Weights | None,
    masked_ssim: tuple[float, float],
) -> Evaluation:
    luma = quality.luma
    raw = raw_bytes(source, quality.width, quality.height, quality.frames)
    return Evaluation(
        frames=quality.frames,
        width=quality.width,
        height=quality.height,
        fps=float(fps),
        roi_share=_known(quality.roi_share),
        bytes=size,
        bitrate_kbps=bitrate_kbps(size.total, quality.frames, fps),
        compression_ratio=compression_ratio(raw, size.total),
        psnr=_by_region(lambda region: luma.psnr(region)),
        ssim=_by_region(lambda region: luma.ssim(region)),
        sa_psnr=_known(weights.combine(luma.psnr(Region.ROI), luma.psnr(Region.NON_ROI))),
        sa_ssim=_known(weights.combine(luma.ssim(Region.ROI), luma.ssim(Region.NON_ROI))),
        weights=weights,
        paper=None if paper_weights is None else _paper(luma, paper_weights, masked_ssim),
        psnr_frames=_by_region(lambda region: luma.psnr(region, Pooling.FRAMES)),
        ssim_frames=_by_region(lambda region: luma.ssim(region, Pooling.FRAMES)),
        lows={
            "psnr": {region: luma.psnr_lows(region) for region in Region},
            "ssim": {region: luma.ssim_lows(region) for region in Region},
        },
        planes={
            plane.name: {"psnr": _by_region(plane.psnr), "ssim": _by_region(plane.ssim)} for plane in quality.planes
        },
        quality=quality,
    )


def _paper(luma: PlaneSeries, weights: Weights, masked_ssim: tuple[float, float]) -> PaperScore:
    pixels = luma.total_pixels()
    roi, non_roi = (paper_psnr(luma.total_sse(region), pixels, luma.peak) for region in (Region.ROI, Region.NON_ROI))
    return PaperScore(
        psnr_roi=roi,
        psnr_non_roi=non_roi,
        ssim_roi=_known(masked_ssim[0]),
        ssim_non_roi=_known(masked_ssim[1]),
        sa_psnr=weights.combine(roi, non_roi),
        sa_ssim=_known(weights.combine(*masked_ssim)),
        r_roi=weights.r_roi,
        r_non=weights.r_non,
    )


def _by_region(figure: Callable[[Region], float]) -> RegionScore:
    return RegionScore(*(_known(figure(region)) for region in Region))


def _known(figure: float) -> float | None:
    return None if math.isnan(figure) else figure


def plain(value: Any) -> Any:
    """Convert a value to JSON's types. Infinity becomes the string ``"inf"``, NaN becomes None."""
    if isinstance(value, float):
        return None if math.isnan(value) else "inf" if value == math.inf else value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return plain(asdict(value))
    return value
