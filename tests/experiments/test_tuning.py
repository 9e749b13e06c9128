"""The search of `tune` on curves that are known."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_sac.core.choices import BlockMap
from vs_sac.core.errors import SacError
from vs_sac.experiments.tuning import BASELINE, HIGHEST, LOWEST, Candidate, Goal, Search, Trial

CANDIDATES = [
    Candidate(size=size, map=map, strength=strength, area=area)
    for size, area in (("native", 1.0), ("3/4", 0.5625), ("1/2", 0.25))
    for map, strength in ((BlockMap.NONE, 1.0), (BlockMap.TIERS, 1.0), (BlockMap.TASK, 0.5), (BlockMap.TASK, 1.0))
]


class Encoder:
    """Agreement falls smoothly with the CRF; gains and costs by candidate are known."""

    def __init__(self, better, cheaper, steep=4.0):
        self.better, self.cheaper, self.steep = better, cheaper, steep
        self.calls = []

    def __call__(self, candidate, crf):
        self.calls.append((candidate, crf))
        # The ordinary encode is as good as that of the same size without a map.
        n = 0 if candidate == BASELINE else CANDIDATES.index(candidate)
        crf_equal = crf - self.better[n] - 4 * math.log2(candidate.area)
        seen = 1 / (1 + math.exp((crf_equal - 40) / self.steep))
        size = 1e6 * self.cheaper[n] * candidate.area**0.9 * 0.87 ** (crf - 20)
        return Trial(crf, max(1, round(size)), seen, 1 - 1.5 * (1 - seen))


def optimum(encoder, goal, step=0.5):
    """The fewest bytes over all candidates and all CRFs that reach the goal."""
    crfs = [LOWEST + step * n for n in range(int((HIGHEST - LOWEST) / step) + 1)]
    trials = [Encoder.__call__(encoder, candidate, crf) for candidate in CANDIDATES for crf in crfs]
    return min(trial.bytes for trial in trials if trial.margin(goal) >= 0)


def curves(sizes, maps, noise):
    """Gains by candidate in CRF: of its size, of its map, and of both together."""
    return [sizes[n // 4] + ([0.0, *maps])[n % 4] + noise[n] for n in range(12)]


ratios = st.lists(st.floats(0.98, 1.02), min_size=12, max_size=12)
gains = st.builds(
    curves, st.lists(st.floats(-2, 2), min_size=3, max_size=3), st.lists(st.floats(-1, 1), min_size=3, max_size=3),
    st.lists(st.floats(-0.2, 0.2), min_size=12, max_size=12),
)  # fmt: skip


@given(gains, ratios, st.floats(18, 36), st.floats(3, 6))
def test_the_fewest_bytes_are_found_in_few_trials(better, cheaper, crf, steep):
    encoder = Encoder(better, cheaper, steep)
    crf = round(2 * crf) / 2
    search = Search(encoder)
    reference = search.trial(BASELINE, crf)
    goal = Goal(reference.all, reference.lowest)
    found = search.find(CANDIDATES, goal, crf)
    assert len(encoder.calls) == len(set(encoder.calls)) == search.made
    best = found[0].best
    assert best is not None
    assert best.margin(goal) >= 0
    # Candidates are left out by an estimate, and the CRF is known to half a step.
    assert best.bytes <= optimum(encoder, goal) * 1.08
    assert search.made <= 5 * len(CANDIDATES) + 3
    assert search.expected >= search.made
    choices = [o.best.bytes for o in found if o.best and o.candidate != BASELINE]
    assert choices == sorted(choices)
    assert {outcome.candidate for outcome in found} == {BASELINE, *CANDIDATES}


@given(gains, ratios, st.floats(0.6, 0.94))
def test_a_given_agreement_is_reached(better, cheaper, agree):
    encoder = Encoder(better, cheaper)
    goal = Goal(agree, agree)
    found = Search(encoder).find(CANDIDATES, goal)
    assert found[0].best is not None
    assert found[0].best.bytes <= optimum(encoder, goal) * 1.08
    (base,) = [outcome for outcome in found if outcome.candidate == BASELINE]
    assert base.best is not None
    assert encoder(BASELINE, base.best.crf + 0.5).margin(goal) < 0 <= encoder(BASELINE, base.best.crf).margin(goal)


@given(st.integers(0, 2**32 - 1), st.floats(18, 36))
def test_noise_ends_the_search_and_the_result_reaches_the_goal(seed, crf):
    import numpy as np

    random, smooth = np.random.default_rng(seed), Encoder([0.0] * 12, [1.0] * 12)
    calls = []

    def noisy(candidate, at):
        calls.append((candidate, at))
        trial = smooth(candidate, at)
        shift = float(random.normal(0, 0.02))
        return Trial(at, trial.bytes, trial.all + shift, trial.lowest + shift)

    crf = float(round(crf))
    search = Search(noisy)
    reference = search.trial(BASELINE, crf)
    goal = Goal(reference.all, reference.lowest)
    found = search.find(CANDIDATES, goal, crf)
    assert all(outcome.best is None or outcome.best.margin(goal) >= 0 for outcome in found)
    assert len(calls) < 90


def test_sizes_that_cost_much_are_left_out_with_their_maps():
    # Half the size needs a much lower CRF, as where a network reads finer than the picture is.
    encoder = Encoder([0.0] * 4 + [0.0] * 4 + [-12.0] * 4, [1.0] * 12)
    search = Search(encoder)
    reference = search.trial(BASELINE, 28.0)
    found = search.find(CANDIDATES, Goal(reference.all, reference.lowest), 28.0)
    assert sum(candidate.size == "1/2" for candidate, _ in encoder.calls) == 2
    assert all(outcome.dropped for outcome in found if outcome.candidate.size == "1/2")


def test_a_goal_out_of_reach_is_an_error():
    with pytest.raises(SacError, match="give a lower goal"):
        Search(Encoder([0.0] * 12, [1.0] * 12)).find(CANDIDATES, Goal(0.9999999, 0.99))


def test_a_goal_that_everything_reaches_ends_at_the_highest_crf():
    found = Search(Encoder([0.0] * 12, [1.0] * 12)).find(CANDIDATES, Goal(0.0, -1.0))
    assert found[0].best is not None
    assert found[0].best.crf == HIGHEST


def test_labels():
    assert BASELINE.label == "native, uniform"
    assert [c.label for c in CANDIDATES[:3]] == ["native, map none", "native, map tiers", "native, map task 0.5"]
