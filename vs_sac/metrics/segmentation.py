"""Segmentation scores: IoU (paper eqs. 15-17), macroblock precision and recall of the ROI, recall per original class.

Every score is a function of counts. Counts are additive, so the score of a data set follows from the sum over its
frames.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..core.errors import SacFormatError, SacValueError
from ..core.labels import SCORE_VOID, SemanticClass

__all__ = [
    "BlockScore",
    "ClassRecall",
    "SegmentationScore",
    "block_score",
    "confusion",
    "label_recall",
    "roi_confusion",
]

type IntArray = npt.NDArray[np.int64]


def confusion(
    truth: npt.NDArray[Any], prediction: npt.NDArray[Any], classes: int = len(SemanticClass), void: int = SCORE_VOID
) -> IntArray:
    """Confusion matrix of label maps.

    Args:
        truth: Integer classes of any shape. Pixels with the value `void` are not counted, whatever was predicted there.
        prediction: Integer classes of the same shape.
        classes: Number of classes K.
        void: The value that stands for no class.

    Returns:
        Shape (K, K): number of pixels by true class (row) and predicted class (column). Matrices of several frames can
        be added.

    Raises:
        SacFormatError: Shapes differ, or labels are not integers.
        SacValueError: `truth` contains a value outside 0 to K - 1 that is not void, or `prediction` contains one where
            `truth` is not void.

    Example:
        >>> confusion(np.array([0, 0, 3, 255]), np.array([0, 3, 3, 0]))
        array([[1, 0, 0, 1],
               [0, 0, 0, 0],
               [0, 0, 0, 0],
               [0, 0, 0, 1]])
    """
    if truth.shape != prediction.shape or truth.dtype.kind not in "iu" or prediction.dtype.kind not in "iu":
        raise SacFormatError(
            f"needs integer maps of one shape, got {truth.dtype} {truth.shape} and "
            f"{prediction.dtype} {prediction.shape}",
            "confusion",
        )
    if classes < 1:
        raise SacValueError(f"classes must be at least 1, got {classes}", "confusion")
    scored = truth != void
    pair = []
    for name, labels in (("truth", truth), ("prediction", prediction)):
        values = labels[scored].astype(np.int64)
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise SacValueError(f"{name} holds {values.min()} to {values.max()}, not 0 to {classes - 1}", "confusion")
        pair.append(values)
    return np.bincount(pair[0] * classes + pair[1], minlength=classes**2).reshape(classes, classes).astype(np.int64)


def roi_confusion(matrix: IntArray, roi: int = SemanticClass.ROI) -> IntArray:
    """Reduce a matrix of all classes to two classes: ROI first, then the rest. Only these two matter for coding."""
    rows = np.arange(len(matrix)) != roi
    return np.array(
        [[matrix[~rows][:, ~rows].sum(), matrix[~rows][:, rows].sum()],
         [matrix[rows][:, ~rows].sum(), matrix[rows][:, rows].sum()]], np.int64
    )  # fmt: skip


@dataclass(frozen=True)
class SegmentationScore:
    """Scores of a confusion matrix.

    Attributes:
        iou: Intersection over union per class (eq. 15). NaN for a class that is neither in the truth nor predicted.
        miou: Mean of the IoU values that are not NaN (eq. 16); NaN if all are NaN.
        roi_iou: IoU of the ROI class (eq. 17). The paper calls it iIOU, but the Cityscapes benchmark uses that name for
            a score weighted by instance size.
        accuracy: Share of the pixels with the correct class; NaN without pixels.
        pixels: Number of counted pixels.
    """

    iou: tuple[float, ...]
    miou: float
    roi_iou: float
    accuracy: float
    pixels: int

    @classmethod
    def from_matrix(cls, matrix: IntArray, roi: int = SemanticClass.ROI) -> Self:
        """Compute the scores of a matrix.

        Args:
            matrix: Shape (K, K), true class by predicted class.
            roi: Index of the ROI class.

        Raises:
            SacFormatError: The matrix is not a square matrix of counts.
            SacValueError: `roi` is not an index of the matrix.
        """
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.dtype.kind not in "iu":
            raise SacFormatError(f"needs a square matrix of counts, got {matrix.dtype} {matrix.shape}", "from_matrix")
        if not 0 <= roi < len(matrix):
            raise SacValueError(f"roi must be 0 to {len(matrix) - 1}, got {roi}", "from_matrix")
        hits = matrix.diagonal()
        union = matrix.sum(0) + matrix.sum(1) - hits
        iou = tuple(int(hit) / int(whole) if whole else math.nan for hit, whole in zip(hits, union, strict=True))
        present = [value for value in iou if not math.isnan(value)]
        pixels = int(matrix.sum())
        return cls(
            iou=iou,
            miou=sum(present) / len(present) if present else math.nan,
            roi_iou=iou[roi],
            accuracy=int(hits.sum()) / pixels if pixels else math.nan,
            pixels=pixels,
        )


@dataclass(frozen=True)
class BlockScore:
    """Numbers of macroblocks by true region and coded region. Scores of several frames can be added.

    Attributes:
        true_roi: ROI, coded as ROI.
        false_roi: Not ROI, coded as ROI: costs bits without benefit.
        missed_roi: ROI, coded as non-ROI: costs quality where it matters.
        true_rest: Not ROI, coded as non-ROI.
    """

    true_roi: int = 0
    false_roi: int = 0
    missed_roi: int = 0
    true_rest: int = 0

    def __add__(self, other: "BlockScore") -> "BlockScore":
        return BlockScore(
            self.true_roi + other.true_roi,
            self.false_roi + other.false_roi,
            self.missed_roi + other.missed_roi,
            self.true_rest + other.true_rest,
        )

    @property
    def precision(self) -> float:
        """Share of the blocks coded as ROI that are ROI; NaN if none is coded as ROI."""
        coded = self.true_roi + self.false_roi
        return self.true_roi / coded if coded else math.nan

    @property
    def recall(self) -> float:
        """Share of the ROI blocks that are coded as ROI; NaN if there are no ROI blocks."""
        blocks = self.true_roi + self.missed_roi
        return self.true_roi / blocks if blocks else math.nan


def block_score(truth: npt.NDArray[np.bool_], prediction: npt.NDArray[np.bool_]) -> BlockScore:
    """Compare two block grids.

    Args:
        truth: ROI blocks of the labels, bool of shape (ceil(H / 16), ceil(W / 16)). Further axes, such as frames, are
            summed.
        prediction: ROI blocks as coded, bool of the same shape.

    Raises:
        SacFormatError: The arrays are not bool arrays of one shape.

    Example:
        >>> score = block_score(np.array([[True, True, False]]), np.array([[True, False, True]]))
        >>> score.recall
        0.5
    """
    if truth.shape != prediction.shape or truth.dtype != np.bool_ or prediction.dtype != np.bool_:
        raise SacFormatError(
            f"needs bool grids of one shape, got {truth.dtype} {truth.shape} and {prediction.dtype} {prediction.shape}",
            "block_score",
        )
    both, coded, roi = (int(np.count_nonzero(grid)) for grid in (truth & prediction, prediction, truth))
    return BlockScore(both, coded - both, roi - both, truth.size - roi - coded + both)


@dataclass(frozen=True)
class ClassRecall:
    """How many pixels of one original class lie in the ROI mask. Counts of several frames can be added.

    Attributes:
        kept: Pixels of the class inside the mask.
        pixels: Pixels of the class.
    """

    kept: int = 0
    pixels: int = 0

    def __add__(self, other: "ClassRecall") -> "ClassRecall":
        return ClassRecall(self.kept + other.kept, self.pixels + other.pixels)

    @property
    def recall(self) -> float:
        """Share of the class's pixels that lie inside the mask; NaN without pixels."""
        return self.kept / self.pixels if self.pixels else math.nan


def label_recall(
    labels: npt.NDArray[Any], mask: npt.NDArray[np.bool_], names: Mapping[int, str]
) -> dict[str, ClassRecall]:
    """ROI recall per original class, such as pedestrian, rider, car or sign: the share of its pixels in the ROI mask.

    Args:
        labels: Original label values, integers of any shape.
        mask: ROI mask, bool of the same shape.
        names: Class names by label value, as `core.labels.label_names` returns them. Other values are not counted.

    Returns:
        Counts by name. Every name has an entry, also if its class does not occur.

    Raises:
        SacFormatError: Shapes or types do not match.
    """
    if labels.shape != mask.shape or labels.dtype.kind not in "iu" or mask.dtype != np.bool_:
        raise SacFormatError(
            f"needs integer labels and a bool mask of one shape, got {labels.dtype} {labels.shape} and "
            f"{mask.dtype} {mask.shape}",
            "label_recall",
        )
    total, kept = (dict(zip(*(part.tolist() for part in np.unique(values, return_counts=True)), strict=True))
                   for values in (labels, labels[mask]))  # fmt: skip
    recall = {name: ClassRecall() for name in names.values()}
    for value, name in names.items():
        recall[name] += ClassRecall(kept.get(value, 0), total.get(value, 0))
    return recall
