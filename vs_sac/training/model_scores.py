"""Scores of a segmentation model on labelled images, as far as they matter for coding: ``vs-sac test-model``.

Two decisions are scored. Macroblock scores judge what the encoder receives: by the model's threshold, a macroblock is
ROI if any of its pixels is not confidently another class. IoU judges the network itself and decides between ROI and the
other classes at even odds. A network whose card names its own classes is also scored at this list. Void labels count as
ROI in the mask of the labels and are ignored in every score.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image

from ..core.errors import SacValueError
from ..core.labels import CLASS_NAMES, SemanticClass
from ..masks.grid import block_grid_array
from ..metrics.classes import ClassScore, ClassTable, class_counts
from ..metrics.segmentation import SegmentationScore, confusion
from ..segmentation.class_probabilities import likeliest_class, open_classes
from ..segmentation.registry import Decision, Model
from ..source.datasets import DatasetRef, Sample, find_samples
from .block_scores import BlockReport, PictureBlocks, report_blocks
from .data import load_pair, load_raw_label
from .evaluate import decide, five_digits, onnx_probabilities, read_image, steady
from .specks import speck_blocks

__all__ = ["ModelScore", "Picture", "gather_blocks", "read_pictures", "score_model"]

type FloatArray = npt.NDArray[np.float32]

#: From RGB (1, 3, h, w) and a height and width to the three non-ROI probabilities (3, H, W), and to the likeliest of
#: the network's own classes (H, W) if it has any.
type _Look = Callable[[FloatArray, tuple[int, int]], tuple[FloatArray, npt.NDArray[np.uint8] | None]]


@dataclass(frozen=True, eq=False)
class Picture:
    """A labelled image, and what a network sees in it.

    Attributes:
        sample: The files.
        image: The image, RGB.
        truth: The four classes of the labels with `core.labels.SCORE_VOID`, uint8 (H, W).
        raw: Original label values, uint8 (H, W).
        probabilities: Probabilities of construction, nature and sky, float32 (3, H, W).
        classes: Likeliest of the network's own classes, uint8 (H, W); None if its card names none.
    """

    sample: Sample
    image: Image.Image
    truth: npt.NDArray[np.uint8]
    raw: npt.NDArray[np.uint8]
    probabilities: FloatArray
    classes: npt.NDArray[np.uint8] | None

    def blocks(self) -> PictureBlocks:
        """Reduce the picture to its macroblocks."""
        return PictureBlocks.of(self.probabilities, self.raw, self.sample.names(), self.sample.table(scoring=True))


@dataclass(frozen=True)
class ModelScore:
    """Scores of a model on one labelled set.

    Attributes:
        images: Number of images.
        class_map: IoU of the class map at even odds.
        report: Macroblock scores.
        speck_share: Share of the macroblocks coded as ROI that are ROI only because of specks, see `specks`; without
            hold.
        own_classes: IoU at the network's own class list; None if its card names no classes.
    """

    images: int
    class_map: SegmentationScore
    report: BlockReport
    speck_share: float = math.nan
    own_classes: ClassScore | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The scores in JSON's types, rounded to five digits. Undefined scores are None."""
        own = self.own_classes
        return {
            "images": self.images,
            "iou": {
                "miou": five_digits(self.class_map.miou),
                **{n: five_digits(v) for n, v in zip(CLASS_NAMES, self.class_map.iou, strict=True)},
            },
            **self.report.to_dict(),
            "speck_share": five_digits(self.speck_share),
            **({"own_classes": _rounded(own)} if own else {}),
        }


def _rounded(score: ClassScore) -> dict[str, Any]:
    means = {"miou": score.mean, "roi_classes": score.roi_mean, "thing_classes": score.thing_mean}
    return {
        **{name: five_digits(value) for name, value in means.items()},
        "iou": {name: five_digits(value) for name, value in score.iou.items()},
    }


def read_pictures(model: Model, data: str, *, only: int | None = None) -> Iterator[Picture]:
    """Yield the pictures of a labelled set with what a network sees in them, in the order of their names.

    Args:
        model: The network.
        data: ``KIND:ROOT[:SPLIT]``, see `source.datasets.DatasetRef`.
        only: Number of the only picture to yield.

    Raises:
        SacFileError: The model or the set cannot be read.
        SacValueError: The name is malformed.
    """
    ref = DatasetRef.parse(data)
    samples = find_samples(ref.kind, ref.root, ref.split)
    look = _look(model)
    for sample in samples if only is None else [samples[only]]:
        image, truth = load_pair(sample)
        probabilities, classes = look(read_image(image, model.working_size(*image.size)), (image.height, image.width))
        yield Picture(sample, image, truth, load_raw_label(sample), probabilities, classes)


def _look(model: Model) -> _Look:
    """Load a network, with its own classes if its card names them."""
    if not model.classes:
        infer = onnx_probabilities(model.path)
        return lambda rgb, size: (infer(rgb, size), None)
    network = open_classes(model)

    def both(rgb: FloatArray, size: tuple[int, int]) -> tuple[FloatArray, npt.NDArray[np.uint8]]:
        planes, classes = network.run(rgb)
        full = F.interpolate(torch.from_numpy(steady(planes, size)[None]), size, mode="bilinear", align_corners=False)
        return np.asarray(full[0].numpy()), likeliest_class(classes, *size)

    return both


def gather_blocks(model: Model, data: str) -> list[PictureBlocks]:
    """Reduce the pictures of a labelled set to their macroblocks; arguments and errors as for `read_pictures`."""
    return [picture.blocks() for picture in read_pictures(model, data)]


def score_model(
    model: Model, data: str, *, threshold: float | None = None, hold: int = 0, min_pixels: int = 1
) -> ModelScore:
    """Score an ONNX model on one labelled set.

    Args:
        model: The network.
        data: ``KIND:ROOT[:SPLIT]``, see `source.datasets.DatasetRef`.
        threshold: Probability of non-ROI, in (0, 1], from which a pixel is non-ROI in the macroblock scores. Default:
            that of the model.
        hold: Number of images for which a block stays ROI after it has left the ROI; see `masks.temporal_dilation`.
        min_pixels: Number of pixels of a class from which a macroblock counts in the second set of recalls.

    Raises:
        SacFileError: The model or the set cannot be read.
        SacValueError: The name is malformed, or `threshold` or `min_pixels` is out of range.
    """
    # For argmax the command line passes what `threshold_for` gave, which a user may not.
    given = None if model.decision is Decision.ARGMAX else threshold
    threshold = model.threshold_for(given, None, "score_model")
    if not 1 <= min_pixels <= 256:
        raise SacValueError(
            f"min_pixels is {min_pixels}; accepted: 1 to 256, the pixels of a macroblock", "score_model"
        )
    matrix = np.zeros((len(SemanticClass), len(SemanticClass)), np.int64)
    counts = np.zeros((256, len(model.classes)), np.int64)
    blocks: list[PictureBlocks] = []
    coded = specks = 0
    table: ClassTable | None = None
    for picture in read_pictures(model, data):
        matrix += confusion(picture.truth, decide(picture.probabilities))
        if picture.classes is not None:
            counts += class_counts(picture.raw, picture.classes, len(model.classes))
            table = table or _table(model, picture.sample)
        roi = decide(picture.probabilities, threshold) == SemanticClass.ROI
        coded += int(block_grid_array(roi).sum())
        specks += int(speck_blocks(roi, picture.truth == SemanticClass.ROI).sum())
        blocks.append(picture.blocks())
    return ModelScore(
        images=len(blocks),
        class_map=SegmentationScore.from_matrix(matrix),
        report=report_blocks(blocks, threshold, hold=hold, min_pixels=min_pixels),
        speck_share=specks / coded if coded else math.nan,
        own_classes=ClassScore.from_counts(counts, table) if table else None,
    )


def _table(model: Model, sample: Sample) -> ClassTable:
    """The table for the labels of a set; all its samples have the same encoding."""
    return ClassTable.of(model.classes, sample.names(), sample.fine_table(), sample.table(scoring=True))
