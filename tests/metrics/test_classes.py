"""Scores at a network's own classes, against counting pixel by pixel and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

from vs_sac.core.errors import SacFormatError, SacValueError
from vs_sac.core.labels import (
    CITYSCAPES_TRAIN_ID,
    SCORE_VOID,
    THING_CLASSES,
    LabelSet,
    fine_table,
    label_names,
    label_table,
)
from vs_sac.metrics import ClassScore, ClassTable, class_counts

NAMES = tuple(CITYSCAPES_TRAIN_ID.values())


def table_of(labels, classes=NAMES):
    return ClassTable.of(classes, label_names(labels), fine_table(labels), label_table(labels, scoring=True))


def maps(seed, values, count, size=400):
    """Random labels and predictions that are often equal, as uint8."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(np.array(values, np.uint8), size)
    seen = np.where(rng.random(size) < 0.5, truth % count, rng.integers(0, count, size)).astype(np.uint8)
    return truth, seen


def by_hand(truth, seen, labels, classes):
    """IoU by name: a second implementation, one pixel at a time."""
    names, fine, groups = label_names(labels), fine_table(labels), label_table(labels, scoring=True)

    def may(value, predicted):
        own = classes[predicted]
        return own == names[value] or any(fine[value, c] for c, n in CITYSCAPES_TRAIN_ID.items() if n == own)

    scored = [
        v for v in names
        if groups[v] not in (-1, SCORE_VOID) and any(may(v, p) for p in range(len(classes)))
    ]  # fmt: skip
    hits, whole = dict.fromkeys((names[v] for v in scored), 0), dict.fromkeys((names[v] for v in scored), 0)
    for value, predicted in zip(truth.tolist(), seen.tolist(), strict=True):
        if value not in scored:
            continue
        whole[names[value]] += 1
        if may(value, predicted):
            hits[names[value]] += 1
            continue
        for other in {names[v] for v in scored if may(v, predicted)} - {names[value]}:
            whole[other] += 1
    return {name: hits[name] / whole[name] if whole[name] else math.nan for name in hits}


@given(st.integers(0, 2**16))
def test_fine_labels_give_the_usual_iou(seed):
    truth, seen = maps(seed, [*range(19), 255], 19)
    score = ClassScore.from_counts(class_counts(truth, seen, 19), table_of(LabelSet.CITYSCAPES_TRAIN))
    known = truth != 255
    expected = jaccard_score(truth[known], seen[known], labels=range(19), average=None)
    assert list(score.iou) == list(NAMES)
    assert list(score.iou.values()) == pytest.approx(expected)
    assert score.mean == pytest.approx(expected.mean())
    things = [value for name, value in zip(NAMES, expected, strict=True) if name in THING_CLASSES]
    assert len(things) == 11
    assert score.thing_mean == pytest.approx(np.mean(things))
    assert score.roi_mean == pytest.approx(np.mean([*things, *expected[:2]]))
    assert score.pixels == known.sum()


@given(st.integers(0, 2**16), st.sampled_from(list(LabelSet)), st.sampled_from([NAMES, NAMES[:8], ("sky", "animal")]))
def test_coarse_labels_equal_counting_by_hand(seed, labels, classes):
    truth, seen = maps(seed, [*label_names(labels), 255], len(classes))
    score = ClassScore.from_counts(class_counts(truth, seen, len(classes)), table_of(labels, classes))
    assert score.iou == pytest.approx(by_hand(truth, seen, labels, classes), nan_ok=True)


def test_a_bus_on_camvids_car_is_right_and_a_road_is_not():
    car, road = 8, 3
    truth = np.array([car, car, car, road], np.uint8)
    seen = np.array([NAMES.index(name) for name in ("bus", "car", "road", "road")], np.uint8)
    score = ClassScore.from_counts(class_counts(truth, seen, 19), table_of(LabelSet.CAMVID))
    assert score.iou["car"] == pytest.approx(2 / 3)
    assert score.iou["road"] == pytest.approx(1 / 2)
    assert math.isnan(score.iou["sky"])
    assert score.to_dict()["iou"]["sky"] is None


def test_a_class_that_the_network_lacks_is_not_scored():
    table = table_of(LabelSet.CITYSCAPES_TRAIN, ("road", "sky", "car"))
    assert table.names == ("road", "sky", "car")
    assert table.roi == (True, False, True)
    bus = np.full(5, NAMES.index("bus"), np.uint8)
    assert ClassScore.from_counts(class_counts(bus, np.full(5, 2, np.uint8), 3), table).pixels == 0


@given(st.integers(0, 2**16))
def test_own_classes_are_right_for_themselves(seed):
    classes = ("tram", "sky", "road", "building")
    truth, _ = maps(seed, range(4), 4)
    table = ClassTable.identity(classes)
    score = ClassScore.from_counts(class_counts(truth, truth, 4), table)
    assert set(score.iou.values()) == {1.0}
    # A name that is none of Cityscapes' is ROI.
    assert dict(zip(table.names, table.roi, strict=True)) == {
        "tram": True, "sky": False, "road": True, "building": False,
    }  # fmt: skip


@given(st.integers(0, 2**16), st.permutations(range(19)))
def test_the_order_of_the_classes_does_not_matter(seed, order):
    truth, seen = maps(seed, [*range(19), 255], 19)
    place = np.argsort(order).astype(np.uint8)
    labels = LabelSet.CITYSCAPES_TRAIN
    one = ClassScore.from_counts(class_counts(truth, seen, 19), table_of(labels))
    other = ClassScore.from_counts(
        class_counts(truth, place[seen], 19), table_of(labels, tuple(NAMES[n] for n in order))
    )
    assert one == other


def test_what_is_refused():
    byte = np.zeros(3, np.uint8)
    with pytest.raises(SacFormatError, match="uint8 maps of one shape"):
        class_counts(byte, np.zeros(4, np.uint8), 2)
    with pytest.raises(SacFormatError, match="int64"):
        class_counts(byte, np.zeros(3, np.int64), 2)
    with pytest.raises(SacValueError, match="a predicted class is 2; accepted: below 2"):
        class_counts(byte, byte + np.uint8(2), 2)
    with pytest.raises(SacFormatError, match="needs counts of shape"):
        ClassScore.from_counts(np.zeros((256, 3), np.int64), table_of(LabelSet.CAMVID))
