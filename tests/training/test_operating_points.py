"""Thresholds by cost, against trying all of them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

from vs_sac.core.errors import SacValueError
from vs_sac.training.block_scores import report_blocks
from vs_sac.training.operating_points import (
    CANDIDATES,
    LOST_COSTS,
    OTHER_COST,
    SCALES,
    cheapest,
    choose_points,
    describe_points,
    lost_costs,
    sweep,
)

from .test_block_scores import SKY, picture, reduced


def rising(values):
    return np.cumsum(values).tolist()


def falling(values):
    return np.cumsum(values)[::-1].tolist()


@st.composite
def problems(draw):
    """Wasted blocks that rise, lost blocks of classes that fall, and costs."""
    length = draw(st.integers(1, 8))
    steps = st.lists(st.integers(0, 9), min_size=length, max_size=length)
    names = draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=3))
    return draw(steps.map(rising)), {n: draw(steps.map(falling)) for n in names}, {
        n: draw(st.fractions(0, 30, max_denominator=9)) for n in names
    }  # fmt: skip


@given(problems())
def test_the_cheapest_is_found_by_trying_all(problem):
    wasted, lost, costs = problem
    index, cost = cheapest(wasted, lost, costs)
    every = [w + sum(costs[n] * lost[n][t] for n in lost) for t, w in enumerate(wasted)]
    assert cost == min(every)
    assert index == every.index(min(every))


@given(problems(), st.data())
def test_higher_costs_never_give_a_lower_threshold(problem, data):
    wasted, lost, costs = problem
    more = {name: cost + data.draw(st.fractions(0, 30, max_denominator=9)) for name, cost in costs.items()}
    assert cheapest(wasted, lost, more)[0] >= cheapest(wasted, lost, costs)[0]


@given(problems(), st.fractions(1, 5, max_denominator=9))
def test_scaled_costs_never_give_a_lower_threshold(problem, scale):
    wasted, lost, costs = problem
    scaled = {name: scale * cost for name, cost in costs.items()}
    assert cheapest(wasted, lost, scaled)[0] >= cheapest(wasted, lost, costs)[0]


def test_equal_costs_take_the_lower_threshold_without_rounding():
    # 3 · (20/3) wasted blocks are exactly those that are saved; in floating point, they are fewer.
    assert cheapest([0, 20], {"a": [3, 0]}, {"a": Fraction(20, 3)}) == (0, 20)
    assert cheapest([0, 20], {"a": [3, 0]}, {"a": Fraction(20, 3) + Fraction(1, 10**9)})[0] == 1


@given(st.integers(0, 2**16), st.sampled_from([1, 64]))
def test_a_sweep_equals_a_report_at_each_threshold(seed, least):
    pictures = [reduced(*picture(seed)), reduced(*picture(seed + 1))]
    counted = sweep(pictures, (0.1, 0.5, 0.9), min_pixels=least)
    for n, threshold in enumerate((0.1, 0.5, 0.9)):
        report = report_blocks(pictures, threshold, min_pixels=least)
        assert counted.wasted[n] == report.blocks.false_roi
        ratio = report.share_ratio if least == 1 else report.large_share_ratio
        assert counted.share_ratio[n] == pytest.approx(ratio) or np.isnan(ratio)
        for name, lost in counted.lost.items():
            held = sum(int((p.pixels[name] >= least).sum()) for p in pictures if name in p.roi_classes)
            assert lost[n] == pytest.approx(held * (1 - report.large_classes.get(name, 1)))


@settings(max_examples=10)
@given(st.integers(0, 2**16))
def test_points_equal_trying_every_threshold(seed):
    sets = {"a": [reduced(*picture(seed))], "b": [reduced(*picture(seed + 1)), reduced(*picture(seed + 2))]}
    points = choose_points(sets, min_pixels=16)
    every = [p for pictures in sets.values() for p in pictures]
    for name, point in points.items():
        costs = []
        for threshold in CANDIDATES:
            cost = 0
            for p in every:
                coded = p.least < np.float32(threshold)
                cost += 3 * int((coded & (p.roi_pixels == 0) & ~p.void).sum())
                for own in p.roi_classes:
                    lost = int(((p.pixels[own] >= 16) & ~coded).sum())
                    cost += lost * int(3 * SCALES[name]) * LOST_COSTS.get(own, OTHER_COST)
            costs.append(cost)
        assert point.threshold == CANDIDATES[costs.index(min(costs))]
        assert point.cost == pytest.approx(min(costs) / 3)
    assert points["low"].threshold <= points["normal"].threshold <= points["high"].threshold


@settings(max_examples=10)
@given(st.integers(0, 2**16), st.floats(0.6, 1.2))
def test_the_largest_share_holds_for_every_set(seed, most):
    sets = {"a": [reduced(*picture(seed))], "b": [reduced(*picture(seed + 1))]}
    assume(all(report_blocks(p, CANDIDATES[0]).share_ratio <= most for p in sets.values()))
    free, bound = choose_points(sets), choose_points(sets, max_share=most)
    for name, point in bound.items():
        assert all(report_blocks(p, point.threshold).share_ratio <= most for p in sets.values())
        assert point.bounded == (point.threshold < free[name].threshold)
        assert point.threshold <= free[name].threshold


def test_the_description_is_what_a_card_holds():
    sets = {"a": [reduced(*picture(5))]}
    points = choose_points(sets, min_pixels=64)
    card = describe_points(points, sets, min_pixels=64, max_share=None)
    assert card["threshold"] == card["caution"]["normal"] == points["normal"].threshold
    assert list(card["caution"]) == list(card["operating_points"]) == ["low", "normal", "high"]
    assert card["costs"]["lost"] == lost_costs(sorted(sets["a"][0].roi_classes))
    assert card["costs"]["scale"] == {"low": 0.33333, "normal": 1, "high": 3}
    high = card["operating_points"]["high"]["sets"]["a"]
    recall = report_blocks(sets["a"], points["high"].threshold).blocks.recall
    assert high["macroblock_recall"] == pytest.approx(recall, rel=1e-4)
    assert {"waste_by_class", "min_pixels_recall_by_class", "roi_share_ratio"} <= set(high)
    assert lost_costs(["traffic light", "road"]) == {"traffic light": 25, "road": 7}


def test_what_cannot_be_chosen_is_refused():
    raw = np.full((16, 16), SKY, np.uint8)
    certain = {"a": [reduced(raw, np.ones((3, 16, 16), np.float32) * np.array([0, 0, 1], np.float32)[:, None, None])]}
    with pytest.raises(SacValueError, match="are all 0 or 1, so every threshold gives the same"):
        choose_points(certain)
    with pytest.raises(SacValueError, match=r"no threshold codes at most 0\.01 of the ROI"):
        choose_points({"a": [reduced(*picture(1))]}, max_share=0.01)
