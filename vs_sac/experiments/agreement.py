"""Agreement: what a network sees in a reconstruction, compared with what it sees in the source.

The network's own output on the source is the reference, so no labels are needed. Every score is a function of counts
by frame, which can be added.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..core.clips import check_same_shape, frames
from ..core.errors import SacFormatError, SacValueError
from ..core.labels import CRITICAL_CLASSES, SemanticClass, group_of
from ..metrics.classes import class_counts, mean_of_known
from ..segmentation.class_probabilities import segment_classes
from ..segmentation.registry import Model, find_model

__all__ = ["LEAST_SHARE", "Agreement", "agreement_counts", "chosen_frames", "pick"]

type IntArray = npt.NDArray[np.int64]

#: A class occurs if the network gives it to at least this share of the pixels of the source. A class of a few pixels is
#: mostly a mistake, and its IoU is noise that would count as much as that of road.
LEAST_SHARE = 0.0005

#: Share of the frames, those with the lowest agreement, over which `Agreement.lowest` is the mean.
_LOWEST_SHARE = 0.05


@dataclass(frozen=True)
class Agreement:
    """Agreement of a network's class maps; each value is a mean IoU over classes that occur in the reference.

    A class occurs if it has at least `LEAST_SHARE` of the reference's pixels.

    Attributes:
        frames: Number of frames.
        all: Mean over all classes.
        roi: Mean over the classes of the region of interest; NaN if none occurs.
        critical: Mean over `core.labels.CRITICAL_CLASSES`; NaN if none occurs.
        lowest: Mean over the 5 % of the frames, at least one, whose own mean over all classes is the lowest.
        iou: IoU by class that occurs.
    """

    frames: int
    all: float
    roi: float
    critical: float
    lowest: float
    iou: dict[str, float]

    @classmethod
    def of(cls, counts: IntArray, classes: Sequence[str]) -> Self:
        """Compute the scores.

        Args:
            counts: Shape (F, K, K): pixels by frame, class in the source and class in the reconstruction.
            classes: Names of the K classes.

        Raises:
            SacFormatError: Shape and names do not fit together, or there is no frame.
        """
        if counts.ndim != 3 or counts.shape[1:] != (len(classes), len(classes)) or not len(counts):
            raise SacFormatError(f"counts of shape {counts.shape} for {len(classes)} classes", "Agreement")
        iou = dict(zip(classes, _iou(counts.sum(0)), strict=True))
        known = {name: value for name, value in iou.items() if not math.isnan(value)}
        worst = sorted(mean_of_known(_iou(frame)) for frame in counts)
        return cls(
            frames=len(counts),
            all=mean_of_known(list(known.values())),
            roi=mean_of_known([value for name, value in known.items() if group_of(name) is SemanticClass.ROI]),
            critical=mean_of_known([value for name, value in known.items() if name in CRITICAL_CLASSES]),
            lowest=mean_of_known(worst[: max(1, round(_LOWEST_SHARE * len(worst)))]),
            iou=known,
        )

    def to_dict(self) -> dict[str, Any]:
        """The scores in JSON's types. Undefined scores are None."""
        named = {name: getattr(self, name) for name in ("all", "roi", "critical", "lowest")}
        return {
            "frames": self.frames,
            **{name: None if math.isnan(value) else value for name, value in named.items()},
            "iou": self.iou,
        }


def chosen_frames(length: int, most: int) -> tuple[int, ...]:
    """Return at most `most` frame numbers, evenly spread over a clip, the first frame included.

    Example:
        >>> chosen_frames(30, 4)
        (0, 7, 15, 22)
    """
    if length < 1 or most < 1:
        raise SacValueError(f"{most} of {length} frames; accepted: from 1", "chosen_frames")
    count = min(length, most)
    return tuple(n * length // count for n in range(count))


def pick(clip: vs.VideoNode, numbers: Sequence[int]) -> vs.VideoNode:
    """Return the given frames of a clip as a clip."""
    return vs.core.std.Splice([clip[n] for n in numbers])


def agreement_counts(
    decoded: vs.VideoNode,
    reference: vs.VideoNode,
    model: str | Path | Model,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> IntArray:
    """Count pixels by frame, class in the source and class in a reconstruction.

    Args:
        decoded: The judged frames of the reconstruction, YUV, in the size of the source.
        reference: What the network sees in the same frames of the source: the result of `segment_classes` at its own
            size.
        model: The network; its card must name its classes.
        progress: Called with (frames done, frames in all).

    Returns:
        Shape (F, K, K).

    Raises:
        SacError: See `segment_classes`; also if the sizes or lengths differ.
    """
    found = model if isinstance(model, Model) else find_model(model)
    seen = segment_classes(decoded, model=found, own_size=True)
    check_same_shape(seen, reference, "reference", "agreement_counts")
    carrier = vs.core.std.ClipToProp(seen, reference, prop="SacTruth")
    count = len(found.classes)
    made = np.zeros((seen.num_frames, count, count), np.int64)
    for n, frame in enumerate(frames(carrier)):
        with frame:
            made[n] = class_counts(np.asarray(frame.props["SacTruth"][0]), np.asarray(frame[0]), count)[:count]
        if progress:
            progress(n + 1, seen.num_frames)
    return made


def _iou(counts: IntArray) -> list[float]:
    """IoU of every class that occurs in the reference, else NaN."""
    hits, there, seen = counts.diagonal(), counts.sum(1), counts.sum(0)
    least = max(1, LEAST_SHARE * counts.sum())
    return [float(h / (t + s - h)) if t >= least else math.nan for h, t, s in zip(hits, there, seen, strict=True)]
