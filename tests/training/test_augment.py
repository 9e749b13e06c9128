"""Augmentation keeps picture and labels together and repeats from its seed."""

from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

from PIL import Image

from vs_sac.core.errors import SacValueError
from vs_sac.core.labels import FINE_CLASSES, SCORE_VOID
from vs_sac.training.augment import Augmentation, Labelled, augment, is_rich, paste_objects
from vs_sac.training.data import FINE_SETS
from vs_sac.training.weather import change_weather

from .folders import COLOURS, scene

Array = npt.NDArray[np.uint8]
GEOMETRY = Augmentation(photometric=False)
STILL = Augmentation(scale=(1.0, 1.0), stretch=0.0, rotate=0.0, photometric=False)


def view(
    seed: int, settings: Augmentation, crop: tuple[int, int] = (48, 64), zoom: float = 1.0, colours: Array = COLOURS
) -> tuple[Array, Array]:
    _, classes = scene(seed, 160, 120)
    picture = Image.fromarray(colours[classes])
    return augment(Labelled(picture, classes, zoom), crop, np.random.default_rng(seed), settings)


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
        picture = Labelled(Image.fromarray(rgb), classes, 1.0)
        image, label = augment(picture, (120, 160), np.random.default_rng(seed), STILL)
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
    spans = []
    for zoom in (1.0, 0.5):
        picture = Labelled(Image.fromarray(np.stack([ramp] * 3, 2)), np.zeros_like(ramp), zoom)
        image, _ = augment(picture, (32, 64), np.random.default_rng(0), STILL)
        row = image[0, 16].astype(int)
        spans.append(abs(int(row[-1]) - int(row[0])))
    assert spans == [pytest.approx(63, abs=1), pytest.approx(126, abs=2)]


def runs_shorter(row: npt.NDArray[np.bool_], width: int) -> list[bool]:
    """Second implementation: whether each pixel is in a run of set ones shorter than `width`."""
    kept: list[bool] = []
    for value, run in groupby(row.tolist()):
        length = len(list(run))
        kept += [value and length < width] * length
    return kept


def row_of(*names: str) -> int:
    """The training label of a set of fine classes."""
    (row,) = [n for n, members in enumerate(FINE_SETS) if {FINE_CLASSES[i] for i in members.nonzero()[0]} == {*names}]
    return row


SKY, POLE, BUS, CAR = row_of("sky"), row_of("pole"), row_of("bus"), row_of("car")


@given(
    arrays(
        np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 60)),
        elements=st.sampled_from([POLE, POLE, CAR, BUS, SKY, SCORE_VOID]),
    ),
    st.integers(1, 14),
    st.integers(0, 99),
)  # fmt: skip
def test_narrow_and_large_objects_are_pasted_with_their_label_and_nothing_else_is(
    rows: Array, high: int, seed: int
) -> None:
    other_label = rows.repeat(high, axis=0)
    height, width = other_label.shape
    label = np.full((height, width), SKY, np.uint8)
    view, other = (Image.new("RGB", (width, height), colour) for colour in ((0, 0, 255), (200, 0, 0)))
    image, labels = paste_objects(view, label, other, other_label, np.random.default_rng(seed))
    narrow = np.array([runs_shorter(row, 24) for row in np.isin(other_label, [POLE, CAR, BUS])])
    low = np.array([runs_shorter(column, 10) for column in narrow.T]).T
    objects = np.where((narrow & ~low) | (other_label == BUS), other_label, SKY)
    # Second implementation: the objects, mirrored or not, at every place within the allowed distance.
    places = []
    for source in (objects, objects[:, ::-1]):
        padded = np.full((3 * height, 3 * width), SKY, np.uint8)
        padded[height : 2 * height, width : 2 * width] = source
        places += [
            np.array_equal(labels, padded[height - down : 2 * height - down, width - right : 2 * width - right])
            for down in range(-height // 6, height // 6 + 1)
            for right in range(-width // 2, width // 2 + 1)
        ]
    assert any(places)
    pixels = np.asarray(image)
    assert (pixels[labels == SKY] == (0, 0, 255)).all()
    assert (pixels[labels != SKY][:, 1:] == 0).all()
    assert (pixels[labels != SKY][:, 0] > 50).all()


def test_a_picture_with_lights_or_a_bus_is_rich() -> None:
    label = np.full((40, 50), CAR, np.uint8)
    assert not is_rich(label)
    label[:2, :4] = row_of("traffic light", "traffic sign")
    assert is_rich(label)


@pytest.mark.parametrize("seed", range(12))
def test_weather_changes_light_and_keeps_the_format(seed: int) -> None:
    rgb, classes = scene(seed)
    changed = np.asarray(change_weather(Image.fromarray(rgb), classes == 3, np.random.default_rng(seed)))
    assert changed.shape == rgb.shape
    assert changed.dtype == np.uint8
    assert abs(changed.astype(int) - rgb).mean() > 1
    again = change_weather(Image.fromarray(rgb), classes == 3, np.random.default_rng(seed))
    assert np.array_equal(changed, np.asarray(again))


@pytest.mark.parametrize("seed", range(8))
def test_colour_still_encodes_the_label_in_a_wide_angle_view(seed: int) -> None:
    bent = Augmentation(scale=(1.0, 1.0), stretch=0.0, rotate=0.0, photometric=False, warp=1.0)
    (image, label), (straight, _) = view(seed, bent, (120, 160)), view(seed, STILL, (120, 160))
    distance = np.abs(image.transpose(1, 2, 0)[:, :, None].astype(int) - COLOURS).sum(-1)
    assert (distance.argmin(-1) == label).mean() > 0.95
    assert not np.array_equal(image, straight)


def test_pasting_is_drawn_from_the_seed() -> None:
    sky = Labelled(Image.new("RGB", (64, 48), (90, 120, 250)), np.full((48, 64), SKY, np.uint8), 1.0)
    label = np.full((48, 64), SKY, np.uint8)
    label[4:40, 30:34] = POLE
    pole = Labelled(Image.new("RGB", (64, 48), (60, 60, 60)), label, 1.0)
    settings = Augmentation(scale=(1.0, 1.0), stretch=0.0, rotate=0.0, photometric=False, paste=0.5)
    pasted = []
    for seed in range(40):
        image, classes = augment(sky, (48, 64), np.random.default_rng(seed), settings, lambda _: pole)
        again = augment(sky, (48, 64), np.random.default_rng(seed), settings, lambda _: pole)
        assert np.array_equal(image, again[0])
        assert np.array_equal(classes, again[1])
        assert (classes == POLE).sum() <= 36 * 4
        assert np.array_equal(classes == POLE, image[2] != 250)
        pasted.append(bool((classes == POLE).any()))
    assert 8 < sum(pasted) < 30
    assert (augment(sky, (48, 64), np.random.default_rng(0), settings)[1] == SKY).all()


@pytest.mark.parametrize(
    ("changes", "needle"),
    [
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (2.0, 1.0)}, "scale"),
        ({"scale": (1.0, float("inf"))}, "scale"),
        ({"paste": -0.1}, "paste -0.1"),
        ({"paste": 1.5}, "paste 1.5"),
        ({"weather": 2.0}, "weather 2.0"),
        ({"warp": -1.0}, "warp -1.0"),
    ],
)
def test_a_wrong_setting_is_refused(changes: dict[str, Any], needle: str) -> None:
    with pytest.raises(SacValueError, match=needle):
        Augmentation(**changes)
