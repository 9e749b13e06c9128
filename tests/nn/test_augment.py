"""Augmentation keeps picture and labels together and repeats from its seed."""

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

from PIL import Image

from vs_sac.labels import SCORE_VOID
from vs_sac.nn.augment import Augmentation, augment

from .folders import COLOURS, scene

Array = npt.NDArray[np.uint8]
GEOMETRY = Augmentation(photometric=False)
STILL = Augmentation(scale=(1.0, 1.0), stretch=0.0, rotate=0.0, photometric=False)


def view(
    seed: int, settings: Augmentation, crop: tuple[int, int] = (48, 64), zoom: float = 1.0, colours: Array = COLOURS
) -> tuple[Array, Array]:
    _, classes = scene(seed, 160, 120)
    picture = Image.fromarray(colours[classes])
    return augment(picture, classes, crop, zoom, np.random.default_rng(seed), settings)


@pytest.mark.parametrize("seed", range(25))
def test_colour_still_encodes_the_label_after_geometry(seed: int) -> None:
    image, label = view(seed, GEOMETRY)
    known = label != SCORE_VOID
    distance = np.abs(image.transpose(1, 2, 0)[:, :, None].astype(int) - COLOURS).sum(-1)
    agree = (distance.argmin(-1) == label)[known]
    # Interpolation mixes colours along the outlines only.
    assert known.mean() > 0.3
    assert agree.mean() > 0.96
    exact = (distance.min(-1) == 0)[known]
    assert agree[exact].all()


@pytest.mark.parametrize("seed", range(10))
def test_same_seed_same_view(seed: int) -> None:
    first, again, other = (view(s, Augmentation()) for s in (seed, seed, seed + 1000))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("crop", [(16, 16), (48, 64), (96, 32)])
@pytest.mark.parametrize("zoom", [0.3, 1.0, 2.5])
def test_shapes_and_values(crop: tuple[int, int], zoom: float) -> None:
    image, label = view(1, Augmentation(), crop, zoom)
    assert image.shape == (3, *crop)
    assert label.shape == crop
    assert image.dtype == label.dtype == np.uint8
    assert set(np.unique(label)) <= {0, 1, 2, 3, SCORE_VOID}


def test_without_any_change_it_is_a_crop_or_its_mirror() -> None:
    mirrored = set()
    for seed in range(12):
        rgb, classes = scene(3, 160, 120)
        image, label = augment(Image.fromarray(rgb), classes, (120, 160), 1.0, np.random.default_rng(seed), STILL)
        flip = np.array_equal(label, classes[:, ::-1]) and not np.array_equal(label, classes)
        mirrored.add(flip)
        assert np.array_equal(label, classes[:, ::-1] if flip else classes)
        assert np.array_equal(image.transpose(1, 2, 0), rgb[:, ::-1] if flip else rgb)
    assert mirrored == {True, False}


def test_outside_of_the_image_is_void_and_grey() -> None:
    image, label = view(0, STILL, crop=(240, 320))
    outside = label == SCORE_VOID
    assert outside.mean() == pytest.approx(0.75, abs=0.02)
    assert len(np.unique(image[:, outside], axis=1).T) <= 3


def test_photometric_changes_the_picture_and_not_the_labels() -> None:
    changed = 0
    for seed in range(8):
        plain, lit = (view(seed, Augmentation(photometric=on)) for on in (False, True))
        assert np.array_equal(plain[1], lit[1])
        changed += not np.array_equal(plain[0], lit[0])
    assert changed >= 7


def test_zoom_follows_the_base_scale() -> None:
    """At half scale a crop covers twice the width."""
    ramp = np.tile(np.arange(200, dtype=np.uint8), (200, 1))
    picture = Image.fromarray(np.stack([ramp] * 3, 2))
    spans = []
    for zoom in (1.0, 0.5):
        image, _ = augment(picture, np.zeros_like(ramp), (32, 64), zoom, np.random.default_rng(0), STILL)
        row = image[0, 16].astype(int)
        spans.append(abs(int(row[-1]) - int(row[0])))
    assert spans == [pytest.approx(63, abs=1), pytest.approx(126, abs=2)]
