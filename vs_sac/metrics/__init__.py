"""Metrics: quality, semantic-aware quality, segmentation, rate and artefacts.

The functions on arrays are pure. The functions on clips render frames, with VapourSynth's own filters only.
docs/metrics.md lists every metric with its reference and tolerance.
"""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from ._deprecated import expand_grid
    from .artefacts import FlashCount, flash_pixels, flashes
    from .classes import ClassScore, ClassTable, class_counts
    from .clips import measure, measure_masked
    from .external import ExternalScore, vmaf, xpsnr
    from .quality import Region, mse, psnr, psnr_from_mse, regions, ring, squared_error, ssim, ssim_map
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
    "ClassScore",
    "ClassTable",
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
    "class_counts",
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

#: Public name → module. Names are imported on first use, because an encode needs no metrics.
_HOMES = {
    "FlashCount": "artefacts",
    "flash_pixels": "artefacts",
    "flashes": "artefacts",
    "ClassScore": "classes",
    "ClassTable": "classes",
    "class_counts": "classes",
    "measure": "clips",
    "measure_masked": "clips",
    "ExternalScore": "external",
    "vmaf": "external",
    "xpsnr": "external",
    "Region": "quality",
    "expand_grid": "_deprecated",
    "mse": "quality",
    "psnr": "quality",
    "psnr_from_mse": "quality",
    "regions": "quality",
    "ring": "quality",
    "squared_error": "quality",
    "ssim": "quality",
    "ssim_map": "quality",
    "Curve": "rate",
    "Interpolation": "rate",
    "Interval": "rate",
    "bd_quality": "rate",
    "bd_rate": "rate",
    "bitrate_kbps": "rate",
    "bootstrap": "rate",
    "compression_ratio": "rate",
    "raw_bytes": "rate",
    "ByteCount": "report",
    "Evaluation": "report",
    "PaperScore": "report",
    "RegionScore": "report",
    "evaluation": "report",
    "plain": "report",
    "BlockScore": "segmentation",
    "ClassRecall": "segmentation",
    "SegmentationScore": "segmentation",
    "block_score": "segmentation",
    "confusion": "segmentation",
    "label_recall": "segmentation",
    "roi_confusion": "segmentation",
    "FAIR_WEIGHTS": "semantic",
    "Convention": "semantic",
    "Weights": "semantic",
    "area_bonus": "semantic",
    "paper_psnr": "semantic",
    "sa_psnr": "semantic",
    "sa_ssim": "semantic",
    "Lows": "series",
    "PlaneSeries": "series",
    "Pooling": "series",
    "Quality": "series",
}


__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
