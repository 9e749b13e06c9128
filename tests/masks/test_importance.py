"""Features, predictor and offsets of importance, against loops, SciPy and torch."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from vs_sac.core.errors import SacFileError, SacFormatError
from vs_sac.core.labels import FINE_CLASSES
from vs_sac.masks.importance import (
    FEATURES,
    ImportancePredictor,
    block_features,
    block_means,
    fine_probabilities,
    offset_map,
)
from vs_sac.masks.predictors import find_predictor, predictor_path
from vs_sac.segmentation.registry import find_model


def random_predictor(seed=0, channels=5):
    random = np.random.default_rng(seed)
    shapes = {"mean": (28,), "scale": (28,), "into": (channels, 28), "into_bias": (channels,),
              "mix": (2, channels, channels, 3, 3), "mix_bias": (2, channels), "out": (channels,)}  # fmt: skip
    held = {name: random.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}
    held["scale"] = np.abs(held["scale"]) + 0.5
    return ImportancePredictor(**held, about={"seed": seed})


def random_probabilities(seed, height, width):
    values = np.random.default_rng(seed).random((19, height, width), np.float32) ** 4
    return values / values.sum(0)


@given(st.integers(0, 2**16), st.tuples(st.integers(1, 7), st.integers(1, 9)), st.integers(16, 70), st.integers(16, 70))
@settings(max_examples=40)
def test_block_means_are_areas(seed, small, width, height):
    planes = np.random.default_rng(seed).random((2, *small), np.float32)
    # A sample for every pixel of a picture in which all sides fit.
    fine = planes.repeat(height, 1).repeat(width, 2)
    unit = (small[0], small[1])
    got = block_means(planes, width, height)
    assert got.shape == (2, -(-height // 16), -(-width // 16))
    for row in range(got.shape[1]):
        for column in range(got.shape[2]):
            top, left = row * 16 * unit[0], column * 16 * unit[1]
            part = fine[:, top : min((row + 1) * 16, height) * unit[0], left : min((column + 1) * 16, width) * unit[1]]
            np.testing.assert_allclose(got[:, row, column], part.mean((1, 2)), rtol=1e-4)


@pytest.mark.parametrize("size", [(48, 64), (40, 72), (33, 95)])
def test_features_are_what_they_say(size):
    height, width = size
    probabilities = random_probabilities(1, height, width)
    luma = np.random.default_rng(2).random(size, np.float32) * 255
    found = dict(zip(FEATURES, block_features(probabilities, luma), strict=True))
    ordered = np.sort(probabilities, 0)
    best = probabilities.argmax(0)
    edges = np.zeros(size)
    edges[:, 1:] += best[:, 1:] != best[:, :-1]
    edges[1:] += best[1:] != best[:-1]
    wide = np.pad(luma, ((0, 16), (0, 16)), mode="edge").astype(np.float64)
    kernel = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    curved = np.abs(ndimage.convolve(wide, kernel, mode="nearest"))
    block = np.s_[16:32, 32:48]
    assert found["road"][1, 2] == pytest.approx(probabilities[0][block].mean(), rel=1e-3)
    assert found["margin"][1, 2] == pytest.approx((ordered[-1] - ordered[-2])[block].mean(), rel=1e-3)
    bits = -(probabilities * np.log2(probabilities + 1e-6)).sum(0)
    assert found["entropy"][1, 2] == pytest.approx(bits[block].mean(), rel=1e-3)
    assert found["boundaries"][1, 2] == pytest.approx(edges[block].mean(), rel=1e-3)
    assert found["row"][1, 2] == pytest.approx(1 / -(-height // 16))
    assert found["luma"][1, 2] == pytest.approx(wide[block].mean() / 255, rel=1e-4)
    assert found["deviation"][1, 2] == pytest.approx(np.log2(wide[block].std() + 1), rel=1e-3)
    assert found["laplacian"][1, 2] == pytest.approx(np.log2(curved[block].mean() + 0.5), rel=1e-3)
    across, down = np.abs(np.diff(wide, axis=1)), np.abs(np.diff(wide, axis=0))
    assert found["across"][1, 2] == pytest.approx(np.log2(across[block].mean() + 0.5), rel=1e-3)
    assert found["down"][1, 2] == pytest.approx(np.log2(down[block].mean() + 0.5), rel=1e-3)


def test_classes_are_brought_into_order():
    probabilities = random_probabilities(3, 4, 5)
    shuffled = np.random.default_rng(0).permutation(19)
    names = [FINE_CLASSES[n] for n in shuffled]
    np.testing.assert_array_equal(fine_probabilities(probabilities[shuffled], names), probabilities)
    some = fine_probabilities(probabilities[:2], ("car", "unicorn"))
    np.testing.assert_array_equal(some[FINE_CLASSES.index("car")], probabilities[0])
    assert some.sum() == pytest.approx(probabilities[0].sum())


def test_the_predictor_is_the_network_that_torch_runs():
    torch = pytest.importorskip("torch", reason="torch (extra 'train') is not installed")
    predictor = random_predictor()
    features = np.random.default_rng(4).normal(size=(28, 5, 7)).astype(np.float32)
    scaled = (features - predictor.mean[:, None, None]) / predictor.scale[:, None, None]
    conv = torch.nn.functional.conv2d
    into, bias = torch.tensor(predictor.into), torch.tensor(predictor.into_bias)
    hidden = torch.relu(conv(torch.tensor(scaled)[None], into[..., None, None], bias))
    for weights, shift in zip(predictor.mix, predictor.mix_bias, strict=True):
        framed = torch.nn.functional.pad(hidden, (1, 1, 1, 1), mode="replicate")
        hidden = hidden + torch.relu(conv(framed, torch.tensor(weights), torch.tensor(shift)))
    expected = conv(hidden, torch.tensor(predictor.out)[None, :, None, None])[0, 0].numpy()
    np.testing.assert_allclose(predictor.predict(features), expected, rtol=1e-3, atol=1e-3)


def test_a_predictor_is_read_as_it_was_written(tmp_path):
    predictor = random_predictor()
    predictor.save(tmp_path / "a.npz")
    read = ImportancePredictor.load(tmp_path / "a.npz")
    assert read.about == {"seed": 0}
    np.testing.assert_allclose(read.mix, predictor.mix, rtol=1e-3)
    np.testing.assert_array_equal(read.mean, predictor.mean)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY"])
def test_files_that_are_no_predictors_are_refused(tmp_path, content):
    path = tmp_path / "a.npz"
    with pytest.raises(SacFileError, match="does not exist"):
        ImportancePredictor.load(path)
    path.write_bytes(content)
    with pytest.raises(SacFileError, match="cannot read"):
        ImportancePredictor.load(path)


def test_predictors_of_another_shape_are_refused(tmp_path):
    predictor = random_predictor()
    object.__setattr__(predictor, "mean", np.zeros(5, np.float32))
    predictor.save(tmp_path / "a.npz")
    with pytest.raises(SacFileError, match=r"mean of .*\(5,\); accepted"):
        ImportancePredictor.load(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "value"),
    [("into_bias", np.float16(1)), ("scale", np.zeros(28, np.float32)), ("scale", np.full(28, -1.0)),
     ("mean", np.full(28, 1e300)), ("mean", np.full(28, np.nan)), ("mean", np.array(["a"] * 28)),
     ("mean", np.zeros(28, complex)), ("about", np.frombuffer(b"[1]", np.uint8)),
     ("about", np.frombuffer(b"[" * 100_000, np.uint8))],
)  # fmt: skip
def test_values_that_are_no_weights_are_refused(tmp_path, name, value):
    random_predictor().save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as read:
        arrays = dict(read)
    np.savez(tmp_path / "b.npz", **(arrays | {name: value}))
    with pytest.raises(SacFileError, match="importance predictor"):
        ImportancePredictor.load(tmp_path / "b.npz")


def test_damaged_files_are_refused_or_read(tmp_path):
    random_predictor().save(tmp_path / "a.npz")
    whole, random = (tmp_path / "a.npz").read_bytes(), np.random.default_rng(5)
    for _ in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[random.integers(0, len(whole), random.choice([1, 20]))] = random.integers(0, 256)
        (tmp_path / "b.npz").write_bytes(damaged.tobytes()[: random.choice([len(whole), random.integers(len(whole))])])
        with contextlib.suppress(SacFileError):
            ImportancePredictor.load(tmp_path / "b.npz")


def test_a_networks_own_predictor_comes_first(tmp_path):
    model = find_model()
    assert predictor_path(model).name == "importance.npz"
    assert find_predictor(model).into.shape[1] == len(FEATURES)
    assert predictor_path(model, tmp_path / "b.npz") == tmp_path / "b.npz"
    own = tmp_path / "net.onnx"
    own.write_bytes(model.path.read_bytes())
    random_predictor().save(tmp_path / "net.importance.npz")
    assert predictor_path(find_model(own)) == tmp_path / "net.importance.npz"


grids = npst.arrays(np.float32, npst.array_shapes(min_dims=2, max_dims=2, max_side=9),
                    elements=st.floats(-12, 12, width=32))  # fmt: skip


@given(grids, st.floats(0, 2), st.booleans())
def test_offsets_are_half_qps_with_the_mean_zero_and_limits(importance, strength, tiered):
    tiers = np.resize(np.array([-2, 1, 0, 2], np.float32), importance.shape) if tiered else None
    offsets = offset_map(importance, tiers, strength)
    assert offsets.shape == importance.shape
    assert (2 * offsets == np.rint(2 * offsets)).all()
    assert np.abs(offsets).max() <= 10
    if np.abs(offsets).max() < 9.5:
        assert abs(offsets.mean()) <= 0.25 + 1e-4


@given(grids)
def test_more_important_blocks_never_get_a_coarser_quantizer(importance):
    offsets, smooth = offset_map(importance, None), ndimage.uniform_filter(importance, 3, mode="nearest")
    order = np.argsort(smooth, axis=None)
    assert (np.diff(offsets.ravel()[order]) <= 0.5).all()


def test_the_formula_of_the_offset():
    importance = np.tile(np.array([0.0, 1.0, 2.0, 9.0], np.float32).repeat(3), (3, 1))
    smooth = ndimage.uniform_filter(importance, 3, mode="nearest")
    expected = np.clip(-1.5 * (smooth - smooth.mean()), -6, 6)
    np.testing.assert_allclose(offset_map(importance, None), expected - expected.mean(), atol=0.26)
    tiers = np.full_like(importance, 1.0)
    tiers[:, :6] = -1.0
    np.testing.assert_array_equal(offset_map(None, tiers), tiers)
    with pytest.raises(SacFormatError, match="one or two of one shape"):
        offset_map(None, None)
    with pytest.raises(SacFormatError, match="one or two of one shape"):
        offset_map(importance, tiers[:2])
