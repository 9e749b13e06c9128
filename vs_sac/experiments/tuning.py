"""The search of `tune`: the candidate that reaches a goal with the fewest bytes, in few trials.

A trial is an encode of the footage with one candidate at one CRF, and what a network sees in it. Nothing here encodes.
Agreement and bytes fall with the CRF up to noise, and are taken as monotone: above a CRF that misses the goal, every
CRF is taken to miss it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ..core.choices import BlockMap
from ..core.errors import SacError

__all__ = ["BASELINE", "HIGHEST", "LOWEST", "Candidate", "Goal", "Outcome", "Search", "Trial"]

#: CRFs that are tried. CRF 0 is lossless with x264.
LOWEST, HIGHEST = 1.0, 51.0

#: Distance of CRFs in the first pass over the candidates that are left, and in the second one.
_STEPS = (1.0, 0.5)

#: Distance of the second CRF of a candidate from its first, and the largest distance over which curves are continued.
_COARSE, _CONTINUED = 4.0, 6.0

#: Bytes fall by about 13 % with each CRF; this is the change of their logarithm.
_BYTES_PER_CRF = math.log(0.87)

#: At equal agreement, the CRF of a picture with a quarter of the pixels is about 8 lower.
_CRF_PER_OCTAVE = 4.0

#: A candidate is left out if its estimated bytes exceed the smallest estimate by this factor. A size is judged without
#: a map first, with a wider margin, because a map can gain several per cent more at one size than at another.
_CANDIDATE_MARGIN, _SIZE_MARGIN = 1.10, 1.25


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Settings of an encode without its CRF.

    Attributes:
        size: Coded size: native, a fraction such as 1/2, auto (the size in which the network reads), or WxH.
        map: Where the QP offsets come from; None for an ordinary uniform encode, which is no choice, but what all
            others are compared with.
        strength: Factor of the QP offsets.
        area: Share of the source's pixels that is coded, in (0, 1].
    """

    size: str = "native"
    map: BlockMap | None = None
    strength: float = 1.0
    area: float = field(default=1.0, compare=False)

    @property
    def label(self) -> str:
        """The settings as text for people."""
        strength = f" {self.strength:g}" if self.map and self.strength != 1 else ""
        return f"{self.size}, {f'map {self.map}' if self.map else 'uniform'}{strength}"


#: The ordinary encode that all candidates are compared with.
BASELINE = Candidate()


@dataclass(frozen=True)
class Goal:
    """The agreement to reach.

    Attributes:
        all: Mean IoU over all classes that occur.
        lowest: Mean of the mean IoU of the 5 % of the frames in which it is lowest.
    """

    all: float
    lowest: float


@dataclass(frozen=True)
class Trial:
    """Result of one candidate at one CRF.

    Attributes:
        crf: The CRF.
        bytes: Bytes of the files of all clips.
        all: See `Goal`.
        lowest: See `Goal`.
    """

    crf: float
    bytes: int
    all: float
    lowest: float

    def margin(self, goal: Goal) -> float:
        """Distance from the goal; it is reached if this is not negative."""
        return min(self.all - goal.all, self.lowest - goal.lowest)


@dataclass(frozen=True)
class Outcome:
    """What the search knows of a candidate.

    Attributes:
        candidate: The candidate.
        trials: All trials, by rising CRF.
        best: The trial with the highest CRF that reaches the goal; None if none does.
        dropped: Whether the search stopped because another candidate needs fewer bytes. There may then be a higher CRF
            that reaches the goal too.
        estimate: CRF and bytes at which the goal is just reached, by the curve through the trials; None without any.
    """

    candidate: Candidate
    trials: tuple[Trial, ...]
    best: Trial | None
    dropped: bool
    estimate: tuple[float, float] | None = None


type RunTrial = Callable[[Candidate, float], Trial]


class Search:
    """Finds, for a goal, the candidate with the fewest bytes and its CRF.

    Args:
        run: Function (candidate, CRF) → trial. It is called once for every pair.
        expected: First estimate of the number of trials.

    Attributes:
        made: Number of trials that were run.
        expected: Estimate of the number of trials that the search will run in all.
    """

    def __init__(self, run: RunTrial, expected: int = 0) -> None:
        self._run = run
        self._trials: dict[Candidate, dict[float, Trial]] = {}
        self._dropped: set[Candidate] = set()
        self.made, self.expected = 0, expected

    def find(self, candidates: Sequence[Candidate], goal: Goal, start: float | None = None) -> list[Outcome]:
        """Search.

        Args:
            candidates: The candidates. `BASELINE` is added if it is not among them.
            goal: The goal.
            start: CRF at which `BASELINE` reaches the goal, known from a trial. None to search for it.

        Returns:
            One outcome for `BASELINE` and for every candidate; those that reach the goal come first, by bytes, and
            `BASELINE` after them.

        Raises:
            SacError: `BASELINE` does not reach the goal at any CRF.
        """
        plan = list(dict.fromkeys([BASELINE, *candidates]))
        self.expected = self.made + 3 * len(plan)
        self._baseline(goal, start)
        base = self._crf_at(BASELINE, goal) if start is None else start
        plain = [c for c in plan if c.map in (None, BlockMap.NONE)]
        for candidate in plain:
            if candidate != BASELINE:
                self._coarse(candidate, goal, base + _CRF_PER_OCTAVE * math.log2(candidate.area))
        sizes = {c.size: c for c in self._near(plain, goal, _SIZE_MARGIN)}
        mapped = [c for c in plan if c not in plain]
        tried = [c for c in mapped if c.size in sizes]
        self._dropped |= {*mapped} - {*tried}
        for candidate in tried:
            self._coarse(candidate, goal, self._crf_at(sizes[candidate.size], goal))
        near = self._near([*sizes.values(), *tried], goal, _CANDIDATE_MARGIN)
        self._dropped |= {*plan} - {*near}
        self.expected = self.made + 2 * len(near)
        for step in _STEPS:
            for candidate in sorted({*near} - {BASELINE}, key=lambda c: (self._bytes_at(c, goal), c.label)):
                self._refine(candidate, goal, step, near)
        self._dropped.discard(BASELINE)
        return sorted((self._outcome(c, goal) for c in plan), key=_order)

    def trial(self, candidate: Candidate, crf: float) -> Trial:
        """Return the trial of a candidate at a CRF; it is run if it has not been."""
        held = self._trials.setdefault(candidate, {})
        if crf not in held:
            held[crf] = self._run(candidate, crf)
            self.made += 1
            self.expected = max(self.expected, self.made)
        return held[crf]

    def _baseline(self, goal: Goal, start: float | None) -> None:
        """Points of the uniform curve, and, if it is not known, the CRF at which it reaches the goal."""
        if start is None:
            self._coarse(BASELINE, goal, 30.0)
            for step in _STEPS:
                self._refine(BASELINE, goal, step, ())
            if self._outcome(BASELINE, goal).best is None:
                finest = self._sorted(BASELINE)[0]
                raise SacError(
                    f"a uniform encode at CRF {finest.crf:g} agrees by {finest.all:.3f} in all and by"
                    f" {finest.lowest:.3f} in the lowest frames, less than {goal.all:.3f} and {goal.lowest:.3f};"
                    " give a lower goal", "tune",
                )  # fmt: skip
            return
        # Nothing depends on these but the curve and its slopes.
        for crf in (start - _COARSE, start, start + _COARSE):
            if LOWEST <= crf <= HIGHEST:
                self.trial(BASELINE, crf)

    def _coarse(self, candidate: Candidate, goal: Goal, start: float) -> None:
        """Two trials, if possible on both sides of the goal."""
        crf = _clamped(round(start))
        met = self.trial(candidate, crf).margin(goal) >= 0
        second = _clamped(crf + (_COARSE if met else -_COARSE))
        if second != crf:
            self.trial(candidate, second)

    def _refine(self, candidate: Candidate, goal: Goal, step: float, rivals: Iterable[Candidate]) -> None:
        """Bisect until the highest CRF that reaches the goal is known within `step`, or a rival is better for sure."""
        halve = False
        while True:
            low, high = self._bracket(candidate, goal)
            if high is not None and self._beaten(candidate, high, goal, rivals):
                self._dropped.add(candidate)
                return
            if (high is None and low == HIGHEST) or (low is None and high == LOWEST):
                return
            if low is not None and high is not None and high - low <= step:
                return
            self.trial(candidate, self._next(candidate, goal, step, halve=halve))
            # Estimates alone could approach from one side in many small steps.
            halve = not halve

    def _next(self, candidate: Candidate, goal: Goal, step: float, *, halve: bool) -> float:
        low, high = self._bracket(candidate, goal)
        guess = round(self._crf_at(candidate, goal) / step) * step
        reach = _COARSE if halve else step
        if low is None:
            assert high is not None
            return _clamped(min(guess, high - reach))
        if high is None:
            return _clamped(max(guess, low + reach))
        middle = low + max(1, round((high - low) / 2 / step)) * step
        return middle if halve or not low < guess < high else guess

    def _beaten(self, candidate: Candidate, high: float, goal: Goal, rivals: Iterable[Candidate]) -> bool:
        """Whether a rival that reaches the goal has no more bytes than this candidate at a CRF that misses it."""
        lows = [(c, low) for c in rivals if c != candidate and (low := self._bracket(c, goal)[0]) is not None]
        least = min((self._trials[c][low].bytes for c, low in lows), default=math.inf)
        return least <= self._trials[candidate][high].bytes

    def _near(self, candidates: Sequence[Candidate], goal: Goal, factor: float) -> list[Candidate]:
        estimates = {c: self._bytes_at(c, goal) for c in candidates}
        return [c for c in candidates if estimates[c] <= factor * min(estimates.values())]

    def _sorted(self, candidate: Candidate) -> list[Trial]:
        held = self._trials.get(candidate, {})
        return [held[crf] for crf in sorted(held)]

    def _bracket(self, candidate: Candidate, goal: Goal) -> tuple[float | None, float | None]:
        """The lowest CRF that misses the goal, after the highest CRF below it that reaches it."""
        low = None
        for trial in self._sorted(candidate):
            if trial.margin(goal) < 0:
                return low, trial.crf
            low = trial.crf
        return low, None

    def _crf_at(self, candidate: Candidate, goal: Goal) -> float:
        """Estimate the CRF at which the goal is just reached, by the curves through two trials."""
        trials = self._sorted(candidate)
        low, high = self._bracket(candidate, goal)
        if low is not None and high is not None:
            a, b = (self._trials[candidate][crf] for crf in (low, high))
        elif len(trials) < 2:
            return trials[0].crf
        else:
            a, b = trials[-2:] if high is None else trials[:2]
        edge = (high if low is None else low) or 0.0
        crfs = [
            _crossing((a.crf, getattr(a, name)), (b.crf, getattr(b, name)), getattr(goal, name))
            for name in ("all", "lowest")
        ]
        if low is not None and high is not None:
            return min((crf for crf in crfs if low <= crf <= high), default=(low + high) / 2)
        # A curve that rises is noise; it says only on which side of the trials the goal lies.
        sloping = [crf for crf in crfs if not math.isnan(crf)]
        if not sloping:
            return _clamped(edge + (_CONTINUED if high is None else -_CONTINUED))
        return _clamped(min(max(min(sloping), edge - _CONTINUED), edge + _CONTINUED))

    def _bytes_at(self, candidate: Candidate, goal: Goal) -> float:
        """Estimate the bytes at which the goal is reached."""
        crf, trials = self._crf_at(candidate, goal), self._sorted(candidate)
        if len(trials) == 1:
            return trials[0].bytes * math.exp(_BYTES_PER_CRF * (crf - trials[0].crf))
        pairs = list(pairwise(trials))
        a, b = next((pair for pair in pairs if crf <= pair[1].crf), pairs[-1])
        slope = math.log(b.bytes / a.bytes) / (b.crf - a.crf)
        return a.bytes * math.exp(slope * (crf - a.crf))

    def _outcome(self, candidate: Candidate, goal: Goal) -> Outcome:
        low, _ = self._bracket(candidate, goal)
        best = None if low is None else self._trials[candidate][low]
        trials = tuple(self._sorted(candidate))
        estimate = (self._crf_at(candidate, goal), self._bytes_at(candidate, goal)) if trials else None
        return Outcome(candidate, trials, best, candidate in self._dropped, estimate)


def _order(outcome: Outcome) -> tuple[bool, bool, float]:
    return outcome.best is None, outcome.candidate == BASELINE, outcome.best.bytes if outcome.best else 0


def _crossing(a: tuple[float, float], b: tuple[float, float], wanted: float) -> float:
    """CRF at which agreement has a value, as disagreement rises exponentially with the CRF; NaN if it does not rise."""
    (x, y, at) = (math.log(max(1 - value, 1e-9)) for value in (a[1], b[1], wanted))
    return a[0] + (at - x) / (y - x) * (b[0] - a[0]) if y > x else math.nan


def _clamped(crf: float) -> float:
    return min(max(crf, LOWEST), HIGHEST)
