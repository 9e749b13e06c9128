"""Metrics: quality, semantic-aware quality, segmentation, rate and artefacts.

The functions on arrays are pure; those on clips render through the VapourSynth graph, with its own filters only.
docs/metrics.md tabulates every metric with its reference and tolerance.
"""

from .artefacts import FlashCount, flash_pixels, flashes
from .clips import measure, measure_masked
from .external import ExternalScore, vmaf, xpsnr
from .quality import Region, expand_grid, mse, psnr, psnr_from_mse, regions, ring, squared_error, ssim, ssim_map
from .rate import (
    Curve,
    Interpolation,
    Interval,
    bd_quality,
    bd_rate,
    bitrate_kbps,
    bootstrap,
    compression_ratio,
    raw_bytes,
)
from .report import ByteCount, Evaluation, PaperScore, RegionScore, evaluation, plain
from .segmentation import (
    BlockScore,
    ClassRecall,
    SegmentationScore,
    block_score,
    confusion,
    label_recall,
    roi_confusion,
)
from .semantic import FAIR_WEIGHTS, Convention, Weights, area_bonus, paper_psnr, sa_psnr, sa_ssim
from .series import Lows, PlaneSeries, Pooling, Quality

__all__ = [
    "FAIR_WEIGHTS",
    "BlockScore",
    "ByteCount",
    "ClassRecall",
    "Convention",
    "Curve",
    "Evaluation",
    "ExternalScore",
    "FlashCount",
    "Interpolation",
    "Interval",
    "Lows",
    "PaperScore",
    "PlaneSeries",
    "Pooling",
    "Quality",
    "Region",
    "RegionScore",
    "SegmentationScore",
    "Weights",
    "area_bonus",
    "bd_quality",
    "bd_rate",
    "bitrate_kbps",
    "block_score",
    "bootstrap",
    "compression_ratio",
    "confusion",
    "evaluation",
    "expand_grid",
    "flash_pixels",
    "flashes",
    "label_recall",
    "measure",
    "measure_masked",
    "mse",
    "paper_psnr",
    "plain",
    "psnr",
    "psnr_from_mse",
    "raw_bytes",
    "regions",
    "ring",
    "roi_confusion",
    "sa_psnr",
    "sa_ssim",
    "squared_error",
    "ssim",
    "ssim_map",
    "vmaf",
    "xpsnr",
]
