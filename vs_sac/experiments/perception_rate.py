"""Rate curves of perception: scores from counts by frame, BD-rates over ranges of the ratio, and their intervals.

Everything here is a pure function of counts and bytes. Rates are in bytes; a ratio such as 1:300 is the size of the
source as RGB24 over the bytes of everything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from ..core.errors import SacFormatError, SacValueError
from ..core.labels import CRITICAL_CLASSES
from ..metrics.interpolation import Pchip

__all__ = ["GROUPS", "RANGES", "RATIOS", "FrameCounts", "RateCurve", "bd_rate_between", "interval", "resampled_means",
           "rgb_bytes"]  # fmt: skip

type FloatArray = npt.NDArray[np.float64]
type IntArray = npt.NDArray[np.int64]
type Span = tuple[float, float]

#: Groups of classes whose mean IoU is a score.
GROUPS: Final = ("all", "roi", "critical")

#: Ranges of the ratio for which BD-rates are given; None is the whole range that the curves share.
RANGES: Final[tuple[Span | None, ...]] = (None, (300.0, 800.0), (800.0, 2000.0))

#: Ratios at which methods are compared at equal bytes.
RATIOS: Final = (400, 800, 1500)

#: Smallest number of points of a curve.
_FEWEST = 4


def rgb_bytes(width: int, height: int, frames: int) -> float:
    """Return the size of uncompressed RGB24 video, in bytes."""
    return float(width * height * 3 * frames)


@dataclass(frozen=True, eq=False)
class FrameCounts:
    """Pixels by frame and class from which IoUs are computed.

    Attributes:
        names: Names of the K classes.
        roi: Whether each of them belongs to the ROI.
        hits: Shape (F, K): pixels of the class that were recognized.
        union: Shape (F, K): pixels of the class or taken for it.
        present: Shape (F, K): a class is scored if the sum over the frames is above 0.
    """

    names: tuple[str, ...]
    roi: tuple[bool, ...]
    hits: IntArray
    union: IntArray
    present: IntArray

    def __post_init__(self) -> None:
        shape = (len(self.hits), len(self.names))
        if not len(self.hits) or {self.hits.shape, self.union.shape, self.present.shape} != {shape}:
            raise SacFormatError(f"counts of shape {self.hits.shape} for {len(self.names)} classes", "FrameCounts")

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.hits)

    def scores(self, weights: IntArray | None = None) -> FloatArray:
        """Compute mean IoUs.

        Args:
            weights: Shape (R, F): how often each frame counts in each of R samples; each frame once by default.

        Returns:
            Shape (R, 3): mean IoU over the classes of each of `GROUPS`; NaN if none of them is scored.
        """
        weights = np.ones((1, self.frames), np.int64) if weights is None else weights
        hits, union, present = (weights @ counts for counts in (self.hits, self.union, self.present))
        iou = np.where(present > 0, hits / np.maximum(union, 1), 0.0)
        groups = np.array([[True] * len(self.names), self.roi, [name in CRITICAL_CLASSES for name in self.names]])
        number = (present > 0).astype(np.float64) @ groups.T
        return np.asarray(np.where(number > 0, iou @ groups.T / np.maximum(number, 1), np.nan))

    def to_dict(self) -> dict[str, Any]:
        """The counts in JSON's types, a string of numbers for each frame."""
        packed = {name: [" ".join(map(str, frame)) for frame in getattr(self, name).tolist()]
                  for name in ("hits", "union", "present")}  # fmt: skip
        return {"classes": list(self.names), "roi": list(self.roi), **packed}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> Self:
        """Read what `to_dict` made."""
        arrays = (
            np.array([[int(word) for word in frame.split()] for frame in held[name]], np.int64).reshape(
                len(held[name]), len(held["classes"])
            )
            for name in ("hits", "union", "present")
        )
        return cls(tuple(held["classes"]), tuple(held["roi"]), *arrays)


class RateCurve:
    """A curve of a score over bytes. Where a larger encode is no better than a smaller one, the smaller one counts.

    Args:
        rates: Bytes, positive.
        qualities: The score of each point; points whose score is NaN are left out.

    Raises:
        SacValueError: There are fewer than four points.
    """

    def __init__(self, rates: Sequence[float] | FloatArray, qualities: Sequence[float] | FloatArray) -> None:
        rate, quality = np.asarray(rates, np.float64), np.asarray(qualities, np.float64)
        known = np.isfinite(quality)
        order = np.argsort(rate[known], kind="stable")
        rate, quality = rate[known][order], quality[known][order]
        first = np.append(True, np.diff(rate) > 0)[: len(rate)]
        # Of two encodes of one size, the better one is the point.
        best = np.maximum.accumulate(quality)[np.append(np.flatnonzero(first)[1:], len(rate)) - 1] if len(rate) else []
        self._rates, self._best = np.log(rate[first]), np.asarray(best, np.float64)
        if len(self._rates) < _FEWEST:
            raise SacValueError(f"a curve has {len(self._rates)} points; accepted: from {_FEWEST}", "RateCurve")
        rising = np.append(True, np.diff(self._best) > 0)
        #: The points of the envelope: scores, and the logarithm of the bytes.
        self.qualities, self.log_rates = self._best[rising], self._rates[rising]
        self._inverse: Pchip | None = None

    @property
    def log_rate(self) -> Pchip:
        """The logarithm of the bytes as a function of the score.

        Raises:
            SacValueError: The score rises over fewer than four points.
        """
        if self._inverse is None:
            if len(self.qualities) < _FEWEST:
                raise SacValueError(
                    f"a score rises over {len(self.qualities)} points only; accepted: from {_FEWEST}", "RateCurve"
                )
            self._inverse = Pchip(self.qualities, self.log_rates)
        return self._inverse

    @property
    def span(self) -> Span:
        """Smallest and largest number of bytes."""
        low, high = np.exp(self._rates[[0, -1]])
        return float(low), float(high)

    def quality_at(self, rates: Sequence[float]) -> FloatArray:
        """Return the score at numbers of bytes, interpolated by PCHIP over log rate; NaN outside of `span`."""
        points = np.log(np.asarray(rates, np.float64))
        slack = 1e-9
        inside = (points >= self._rates[0] - slack) & (points <= self._rates[-1] + slack)
        at = Pchip(self._rates, self._best)(points.clip(self._rates[0], self._rates[-1]))
        return np.where(inside, at, np.nan)


def bd_rate_between(anchor: RateCurve, test: RateCurve, rates: Span | None = None) -> float:
    """Mean difference in bytes at equal score, over the scores that the anchor has in a range of bytes.

    Args:
        anchor: The curve to compare with.
        test: The curve that is judged.
        rates: Smallest and largest number of bytes; what the anchor does not cover is left out. None for all.

    Returns:
        As a share; negative if `test` needs fewer bytes.

    Raises:
        SacValueError: A curve has too few points, or there is no score that both curves have in this range.
    """
    ours, theirs = test.log_rate, anchor.log_rate
    low, high = max(ours.x[0], theirs.x[0]), min(ours.x[-1], theirs.x[-1])
    if not low < high:
        raise SacValueError("the curves share no range of scores", "bd_rate_between")
    if rates is not None:
        least, most = max(rates[0], anchor.span[0]), min(rates[1], anchor.span[1])
        if not least < most:
            raise SacValueError("the uniform curve has no points there", "bd_rate_between")
        at = anchor.quality_at((least, most))
        low, high = max(low, at[0]), min(high, at[1])
        if not low < high:
            raise SacValueError("the other curve has none of the uniform curve's scores there", "bd_rate_between")
    gap = (ours.integral(low, high) - theirs.integral(low, high)) / (high - low)
    return float(np.expm1(gap))


def resampled_means(values: FloatArray, samples: int, seed: int = 0) -> FloatArray:
    """Means over clips drawn with replacement, each with one of its own resamples.

    Args:
        values: Shape (clips, R): a figure of each clip by resample of its frames; NaN where it is undefined.
        samples: Number of draws.
        seed: Seed of the draws.

    Returns:
        Shape (samples,); NaN where none of the drawn figures is defined.
    """
    random = np.random.default_rng(seed)
    clips, each = values.shape
    drawn = values[random.integers(0, clips, (samples, clips)), random.integers(0, each, (samples, clips))]
    known = np.isfinite(drawn)
    number = known.sum(1)
    return np.where(number > 0, np.where(known, drawn, 0).sum(1) / np.maximum(number, 1), np.nan)


def interval(values: FloatArray, level: float = 0.95) -> Span | None:
    """Percentile interval of resamples; None if fewer than half of them are defined."""
    known = values[np.isfinite(values)]
    if 2 * len(known) < len(values) or not len(known):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
