"""Agreement of a network's class maps, against scikit-learn and plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

from vs_sac.core.errors import SacFormatError, SacValueError
from vs_sac.experiments.agreement import Agreement, chosen_frames
from vs_sac.metrics.classes import class_counts

CLASSES = ("road", "building", "car", "sky", "person")


def counts_of(reference: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.stack([class_counts(a, b, 5)[:5] for a, b in zip(reference, seen, strict=True)])


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_agreement_is_the_jaccard_score_over_classes_that_occur(seed: int, frames: int) -> None:
    random = np.random.default_rng(seed)
    reference = random.integers(0, random.integers(1, 6), (frames, 6, 8), np.uint8)
    seen = np.where(random.random(reference.shape) < 0.6, reference, random.integers(0, 5, reference.shape, np.uint8))
    found = Agreement.of(counts_of(reference, seen), CLASSES)
    there = np.unique(reference)
    expected = jaccard_score(reference.ravel(), seen.ravel(), labels=there, average=None)
    np.testing.assert_allclose([found.iou[CLASSES[k]] for k in there], expected)
    assert found.all == pytest.approx(expected.mean())
    by_name = dict(zip(there.tolist(), expected, strict=True))
    roi = [by_name[k] for k in (0, 2, 4) if k in by_name]
    critical = [by_name[k] for k in (2, 4) if k in by_name]
    assert found.roi == pytest.approx(np.mean(roi)) if roi else math.isnan(found.roi)
    assert found.critical == pytest.approx(np.mean(critical)) if critical else math.isnan(found.critical)
    each = [Agreement.of(counts_of(r[None], s[None]), CLASSES).all for r, s in zip(reference, seen, strict=True)]
    assert found.lowest == pytest.approx(min(each))


@given(st.integers(0, 2**32 - 1))
def test_a_perfect_reconstruction_agrees_in_everything(seed: int) -> None:
    reference = np.random.default_rng(seed).integers(0, 5, (3, 6, 8), np.uint8)
    found = Agreement.of(counts_of(reference, reference), CLASSES)
    assert found.all == found.lowest == 1
    assert set(found.iou.values()) == {1.0}


@given(st.integers(1, 500), st.integers(1, 50))
def test_frames_are_spread_evenly(length: int, most: int) -> None:
    numbers = chosen_frames(length, most)
    assert len(numbers) == min(length, most)
    assert numbers[0] == 0
    assert numbers[-1] < length
    steps = np.diff(numbers)
    assert len(steps) == 0 or (steps.min() >= 1 and steps.max() - steps.min() <= 1)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(SacFormatError, match="5 classes"):
        Agreement.of(np.zeros((2, 4, 4), np.int64), CLASSES)
    with pytest.raises(SacValueError, match="accepted: from 1"):
        chosen_frames(0, 3)
