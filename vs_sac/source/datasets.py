"""Layouts of public driving datasets: the images and label maps on disk. Classes come from `core.labels.label_table`.

This module finds files and opens no image, so it needs neither torch nor Pillow. `training.data` loads the files.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..core.choices import parse_choice
from ..core.errors import SacFileError, SacValueError
from ..core.labels import CLASS_NAMES, SCORE_VOID, LabelSet, SemanticClass, fine_table, label_names, label_table

__all__ = [
    "DatasetKind",
    "DatasetRef",
    "LabelMapping",
    "Sample",
    "find_samples",
    "list_samples",
]

_IMAGES = (".png", ".jpg", ".jpeg")
_VOID = "void"

#: Largest number of folder entries that an error message lists.
_SHOWN = 12


class DatasetKind(StrEnum):
    """Dataset layouts that `find_samples` can read."""

    CAMVID = "camvid"
    CAMVID_COLOUR = "camvid-colour"
    CITYSCAPES = "cityscapes"
    CITYSCAPES_SEQUENCE = "cityscapes-sequence"
    KITTI_STEP = "kitti-step"
    TRAIN_ID_FOLDER = "train-id-folder"
    MAPPED_FOLDER = "mapped-folder"


@dataclass(frozen=True)
class LabelMapping:
    """Mapping from label values to classes, for a folder of images with labels of its own.

    Attributes:
        path: The JSON file of the mapping: ``{"0": "roi", "1": "sky", "255": "void", ...}``.
        classes: (value, name) pairs. A name is one of `core.labels.CLASS_NAMES` or ``void``.
    """

    path: Path
    classes: tuple[tuple[int, str], ...]

    @classmethod
    def read(cls, path: Path) -> "LabelMapping":
        """Read a mapping file.

        Raises:
            SacFileError: The file is missing, is not such a mapping, or contains an unknown class.
        """
        known = (*CLASS_NAMES, _VOID)
        try:
            content = json.loads(path.read_text())
            pairs = tuple((int(value), str(name)) for value, name in content.items())
        except (OSError, ValueError, AttributeError) as error:
            raise SacFileError(f"{path} is no mapping of label values to classes: {error}", "find_samples") from error
        wrong = [f"{value}: {name}" for value, name in pairs if name not in known or not 0 <= value <= 255]
        if wrong or not pairs:
            message = f"{path} must map values 0 to 255 to {', '.join(known)}; it has {', '.join(wrong) or 'none'}"
            raise SacFileError(message, "find_samples")
        return cls(path, pairs)

    def __str__(self) -> str:
        return str(self.path)

    def table(self, *, scoring: bool) -> npt.NDArray[np.int16]:
        """Return the class by label value; same result as `core.labels.label_table`."""
        table = np.full(256, -1, np.int16)
        for value, name in self.classes:
            void = SCORE_VOID if scoring else SemanticClass.ROI
            table[value] = void if name == _VOID else CLASS_NAMES.index(name)
        return table

    def fine_table(self) -> npt.NDArray[np.bool_]:
        """Return the fine classes by label value; same result as `core.labels.fine_table`."""
        groups = fine_table(LabelSet.CLASS_MAP)
        table = np.zeros_like(groups)
        for value, name in self.classes:
            if name != _VOID:
                table[value] = groups[CLASS_NAMES.index(name)]
        return table


@dataclass(frozen=True)
class Sample:
    """An image with its label map.

    Attributes:
        image: Path of the image.
        label: Path of the label map.
        labels: Encoding of the label map.
    """

    image: Path
    label: Path
    labels: LabelSet | LabelMapping

    def table(self, *, scoring: bool) -> npt.NDArray[np.int16]:
        """Return the class by label value; see `core.labels.label_table`."""
        if isinstance(self.labels, LabelMapping):
            return self.labels.table(scoring=scoring)
        return label_table(self.labels, scoring=scoring)

    def fine_table(self) -> npt.NDArray[np.bool_]:
        """Return the fine classes by label value; see `core.labels.fine_table`."""
        return self.labels.fine_table() if isinstance(self.labels, LabelMapping) else fine_table(self.labels)

    def names(self) -> Mapping[int, str]:
        """Return the names of the original classes by label value."""
        return dict(self.labels.classes) if isinstance(self.labels, LabelMapping) else label_names(self.labels)


@dataclass(frozen=True)
class DatasetRef:
    """A dataset as given on the command line: ``KIND:ROOT[:SPLIT[:WEIGHT]]``.

    Attributes:
        kind: Layout of the dataset.
        root: Folder of the dataset.
        split: Name of the split, e.g. ``train``; layouts without splits ignore it. ``train/PATTERN`` selects only the
            images whose path ends with the pattern, e.g. ``train/aachen/aachen_00000[67]_*``. ``train/LIST.txt``
            selects the images that the file ``ROOT/LIST.txt`` names, one a line, without the ending.
        weight: Number of passes over the dataset per epoch. A fraction uses a part of it, a different one every epoch.
    """

    kind: DatasetKind
    root: Path
    split: str = "train"
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> "DatasetRef":
        """Parse the command-line form.

        Raises:
            SacValueError: The text does not have this form.
        """
        kind, _, rest = text.partition(":")
        root, _, rest = rest.partition(":")
        split, _, weight = rest.partition(":")
        try:
            ref = cls(DatasetKind(kind), Path(root), split or "train", float(weight or 1.0))
            if not root or not 0 < ref.weight < math.inf:
                raise ValueError(weight)
            return ref
        except ValueError:
            known = ", ".join(DatasetKind)
            message = f"{text!r} is not KIND:ROOT[:SPLIT[:WEIGHT]] with a weight above 0; kinds: {known}"
            raise SacValueError(message, "DatasetRef.parse") from None

    def __str__(self) -> str:
        return f"{self.kind}:{self.root}:{self.split}:{self.weight:g}"


def find_samples(kind: DatasetKind | str, root: Path, split: str = "train") -> list[Sample]:
    """Find all labelled images of a split.

    Args:
        kind: Layout of the dataset.
        root: Folder of the dataset.
        split: Name of the split; see `DatasetRef`.

    Returns:
        Samples in the order of their names.

    Raises:
        SacFileError: The folders are missing, the split has no images, or an image has no label.
        SacValueError: `kind` is unknown.
    """
    samples = list_samples(kind, root, split)
    for sample in samples:
        if not sample.label.is_file():
            raise SacFileError(f"{sample.image} has no label: {sample.label} is missing", "find_samples")
    return samples


def list_samples(kind: DatasetKind | str, root: Path, split: str = "train") -> list[Sample]:
    """Find all images of a split, without checking that their labels exist.

    Args:
        kind: Layout of the dataset.
        root: Folder of the dataset.
        split: Name of the split; see `DatasetRef`.

    Returns:
        Samples in the order of their names, each with the path at which the layout expects the label.

    Raises:
        SacFileError: The folders are missing, or the split has no images.
        SacValueError: `kind` is unknown.
    """
    kind = parse_choice(DatasetKind, kind, "find_samples")
    folder, _, pattern = split.partition("/")
    chosen = _choice(root, pattern)
    samples = [sample for sample in _FINDERS[kind](root, folder) if chosen(sample.image)]
    if not samples:
        raise SacFileError(f"no labelled images of split {split!r}: {_expectation(root, kind)}", "find_samples")
    return samples


def _choice(root: Path, pattern: str) -> Callable[[Path], bool]:
    """Whether an image belongs to the part of a split that a pattern or a list of names selects."""
    if not pattern.endswith(".txt"):
        return lambda image: not pattern or image.match(pattern)
    try:
        names = set((root / pattern).read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError) as error:
        raise SacFileError(f"cannot read the list of images {root / pattern}: {error}", "find_samples") from error
    return lambda image: image.stem in names


def _expectation(root: Path, kind: DatasetKind) -> str:
    """Return the expected and the actual content of a dataset's folder, for error messages."""
    if not root.is_dir():
        return f"expected {_LAYOUTS[kind]} in {root}, which is no folder"
    held = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
    more = ", ..." if len(held) > _SHOWN else ""
    return f"expected {_LAYOUTS[kind]} in {root}, which holds {', '.join(held[:_SHOWN]) or 'nothing'}{more}"


def _images(root: Path, inside: str, kind: DatasetKind, recursive: bool = False) -> list[Path]:
    folder = root / inside
    if not folder.is_dir():
        raise SacFileError(f"{folder} is missing; {_expectation(root, kind)}", "find_samples")
    found = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(path for path in found if path.suffix.lower() in _IMAGES and not path.name.startswith("."))


def _camvid(root: Path, split: str) -> Iterator[Sample]:
    for image in _images(root, split, DatasetKind.CAMVID):
        yield Sample(image, root / f"{split}annot" / f"{image.stem}.png", LabelSet.CAMVID)


def _camvid_colour(root: Path, split: str) -> Iterator[Sample]:
    for image in _images(root, split, DatasetKind.CAMVID_COLOUR):
        yield Sample(image, root / f"{split}_labels" / f"{image.stem}_L.png", LabelSet.CAMVID_COLOUR)


def _cityscapes(root: Path, split: str) -> Iterator[Sample]:
    return _cityscapes_layout(root, split, "", DatasetKind.CITYSCAPES)


def _cityscapes_sequence(root: Path, split: str) -> Iterator[Sample]:
    return _cityscapes_layout(root, split, "_sequence", DatasetKind.CITYSCAPES_SEQUENCE)


def _cityscapes_layout(root: Path, split: str, suffix: str, kind: DatasetKind) -> Iterator[Sample]:
    for image in _images(root, f"leftImg8bit{suffix}/{split}", kind, recursive=True):
        name = image.stem.removesuffix("_leftImg8bit")
        label = root / f"gtFine{suffix}" / split / image.parent.name / f"{name}_gtFine_labelIds.png"
        yield Sample(image, label, LabelSet.CITYSCAPES)


def _kitti_step(root: Path, split: str) -> Iterator[Sample]:
    for image in _images(root, f"images/{split}", DatasetKind.KITTI_STEP, recursive=True):
        label = root / "panoptic_maps" / split / image.parent.name / f"{image.stem}.png"
        yield Sample(image, label, LabelSet.KITTI_STEP)


def _train_id_folder(root: Path, split: str) -> Iterator[Sample]:
    del split
    for image in _images(root, "images", DatasetKind.TRAIN_ID_FOLDER):
        yield Sample(image, root / "labels" / f"{image.stem}.png", LabelSet.CITYSCAPES_TRAIN)


def _mapped_folder(root: Path, split: str) -> Iterator[Sample]:
    images = _images(root, f"images/{split}", DatasetKind.MAPPED_FOLDER)
    mapping = LabelMapping.read(root / "mapping.json")
    for image in images:
        yield Sample(image, root / "labels" / split / f"{image.stem}.png", mapping)


_FINDERS = {
    DatasetKind.CAMVID: _camvid,
    DatasetKind.CAMVID_COLOUR: _camvid_colour,
    DatasetKind.CITYSCAPES: _cityscapes,
    DatasetKind.CITYSCAPES_SEQUENCE: _cityscapes_sequence,
    DatasetKind.KITTI_STEP: _kitti_step,
    DatasetKind.TRAIN_ID_FOLDER: _train_id_folder,
    DatasetKind.MAPPED_FOLDER: _mapped_folder,
}
_LAYOUTS = {
    DatasetKind.CAMVID: "{split}/*.png|jpg with {split}annot/*.png",
    DatasetKind.CAMVID_COLOUR: "{split}/*.png with {split}_labels/*_L.png in CamVid's 32 colours",
    DatasetKind.CITYSCAPES: "leftImg8bit/{split}/{city}/ with gtFine/{split}/{city}/*_labelIds.png",
    DatasetKind.CITYSCAPES_SEQUENCE: "leftImg8bit_sequence/{split}/{city}/ with gtFine_sequence/{split}/{city}/",
    DatasetKind.KITTI_STEP: "images/{split}/{sequence}/ with panoptic_maps/{split}/{sequence}/",
    DatasetKind.TRAIN_ID_FOLDER: "images/ with labels/*.png of Cityscapes train ids",
    DatasetKind.MAPPED_FOLDER: "images/{split}/ with labels/{split}/*.png and mapping.json, a class by label value",
}
