"""Metrics: quality, semantic-aware quality, segmentation, rate and artefacts.

The functions on arrays are pure; those on clips render through the VapourSynth graph. docs/metrics.md tabulates every
metric with its reference and tolerance.
"""

from .clips import measure
from .quality import Region, mse, psnr, psnr_from_mse, regions, ring, squared_error, ssim, ssim_map
from .rate import Curve, Interpolation, Interval, bd_quality, bd_rate, bitrate_kbps, bootstrap, compression_ratio
from .report import ByteCount, Evaluation, PaperScore, RegionScore, evaluation
from .semantic import FAIR_WEIGHTS, Convention, Weights, area_bonus, paper_psnr, sa_psnr, sa_ssim
from .series import Lows, PlaneSeries, Pooling, Quality
