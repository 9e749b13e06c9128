"""Scores of a network on labelled images. The same code scores the torch network and the exported ONNX network."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from scipy import ndimage
from torch import nn

from ..core.inference import open_session
from ..core.labels import CLASS_NAMES, EVEN_ODDS, SCORE_VOID, SemanticClass
from ..segmentation.registry import WORKING_AREA, neighbourhood, working_size
from ..source.datasets import DatasetRef, find_samples
from .data import load_pair
from .losses import semantic_logits

__all__ = [
    "Predictor",
    "confusion_matrix",
    "decide",
    "evaluate_model",
    "evaluate_onnx",
    "five_digits",
    "iou",
    "onnx_probabilities",
    "read_image",
    "steady",
]

#: Maps RGB at the working size, float32 (1, 3, h, w) in [0, 1], and a height and width (H, W) to a class map of that
#: height and width.
type Predictor = Callable[[npt.NDArray[np.float32], tuple[int, int]], npt.NDArray[np.integer]]


def confusion_matrix(predict: Predictor, sets: Iterable[str], *, area: int = WORKING_AREA) -> npt.NDArray[np.int64]:
    """Count pixels by true and predicted class, at the resolution of the labels. Void pixels are not counted.

    Args:
        predict: The network.
        sets: Labelled sets, ``KIND:ROOT[:SPLIT]``.
        area: Number of pixels of the network's input.

    Returns:
        Numbers of pixels, shape (4, 4), rows by true class.

    Raises:
        SacFileError: A set cannot be read.
        SacValueError: The name of a set is malformed.
    """
    classes = len(SemanticClass)
    confusion = np.zeros((classes, classes), np.int64)
    for ref in map(DatasetRef.parse, sets):
        for sample in find_samples(ref.kind, ref.root, ref.split):
            image, label = load_pair(sample)
            rgb = read_image(image, working_size(*image.size, area))
            predicted = predict(rgb, (label.shape[0], label.shape[1]))
            counted = label != SCORE_VOID
            pairs = label[counted].astype(np.int64) * classes + predicted[counted]
            confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return confusion


def read_image(image: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The network's input for an image: RGB, float32 (1, 3, h, w) in [0, 1], scaled to `size` (width, height)."""
    scaled = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def iou(confusion: npt.NDArray[np.int64]) -> dict[str, float]:
    """Intersection over union by class, and the mean as ``miou``.

    Args:
        confusion: Numbers of pixels by true and predicted class, shape (4, 4).

    Returns:
        Values in [0, 1] by class name. A class that is neither in the truth nor predicted is NaN and is left out of the
        mean. The mean is NaN if all classes are NaN.
    """
    overlap = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - overlap
    values = [float(o / u) if u else math.nan for o, u in zip(overlap, union, strict=True)]
    known = [value for value in values if not math.isnan(value)]
    mean = sum(known) / len(known) if known else math.nan
    return {"miou": mean, **dict(zip(CLASS_NAMES, values, strict=True))}


@torch.inference_mode()
def evaluate_model(model: nn.Module, validation: Iterable[str], device: str = "cpu") -> dict[str, float]:
    """`iou` of a torch network on labelled sets, with the most likely class as prediction.

    The network is in eval mode afterwards.
    """
    model.eval()

    def predict(rgb: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.integer]:
        logits = semantic_logits(model(torch.from_numpy(rgb).to(device)))
        full = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        return np.asarray(full.argmax(1)[0].cpu().numpy())

    return iou(confusion_matrix(predict, validation))


def onnx_probabilities(path: Path) -> Callable[[npt.NDArray[np.float32], tuple[int, int]], npt.NDArray[np.float32]]:
    """Load an exported network as a function.

    Returns:
        Function that takes RGB (1, 3, h, w) in [0, 1] and a height and width, and returns the probabilities of
        construction, nature and sky at that size, (3, H, W), after `steady`.

    Raises:
        SacFileError: onnxruntime cannot load the file.
    """
    session = open_session(path, "onnx_probabilities")
    name = session.get_inputs()[0].name

    def infer(rgb: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
        (probabilities,) = session.run(None, {name: rgb})
        planes = torch.from_numpy(steady(probabilities[0], size)[None])
        full = F.interpolate(planes, size, mode="bilinear", align_corners=False)
        return np.asarray(full[0].numpy())

    return infer


def decide(probabilities: npt.NDArray[np.float32], threshold: float = EVEN_ODDS) -> npt.NDArray[np.uint8]:
    """Class map of non-ROI probabilities (3, H, W) after `steady`, with the decision rule of `vs_sac.segment`.

    A pixel is non-ROI if its probabilities add up to `threshold` or more.
    """
    likeliest = probabilities.argmax(0) + SemanticClass.CONSTRUCTION
    return np.where(probabilities.sum(0) >= threshold, likeliest, SemanticClass.ROI).astype(np.uint8)


def steady(planes: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Raise the probability of non-ROI where a doubtful pixel has a less doubtful neighbourhood; see `vs_sac.segment`.

    Args:
        planes: Probabilities of construction, nature and sky as the network gives them, (3, h, w).
        size: Height and width of the picture.

    Returns:
        Planes of the same shape, multiplied by one factor for each pixel.
    """
    own = planes.sum(0)
    reach = [2 * neighbourhood(inside, side) + 1 for inside, side in zip(own.shape, size, strict=True)]
    around = ndimage.uniform_filter(own.astype(np.float64), reach, mode="reflect")
    factor = np.maximum(own, around) / np.maximum(own, EVEN_ODDS)
    return (planes * np.where(own < EVEN_ODDS, 1, factor)).astype(np.float32)


def evaluate_onnx(path: Path, sets: Iterable[str], *, area: int = WORKING_AREA) -> dict[str, float]:
    """`iou` of an exported network on labelled sets. ROI is predicted if its probability is above one half.

    Args:
        path: ONNX file from `export_onnx`.
        sets: Labelled sets, ``KIND:ROOT[:SPLIT]``.
        area: Number of pixels of the network's input.

    Raises:
        SacFileError: The model or a set cannot be read.
        SacValueError: The name of a set is malformed.
    """
    infer = onnx_probabilities(path)
    return iou(confusion_matrix(lambda rgb, size: decide(infer(rgb, size)), sets, area=area))


def five_digits(value: float) -> float | None:
    """A score rounded to five digits. NaN (a class that does not occur) becomes None, because JSON has no NaN."""
    return None if math.isnan(value) else float(f"{value:.5g}")
