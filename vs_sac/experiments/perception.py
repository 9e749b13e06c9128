"""Segmentation of the reconstruction by a perception network (paper Sec. V.C, Table IV).

Every network is scored at the four classes. One whose card names its own classes is scored at these too, because signs,
lights and people are one class of the four.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..core.clips import check_same_shape, frames
from ..core.labels import CLASS_NAMES, SCORE_VOID, SemanticClass, label_names, label_table
from ..metrics.classes import ClassScore, ClassTable, class_counts
from ..metrics.segmentation import SegmentationScore
from ..segmentation.class_probabilities import segment_classes
from ..segmentation.network import segment
from ..segmentation.registry import Model
from .footage import Truth

__all__ = ["Perception", "perceive", "perceive_classes", "score_map"]

type IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Perception:
    """Scores of a network's class map.

    Attributes:
        frames: Number of scored frames.
        score: IoU by class, mean IoU, and IoU of the ROI.
        recall: For each original class of the labels, by name: share of its pixels whose predicted class is correct.
    """

    frames: int
    score: SegmentationScore
    recall: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The scores in JSON's types. Undefined scores are None."""

        def known(value: float) -> float | None:
            return None if math.isnan(value) else value

        return {
            "frames": self.frames,
            "miou": known(self.score.miou),
            "roi_iou": known(self.score.roi_iou),
            "iou": {name: known(value) for name, value in zip(CLASS_NAMES, self.score.iou, strict=True)},
            "recall": {name: known(value) for name, value in self.recall.items()},
        }


def perceive(
    clip: vs.VideoNode,
    truth: Truth,
    model: str | Path,
    *,
    threshold: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Perception:
    """Segment the labelled frames of a clip and score the result.

    Args:
        clip: YUV, of the same length as the footage that the truth belongs to.
        truth: Labels, or a network's own class map of the source.
        model: See `segment`.
        threshold: See `segment`.
        progress: Called with (frames done, frames in all).

    Raises:
        SacError: See `segment`; also if the sizes differ.
    """
    return score_map(segment(truth.of(clip), model=model, threshold=threshold), truth, progress)


def score_map(class_map: vs.VideoNode, truth: Truth, progress: Callable[[int, int], None] | None = None) -> Perception:
    """Score a class map of the labelled frames.

    Raises:
        SacFormatError: The class map differs from the labels in size or length.
    """
    check_same_shape(class_map, truth.values, "labels", "perceive")
    classes = len(SemanticClass)
    counts = np.zeros((256, classes), np.int64)
    carrier = vs.core.std.ClipToProp(class_map, truth.values, prop="SacTruth")
    for done, frame in enumerate(frames(carrier), 1):
        values = np.asarray(frame.props["SacTruth"][0]).astype(np.uint16)
        pairs = (values * classes + np.asarray(frame[0])).ravel()
        counts += np.bincount(pairs, minlength=256 * classes).reshape(256, classes)
        if progress:
            progress(done, len(truth.frames))
    return _scored(counts, truth)


def perceive_classes(
    clip: vs.VideoNode,
    truth: vs.VideoNode,
    table: ClassTable,
    model: str | Path | Model,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> ClassScore:
    """Segment frames into the network's own classes, and score the result.

    Args:
        clip: The labelled frames, YUV.
        truth: Label values of these frames, GRAY8.
        table: Which classes of the network are right for which label value.
        model: See `segment_classes`.
        progress: Called with (frames done, frames in all).

    Raises:
        SacError: See `segment_classes`; also if the sizes differ.
    """
    seen = segment_classes(clip, model=model)
    check_same_shape(seen, truth, "labels", "perceive_classes")
    classes = table.right.shape[1]
    counts = np.zeros((256, classes), np.int64)
    carrier = vs.core.std.ClipToProp(seen, truth, prop="SacTruth")
    for done, frame in enumerate(frames(carrier), 1):
        counts += class_counts(np.asarray(frame.props["SacTruth"][0]), np.asarray(frame[0]), classes)
        if progress:
            progress(done, carrier.num_frames)
    return ClassScore.from_counts(counts, table)


def _scored(counts: IntArray, truth: Truth) -> Perception:
    """Scores from counts by (label value, predicted class)."""
    table = label_table(truth.labels, scoring=True)
    matrix = np.zeros((counts.shape[1], counts.shape[1]), np.int64)
    recall: dict[str, tuple[int, int]] = {}
    names = label_names(truth.labels)
    for value, cls in enumerate(table):
        if cls < 0 or cls == SCORE_VOID or not (total := int(counts[value].sum())):
            continue
        matrix[cls] += counts[value]
        hit, whole = recall.get(names[value], (0, 0))
        recall[names[value]] = hit + int(counts[value, cls]), whole + total
    return Perception(
        len(truth.frames), SegmentationScore.from_matrix(matrix), {name: hit / n for name, (hit, n) in recall.items()}
    )
