"""Loads the labelled images that `vs_sac.source.datasets` finds."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from ..core.errors import SacFileError
from ..core.labels import (
    CAMVID_COLOUR,
    SCORE_VOID,
    LabelSet,
    fine_table,
    group_fine,
)
from ..source.datasets import DatasetKind, DatasetRef, LabelMapping, Sample, find_samples

__all__ = [
    "FINE_SETS",
    "SEMANTIC_OF_SET",
    "DatasetKind",
    "DatasetRef",
    "LabelMapping",
    "Sample",
    "find_samples",
    "load_fine_pair",
    "load_image",
    "load_label",
    "load_pair",
    "load_raw_label",
]

#: What labels say about fine classes: every row is a set of fine classes that a label stands for, shape (R, 19). A
#: Cityscapes label is a set of one; CamVid's "traffic sign" is a set of two. Training targets are row numbers.
FINE_SETS = np.unique(np.concatenate([fine_table(labels) for labels in LabelSet]), axis=0)[1:]


def _semantic_of_set() -> npt.NDArray[np.uint8]:
    table = np.full(256, SCORE_VOID, np.uint8)
    grouped = group_fine()
    for row, members in enumerate(FINE_SETS):
        (table[row],) = set(grouped[members].tolist())
    return table


#: Class (`SemanticClass`) of every row of `FINE_SETS`, and void for all other values, shape (256,).
SEMANTIC_OF_SET = _semantic_of_set()


def load_image(path: Path) -> Image.Image:
    """Read an image as 8-bit RGB.

    Raises:
        SacFileError: The image cannot be read.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise SacFileError(f"cannot read image {path}: {error}", "load_image") from error


def load_raw_label(sample: Sample) -> npt.NDArray[np.uint8]:
    """Read a label map with its original values (see `core.labels.label_names`), shape (H, W).

    Raises:
        SacFileError: The label map cannot be read, or it is not stored in the format of its label set.
    """
    try:
        with Image.open(sample.label) as image:
            raw = np.asarray(image)
    except (OSError, UnidentifiedImageError) as error:
        raise SacFileError(f"cannot read label {sample.label}: {error}", "load_label") from error
    if raw.dtype != np.uint8:
        raise SacFileError(f"{sample.label} is not 8-bit", "load_label")
    if sample.labels is LabelSet.KITTI_STEP and raw.ndim == 3:
        raw = raw[..., 0]
    if sample.labels is LabelSet.CAMVID_COLOUR and raw.ndim == 3:
        return _colour_index(raw, sample)
    if raw.ndim != 2:
        message = f"{sample.label} is a colour image; {sample.labels} labels are grey or palette indices"
        raise SacFileError(message, "load_label")
    return raw


def _colour_index(raw: npt.NDArray[np.uint8], sample: Sample) -> npt.NDArray[np.uint8]:
    """Replace the colours of a label map by their indices in `core.labels.CAMVID_COLOUR`."""
    packed = (raw[..., :3].astype(np.int32) << np.array([16, 8, 0])).sum(-1)
    known = np.array([red << 16 | green << 8 | blue for red, green, blue in CAMVID_COLOUR])
    order = known.argsort()
    found = order[np.searchsorted(known[order], packed).clip(max=len(known) - 1)]
    if (wrong := known[found] != packed).any():
        colour = tuple(int(value) for value in raw[wrong][0][:3])
        raise SacFileError(f"{sample.label} holds the colour {colour}, which is no {sample.labels} label", "load_label")
    indices: npt.NDArray[np.uint8] = found.astype(np.uint8)
    return indices


def load_label(sample: Sample, *, scoring: bool = True) -> npt.NDArray[np.uint8]:
    """Read a label map as classes.

    Args:
        sample: Sample whose label map is read.
        scoring: If true, void becomes `core.labels.SCORE_VOID`; otherwise void becomes ROI.

    Returns:
        Classes, uint8 of shape (H, W).

    Raises:
        SacFileError: The label map cannot be read, is not stored in the format of its label set, or contains a value
            that the set does not define.
    """
    raw = load_raw_label(sample)
    classes: npt.NDArray[np.int16] = sample.table(scoring=scoring)[raw]
    if (classes < 0).any():
        value = int(raw[classes < 0][0])
        raise SacFileError(f"{sample.label} holds {value}, which is no {sample.labels} label", "load_label")
    return classes.astype(np.uint8)


def load_pair(sample: Sample) -> tuple[Image.Image, npt.NDArray[np.uint8]]:
    """Read an image and its label map for training or scoring. Void is `core.labels.SCORE_VOID`.

    Raises:
        SacFileError: See `load_image` and `load_label`; also if image and label map differ in size.
    """
    image, label = load_image(sample.image), load_label(sample)
    if label.shape != (image.height, image.width):
        sizes = f"{label.shape[1]}x{label.shape[0]}, its image {image.width}x{image.height}"
        raise SacFileError(f"{sample.label} is {sizes}", "load_pair")
    return image, label


def load_fine_pair(sample: Sample) -> tuple[Image.Image, npt.NDArray[np.uint8]]:
    """Read an image and its label map for training on fine classes.

    Returns:
        The image, and the rows of `FINE_SETS`, uint8 of shape (H, W); void is `core.labels.SCORE_VOID`.

    Raises:
        SacFileError: See `load_pair`.
    """
    image, classes = load_pair(sample)
    sets = np.full(256, SCORE_VOID, np.uint8)
    members = sample.fine_table()
    for value in members.any(1).nonzero()[0]:
        (sets[value],) = (members[value] == FINE_SETS).all(1).nonzero()[0]
    fine = sets[load_raw_label(sample)]
    return image, np.where(classes == SCORE_VOID, np.uint8(SCORE_VOID), fine)
