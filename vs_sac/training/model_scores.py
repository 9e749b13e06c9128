"""Scores of a segmentation model on labelled images, as far as they matter for coding: ``vs-sac test-model``.

Two decisions are scored. Macroblock scores judge what the encoder receives: by the model's threshold, a macroblock is
ROI if any of its pixels is not confidently another class. IoU judges the network itself and decides between ROI and the
other classes at even odds. Void labels count as ROI in the mask of the labels and are ignored in every score.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..core.errors import SacValueError
from ..core.labels import CLASS_NAMES, SCORE_VOID, SemanticClass
from ..core.macroblocks import BLOCK
from ..masks.grid import block_grid_array
from ..metrics.segmentation import BlockScore, SegmentationScore, block_score, confusion
from ..segmentation.registry import Model, working_size
from ..source.datasets import DatasetRef, find_samples
from ..training.data import load_pair, load_raw_label
from ..training.evaluate import decide, five_digits, onnx_probabilities, read_image

__all__ = ["ModelScore", "draw_scored", "score_model"]

#: Colours of a drawn class map (ROI, construction, nature, sky, void), and the width of a panel in pixels.
_COLOURS = np.array([(255, 255, 255), (178, 102, 76), (60, 140, 60), (110, 160, 220), (0, 0, 0)], np.uint8)
_PANEL = 300

type BoolArray = npt.NDArray[np.bool_]
type Probabilities = Callable[[npt.NDArray[np.float32], tuple[int, int]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class ModelScore:
    """Scores of a model on one labelled set.

    Attributes:
        images: Number of images.
        class_map: IoU of the class map at even odds.
        blocks: Macroblocks with a labelled ROI pixel compared with those coded as ROI. Blocks that contain void but no
            ROI are not counted.
        coded_share: Share of the macroblocks that are coded as ROI.
        true_share: Share of the macroblocks that are ROI by the labels, void included.
        classes: For each original class that occurs, by name: share of the macroblocks with that class that are coded
            as ROI.
        flicker: Share of the macroblocks that change between neighbouring images although the labels do not. Meaningful
            only if the images are consecutive frames.
        true_flicker: Share of the macroblocks that change in the labels.
    """

    images: int
    class_map: SegmentationScore
    blocks: BlockScore
    coded_share: float
    true_share: float
    classes: dict[str, float] = field(repr=False)
    flicker: float = math.nan
    true_flicker: float = math.nan

    @property
    def share_ratio(self) -> float:
        """Coded ROI share divided by the ROI share of the labels; NaN if the labels contain no ROI."""
        return self.coded_share / self.true_share if self.true_share else math.nan

    def to_dict(self) -> dict[str, Any]:
        """The scores in JSON's types, rounded to five digits. Undefined scores are None."""

        def by_class(score: SegmentationScore) -> dict[str, float | None]:
            return {
                "miou": five_digits(score.miou),
                **{n: five_digits(v) for n, v in zip(CLASS_NAMES, score.iou, strict=True)},
            }

        return {
            "images": self.images,
            "iou": by_class(self.class_map),
            "macroblock_recall": five_digits(self.blocks.recall),
            "macroblock_precision": five_digits(self.blocks.precision),
            "roi_share": five_digits(self.coded_share),
            "roi_share_ratio": five_digits(self.share_ratio),
            "recall_by_class": {name: five_digits(value) for name, value in self.classes.items()},
            "flicker": five_digits(self.flicker),
            "true_flicker": five_digits(self.true_flicker),
        }


def score_model(
    model: Path,
    data: str,
    *,
    threshold: float,
    area: int,
    hold: int = 0,
) -> ModelScore:
    """Score an ONNX model on one labelled set.

    Args:
        model: ONNX file from `vs_sac.training.export_onnx`.
        data: ``KIND:ROOT[:SPLIT]``, see `source.datasets.DatasetRef`.
        threshold: Probability of non-ROI, in (0, 1], from which a pixel is non-ROI in the macroblock scores.
        area: Number of pixels of the network's input.
        hold: Number of images for which a block stays ROI after it has left the ROI; see `masks.temporal_dilation`.

    Raises:
        SacFileError: The model or the set cannot be read.
        SacValueError: The name is malformed, or the threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise SacValueError(f"threshold {threshold} is outside of (0, 1]", "score_model")
    ref = DatasetRef.parse(data)
    samples = find_samples(ref.kind, ref.root, ref.split)
    infer = onnx_probabilities(model)
    matrix = np.zeros((len(SemanticClass), len(SemanticClass)), np.int64)
    blocks, classes = BlockScore(), dict[str, BlockScore]()
    grids: list[tuple[BoolArray, BoolArray]] = []
    recent: deque[BoolArray] = deque(maxlen=hold + 1)
    for sample in samples:
        image, truth = load_pair(sample)
        probabilities = _probabilities(infer, image, area)
        matrix += confusion(truth, decide(probabilities))
        recent.append(block_grid_array(decide(probabilities, threshold) == SemanticClass.ROI))
        coded = np.logical_or.reduce([grid for grid in recent if grid.shape == recent[-1].shape])
        roi, void = (block_grid_array(truth == value) for value in (SemanticClass.ROI, SCORE_VOID))
        scored = roi | ~void
        blocks += block_score(roi[scored], coded[scored])
        raw = load_raw_label(sample)
        for value, name in sample.names().items():
            if (here := raw == value).any():
                grid = block_grid_array(here)
                classes[name] = classes.get(name, BlockScore()) + block_score(grid, coded)
        grids.append((coded, roi | void))
    flicker, true_flicker = _flicker(grids)
    return ModelScore(
        images=len(samples),
        class_map=SegmentationScore.from_matrix(matrix),
        blocks=blocks,
        coded_share=_share(coded for coded, _ in grids),
        true_share=_share(truth for _, truth in grids),
        classes={name: score.recall for name, score in classes.items()},
        flicker=flicker,
        true_flicker=true_flicker,
    )


def _probabilities(infer: Probabilities, image: Image.Image, area: int) -> npt.NDArray[np.float32]:
    rgb = read_image(image, working_size(*image.size, area))
    return infer(rgb, (image.height, image.width))


def _share(grids: Iterable[BoolArray]) -> float:
    """Share of all blocks that are set."""
    counts = [(int(grid.sum()), int(grid.size)) for grid in grids]
    return sum(c for c, _ in counts) / sum(n for _, n in counts)


def _flicker(grids: list[tuple[BoolArray, BoolArray]]) -> tuple[float, float]:
    """Share of the blocks that change although the truth does not, and share that changes in the truth."""
    ours = theirs = total = 0
    for (coded, truth), (next_coded, next_truth) in pairwise(grids):
        if coded.shape != next_coded.shape:
            continue
        flips = truth != next_truth
        ours += int(((coded != next_coded) & ~flips).sum())
        theirs += int(flips.sum())
        total += coded.size
    return (ours / total, theirs / total) if total else (math.nan, math.nan)


def draw_scored(model: Model, dataset: list[str], threshold: float) -> Image.Image:
    """Draw one row per set: source, labels, class map and macroblock mask of the set's middle image."""
    infer = onnx_probabilities(model.path)
    rows = []
    for ref in map(DatasetRef.parse, dataset):
        samples = find_samples(ref.kind, ref.root, ref.split)
        image, truth = load_pair(samples[len(samples) // 2])
        class_map = decide(_probabilities(infer, image, model.working_area), threshold)
        roi = np.kron(block_grid_array(class_map == SemanticClass.ROI), np.ones((BLOCK, BLOCK), np.bool_))
        source = np.asarray(image)
        dimmed = np.where(roi[: image.height, : image.width, None], source, source // 4)
        labels = _COLOURS[np.minimum(truth, len(SemanticClass))]
        height = round(_PANEL * image.height / image.width)
        row = Image.new("RGB", (4 * _PANEL, height))
        for column, panel in enumerate((source, labels, _COLOURS[class_map], dimmed)):
            row.paste(Image.fromarray(panel).resize((_PANEL, height), Image.Resampling.BOX), (column * _PANEL, 0))
        rows.append(row)
    sheet = Image.new("RGB", (4 * _PANEL, sum(row.height for row in rows)))
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet
