"""What a segmentation model does for the coder, on labelled images: ``vs-sac test-model``.

Two decisions are scored. Macroblocks are what the coder gets: one is ROI where any of its pixels is not confidently
something else, by the model's threshold. IoU asks how good the network is, and takes ROI and the rest at even odds. A
label that is void counts as ROI when the truth's mask is made and is ignored when a score is computed.
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

#: Colours of a drawn class map: ROI, construction, nature, sky, void; and the width of a panel in pixels.
_COLOURS = np.array([(255, 255, 255), (178, 102, 76), (60, 140, 60), (110, 160, 220), (0, 0, 0)], np.uint8)
_PANEL = 300

type BoolArray = npt.NDArray[np.bool_]
type Probabilities = Callable[[npt.NDArray[np.float32], tuple[int, int]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class ModelScore:
    """Scores of a model on one labelled set.

    Attributes:
        images: How many.
        class_map: IoU of the class map at even odds.
        blocks: Macroblocks: those with a labelled ROI pixel against those coded as ROI. Blocks without one but with
            void do not count.
        coded_share: Share of the macroblocks coded as ROI.
        true_share: Share of the macroblocks that are ROI by the labels, void included.
        classes: Recall of the macroblocks that hold a class, by its original name; only classes that occur.
        flicker: Share of macroblocks that flip between neighbouring images although the truth's do not. Means
            something only where the images are consecutive frames.
        true_flicker: Share of macroblocks that flip in the truth.
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
        """ROI share as coded over that of the labels; NaN where the labels have no ROI."""
        return self.coded_share / self.true_share if self.true_share else math.nan

    def to_dict(self) -> dict[str, Any]:
        """The scores in JSON's types, five digits; None for what is not defined."""

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
        model: ONNX file as `vs_sac.nn.export_onnx` writes it.
        data: ``KIND:ROOT[:SPLIT]``, see `vs_sac.nn.datasets`.
        threshold: Probability of non-ROI, in (0, 1], from which a pixel is non-ROI in the macroblocks' scores.
        area: Pixels the network sees of an image.
        hold: For how many images a block stays ROI after it has left it, see `masks.temporal_dilation`.

    Raises:
        SacFileError: The model or the set cannot be read.
        SacValueError: A malformed name or a threshold out of range.
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
    """Share of all the blocks that is set."""
    counts = [(int(grid.sum()), int(grid.size)) for grid in grids]
    return sum(c for c, _ in counts) / sum(n for _, n in counts)


def _flicker(grids: list[tuple[BoolArray, BoolArray]]) -> tuple[float, float]:
    """Share of blocks that flip though the truth does not, and share that flips in the truth."""
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
    """A row per set: source, labels, class map and macroblock mask of its middle image."""
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
