"""Result of measuring two clips: sums per frame, plane and region, and their pooling over time."""

import csv
import io
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..core.errors import SacFormatError, SacValueError
from .quality import Region, psnr_from_mse

__all__ = ["Lows", "PlaneSeries", "Pooling", "Quality"]

type IntArray = npt.NDArray[np.int64]
type FloatArray = npt.NDArray[np.float64]

_COLUMN = {region: index for index, region in enumerate(Region)}


class Pooling(StrEnum):
    """How the frames of a clip are combined into one figure."""

    #: One MSE, or one mean of the SSIM map, over the region's pixels in all frames (ffmpeg's "average" PSNR).
    SEQUENCE = "sequence"
    #: The mean of the frames' figures, without frames in which the region is empty.
    FRAMES = "frames"


@dataclass(frozen=True)
class Lows:
    """Means over the worst frames of a clip.

    Attributes:
        one: Mean over the worst 1 % of the frames, at least one frame.
        five: Mean over the worst 5 % of the frames, at least one frame.
    """

    one: float
    five: float

    @classmethod
    def of(cls, figures: FloatArray) -> Self:
        """Lows of a series of shape (frames,). NaN frames are left out; if all are NaN, both lows are NaN."""
        ordered = np.sort(figures[~np.isnan(figures)])
        if not len(ordered):
            return cls(math.nan, math.nan)
        return cls(*(float(ordered[: math.ceil(len(ordered) * share)].mean()) for share in (0.01, 0.05)))


@dataclass(frozen=True, eq=False)
class PlaneSeries:
    """Sums of one plane. All arrays have the shape (frames, 4), with one column per `Region` in its order.

    Attributes:
        name: ``y``, ``u`` or ``v``.
        peak: Peak of the samples.
        sse: Sums of squared errors, exact.
        pixels: Number of samples in each sum.
        ssim_sum: Sums of the SSIM map; None if SSIM was not requested or the plane is smaller than the window.
        ssim_pixels: Number of samples in each SSIM sum.
    """

    name: str
    peak: float
    sse: IntArray
    pixels: IntArray
    ssim_sum: FloatArray | None = None
    ssim_pixels: IntArray | None = None

    def mse_series(self, region: Region | str = Region.ALL) -> FloatArray:
        """Mean squared error of each frame, shape (frames,); NaN if the region is empty."""
        column = _column(region)
        return _divide(self.sse[:, column], self.pixels[:, column])

    def psnr_series(self, region: Region | str = Region.ALL) -> FloatArray:
        """PSNR of each frame in dB, shape (frames,); infinite if there is no error, NaN if the region is empty."""
        return np.array([psnr_from_mse(float(error), self.peak) for error in self.mse_series(region)])

    def ssim_series(self, region: Region | str = Region.ALL) -> FloatArray:
        """SSIM of each frame, shape (frames,); NaN if the region is empty or SSIM was not measured."""
        if self.ssim_sum is None or self.ssim_pixels is None:
            return np.full(len(self.sse), np.nan)
        column = _column(region)
        return _divide(self.ssim_sum[:, column], self.ssim_pixels[:, column])

    def total_sse(self, region: Region | str = Region.ALL) -> int:
        """Sum of squared errors of a region over all frames, exact."""
        return int(self.sse[:, _column(region)].sum())

    def total_pixels(self, region: Region | str = Region.ALL) -> int:
        """Number of samples of a region in all frames."""
        return int(self.pixels[:, _column(region)].sum())

    def mse(self, region: Region | str = Region.ALL) -> float:
        """Mean squared error of a region over the whole sequence; NaN if the region is empty in all frames."""
        pixels = self.total_pixels(region)
        return self.total_sse(region) / pixels if pixels else math.nan

    def psnr(self, region: Region | str = Region.ALL, pooling: Pooling | str = Pooling.SEQUENCE) -> float:
        """PSNR of a region in dB.

        With `Pooling.FRAMES`, a single frame without any error makes the mean infinite, by definition.

        Raises:
            SacValueError: The region or the pooling is unknown.
        """
        if _pooling(pooling) is Pooling.FRAMES:
            return _mean(self.psnr_series(region))
        return psnr_from_mse(self.mse(region), self.peak)

    def ssim(self, region: Region | str = Region.ALL, pooling: Pooling | str = Pooling.SEQUENCE) -> float:
        """SSIM of a region; NaN if the region is empty or SSIM was not measured.

        Raises:
            SacValueError: The region or the pooling is unknown.
        """
        if _pooling(pooling) is Pooling.FRAMES:
            return _mean(self.ssim_series(region))
        if self.ssim_sum is None or self.ssim_pixels is None:
            return math.nan
        column = _column(region)
        return _ratio(float(self.ssim_sum[:, column].sum()), int(self.ssim_pixels[:, column].sum()))

    def psnr_lows(self, region: Region | str = Region.ALL) -> Lows:
        """1 % and 5 % lows of the frames' PSNR."""
        return Lows.of(self.psnr_series(region))

    def ssim_lows(self, region: Region | str = Region.ALL) -> Lows:
        """1 % and 5 % lows of the frames' SSIM."""
        return Lows.of(self.ssim_series(region))


@dataclass(frozen=True, eq=False)
class Quality:
    """Everything measured on a pair of clips.

    Attributes:
        frames: Number of frames.
        width: Width in pixels.
        height: Height in pixels.
        masked: Whether a mask was given. Without one, only `Region.ALL` has figures.
        planes: The measured planes, luma first.
    """

    frames: int
    width: int
    height: int
    masked: bool
    planes: tuple[PlaneSeries, ...] = field(repr=False)

    @property
    def luma(self) -> PlaneSeries:
        """The first plane."""
        return self.planes[0]

    @property
    def roi_share(self) -> float:
        """Share of the first plane's samples that are ROI, over all frames; NaN without a mask."""
        return self.luma.total_pixels(Region.ROI) / self.luma.total_pixels() if self.masked else math.nan

    def rows(self) -> list[dict[str, float | int]]:
        """The per-frame series: one dict per frame with keys such as ``frame``, ``psnr_y_roi``, ``ssim_y_all``."""
        shown = tuple(Region) if self.masked else (Region.ALL,)
        columns: dict[str, npt.NDArray[Any]] = {"frame": np.arange(self.frames)}
        for plane in self.planes:
            columns |= {f"psnr_{plane.name}_{region}": plane.psnr_series(region) for region in shown}
            if plane.ssim_sum is not None:
                columns |= {f"ssim_{plane.name}_{region}": plane.ssim_series(region) for region in shown}
        series = [column.tolist() for column in columns.values()]
        return [dict(zip(columns, row, strict=True)) for row in zip(*series, strict=True)]

    def to_csv(self) -> str:
        """The per-frame series as CSV with a header. Infinite and undefined values are ``inf`` and ``nan``."""
        rows = self.rows()
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def __post_init__(self) -> None:
        """Reject a result without a plane or a frame."""
        if not self.planes or self.frames < 1:
            raise SacFormatError("needs at least one plane and one frame", "Quality")


def _column(region: Region | str) -> int:
    try:
        return _COLUMN[Region(region)]
    except ValueError:
        raise SacValueError(f"unknown region {region!r}; known: {', '.join(Region)}", "PlaneSeries") from None


def _pooling(pooling: Pooling | str) -> Pooling:
    try:
        return Pooling(pooling)
    except ValueError:
        raise SacValueError(f"unknown pooling {pooling!r}; known: {', '.join(Pooling)}", "PlaneSeries") from None


def _divide(sums: npt.NDArray[Any], counts: IntArray) -> FloatArray:
    quotients = np.full(len(counts), np.nan)
    np.divide(sums, counts, out=quotients, where=counts > 0)
    return quotients


def _ratio(total: float, count: int) -> float:
    return total / count if count else math.nan


def _mean(figures: FloatArray) -> float:
    counted = figures[~np.isnan(figures)]
    return float(counted.mean()) if len(counted) else math.nan
