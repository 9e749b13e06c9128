"""Finding the CRF at which something weighs a given number of bytes. Knows no encoder."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..core.errors import SacValueError
from ..encoders.base import HIGHEST_CRF

__all__ = ["MOST_TRIALS", "TOLERANCE", "CrfPoint", "Match", "search_crf"]

#: How far from the target a match may lie, as a share of it, and how many encodes may be spent on finding it.
TOLERANCE, MOST_TRIALS = 0.01, 5

#: Change of log(bytes) per CRF before anything is known: bytes fall by some 13 % a step (x264 and x265, street scenes).
_SLOPE = -0.14

#: Slopes outside of this are noise of two trials that lie close together; a secant through them would leap away.
_STEEPEST, _FLATTEST = -0.5, -0.01

#: Decimals of a CRF; finer steps move bytes by less than the tolerance can see.
_DECIMALS = 2


@dataclass(frozen=True)
class CrfPoint:
    """An encode at a CRF.

    Attributes:
        crf: Its CRF.
        bytes: What it weighed.
    """

    crf: float
    bytes: int


@dataclass(frozen=True)
class Match:
    """The trial that came closest to the target, and all that were made.

    Attributes:
        target: Bytes asked for.
        crf: CRF of the closest trial.
        bytes: Bytes of the closest trial.
        trials: Every encode, in order.
    """

    target: int
    crf: float
    bytes: int
    trials: tuple[CrfPoint, ...]

    @property
    def error(self) -> float:
        """Distance from the target as a share of it; positive where the match is heavier."""
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
    """Find the CRF at which an encode weighs `target` bytes, by the secant method on log(bytes).

    Bytes fall nearly exponentially with CRF, so a line through two trials mostly hits within one more. A step that
    leaves what earlier trials have bracketed is replaced by one inside of it, so that bytes that fall unevenly, or not
    at all over a stretch, cannot send the search astray.

    Args:
        encode: CRF → bytes; expected to fall with CRF.
        target: Bytes wanted, positive.
        start: CRF of the first trial.
        lowest: Lowest CRF tried.
        highest: Highest CRF tried.
        tolerance: Accepted distance as a share of the target; the search ends there.
        most: Most encodes made.

    Returns:
        The closest trial. Its `error` is beyond the tolerance where the encodes were used up, or where no CRF in range
        gets there.

    Raises:
        SacValueError: A target, range, tolerance or count that makes no sense.
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
    """CRF of the next trial; None where there is nothing left to try."""
    # Lower CRFs weigh more: the heavier trials bound the CRF from below, the lighter ones from above.
    heavier = max((t for t in trials if t.bytes > target), key=lambda t: t.crf, default=None)
    lighter = min((t for t in trials if t.bytes < target), key=lambda t: t.crf, default=None)
    low, high = heavier.crf if heavier else lowest, lighter.crf if lighter else highest
    tried = {trial.crf for trial in trials}
    if not low < high:
        # Bytes rose with CRF somewhere, or all of the range was on one side.
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
    """Change of log(bytes) per CRF through two trials."""
    first, last = pair[0], pair[-1]
    if first is None or last is None or first.crf == last.crf:
        return _SLOPE
    slope = math.log(max(last.bytes, 1) / max(first.bytes, 1)) / (last.crf - first.crf)
    return min(max(slope, _STEEPEST), _FLATTEST)


def _rounded(crf: float) -> float:
    return round(crf, _DECIMALS)
