"""The one class table: four semantic classes and how the datasets' labels map to them.

Source: paper Sec. IV (assumption 1): construction = building, wall, fence, guard rail, bridge, tunnel;
nature = vegetation, terrain; sky = sky; everything else is region of interest (ROI). A label that a
dataset marks as void counts as ROI when a mask is made and is ignored when a score is computed.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from .errors import SacValueError

__all__ = [
    "CAMVID_COLOUR",
    "CAMVID_INDEX",
    "CAMVID_VOID",
    "CITYSCAPES_ID",
    "CITYSCAPES_TRAIN_ID",
    "CLASS_NAMES",
    "EVEN_ODDS",
    "GREY_TONES",
    "KITTI_STEP",
    "SCORE_VOID",
    "LabelSet",
    "SemanticClass",
    "label_names",
    "label_table",
]


class SemanticClass(IntEnum):
    """Values of a class map (8-bit grey)."""

    ROI = 0
    CONSTRUCTION = 1
    NATURE = 2
    SKY = 3


CLASS_NAMES: Final = tuple(c.name.lower() for c in SemanticClass)

#: The paper's four tones of grey (Sec. III.B), by class: ROI white, then darker.
GREY_TONES: Final = (255, 170, 85, 0)

#: The value of pixels that no score counts.
SCORE_VOID: Final = 255

#: Threshold at which class maps are scored: a pixel is non-ROI where that is as likely as ROI or more.
EVEN_ODDS: Final = 0.5

_GROUPS: Final[Mapping[SemanticClass, frozenset[str]]] = MappingProxyType(
    {
        SemanticClass.CONSTRUCTION: frozenset({"building", "wall", "fence", "guard rail", "bridge", "tunnel"}),
        SemanticClass.NATURE: frozenset({"vegetation", "terrain"}),
        SemanticClass.SKY: frozenset({"sky"}),
    }
)

#: Cityscapes `labelIds`: id → name. Ids 0–3 and 255 carry no class, so scores ignore them.
CITYSCAPES_ID: Final[Mapping[int, str]] = MappingProxyType(
    dict(
        enumerate(
            (
                "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground",
                "road", "sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge",
                "tunnel", "pole", "polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky",
                "person", "rider", "car", "truck", "bus", "caravan", "trailer", "train", "motorcycle", "bicycle",
            )
        )
    )
)  # fmt: skip

#: Cityscapes train ids, shared by KITTI-STEP and most public networks.
CITYSCAPES_TRAIN_ID: Final[Mapping[int, str]] = MappingProxyType(
    dict(
        enumerate(
            (
                "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
                "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
            )
        )
    )
)  # fmt: skip

#: KITTI-STEP's panoptic PNGs hold Cityscapes train ids in the red channel.
KITTI_STEP: Final = CITYSCAPES_TRAIN_ID

#: CamVid, 11 classes by index. Its "tree" is Cityscapes' vegetation.
CAMVID_INDEX: Final[Mapping[int, str]] = MappingProxyType(
    dict(
        enumerate(
            (
                "sky", "building", "pole", "road", "sidewalk", "vegetation", "traffic sign", "fence", "car",
                "person", "rider",
            )
        )
    )
)  # fmt: skip
CAMVID_VOID: Final = 11

#: CamVid's 32 classes as it was published, by colour (R, G, B), with names in Cityscapes' vocabulary where it has one.
#: Those of its own: lane markings are road, archways building, text on the road a sign.
CAMVID_COLOUR: Final[Mapping[tuple[int, int, int], str]] = MappingProxyType(
    {
        (0, 0, 0): "unlabeled", (64, 128, 64): "animal", (192, 0, 128): "building", (0, 128, 192): "rider",
        (0, 128, 64): "bridge", (128, 0, 0): "building", (64, 0, 128): "car", (64, 0, 192): "cart",
        (192, 128, 64): "person", (192, 192, 128): "pole", (64, 64, 128): "fence", (128, 0, 192): "road",
        (192, 0, 64): "road", (128, 128, 64): "traffic sign", (192, 0, 192): "motorcycle",
        (128, 64, 64): "other moving", (64, 192, 128): "parking", (64, 64, 0): "person", (128, 64, 128): "road",
        (128, 128, 192): "road", (0, 0, 192): "sidewalk", (192, 128, 128): "traffic sign", (128, 128, 128): "sky",
        (64, 128, 192): "car", (0, 0, 64): "traffic cone", (0, 64, 64): "traffic light", (192, 64, 128): "train",
        (128, 128, 0): "vegetation", (192, 128, 192): "truck", (64, 0, 64): "tunnel", (192, 192, 0): "vegetation",
        (64, 192, 0): "wall",
    }
)  # fmt: skip


class LabelSet(StrEnum):
    """Label encodings the package reads."""

    CITYSCAPES = "cityscapes"
    CITYSCAPES_TRAIN = "cityscapes-train"
    KITTI_STEP = "kitti-step"
    CAMVID = "camvid"
    CAMVID_COLOUR = "camvid-colour"
    CLASS_MAP = "class-map"


# Without a class of its own a pixel says nothing about a prediction.
_UNSCORED: Final = {"unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground"}

_NAMES: Final[Mapping[LabelSet, tuple[Mapping[int, str], frozenset[int]]]] = MappingProxyType(
    {
        LabelSet.CITYSCAPES: (CITYSCAPES_ID, frozenset({255})),
        LabelSet.CITYSCAPES_TRAIN: (CITYSCAPES_TRAIN_ID, frozenset({255})),
        LabelSet.KITTI_STEP: (KITTI_STEP, frozenset({255})),
        LabelSet.CAMVID: (CAMVID_INDEX, frozenset({CAMVID_VOID, 255})),
        # Colours have no numbers of their own: their place in the table is taken for one.
        LabelSet.CAMVID_COLOUR: (MappingProxyType(dict(enumerate(CAMVID_COLOUR.values()))), frozenset({255})),
    }
)


def label_names(labels: LabelSet | str) -> Mapping[int, str]:
    """Names of a dataset's original classes by label value, in Cityscapes' vocabulary.

    Raises:
        SacValueError: `labels` is not a `LabelSet`.
    """
    labels = _parse(labels, "label_names")
    if labels is LabelSet.CLASS_MAP:
        return MappingProxyType(dict(enumerate(CLASS_NAMES)))
    return _NAMES[labels][0]


def label_table(
    labels: LabelSet | str, policy: Mapping[str, SemanticClass | int] | None = None, *, scoring: bool = False
) -> npt.NDArray[np.int16]:
    """Lookup table from a dataset's label values to classes.

    Args:
        labels: The dataset's label encoding.
        policy: Class by original name, overriding the paper's grouping, e.g.
            ``{"sidewalk": SemanticClass.CONSTRUCTION}``.
        scoring: Map void to `SCORE_VOID` (ignored) instead of ROI.

    Returns:
        Array of shape (256,): class 0–3, `SCORE_VOID`, or -1 where the value is no label of this set.

    Raises:
        SacValueError: An unknown label set, a name the set does not have, or a class that is not one.
    """
    labels = _parse(labels, "label_table")
    table = np.full(256, -1, np.int16)
    if labels is LabelSet.CLASS_MAP:
        table[: len(SemanticClass)] = range(len(SemanticClass))
        names: Mapping[int, str] = label_names(labels)
        void: frozenset[int] = frozenset({SCORE_VOID})
    else:
        names, void = _NAMES[labels]
        for value, name in names.items():
            group = next((c for c, members in _GROUPS.items() if name in members), SemanticClass.ROI)
            table[value] = SCORE_VOID if scoring and name in _UNSCORED else group
    table[list(void)] = SCORE_VOID if scoring else SemanticClass.ROI
    for name, cls in (policy or {}).items():
        values = [value for value, own in names.items() if own == name]
        if not values:
            raise SacValueError(f"{labels} has no class {name!r}; it has {', '.join(names.values())}", "label_table")
        if cls not in set(SemanticClass):
            known = [int(c) for c in SemanticClass]
            raise SacValueError(f"class {cls!r} for {name!r} is none of {known}", "label_table")
        table[values] = int(cls)
    return table


def _parse(labels: LabelSet | str, func: str) -> LabelSet:
    try:
        return LabelSet(labels)
    except ValueError:
        raise SacValueError(f"unknown label set {labels!r}; known: {', '.join(LabelSet)}", func) from None
