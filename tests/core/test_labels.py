"""The class table against the paper's grouping (Sec. IV, assumption 1), written out by hand."""

from enum import IntEnum

import numpy as np
import pytest

from vs_sac.core.errors import SacValueError
from vs_sac.core.labels import (
    CLASS_NAMES,
    FINE_CLASSES,
    GREY_TONES,
    SCORE_VOID,
    LabelSet,
    SemanticClass,
    fine_table,
    group_fine,
    label_names,
    label_table,
)

ROI, CONSTRUCTION, NATURE, SKY = range(4)

# Values of each class that is not ROI, from the datasets' own documentation.
NON_ROI = {
    LabelSet.CITYSCAPES: {CONSTRUCTION: {11, 12, 13, 14, 15, 16}, NATURE: {21, 22}, SKY: {23}},
    LabelSet.CITYSCAPES_TRAIN: {CONSTRUCTION: {2, 3, 4}, NATURE: {8, 9}, SKY: {10}},
    LabelSet.KITTI_STEP: {CONSTRUCTION: {2, 3, 4}, NATURE: {8, 9}, SKY: {10}},
    LabelSet.CAMVID: {CONSTRUCTION: {1, 7}, NATURE: {5}, SKY: {0}},
    # Archway, Bridge, Building, Fence, Tunnel, Wall; Tree, VegetationMisc; Sky in the table's order.
    LabelSet.CAMVID_COLOUR: {CONSTRUCTION: {2, 4, 5, 10, 29, 31}, NATURE: {27, 30}, SKY: {22}},
    LabelSet.CLASS_MAP: {CONSTRUCTION: {1}, NATURE: {2}, SKY: {3}},
}
# Number of the dataset's own labels and the values that say nothing about a prediction.
COUNT = {
    LabelSet.CITYSCAPES: 34,
    LabelSet.CITYSCAPES_TRAIN: 19,
    LabelSet.KITTI_STEP: 19,
    LabelSet.CAMVID: 11,
    LabelSet.CAMVID_COLOUR: 32,
    LabelSet.CLASS_MAP: 4,
}
VOID = {
    LabelSet.CITYSCAPES: set(range(7)) | {255},
    LabelSet.CITYSCAPES_TRAIN: {255},
    LabelSet.KITTI_STEP: {255},
    LabelSet.CAMVID: {11, 255},
    LabelSet.CAMVID_COLOUR: {0, 255},
    LabelSet.CLASS_MAP: {255},
}


@pytest.mark.parametrize("labels", LabelSet)
@pytest.mark.parametrize("scoring", [False, True])
def test_table_is_the_papers_grouping(labels: LabelSet, scoring: bool) -> None:
    expected = np.full(256, -1)
    expected[: COUNT[labels]] = ROI
    for cls, values in NON_ROI[labels].items():
        expected[list(values)] = cls
    expected[list(VOID[labels])] = SCORE_VOID if scoring else ROI
    assert np.array_equal(label_table(labels, scoring=scoring), expected)


@pytest.mark.parametrize("labels", LabelSet)
def test_strings_name_the_same_sets(labels: LabelSet) -> None:
    assert np.array_equal(label_table(str(labels)), label_table(labels))
    assert label_names(str(labels)) == label_names(labels)


def test_class_map_passes_through_unchanged() -> None:
    assert label_table("class-map")[:4].tolist() == [0, 1, 2, 3]


def test_names_of_classes_and_tones() -> None:
    assert CLASS_NAMES == ("roi", "construction", "nature", "sky")
    assert dict(zip(SemanticClass, GREY_TONES, strict=True)) == {ROI: 255, CONSTRUCTION: 170, NATURE: 85, SKY: 0}


def test_names_by_value() -> None:
    assert label_names("cityscapes")[26] == "car"
    assert label_names("cityscapes-train")[13] == label_names("camvid")[8] == "car"
    assert label_names("class-map")[2] == "nature"


def test_policy_overrides_the_grouping_and_nothing_else() -> None:
    plain, moved = label_table("cityscapes"), label_table("cityscapes", {"sidewalk": SemanticClass.CONSTRUCTION})
    assert np.flatnonzero(plain != moved).tolist() == [8]
    assert moved[8] == CONSTRUCTION


def test_policy_can_return_a_class_to_roi_and_takes_plain_numbers() -> None:
    table = label_table("camvid", {"building": 0, "vegetation": 3})
    assert (table[1], table[5], table[7]) == (ROI, SKY, CONSTRUCTION)


def test_policy_can_score_what_is_void_otherwise() -> None:
    assert label_table("cityscapes", {"static": ROI}, scoring=True)[4] == ROI
    assert label_table("cityscapes", scoring=True)[4] == SCORE_VOID


def test_policy_reaches_class_maps() -> None:
    assert label_table("class-map", {"nature": ROI})[:4].tolist() == [0, 1, 0, 3]


def test_tables_are_independent() -> None:
    label_table("camvid")[:] = 7
    assert label_table("camvid")[0] == SKY


def test_unknown_label_set_names_the_known_ones() -> None:
    for function in (label_table, label_names):
        with pytest.raises(SacValueError, match=r"'mapillary'.*cityscapes, cityscapes-train, kitti-step, camvid"):
            function("mapillary")


def test_policy_errors_name_the_label_and_the_choices() -> None:
    with pytest.raises(SacValueError, match=r"camvid has no class 'tunnel'.*building"):
        label_table("camvid", {"tunnel": SemanticClass.SKY})
    with pytest.raises(SacValueError, match=r"class 4 for 'sky' is none of \[0, 1, 2, 3\]"):
        label_table("camvid", {"sky": 4})


def test_an_enum_of_another_kind_is_no_class() -> None:
    class Other(IntEnum):
        CLOUD = 9

    with pytest.raises(SacValueError, match="'sky' is none of"):
        label_table("camvid", {"sky": Other.CLOUD})


@pytest.mark.parametrize("labels", LabelSet)
def test_fine_classes_belong_to_the_class_of_their_label(labels: LabelSet) -> None:
    table, groups = fine_table(labels), label_table(labels, scoring=True)
    train = label_table(LabelSet.CITYSCAPES_TRAIN)
    assert table.shape == (256, 19)
    assert table.any()
    for value in range(256):
        found = {int(train[fine]) for fine in table[value].nonzero()[0]}
        assert found <= ({int(groups[value])} if groups[value] not in (-1, SCORE_VOID) else set()), value


@pytest.mark.parametrize("labels", [LabelSet.CITYSCAPES_TRAIN, LabelSet.KITTI_STEP])
def test_train_ids_are_their_own_fine_classes(labels: LabelSet) -> None:
    assert np.array_equal(fine_table(labels)[:19], np.eye(19, dtype=bool))
    assert not fine_table(labels)[19:].any()


def test_every_fine_class_has_a_label() -> None:
    """Of the four classes exactly one. CamVid's 11 classes have no train."""
    assert set(fine_table(LabelSet.CLASS_MAP).sum(0)) == {1}
    assert (fine_table(LabelSet.CITYSCAPES).sum(0) >= 1).all()
    assert dict(zip(FINE_CLASSES, fine_table(LabelSet.CAMVID).sum(0), strict=True)) == {
        name: int(name != "train") for name in FINE_CLASSES
    }


def test_coarse_labels_stand_for_several_classes() -> None:
    def fine(labels: LabelSet, name: str) -> set[str]:
        (value, *_) = [value for value, own in label_names(labels).items() if own == name]
        return {FINE_CLASSES[n] for n in fine_table(labels)[value].nonzero()[0]}

    assert fine(LabelSet.CAMVID, "traffic sign") == {"traffic sign", "traffic light"}
    assert fine(LabelSet.CAMVID_COLOUR, "traffic sign") == {"traffic sign"}
    assert fine(LabelSet.CAMVID_COLOUR, "truck") == {"truck", "bus"}
    assert fine(LabelSet.CITYSCAPES, "caravan") == {"car", "truck", "bus"}
    assert fine(LabelSet.CITYSCAPES, "guard rail") == {"wall", "fence"}
    # No class of Cityscapes: all that is ROI.
    assert len(fine(LabelSet.CAMVID_COLOUR, "animal")) == 13


@pytest.mark.parametrize("value", range(19))
def test_groups_of_fine_classes_are_those_of_the_train_ids(value: int) -> None:
    assert group_fine()[value] == label_table(LabelSet.CITYSCAPES_TRAIN)[value]
