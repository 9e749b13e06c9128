"""The procedural street: exact, reproducible, of any size, and lazily rendered."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac.core.errors import SacFormatError, SacValueError
from vs_sac.core.labels import SemanticClass
from vs_sac.source import synthetic
from vs_sac.source.synthetic import street_frame, street_scene


def _planes(clip: vs.VideoNode, n: int) -> list[np.ndarray]:
    with clip.get_frame(n) as frame:
        return [np.asarray(frame[p]).copy() for p in range(frame.format.num_planes)]


@pytest.mark.parametrize(("width", "height"), [(16, 16), (17, 16), (33, 47), (160, 90), (45, 121)])
def test_frame_has_the_asked_size_and_valid_classes(width: int, height: int) -> None:
    rgb, classes = street_frame(3, width, height)
    assert rgb.shape == (height, width, 3)
    assert rgb.dtype == np.uint8
    assert classes.shape == (height, width)
    assert classes.dtype == np.uint8
    assert set(np.unique(classes)) <= {int(c) for c in SemanticClass}


@pytest.mark.parametrize("seed", range(3))
def test_every_class_has_its_share(seed: int) -> None:
    for n in (0, 100, 400):
        shares = np.bincount(street_frame(n, 160, 90, seed=seed)[1].ravel(), minlength=4) / (160 * 90)
        assert 0.3 < shares[SemanticClass.ROI] < 0.8
        assert min(shares[1:]) > 0.01


def test_road_is_roi_and_zenith_is_sky_or_construction() -> None:
    for n in range(0, 200, 40):
        classes = street_frame(n, 160, 90)[1]
        assert (classes[-1] == SemanticClass.ROI).all()
        assert classes[0, 70] == SemanticClass.SKY


def test_same_seed_same_picture_and_other_seed_another() -> None:
    first = street_frame(7, 64, 48, seed=4)
    for cached in (synthetic._render._view, synthetic._render.build_world):
        cached.cache_clear()
    again = street_frame(7, 64, 48, seed=4)
    other = street_frame(7, 64, 48, seed=5)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_frames_do_not_depend_on_the_order_of_rendering() -> None:
    forward = [street_frame(n, 64, 48)[0] for n in (0, 9, 2)]
    assert np.array_equal(forward[0], street_frame(0, 64, 48)[0])
    assert np.array_equal(forward[2], street_frame(2, 64, 48)[0])


@pytest.mark.slow
def test_same_street_at_every_size() -> None:
    small = street_frame(50, 96, 54)[1]
    large = street_frame(50, 288, 162)[1][1::3, 1::3]
    assert (small == large).mean() > 0.93


def test_motion_is_smooth_and_never_stops() -> None:
    frames = [street_frame(n, 128, 72)[0].astype(float) for n in range(30)]
    steps = [np.abs(b - a).mean() for a, b in pairwise(frames)]
    far = np.abs(frames[0] - frames[25]).mean()
    assert min(steps) > 0.5
    assert max(steps) < 0.6 * far


def test_street_repeats_without_a_jump() -> None:
    """Where the world's coordinates wrap around, neighbours still look alike."""
    steps = []
    for n in range(470, 490):
        a, b = (street_frame(k, 96, 54)[0].astype(float) for k in (n, n + 1))
        steps.append(np.abs(a - b).mean())
    assert max(steps) < 2 * np.median(steps)


@pytest.mark.slow
def test_labels_follow_the_picture() -> None:
    """Sky is blue to white, vegetation is green: colour statistics agree with the labels."""
    rgb, classes = street_frame(20, 320, 180)
    mean = {c: rgb[classes == c].astype(float).mean(0) for c in SemanticClass}
    assert mean[SemanticClass.SKY].min() > 100
    assert mean[SemanticClass.SKY][2] > mean[SemanticClass.SKY][0] + 20
    assert mean[SemanticClass.NATURE][1] > mean[SemanticClass.NATURE][2] + 10


@pytest.mark.slow
def test_picture_is_textured() -> None:
    """Each class but the sky varies locally: flat areas would flatter any encoder."""
    rgb, classes = street_frame(20, 320, 180)
    luma = rgb.astype(float).mean(2)
    change = np.abs(np.diff(luma, axis=1))
    for cls in (SemanticClass.ROI, SemanticClass.CONSTRUCTION, SemanticClass.NATURE):
        assert change[(classes == cls)[:, 1:]].mean() > 1.5


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [((-1, 64, 48), "frame -1"), ((0, 15, 48), "15x48"), ((0, 64, 8), "64x8")],
)
def test_frame_refuses_what_it_cannot_draw(arguments: tuple[int, int, int], needle: str) -> None:
    with pytest.raises(SacValueError, match=needle):
        street_frame(*arguments)


def test_negative_seed_is_refused() -> None:
    with pytest.raises(SacValueError, match="seed -1"):
        street_frame(0, 64, 48, seed=-1)


def test_scene_matches_frames_and_labels() -> None:
    clip, classes = street_scene(64, 48, 5, seed=2, format=vs.RGB24)
    for n in (4, 0):
        rgb, labels = street_frame(n, 64, 48, seed=2)
        assert np.array_equal(np.stack(_planes(clip, n), 2), rgb)
        assert np.array_equal(_planes(classes, n)[0], labels)


@pytest.mark.parametrize("fmt", [vs.YUV420P8, vs.YUV422P10, vs.YUV444P8, vs.GRAY8, vs.YUV420P16])
def test_scene_formats_and_properties(fmt: int) -> None:
    clip, classes = street_scene(64, 48, 7, fps=Fraction(30000, 1001), format=fmt)
    assert clip.format.id == fmt
    assert classes.format.id == vs.GRAY8
    for node in (clip, classes):
        assert (node.width, node.height, node.num_frames, node.fps) == (64, 48, 7, Fraction(30000, 1001))
    with clip.get_frame(0) as frame:
        props = dict(frame.props)
    expected = {"_Matrix": 1, "_Range": 0, "_ChromaLocation": 0, "_Transfer": 1, "_Primaries": 1}
    assert {key: props[key] for key in expected} == expected


def test_matrix_601_changes_samples_and_properties() -> None:
    hd, sd = (street_scene(64, 48, 1, matrix=m)[0] for m in (vs.MATRIX_BT709, vs.MATRIX_ST170_M))
    with sd.get_frame(0) as frame:
        assert (frame.props["_Matrix"], frame.props["_Primaries"], frame.props["_Transfer"]) == (6, 6, 6)
    assert not np.array_equal(_planes(hd, 0)[0], _planes(sd, 0)[0])


def test_luma_follows_the_matrix() -> None:
    """BT.709's weights by hand, limited range."""
    clip, _ = street_scene(64, 48, 1, format=vs.YUV444P8)
    rgb = street_frame(0, 64, 48)[0].astype(float) / 255
    luma = 16 + 219 * (rgb @ np.array([0.2126, 0.7152, 0.0722]))
    assert np.abs(_planes(clip, 0)[0] - luma).max() <= 1


def test_odd_sizes_need_full_chroma() -> None:
    clip, classes = street_scene(33, 47, 1, format=vs.YUV444P8)
    assert _planes(clip, 0)[1].shape == _planes(classes, 0)[0].shape == (47, 33)
    with pytest.raises(SacFormatError, match="33x47"):
        street_scene(33, 47, 1)


def test_scene_renders_only_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def spy(n: int, *rest: int) -> tuple[np.ndarray, np.ndarray]:
        drawn.append(n)
        return np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8)

    monkeypatch.setattr(synthetic, "render", spy)
    clip, classes = street_scene(64, 48, 1_000_000, format=vs.RGB24)
    assert drawn == []
    for n in (5, 999_999):
        _planes(clip, n)
        _planes(classes, n)
    assert drawn == [5, 999_999], "picture and labels of a frame share one rendering"


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        ({"length": 0}, "length 0"),
        ({"fps": 0}, "fps 0"),
        ({"matrix": 9}, "matrix 9"),
        ({"width": 8}, "8x360"),
    ],
)
def test_scene_refuses_wrong_arguments(arguments: dict[str, int], needle: str) -> None:
    with pytest.raises(SacValueError, match=needle):
        street_scene(**arguments)
