"""Search for the CRF at which an encode has a given size in bytes. Independent of any encoder."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..core.errors import SacValueError
from ..encoders.base import HIGHEST_CRF

__all__ = ["MOST_TRIALS", "TOLERANCE", "CrfPoint", "Match", "search_crf"]

#: Accepted distance from the target as a share of it, and the largest number of encodes for one search.
TOLERANCE, MOST_TRIALS = 0.01, 5

#: Change of log(bytes) per CRF, assumed until it is measured: about 13 % fewer bytes per CRF step (x264 and x265,
#: street scenes).
_SLOPE = -0.14

#: Limits of the slope. A slope outside is noise of two trials that lie close together, and a secant with it would jump
#: far away.
_STEEPEST, _FLATTEST = -0.5, -0.01

#: Decimals of a CRF. Finer steps change the bytes by less than the tolerance.
_DECIMALS = 2


@dataclass(frozen=True)
class CrfPoint:
    """An encode at a CRF.

    Attributes:
        crf: CRF of the encode.
        bytes: Size of the encode.
    """

    crf: float
    bytes: int


@dataclass(frozen=True)
class Match:
    """The trial closest to the target, and all trials.

    Attributes:
        target: Wanted number of bytes.
        crf: CRF of the closest trial.
        bytes: Bytes of the closest trial.
        trials: All encodes, in order.
    """

    target: int
    crf: float
    bytes: int
    trials: tuple[CrfPoint, ...]

    @property
    def error(self) -> float:
        """Distance from the target as a share of it; positive if the match is larger than the target."""
        return self.bytes / self.target - 1


def search_crf(
    encode: Callable[[float], int],
    target: int,
    *,
    start: float,
    lowest: float = 0.0,
    highest: float = HIGHEST_CRF,
    tolerance: float = TOLERANCE,
    most: int = MOST_TRIALS,
) -> Match:
    """Find the CRF at which an encode has `target` bytes, by the secant method on log(bytes).

    Bytes fall nearly exponentially with CRF, so the line through two trials usually meets the target with one more
    trial. If a step leaves the interval that earlier trials have bracketed, it is replaced by a step inside. The search
    therefore stays in range even if the bytes fall unevenly, or do not fall over some stretch.

    Args:
        encode: Function CRF → bytes, expected to fall with CRF.
        target: Wanted number of bytes, positive.
        start: CRF of the first trial.
        lowest: Lowest CRF tried.
        highest: Highest CRF tried.
        tolerance: Accepted distance as a share of the target. The search ends when a trial is within it.
        most: Largest number of encodes.

    Returns:
        The closest trial. Its `error` exceeds the tolerance if all encodes were used up, or if no CRF in range gives
        the target.

    Raises:
        SacValueError: The target, the range, the tolerance or the number of encodes is out of range.
    """
    if target < 1 or not 0 < tolerance < 1 or most < 1 or not lowest <= highest:
        raise SacValueError(
            f"needs a positive target, a tolerance in (0, 1), a trial and a range; got {target}, {tolerance}, {most},"
            f" {lowest}-{highest}", "search_crf",
        )  # fmt: skip
    trials: list[CrfPoint] = []
    crf = _rounded(min(max(start, lowest), highest))
    while len(trials) < most:
        trials.append(CrfPoint(crf, encode(crf)))
        if abs(trials[-1].bytes / target - 1) <= tolerance:
            break
        following = _next(trials, target, lowest, highest)
        if following is None:
            break
        crf = following
    best = min(trials, key=lambda trial: abs(trial.bytes - target))
    return Match(target, best.crf, best.bytes, tuple(trials))


def _next(trials: list[CrfPoint], target: int, lowest: float, highest: float) -> float | None:
    """CRF of the next trial; None if nothing is left to try."""
    # A lower CRF gives more bytes: trials above the target bound the CRF from below, trials under it from above.
    heavier = max((t for t in trials if t.bytes > target), key=lambda t: t.crf, default=None)
    lighter = min((t for t in trials if t.bytes < target), key=lambda t: t.crf, default=None)
    low, high = heavier.crf if heavier else lowest, lighter.crf if lighter else highest
    tried = {trial.crf for trial in trials}
    if not low < high:
        # Bytes rose with CRF somewhere, or the whole range lies on one side of the target.
        return None
    last = trials[-1]
    pair = (heavier, lighter) if heavier and lighter else tuple(trials[-2:])
    wanted = last.crf + math.log(target / max(last.bytes, 1)) / _slope(pair)
    if heavier and lighter and not low < wanted < high:
        wanted = (low + high) / 2
    wanted = _rounded(min(max(wanted, low), high))
    if wanted in tried:
        wanted = _rounded((low + high) / 2)
    return None if wanted in tried else wanted


def _slope(pair: tuple[CrfPoint | None, ...]) -> float:
    """Change of log(bytes) per CRF on the line through two trials."""
    first, last = pair[0], pair[-1]
    if first is None or last is None or first.crf == last.crf:
        return _SLOPE
    slope = math.log(max(last.bytes, 1) / max(first.bytes, 1)) / (last.crf - first.crf)
    return min(max(slope, _STEEPEST), _FLATTEST)


def _rounded(crf: float) -> float:
    return round(crf, _DECIMALS)
