"""Judges: perception networks that are compared on a reconstruction with what they see in the source, and with labels.

A judge should be another network than the one that made the masks or the map, because that network's own doubts decide
where its bits go. What a judge sees is compared at the size of the source.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..core.clips import check_same_shape, frames
from ..core.errors import SacValueError
from ..core.labels import SemanticClass, fine_table, group_of, label_names, label_table
from ..metrics.classes import ClassTable, class_counts, hits_and_union
from ..segmentation.class_probabilities import open_classes, segment_classes
from ..segmentation.registry import Model, find_model
from .agreement import LEAST_SHARE, Agreement, chosen_frames, pick
from .footage import Truth
from .perception_rate import GROUPS, FrameCounts

__all__ = ["Judgement", "Reference", "agreement_frames", "find_judges", "judge", "label_frames"]


@dataclass(frozen=True)
class Reference:
    """What a judge is compared with on a clip.

    Attributes:
        model: The judge.
        numbers: Frames in which its output on the source is the reference.
        seen: Its output on these frames of the source: indices of its classes, GRAY8.
        truth: Label values of some frames; None without labels.
        table: Which classes of the judge are right for which label value; None without labels.
    """

    model: Model
    numbers: tuple[int, ...]
    seen: vs.VideoNode
    truth: Truth | None = None
    table: ClassTable | None = None

    @classmethod
    def of(cls, model: Model, numbers: tuple[int, ...], seen: vs.VideoNode, truth: Truth | None, most: int) -> Self:
        """Choose at most `most` of the labelled frames, evenly spread."""
        if truth is None:
            return cls(model, numbers, seen)
        chosen = chosen_frames(len(truth.frames), most)
        labelled = Truth(pick(truth.values, chosen), truth.labels, tuple(truth.frames[n] for n in chosen))
        labels = truth.labels
        table = ClassTable.of(model.classes, label_names(labels), fine_table(labels), label_table(labels, scoring=True))
        return cls(model, numbers, seen, labelled, table)

    @property
    def labelled(self) -> tuple[int, ...]:
        """The frames that are compared with labels."""
        return self.truth.frames if self.truth else ()


@dataclass(frozen=True)
class Judgement:
    """What a judge sees in a reconstruction.

    Attributes:
        agreement: Its agreement with what it sees in the source.
        counts: The counts by frame that this is made of.
        labels: Counts by frame against the labels; None without labels.
    """

    agreement: Agreement
    counts: FrameCounts
    labels: FrameCounts | None

    def to_dict(self) -> dict[str, Any]:
        """The scores and counts in JSON's types. Undefined scores are None."""
        return {
            "agreement": self.agreement.to_dict(),
            "agreement_counts": self.counts.to_dict(),
            "labels": {"frames": self.labels.frames, **_named(self.labels)} if self.labels else None,
            "label_counts": self.labels.to_dict() if self.labels else None,
        }


def find_judges(names: Sequence[str]) -> tuple[Model, ...]:
    """Find and check judges.

    Raises:
        SacError: A network does not exist or cannot give its own classes, or two have one name.
    """
    judges = tuple(find_model(name) for name in dict.fromkeys(names))
    for model in judges:
        open_classes(model)
    held = [model.name for model in judges]
    if twice := next((name for name in held if held.count(name) > 1), None):
        raise SacValueError(f"two judges have the name {twice}; rename one of the files", "compare")
    return judges


def judge(decoded: vs.VideoNode, reference: Reference, progress: Callable[[float], None]) -> Judgement:
    """Segment the judged frames of a reconstruction, and count.

    Args:
        decoded: The reconstruction, YUV, of the size and length of the source.
        reference: What is compared with.
        progress: Called with the share that is done.

    Raises:
        SacError: See `segment_classes`; also if the sizes differ.
    """
    model, classes = reference.model, len(reference.model.classes)
    numbers = sorted({*reference.numbers, *reference.labelled})
    seen = segment_classes(pick(decoded, numbers), model=model)
    check_same_shape(seen[0], reference.seen[0], "source", "judge")
    agreed: list[npt.NDArray[np.int64]] = []
    labelled: list[npt.NDArray[np.int64]] = []
    for done, (number, frame) in enumerate(zip(numbers, frames(seen), strict=True), 1):
        with frame:
            predicted = np.asarray(frame[0])
            if number in reference.numbers:
                own = _plane(reference.seen, reference.numbers.index(number))
                agreed.append(class_counts(own, predicted, classes)[:classes])
            if reference.truth and number in reference.labelled:
                values = _plane(reference.truth.values, reference.labelled.index(number))
                labelled.append(class_counts(values, predicted, classes))
        progress(done / len(numbers))
    counts = np.stack(agreed)
    return Judgement(
        Agreement.of(counts, model.classes), agreement_frames(counts, model.classes),
        label_frames(labelled, reference.table) if reference.table else None,
    )  # fmt: skip


def _plane(clip: vs.VideoNode, number: int) -> npt.NDArray[np.uint8]:
    with clip.get_frame(number) as frame:
        return np.asarray(frame[0]).copy()


def agreement_frames(counts: npt.NDArray[np.int64], classes: Sequence[str]) -> FrameCounts:
    """Return counts of agreement by frame, from pixels by frame, class in the source and class seen, (F, K, K)."""
    hits, there, seen = counts.diagonal(axis1=1, axis2=2), counts.sum(2), counts.sum(1)
    occurs = there.sum(0) >= LEAST_SHARE * there.sum()
    roi = tuple(group_of(name) is SemanticClass.ROI for name in classes)
    return FrameCounts(tuple(classes), roi, hits, there + seen - hits, there * occurs)


def label_frames(counts: Sequence[npt.NDArray[np.int64]], table: ClassTable) -> FrameCounts:
    """Return counts against labels by frame, from pixels by label value and class seen, each (256, K)."""
    pairs = [hits_and_union(frame, table) for frame in counts]
    hits, union = (np.stack([pair[n] for pair in pairs]) for n in (0, 1))
    return FrameCounts(table.names, table.roi, hits, union, union)


def _named(counts: FrameCounts) -> dict[str, float | None]:
    values = counts.scores()[0].tolist()
    return {name: None if np.isnan(value) else value for name, value in zip(GROUPS, values, strict=True)}
