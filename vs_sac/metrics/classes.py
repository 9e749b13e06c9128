"""IoU at a network's own class list, against labels whose classes may be coarser than the network's or different.

A predicted class is right for a label if the label may contain it: a "bus" on CamVid's label "car" is right. Classes
are matched by name. Every score is a function of counts, which can be added.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..core.errors import SacFormatError, SacValueError
from ..core.labels import CITYSCAPES_TRAIN_ID, SCORE_VOID, THING_CLASSES, LabelSet, SemanticClass, label_table

__all__ = ["ClassScore", "ClassTable", "class_counts", "hits_and_union", "mean_of_known"]

type BoolArray = npt.NDArray[np.bool_]
type IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ClassTable:
    """Which classes of a network are right for which label.

    Attributes:
        names: Names of the scored classes, which are those of the labels.
        roi: Whether each of them belongs to the ROI.
        row: Shape (256,): index of a label value's class in `names`; -1 for values that are not scored, which are void
            and the labels for which the network has no class.
        right: Shape (256, K): whether a class of the network is right for a label value.
    """

    names: tuple[str, ...]
    roi: tuple[bool, ...]
    row: npt.NDArray[np.int16]
    right: BoolArray

    @classmethod
    def of(
        cls, classes: Sequence[str], names: Mapping[int, str], fine: BoolArray, groups: npt.NDArray[np.int16]
    ) -> Self:
        """Match a network's classes with the labels of a dataset.

        Args:
            classes: Names of the network's K classes.
            names: Names of the labels by value, see `core.labels.label_names`.
            fine: Shape (256, 19): Cityscapes classes by label value, see `core.labels.fine_table`.
            groups: Shape (256,): the four classes by label value with void, see `core.labels.label_table`.
        """
        columns = {name: column for column, name in CITYSCAPES_TRAIN_ID.items()}
        right = np.zeros((256, len(classes)), np.bool_)
        for value, name in names.items():
            if 0 <= groups[value] != SCORE_VOID:
                right[value] = [own == name or (own in columns and fine[value, columns[own]]) for own in classes]
        scored = [value for value in names if right[value].any()]
        kept = tuple(dict.fromkeys(names[value] for value in scored))
        row = np.full(256, -1, np.int16)
        row[scored] = [kept.index(names[value]) for value in scored]
        roi = {names[value]: bool(groups[value] == SemanticClass.ROI) for value in scored}
        return cls(kept, tuple(roi[name] for name in kept), row, right)

    @classmethod
    def identity(cls, classes: Sequence[str]) -> Self:
        """The table for labels that are a network's own classes, by index.

        Classes with names outside the Cityscapes train classes count as ROI, like everything that is not construction,
        nature or sky.
        """
        groups = label_table(LabelSet.CITYSCAPES_TRAIN)
        place = {name: value for value, name in CITYSCAPES_TRAIN_ID.items()}
        own = np.full(256, -1, np.int16)
        own[: len(classes)] = [groups[place[name]] if name in place else SemanticClass.ROI for name in classes]
        fine = np.zeros((256, len(place)), np.bool_)
        return cls.of(classes, dict(enumerate(classes)), fine, own)


def class_counts(labels: npt.NDArray[Any], predicted: npt.NDArray[Any], classes: int) -> IntArray:
    """Count pixels by label value and predicted class.

    Args:
        labels: Original label values, uint8 of any shape.
        predicted: Indices of the network's classes, uint8 of the same shape, below `classes`.
        classes: Number of the network's classes, K.

    Returns:
        Shape (256, K). Counts of several frames can be added.

    Raises:
        SacFormatError: The arrays are not uint8 arrays of one shape.
        SacValueError: `predicted` contains an index from `classes` on.
    """
    if labels.shape != predicted.shape or labels.dtype != np.uint8 or predicted.dtype != np.uint8:
        raise SacFormatError(
            f"needs uint8 maps of one shape, got {labels.dtype} {labels.shape} and {predicted.dtype}"
            f" {predicted.shape}", "class_counts",
        )  # fmt: skip
    if predicted.size and int(predicted.max()) >= classes:
        raise SacValueError(f"a predicted class is {int(predicted.max())}; accepted: below {classes}", "class_counts")
    pairs = labels.ravel().astype(np.int64) * classes + predicted.ravel()
    return np.bincount(pairs, minlength=256 * classes).reshape(256, classes)


def hits_and_union(counts: IntArray, table: ClassTable) -> tuple[IntArray, IntArray]:
    """Return the two parts of the IoU of each class of the labels; both can be added over frames.

    Args:
        counts: Shape (256, K), see `class_counts`.
        table: Table for these labels and these K classes.

    Returns:
        Pixels of the class with a right prediction, and these with all other pixels of the class and the pixels of
        other labels that were taken for it; see `ClassScore.from_counts`. Each of shape (L,), by `ClassTable.names`.

    Raises:
        SacFormatError: Counts and table differ in shape.
    """
    if counts.shape != table.right.shape:
        raise SacFormatError(f"needs counts of shape {table.right.shape}, got {counts.shape}", "hits_and_union")
    wrong = np.where(table.right, 0, counts)
    hits, union = np.zeros((2, len(table.names)), np.int64)
    for index in range(len(table.names)):
        own = table.row == index
        others = (table.row >= 0) & ~own
        false = wrong[others][:, table.right[own].any(0)].sum()
        hits[index] = counts[own].sum() - wrong[own].sum()
        union[index] = counts[own].sum() + false
    return hits, union


@dataclass(frozen=True)
class ClassScore:
    """IoU at a network's own class list.

    Attributes:
        iou: IoU by class of the labels; NaN for a class that is neither labelled nor wrongly predicted.
        mean: Mean of the defined values.
        roi_mean: Mean over the classes of the ROI.
        thing_mean: Mean over the classes in `core.labels.THING_CLASSES`.
        pixels: Number of scored pixels.
    """

    iou: dict[str, float]
    mean: float
    roi_mean: float
    thing_mean: float
    pixels: int

    @classmethod
    def from_counts(cls, counts: IntArray, table: ClassTable) -> Self:
        """Compute the scores.

        The IoU of a class is hits / (labelled + false): pixels with this label and a right prediction, over all pixels
        with this label and the pixels of other labels with a wrong prediction that would be right for this one. If no
        label contains several classes of the network, this is the IoU of the Cityscapes benchmark.

        Args:
            counts: Shape (256, K), see `class_counts`.
            table: Table for these labels and these K classes.

        Raises:
            SacFormatError: Counts and table differ in shape.
        """
        hits, union = hits_and_union(counts, table)
        iou = {
            name: int(hit) / int(whole) if whole else math.nan
            for name, hit, whole in zip(table.names, hits, union, strict=True)
        }
        things = [name in THING_CLASSES for name in table.names]
        values = list(iou.values())
        return cls(
            iou=iou,
            mean=mean_of_known(values),
            roi_mean=mean_of_known([value for value, roi in zip(values, table.roi, strict=True) if roi]),
            thing_mean=mean_of_known([value for value, thing in zip(values, things, strict=True) if thing]),
            pixels=int(counts[table.row >= 0].sum()),
        )

    def to_dict(self) -> dict[str, Any]:
        """The scores in JSON's types. Undefined scores are None."""
        return {
            "miou": _known(self.mean),
            "roi_classes": _known(self.roi_mean),
            "thing_classes": _known(self.thing_mean),
            "iou": {name: _known(value) for name, value in self.iou.items()},
        }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def mean_of_known(values: Sequence[float]) -> float:
    """Return the mean of the values that are not NaN; NaN if there are none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
