"""Scores from counts by frame, and BD-rates over ranges of the ratio, against hand-made curves."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_sac.core.errors import SacFormatError, SacValueError
from vs_sac.core.labels import LabelSet, fine_table, label_names, label_table
from vs_sac.experiments.agreement import Agreement
from vs_sac.experiments.judging import agreement_frames, label_frames
from vs_sac.experiments.perception_rate import (
    FrameCounts,
    RateCurve,
    bd_rate_between,
    interval,
    resampled_means,
    rgb_bytes,
)
from vs_sac.metrics import ClassScore, ClassTable, Curve, bd_rate

CLASSES = ("road", "building", "car", "sky", "person")
RAW = rgb_bytes(1000, 1000, 10)
#: Ratios 1:250 to 1:2500 in equal steps of log rate, and scores that rise.
RATES = [RAW / ratio for ratio in np.geomspace(2500, 250, 8)]
SCORES = [0.30, 0.36, 0.44, 0.50, 0.57, 0.61, 0.66, 0.69]
RANGES = [None, (RAW / 800, RAW / 300), (RAW / 2000, RAW / 800)]


@pytest.mark.parametrize("span", RANGES)
def test_the_same_curve_at_fewer_bytes(span):
    anchor, test = RateCurve(RATES, SCORES), RateCurve([0.7 * rate for rate in RATES], SCORES)
    assert bd_rate_between(anchor, test, span) == pytest.approx(-0.3, abs=1e-12)
    assert bd_rate_between(anchor, anchor, span) == pytest.approx(0, abs=1e-12)


def test_over_the_common_range_it_is_the_usual_bd_rate():
    other = [0.28, 0.40, 0.45, 0.55, 0.60, 0.62, 0.70, 0.71]
    expected = bd_rate(Curve(tuple(RATES), tuple(SCORES)), Curve(tuple(RATES), tuple(other))) / 100
    assert bd_rate_between(RateCurve(RATES, SCORES), RateCurve(RATES, other)) == pytest.approx(expected)


def test_a_gain_at_low_rates_shows_in_that_range_only():
    # Below the bytes of 1:800 the curve needs half of the bytes, above them as many as the anchor.
    test = [rate * (0.5 if rate < RAW / 800 else 1) for rate in RATES]
    anchor, changed = RateCurve(RATES, SCORES), RateCurve(test, SCORES)
    high, low = (bd_rate_between(anchor, changed, span) for span in RANGES[1:])
    assert low < -0.4
    assert abs(high) < 0.1
    assert low < bd_rate_between(anchor, changed) < high


def test_a_larger_encode_that_is_no_better_is_not_a_point():
    late = RateCurve([*RATES, RATES[-1] * 2, RATES[3] * 1.05], [*SCORES, 0.68, 0.49])
    np.testing.assert_array_equal(late.qualities, SCORES)
    assert bd_rate_between(RateCurve(RATES, SCORES), late) == pytest.approx(0, abs=1e-12)
    # At these bytes the smaller encode is still the better choice.
    assert late.quality_at([RATES[-1] * 2])[0] == pytest.approx(SCORES[-1])


def test_scores_at_a_number_of_bytes():
    curve = RateCurve(RATES, SCORES)
    np.testing.assert_allclose(curve.quality_at(RATES), SCORES)
    assert SCORES[3] < curve.quality_at([math.sqrt(RATES[3] * RATES[4])])[0] < SCORES[4]
    assert np.isnan(curve.quality_at([RATES[0] * 0.99, RATES[-1] * 1.01])).all()
    assert RateCurve([*RATES, 1], [*SCORES, math.nan]).span == pytest.approx(curve.span)


@pytest.mark.parametrize(("anchor", "test", "span", "message"), [
    (([1, 2, 3], [0.1, 0.2, 0.3]), None, None, "3 points; accepted: from 4"),
    (([1, 2, 3, 4], [0.5, 0.5, 0.4, 0.3]), (RATES, SCORES), None, "rises over 1 points only"),
    ((RATES, SCORES), (RATES, [0.8 + s / 10 for s in SCORES]), None, "share no range of scores"),
    ((RATES, SCORES), (RATES, SCORES), (RAW / 100, RAW / 50), "uniform curve has no points there"),
    ((RATES, SCORES), (RATES[:4], SCORES[:4]), (RAW / 400, RAW / 300), "none of the uniform curve's scores there"),
])  # fmt: skip
def test_why_there_is_no_figure(anchor, test, span, message):
    with pytest.raises(SacValueError, match=message):
        bd_rate_between(RateCurve(*anchor), RateCurve(*(test or anchor)), span)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_scores_are_those_of_the_whole_matrices(seed: int, frames: int) -> None:
    random = np.random.default_rng(seed)
    counts = random.integers(0, 50, (frames, 5, 5)) * (random.random((frames, 5, 1)) < 0.6)
    found = agreement_frames(counts, CLASSES)
    expected = Agreement.of(counts, CLASSES)
    np.testing.assert_allclose(found.scores()[0], [expected.all, expected.roi, expected.critical])
    # A frame that is drawn twice counts twice.
    weights = random.integers(0, 3, (4, frames))
    for row, weight in zip(found.scores(weights), weights, strict=True):
        drawn = counts.repeat(weight, 0)
        again = Agreement.of(drawn if len(drawn) else counts * 0, CLASSES)
        np.testing.assert_allclose(row, [again.all, again.roi, again.critical])
    held = FrameCounts.from_dict(json.loads(json.dumps(found.to_dict())))
    np.testing.assert_array_equal(held.scores(weights), found.scores(weights))


@given(st.integers(0, 2**32 - 1))
def test_label_scores_are_those_of_class_scores(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = LabelSet.CAMVID
    table = ClassTable.of(CLASSES, label_names(labels), fine_table(labels), label_table(labels, scoring=True))
    counts = random.integers(0, 9, (3, 256, 5)) * (random.random((1, 256, 1)) < 0.7)
    score = ClassScore.from_counts(counts.sum(0), table)
    np.testing.assert_allclose(label_frames(counts, table).scores()[0, :2], [score.mean, score.roi_mean])


def test_counts_of_another_shape_are_refused():
    with pytest.raises(SacFormatError, match="5 classes"):
        FrameCounts(CLASSES, (True,) * 5, *[np.zeros((2, 4), np.int64)] * 3)


def test_intervals_are_over_clips_and_frames():
    # Two clips whose frames agree: only the clips differ.
    values = np.array([[-0.2] * 50, [-0.4] * 50])
    assert interval(resampled_means(values, 2000)) == pytest.approx((-0.4, -0.2))
    # One clip: only its frames differ.
    assert interval(np.linspace(0, 1, 201)) == pytest.approx((0.025, 0.975))
    assert interval(np.array([math.nan, math.nan, 1])) is None
    assert np.isnan(resampled_means(np.full((2, 3), math.nan), 5)).all()
    half = resampled_means(np.array([[math.nan], [0.5]]), 100)
    assert set(half[np.isfinite(half)]) == {0.5}
