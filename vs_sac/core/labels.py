"""The four semantic classes, and the only table that maps the labels of datasets to them.

The grouping is that of the paper, Sec. IV (assumption 1): construction = building, wall, fence, guard rail, bridge,
tunnel; nature = vegetation, terrain; sky = sky; everything else is region of interest (ROI). Two classes that
Cityscapes lacks belong to them too: barrier is construction, and mountain is nature. A label that a dataset
marks as void is ROI in a mask and is ignored in a score.
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
    "CLASS_LISTS",
    "CLASS_NAMES",
    "CRITICAL_CLASSES",
    "EVEN_ODDS",
    "FINE_CLASSES",
    "GREY_TONES",
    "KITTI_STEP",
    "SCORE_VOID",
    "THING_CLASSES",
    "LabelSet",
    "SemanticClass",
    "fine_table",
    "group_fine",
    "group_of",
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

#: The paper's four grey values (Sec. III.B) by class: ROI is white, the other classes are darker.
GREY_TONES: Final = (255, 170, 85, 0)

#: Value of the pixels that scores ignore.
SCORE_VOID: Final = 255

#: Threshold at which class maps are scored: a pixel is non-ROI if non-ROI is at least as likely as ROI.
EVEN_ODDS: Final = 0.5

_GROUPS: Final[Mapping[SemanticClass, frozenset[str]]] = MappingProxyType(
    {
        SemanticClass.CONSTRUCTION: frozenset(
            {"building", "wall", "fence", "guard rail", "bridge", "tunnel", "barrier"}
        ),
        SemanticClass.NATURE: frozenset({"vegetation", "terrain", "mountain"}),
        SemanticClass.SKY: frozenset({"sky"}),
    }
)

#: Cityscapes `labelIds`: id → name. Ids 0–3 and 255 have no class, so scores ignore them.
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

#: Cityscapes train ids: id → name. KITTI-STEP and most public networks use them too.
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

#: The fine classes that the default network predicts: those of the Cityscapes train ids, in order.
FINE_CLASSES: Final = tuple(CITYSCAPES_TRAIN_ID.values())

#: Fine classes of names that stand for several of them, or for none exactly.
_FINER: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "parking": frozenset({"road", "sidewalk"}),
        "rail track": frozenset({"road", "sidewalk"}),
        "guard rail": frozenset({"wall", "fence"}),
        "bridge": frozenset({"building", "wall"}),
        "tunnel": frozenset({"building", "wall"}),
        "polegroup": frozenset({"pole"}),
        "caravan": frozenset({"car", "truck", "bus"}),
        "trailer": frozenset({"car", "truck"}),
    }
)

#: CamVid has one class where Cityscapes has several.
_CAMVID_FINER: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "building": frozenset({"building", "wall"}),
        "vegetation": frozenset({"vegetation", "terrain"}),
        "rider": frozenset({"rider", "bicycle", "motorcycle"}),
        "truck": frozenset({"truck", "bus"}),
    }
)

#: The 11 classes of CamVid summarize more than its 32 colours do.
_CAMVID_INDEX_FINER: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        **_CAMVID_FINER,
        "car": frozenset({"car", "truck", "bus"}),
        "traffic sign": frozenset({"traffic sign", "traffic light"}),
    }
)

#: Classes of objects that a vehicle must see, as opposed to surfaces such as road.
THING_CLASSES: Final = frozenset(
    {
        "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle", "traffic light", "traffic sign",
        "pole",
    }
)  # fmt: skip

#: Small or vulnerable objects and cars: the classes that a vehicle must not lose, in the vocabulary of Cityscapes.
CRITICAL_CLASSES: Final = frozenset(
    {"person", "rider", "motorcycle", "bicycle", "traffic light", "traffic sign", "pole", "car"}
)

#: The panoptic PNGs of KITTI-STEP contain Cityscapes train ids in the red channel.
KITTI_STEP: Final = CITYSCAPES_TRAIN_ID

#: The 11 classes of CamVid: index → name. CamVid's "tree" is Cityscapes' "vegetation".
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

#: The 32 classes of CamVid as published: colour (R, G, B) → name. A class has its Cityscapes name if there is one.
#: Lane markings are mapped to road, archways to building, and text on the road to traffic sign.
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

#: The 66 classes of Mapillary Vistas 1.2 in their order. A class has its Cityscapes name if there is one: "on rails" is
#: "train", and the front of a traffic sign is "traffic sign".
_MAPILLARY: Final = (
    "bird", "ground animal", "curb", "fence", "guard rail", "barrier", "wall", "bike lane", "crosswalk - plain",
    "curb cut", "parking", "pedestrian area", "rail track", "road", "service lane", "sidewalk", "bridge", "building",
    "tunnel", "person", "bicyclist", "motorcyclist", "other rider", "lane marking - crosswalk",
    "lane marking - general", "mountain", "sand", "sky", "snow", "terrain", "vegetation", "water", "banner", "bench",
    "bike rack", "billboard", "catch basin", "cctv camera", "fire hydrant", "junction box", "mailbox", "manhole",
    "phone booth", "pothole", "street light", "pole", "traffic sign frame", "utility pole", "traffic light",
    "traffic sign (back)", "traffic sign", "trash can", "bicycle", "boat", "bus", "car", "caravan", "motorcycle",
    "train", "other vehicle", "trailer", "truck", "wheeled slow", "car mount", "ego vehicle", "unlabeled",
)  # fmt: skip

#: Class lists of networks by name: the classes in the order of the network's planes.
CLASS_LISTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "cityscapes19": tuple(CITYSCAPES_TRAIN_ID.values()),
        "camvid11": tuple(CAMVID_INDEX.values()),
        "mapillary66": _MAPILLARY,
    }
)


class LabelSet(StrEnum):
    """Label encodings that the package reads."""

    CITYSCAPES = "cityscapes"
    CITYSCAPES_TRAIN = "cityscapes-train"
    KITTI_STEP = "kitti-step"
    CAMVID = "camvid"
    CAMVID_COLOUR = "camvid-colour"
    CLASS_MAP = "class-map"


# A pixel with one of these labels has no class of its own, so it cannot show whether a prediction is right.
_UNSCORED: Final = {"unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground"}

_NAMES: Final[Mapping[LabelSet, tuple[Mapping[int, str], frozenset[int]]]] = MappingProxyType(
    {
        LabelSet.CITYSCAPES: (CITYSCAPES_ID, frozenset({255})),
        LabelSet.CITYSCAPES_TRAIN: (CITYSCAPES_TRAIN_ID, frozenset({255})),
        LabelSet.KITTI_STEP: (KITTI_STEP, frozenset({255})),
        LabelSet.CAMVID: (CAMVID_INDEX, frozenset({CAMVID_VOID, 255})),
        # Colours have no label values, so their position in the table serves as the value.
        LabelSet.CAMVID_COLOUR: (MappingProxyType(dict(enumerate(CAMVID_COLOUR.values()))), frozenset({255})),
    }
)


def group_of(name: str) -> SemanticClass:
    """Return the semantic class to which a class of a dataset belongs; ROI for a name that is not in the grouping.

    Args:
        name: Name of the class, in the vocabulary of Cityscapes where it has one.

    Example:
        >>> group_of('guard rail').name, group_of('traffic light').name
        ('CONSTRUCTION', 'ROI')
    """
    return next((c for c, members in _GROUPS.items() if name in members), SemanticClass.ROI)


def label_names(labels: LabelSet | str) -> Mapping[int, str]:
    """Return the names of a dataset's original classes by label value, in the vocabulary of Cityscapes.

    Raises:
        SacValueError: `labels` is not a `LabelSet`.

    Example:
        >>> label_names('class-map')[3]
        'sky'
    """
    labels = _parse(labels, "label_names")
    if labels is LabelSet.CLASS_MAP:
        return MappingProxyType(dict(enumerate(CLASS_NAMES)))
    return _NAMES[labels][0]


def label_table(
    labels: LabelSet | str, policy: Mapping[str, SemanticClass | int] | None = None, *, scoring: bool = False
) -> npt.NDArray[np.int16]:
    """Return the lookup table from a dataset's label values to classes.

    Args:
        labels: Label encoding of the dataset.
        policy: Classes by original name that replace the paper's grouping, e.g.
            ``{"sidewalk": SemanticClass.CONSTRUCTION}``.
        scoring: Whether void maps to `SCORE_VOID` (ignored) instead of ROI.

    Returns:
        Array of shape (256,), int16: class 0–3, `SCORE_VOID`, or -1 for values that are not labels of this set.

    Raises:
        SacValueError: The label set is unknown, `policy` names a label that the set does not have, or `policy` contains
            an unknown class.

    Example:
        >>> table = label_table('cityscapes-train')
        >>> [SemanticClass(table[value]).name for value in (2, 8, 10, 13)]
        ['CONSTRUCTION', 'NATURE', 'SKY', 'ROI']
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
            table[value] = SCORE_VOID if scoring and name in _UNSCORED else group_of(name)
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


def fine_table(labels: LabelSet | str) -> npt.NDArray[np.bool_]:
    """Return which fine classes a pixel may have, by its label.

    A label of Cityscapes is one fine class. A coarser label stands for several: CamVid's "traffic sign" may be a
    traffic sign or a traffic light. A class of a class map stands for all fine classes of its group.

    Args:
        labels: Label encoding of the dataset.

    Returns:
        Array of shape (256, 19), bool: rows by label value, columns in the order of `FINE_CLASSES`. The row of a value
        that says nothing (void, or no label of this set) is all false.

    Raises:
        SacValueError: The label set is unknown.

    Example:
        >>> [FINE_CLASSES[n] for n in fine_table('camvid')[6].nonzero()[0]]
        ['traffic light', 'traffic sign']
    """
    labels = _parse(labels, "fine_table")
    finer: Mapping[str, frozenset[str]] = _FINER
    if labels in (LabelSet.CAMVID, LabelSet.CAMVID_COLOUR):
        finer = {**_FINER, **(_CAMVID_INDEX_FINER if labels is LabelSet.CAMVID else _CAMVID_FINER)}
    grouped = group_fine()
    table = np.zeros((256, len(FINE_CLASSES)), np.bool_)
    classes = label_table(labels, scoring=True)
    for value, name in label_names(labels).items():
        if classes[value] in (-1, SCORE_VOID):
            continue
        if name in finer or name in FINE_CLASSES:
            members = finer.get(name, frozenset({name}))
            table[value] = [fine in members for fine in FINE_CLASSES]
        else:
            table[value] = grouped == classes[value]
    return table


def group_fine() -> npt.NDArray[np.int16]:
    """Return the semantic class of each fine class, in the order of `FINE_CLASSES`, shape (19,)."""
    return label_table(LabelSet.CITYSCAPES_TRAIN)[: len(FINE_CLASSES)]


def _parse(labels: LabelSet | str, func: str) -> LabelSet:
    try:
        return LabelSet(labels)
    except ValueError:
        raise SacValueError(f"unknown label set {labels!r}; known: {', '.join(LabelSet)}", func) from None
