"""Label images as class maps."""

import numpy as np
import pytest
from PIL import Image

from vs_sac.core.labels import LabelSet
from vs_sac.segmentation.label_images import open_labels

from ..helpers import arrays_of


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("labels", "values", "classes"),
    [
        (LabelSet.CAMVID, [0, 1, 3, 5, 7, 11], [3, 1, 0, 2, 1, 0]),
        (LabelSet.CITYSCAPES, [7, 11, 21, 23, 22, 0], [0, 1, 2, 3, 2, 0]),
        (LabelSet.CITYSCAPES_TRAIN, [0, 2, 8, 9, 10, 255], [0, 1, 2, 2, 3, 0]),
    ],
)
def test_label_images_become_class_maps(tmp_path, labels, values, classes):
    Image.fromarray(np.repeat(np.array([values], np.uint8), 16, 0).repeat(16, 1)).save(tmp_path / "a.png")
    got = arrays_of(open_labels(tmp_path, labels))[0][0]
    assert got[0, ::16].tolist() == classes


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_kitti_labels_are_read_from_the_red_channel(tmp_path):
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, 16:] = (8, 3, 200)
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert arrays_of(open_labels(tmp_path, "kitti-step"))[0][0][0, ::16].tolist() == [0, 2]


@pytest.mark.data
def test_camvid_colours_are_classes(tmp_path):
    colours = [(128, 64, 128), (0, 128, 64), (192, 192, 0), (128, 128, 128), (0, 0, 0), (1, 2, 3)]
    picture = np.repeat(np.array([colours], np.uint8), 16, 0).repeat(16, 1)
    Image.fromarray(picture).save(tmp_path / "0001.png")
    # Road, bridge, bushes, sky, void, and a colour that is none.
    assert arrays_of(open_labels(tmp_path, "camvid-colour"))[0][0][0, ::16].tolist() == [0, 1, 2, 3, 0, 0]
