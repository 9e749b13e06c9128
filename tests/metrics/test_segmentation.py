import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import confusion_matrix, jaccard_score

from vs_sac.core.errors import SacFormatError, SacValueError
from vs_sac.core.labels import SCORE_VOID, LabelSet, label_names, label_table
from vs_sac.metrics import (
    BlockScore,
    ClassRecall,
    SegmentationScore,
    block_score,
    confusion,
    label_recall,
    roi_confusion,
)

from .strategies import Array

sizes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=20)


def optional(name: str) -> Any:
    """A second implementation that may not be installed, imported without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name}, the second implementation, is not installed")


@st.composite
def maps(draw: st.DrawFn, void: bool = True) -> tuple[Array, Array]:
    """Truth, perhaps with void, and a prediction; every class occurs in both."""
    shape = draw(sizes)
    truth = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, *([SCORE_VOID] if void else [])])))
    prediction = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 3)))
    truth.flat[:4] = prediction.flat[:4] = range(4)
    return truth, prediction


@given(maps())
def test_equals_scikit_learn(pair: tuple[Array, Array]) -> None:
    truth, prediction = pair
    scored = truth != SCORE_VOID
    matrix = confusion(truth, prediction)
    np.testing.assert_array_equal(matrix, confusion_matrix(truth[scored], prediction[scored], labels=range(4)))
    score = SegmentationScore.from_matrix(matrix)
    np.testing.assert_allclose(score.iou, jaccard_score(truth[scored], prediction[scored], average=None), atol=1e-6)
    assert score.miou == pytest.approx(jaccard_score(truth[scored], prediction[scored], average="macro"), abs=1e-6)
    assert score.pixels == scored.sum()


@settings(max_examples=20)
@given(maps())
def test_equals_torchmetrics(pair: tuple[Array, Array]) -> None:
    torch = optional("torch")
    jaccard = optional("torchmetrics.functional.classification").multiclass_jaccard_index
    truth, prediction = pair
    arguments = (torch.from_numpy(prediction).long(), torch.from_numpy(truth).long())
    score = SegmentationScore.from_matrix(confusion(truth, prediction))
    expected = jaccard(*arguments, num_classes=4, average="none", ignore_index=SCORE_VOID)
    np.testing.assert_allclose(score.iou, expected.numpy(), atol=1e-6)
    expected = jaccard(*arguments, num_classes=4, average="macro", ignore_index=SCORE_VOID)
    assert score.miou == pytest.approx(float(expected), abs=1e-6)


@given(st.integers(0, 2**32))
def test_equals_cityscapes_scripts_on_label_ids(seed: int) -> None:
    module = "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling"
    evaluate = optional(module)
    rng = np.random.default_rng(seed)
    labels = optional("cityscapesscripts.helpers.labels").labels
    known = np.array([label.id for label in labels if not label.ignoreInEval and label.id >= 0], np.uint8)
    every = np.array([label.id for label in labels if label.id >= 0], np.uint8)
    truth, prediction = rng.choice(every, (30, 40)), rng.choice(known, (30, 40))

    # Theirs: a matrix over all ids, scored class by class.
    theirs = evaluate.generateMatrix(evaluate.args)
    np.add.at(theirs, (truth.ravel(), prediction.ravel()), 1)
    expected = [float(evaluate.getIouScoreForLabel(int(i), theirs, evaluate.args)) for i in known]

    # Ours: ids renumbered, ignored ones void.
    table = np.full(256, SCORE_VOID, np.uint8)
    table[known] = range(len(known))
    score = SegmentationScore.from_matrix(confusion(table[truth], table[prediction], len(known)))
    np.testing.assert_allclose(score.iou, expected, atol=1e-6)
    assert score.miou == pytest.approx(np.nanmean(expected), abs=1e-6)


@given(maps(), st.permutations(range(4)))
def test_bounds_and_permutation(pair: tuple[Array, Array], order: list[int]) -> None:
    truth, prediction = pair
    score = SegmentationScore.from_matrix(confusion(truth, prediction))
    assert all(0 <= value <= 1 for value in (*score.iou, score.miou, score.accuracy))
    table = np.full(256, SCORE_VOID, np.uint8)
    table[:4] = order
    renamed = SegmentationScore.from_matrix(confusion(table[truth], table[prediction]), roi=order[0])
    assert renamed.miou == pytest.approx(score.miou)
    assert renamed.roi_iou == score.roi_iou
    assert [renamed.iou[k] for k in order] == list(score.iou)


@given(maps())
def test_perfect_and_transposed(pair: tuple[Array, Array]) -> None:
    truth, prediction = pair
    perfect = SegmentationScore.from_matrix(confusion(prediction, prediction))
    assert perfect.iou == (1, 1, 1, 1)
    matrix = confusion(truth, prediction)
    assert SegmentationScore.from_matrix(matrix.T).iou == SegmentationScore.from_matrix(matrix).iou


@given(maps(), maps())
def test_matrices_of_frames_add_up(first: tuple[Array, Array], second: tuple[Array, Array]) -> None:
    truth, prediction = (np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(first, second, strict=True))
    np.testing.assert_array_equal(confusion(*first) + confusion(*second), confusion(truth, prediction))


@given(maps(), st.integers(0, 255))
def test_void_is_ignored_whatever_was_predicted(pair: tuple[Array, Array], value: int) -> None:
    truth, prediction = pair
    changed = np.where(truth == SCORE_VOID, np.uint8(value), prediction)
    np.testing.assert_array_equal(confusion(truth, changed), confusion(truth, prediction))


@given(maps(void=False))
def test_roi_iou_is_equation_17(pair: tuple[Array, Array]) -> None:
    truth, prediction = pair
    matrix = confusion(truth, prediction)
    expected = ((truth == 0) & (prediction == 0)).sum() / ((truth == 0) | (prediction == 0)).sum()
    assert SegmentationScore.from_matrix(matrix).roi_iou == pytest.approx(expected)
    np.testing.assert_array_equal(
        roi_confusion(matrix), confusion_matrix(truth.ravel() != 0, prediction.ravel() != 0, labels=[False, True])
    )


def test_absent_classes_do_not_count() -> None:
    truth = np.array([[0, 0, 3, 3]], np.uint8)
    score = SegmentationScore.from_matrix(confusion(truth, np.array([[0, 0, 3, 0]], np.uint8)))
    assert score.iou[0] == pytest.approx(2 / 3)
    assert math.isnan(score.iou[1])
    assert score.miou == pytest.approx((2 / 3 + 1 / 2) / 2)
    nothing = SegmentationScore.from_matrix(np.zeros((4, 4), np.int64))
    assert math.isnan(nothing.miou)
    assert math.isnan(nothing.accuracy)


@given(hnp.arrays(np.bool_, (3, 4)), hnp.arrays(np.bool_, (3, 4)))
def test_blocks(truth: Array, prediction: Array) -> None:
    score = block_score(truth, prediction)
    matrix = confusion_matrix(truth.ravel(), prediction.ravel(), labels=[False, True])
    assert [[score.true_rest, score.false_roi], [score.missed_roi, score.true_roi]] == matrix.tolist()
    if prediction.any():
        assert score.precision == pytest.approx(matrix[1, 1] / matrix[:, 1].sum())
    else:
        assert math.isnan(score.precision)
    if truth.any():
        assert score.recall == pytest.approx(matrix[1, 1] / matrix[1].sum())
    else:
        assert math.isnan(score.recall)
    assert score + score == block_score(np.stack([truth] * 2), np.stack([prediction] * 2))
    assert sum([score, score], BlockScore()).true_roi == 2 * score.true_roi


@given(hnp.arrays(np.uint8, (6, 8), elements=st.sampled_from([7, 11, 24, 25, 255])), hnp.arrays(np.bool_, (6, 8)))
def test_recall_by_original_class(labels: Array, mask: Array) -> None:
    recall = label_recall(labels, mask, label_names(LabelSet.CITYSCAPES))
    assert set(recall) == set(label_names("cityscapes").values())
    for value, name in ((7, "road"), (24, "person"), (25, "rider")):
        expected = [bool(mask[at]) for at in np.ndindex(labels.shape) if labels[at] == value]
        assert recall[name] == ClassRecall(sum(expected), len(expected))
    assert math.isnan(recall["train"].recall)
    assert (recall["road"] + recall["road"]).pixels == 2 * recall["road"].pixels


def test_names_that_share_a_class_share_a_count() -> None:
    recall = label_recall(np.array([[1, 2]]), np.array([[True, False]]), {1: "sign", 2: "sign"})
    assert recall == {"sign": ClassRecall(1, 2)}
    assert recall["sign"].recall == 0.5


def test_refusals() -> None:
    good = np.zeros((2, 2), np.uint8)
    with pytest.raises(SacFormatError, match="one shape"):
        confusion(good, good[:1])
    with pytest.raises(SacFormatError, match="integer"):
        confusion(good, good.astype(float))
    with pytest.raises(SacValueError, match="prediction holds"):
        confusion(good, good + 4)
    with pytest.raises(SacValueError, match="truth holds"):
        confusion(good + 4, good)
    with pytest.raises(SacValueError, match="classes"):
        confusion(good, good, 0)
    with pytest.raises(SacFormatError, match="square"):
        SegmentationScore.from_matrix(np.zeros((2, 3), np.int64))
    with pytest.raises(SacValueError, match="roi"):
        SegmentationScore.from_matrix(np.zeros((2, 2), np.int64), roi=2)
    with pytest.raises(SacFormatError, match="bool"):
        block_score(good, good)  # type: ignore[arg-type]
    with pytest.raises(SacFormatError, match="mask"):
        label_recall(good, good, {})  # type: ignore[arg-type]


@pytest.mark.data
def test_real_labels_against_cityscapes_scripts(data: Any) -> None:
    evaluate = optional("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    image = optional("PIL.Image")
    folder = data / "cityscapes_mini"
    human = sorted(folder.glob("gtFine/**/*_gtFine_labelIds.png"))
    assert human
    truth = np.asarray(image.open(human[0]))
    # A prediction with faults: the labels shifted by a few pixels, what carries no class taken for road.
    prediction = np.roll(truth, (3, 5), (0, 1))
    prediction = np.where(np.isin(prediction, [7, 8, *range(11, 14), 17, *range(19, 29), 31, 32, 33]), prediction, 7)
    theirs = evaluate.generateMatrix(evaluate.args)
    np.add.at(theirs, (truth.ravel(), prediction.ravel()), 1)
    known = [i for i in evaluate.args.evalLabels if not evaluate.id2label[i].ignoreInEval]
    table = np.full(256, SCORE_VOID, np.uint8)
    table[known] = range(len(known))
    score = SegmentationScore.from_matrix(confusion(table[truth], table[prediction], len(known)))
    expected = [float(evaluate.getIouScoreForLabel(i, theirs, evaluate.args)) for i in known]
    np.testing.assert_allclose(score.iou, expected, atol=1e-6)
    four = label_table("cityscapes", scoring=True).astype(np.uint8)
    assert 0.8 < SegmentationScore.from_matrix(confusion(four[truth], four[prediction])).roi_iou < 1
