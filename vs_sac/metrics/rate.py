"""Rate: bytes, bitrate, compression ratio, Bjøntegaard deltas, and confidence intervals over clips.

A Bjøntegaard delta compares two rate-quality curves (G. Bjøntegaard, "Calculation of average PSNR differences between
RD-curves", ITU-T VCEG-M33, 2001). It is the mean distance between two interpolants of quality and log rate over the
range that both curves cover. The interpolant is piecewise cubic, as in current practice: PCHIP (JVET's common test
conditions) or Akima.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..core.errors import SacValueError
from .interpolation import pchip_slopes

if TYPE_CHECKING:
    import vapoursynth as vs

__all__ = [
    "Curve",
    "Interpolation",
    "Interval",
    "bd_quality",
    "bd_rate",
    "bitrate_kbps",
    "bootstrap",
    "compression_ratio",
    "raw_bytes",
]

type FloatArray = npt.NDArray[np.float64]


def raw_bytes(source: "vs.VideoFormat", width: int, height: int, frames: int) -> float:
    """Size of uncompressed video in its own format, in bytes.

    Samples count with their actual bits and are not padded to whole bytes: 10-bit 4:2:0 takes 15 bits per pixel.

    Raises:
        SacValueError: The video has no frame or no pixel.
    """
    if min(width, height, frames) < 1:
        raise SacValueError(f"needs at least a frame of a pixel, got {frames} of {width}x{height}", "raw_bytes")
    samples = width * height
    if source.num_planes > 1:
        samples += 2 * (width >> source.subsampling_w) * (height >> source.subsampling_h)
    return float(frames * samples * source.bits_per_sample / 8)


def bitrate_kbps(total_bytes: int, frames: int, fps: Fraction | float) -> float:
    """Bitrate of a file in kbit/s (1 kbit = 1000 bits), from all of its bytes.

    Raises:
        SacValueError: The number of bytes is negative, or the number of frames or the frame rate is not positive.

    Example:
        >>> bitrate_kbps(total_bytes=250_000, frames=50, fps=25)
        1000.0
    """
    if total_bytes < 0 or frames < 1 or not 0 < fps < math.inf:
        raise SacValueError(f"needs bytes, frames and a rate, got {total_bytes}, {frames}, {fps}", "bitrate_kbps")
    return total_bytes * 8 * float(fps) / frames / 1000


def compression_ratio(raw: float, total_bytes: int) -> float:
    """Raw bytes divided by the bytes of the whole file.

    Raises:
        SacValueError: A size is not positive.

    Example:
        >>> compression_ratio(raw=1_382_400, total_bytes=13_824)
        100.0
    """
    if raw <= 0 or total_bytes < 1:
        raise SacValueError(f"needs positive sizes, got {raw} and {total_bytes}", "compression_ratio")
    return raw / total_bytes


class Interpolation(StrEnum):
    """Piecewise cubic interpolants."""

    PCHIP = "pchip"
    AKIMA = "akima"


@dataclass(frozen=True)
class Curve:
    """A rate-quality curve of at least four points, sorted by rate.

    Attributes:
        rates: Positive and distinct, in any unit such as bytes or kbit/s.
        qualities: Finite and rising with the rate: PSNR, ROI-PSNR, SSIM, SA-PSNR or mIoU.
    """

    rates: tuple[float, ...]
    qualities: tuple[float, ...]

    def __post_init__(self) -> None:
        """Sort the points by rate, and reject curves without a Bjøntegaard delta."""
        if len(self.rates) != len(self.qualities) or len(self.rates) < 4:
            raise SacValueError(
                f"needs at least 4 points of rate and quality, got {len(self.rates)} and {len(self.qualities)}", "Curve"
            )
        if not all(math.isfinite(v) for v in (*self.rates, *self.qualities)) or min(self.rates) <= 0:
            raise SacValueError("rates must be positive and qualities finite", "Curve")
        rates, qualities = zip(*sorted(zip(self.rates, self.qualities, strict=True)), strict=True)
        for values, name in ((rates, "rates"), (qualities, "qualities")):
            if any(b <= a for a, b in pairwise(values)):
                raise SacValueError(f"{name} must rise from point to point, got {values} in order of rate", "Curve")
        object.__setattr__(self, "rates", tuple(map(float, rates)))
        object.__setattr__(self, "qualities", tuple(map(float, qualities)))


def bd_rate(anchor: Curve, test: Curve, *, method: Interpolation | str = Interpolation.PCHIP) -> float:
    """Mean difference in rate at equal quality.

    Args:
        anchor: The curve to compare with.
        test: The curve that is judged.
        method: Interpolant of log rate over quality.

    Returns:
        Per cent; negative if `test` needs less rate.

    Raises:
        SacValueError: The curves have no common range of quality, or the method is unknown.

    Example:
        >>> anchor = Curve((100, 200, 400, 800), (30, 33, 36, 39))
        >>> test = Curve((80, 160, 320, 640), (30, 33, 36, 39))
        >>> round(bd_rate(anchor, test), 1)
        -20.0
    """
    delta = _mean_gap(
        (anchor.qualities, np.log(anchor.rates)), (test.qualities, np.log(test.rates)), method, "quality", "bd_rate"
    )
    return math.expm1(delta) * 100


def bd_quality(anchor: Curve, test: Curve, *, method: Interpolation | str = Interpolation.PCHIP) -> float:
    """Mean difference in quality at equal rate. This is BD-PSNR if the quality is PSNR.

    Returns:
        In the unit of the quality; positive if `test` is better.

    Raises:
        SacValueError: The curves have no common range of rate, or the method is unknown.

    Example:
        >>> anchor = Curve((100, 200, 400, 800), (30, 33, 36, 39))
        >>> test = Curve((100, 200, 400, 800), (31, 34, 37, 40))
        >>> round(bd_quality(anchor, test), 1)
        1.0
    """
    return _mean_gap(
        (np.log(anchor.rates), anchor.qualities), (np.log(test.rates), test.qualities), method, "rate", "bd_quality"
    )


@dataclass(frozen=True)
class Interval:
    """A statistic with its confidence interval.

    Attributes:
        value: The statistic of the sample.
        low: Lower bound.
        high: Upper bound.
    """

    value: float
    low: float
    high: float


def bootstrap(
    figures: Sequence[float],
    *,
    statistic: Callable[[FloatArray], FloatArray] | None = None,
    level: float = 0.95,
    samples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap over clips, for example of their BD-rates.

    Args:
        figures: One finite figure per clip.
        statistic: Function from an array (samples, clips) to (samples,); the mean by default.
        level: Confidence level, in (0, 1).
        samples: Number of resamples.
        seed: Seed of the random draws, so that results can be repeated.

    Returns:
        The statistic and its interval. With a single clip both bounds equal the statistic; such an interval says
        nothing about other clips.

    Raises:
        SacValueError: There is no figure, a figure is not finite, or the level or the number of samples is out of
            range.
    """
    values = np.asarray(figures, np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise SacValueError(f"needs finite figures, one per clip; got {figures!r}", "bootstrap")
    if not 0 < level < 1 or samples < 1:
        raise SacValueError(f"needs a level in (0, 1) and at least one sample, got {level}, {samples}", "bootstrap")
    pool = statistic or (lambda drawn: np.asarray(drawn.mean(1), np.float64))
    drawn = np.random.default_rng(seed).integers(0, len(values), (samples, len(values)))
    low, high = np.quantile(pool(values[drawn]), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(pool(values[None])[0]), float(low), float(high))


def _mean_gap(
    anchor: tuple[Sequence[float] | FloatArray, Sequence[float] | FloatArray],
    test: tuple[Sequence[float] | FloatArray, Sequence[float] | FloatArray],
    method: Interpolation | str,
    axis: str,
    func: str,
) -> float:
    """Mean of test - anchor over the abscissae that both curves cover."""
    try:
        slopes = {Interpolation.PCHIP: pchip_slopes, Interpolation.AKIMA: _akima_slopes}[Interpolation(method)]
    except ValueError:
        raise SacValueError(f"unknown method {method!r}; known: {', '.join(Interpolation)}", func) from None
    low, high = max(anchor[0][0], test[0][0]), min(anchor[0][-1], test[0][-1])
    if not low < high:
        raise SacValueError(f"the curves share no range of {axis}", func)
    areas = []
    for x, y in (anchor, test):
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        areas.append(_integral(x, y, slopes(np.diff(x), np.diff(y) / np.diff(x)), float(low), float(high)))
    return (areas[1] - areas[0]) / float(high - low)


def _akima_slopes(_: FloatArray, secants: FloatArray) -> FloatArray:
    """Derivatives at the knots after Akima (1970), with his quadratic extrapolation of two secants at each end."""
    first, last = 2 * secants[0] - secants[1], 2 * secants[-1] - secants[-2]
    extended = np.concatenate(([2 * first - secants[0], first], secants, [last, 2 * last - secants[-1]]))
    change = np.abs(np.diff(extended))
    before, after = change[:-2], change[2:]
    total = before + after
    flat = total <= 1e-9 * total.max(initial=0)
    mean = (extended[1:-2] + extended[2:-1]) / 2
    return np.where(flat, mean, (after * extended[1:-2] + before * extended[2:-1]) / np.where(flat, 1, total))


def _integral(x: FloatArray, y: FloatArray, slopes: FloatArray, low: float, high: float) -> float:
    """Integral of the cubic Hermite interpolant, exact on each piece."""
    total = 0.0
    for k, width in enumerate(np.diff(x)):
        a, b = max(low, float(x[k])), min(high, float(x[k + 1]))
        if a >= b:
            continue
        secant = (y[k + 1] - y[k]) / width
        cubic = (slopes[k] + slopes[k + 1] - 2 * secant) / width**2
        square = (3 * secant - 2 * slopes[k] - slopes[k + 1]) / width
        powers = np.array([y[k], slopes[k] / 2, square / 3, cubic / 4])
        ends = [float(sum(c * t ** (n + 1) for n, c in enumerate(powers))) for t in (a - x[k], b - x[k])]
        total += ends[1] - ends[0]
    return total
