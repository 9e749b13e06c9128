"""Networks with classes of their own: as arrays and as a clip."""

import json

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="onnx (extra 'train') is not installed")

from vs_sac.core.errors import SacError, SacFileError, SacFormatError, SacValueError
from vs_sac.core.inference import open_session
from vs_sac.segmentation.class_probabilities import likeliest_class, open_classes, segment_classes
from vs_sac.segmentation.registry import find_model

from ..class_networks import NAMES, SCALE, class_network, painted
from ..helpers import arrays_of, clip_of, noise_clip


@pytest.fixture
def network(tmp_path):
    return class_network(tmp_path / "net.onnx")


def blocks(seed, height=8, width=12):
    """Train ids in squares of the network's scale."""
    return np.kron(np.random.default_rng(seed).integers(0, 19, (height, width)), np.ones((SCALE, SCALE), int))


def test_the_classes_are_those_of_the_picture(network):
    truth = blocks(0)
    rgb = painted(truth).transpose(2, 0, 1)[None].astype(np.float32) / 255
    planes, classes = open_classes(network).run(rgb)
    assert classes.shape == (19, 8, 12)
    assert np.allclose(classes.sum(0), 1, atol=1e-5)
    assert np.array_equal(classes.argmax(0), truth[::SCALE, ::SCALE])
    # The three planes are what the file itself gives.
    (expected,) = open_session(network, "test").run(None, {"rgb": rgb})
    assert np.array_equal(planes, expected[0])


def test_a_network_is_loaded_once_and_anew_if_its_file_changes(network):
    before = open_classes(network)
    assert open_classes(find_model(network)) is before
    network.with_suffix(".json").write_text(json.dumps({"classes": [*NAMES[:18], "tram"]}))
    assert open_classes(network).classes[-1] == "tram"
    class_network(network, NAMES[:7])
    assert open_classes(network).run(np.zeros((1, 3, 32, 32), np.float32))[1].shape[0] == 7


@given(
    st.integers(0, 2**16), st.integers(1, 5), st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
)  # fmt: skip
def test_enlarging_equals_torch(seed, count, small, size):
    torch = pytest.importorskip("torch", reason="torch (extra 'train') is not installed")
    values = np.random.default_rng(seed).random((count, *small), np.float32)
    full = torch.nn.functional.interpolate(
        torch.from_numpy(values[None]), size, mode="bilinear", align_corners=False
    )[0].numpy()  # fmt: skip
    got = likeliest_class(values, *size)
    assert (got.shape, got.dtype) == (size, np.uint8)
    # Where two classes are equally likely up to rounding, either is right.
    assert (np.take_along_axis(full, got[None].astype(int), 0)[0] >= full.max(0) - 1e-5).all()


def test_the_lower_index_wins_a_tie():
    assert likeliest_class(np.full((3, 2, 2), 0.25, np.float32), 4, 4).max() == 0


def test_a_clip_is_segmented_into_the_networks_classes(network):
    truth = [blocks(seed, 16, 24) for seed in (1, 2)]
    rgb = clip_of([list(painted(t).transpose(2, 0, 1)) for t in truth], vs.RGB24)
    clip = rgb.std.SetFrameProps(_Matrix=0).resize.Bicubic(format=vs.YUV444P8, matrix_s="709")
    # The working size of so small a frame has twice its sides.
    seen = arrays_of(segment_classes(clip, model=network))
    for (got,), expected in zip(seen, truth, strict=True):
        assert (got == expected).mean() > 0.8
        assert np.array_equal(got[2::SCALE, 2::SCALE], expected[2::SCALE, 2::SCALE])


def test_what_is_refused(network, tmp_path):
    with pytest.raises(SacFormatError, match="RGB24; accepted: YUV"):
        segment_classes(noise_clip(32, 32, 1).resize.Bilinear(format=vs.RGB24, matrix_in_s="709"), model=network)
    bare = class_network(tmp_path / "bare.onnx", card={})
    with pytest.raises(SacValueError, match="names 0 classes; accepted: 1 to 255"):
        open_classes(bare)
    other = class_network(tmp_path / "other.onnx", tensor="softmax")
    with pytest.raises(SacFileError, match="has no tensor class_probabilities"):
        open_classes(other)
    wrong = class_network(tmp_path / "wrong.onnx", card={"classes": ["a", "b"]})
    with pytest.raises(SacFileError, match=r"has the shape 1x19x.x.; accepted for the 2 classes"):
        open_classes(wrong).run(np.zeros((1, 3, 32, 32), np.float32))
    with pytest.raises(SacFileError, match="cannot run model"):
        open_classes(network).run(np.zeros((1, 4, 32, 32), np.float32))
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    (tmp_path / "bad.json").write_text('{"classes": ["a"]}')
    with pytest.raises(SacError, match="cannot use model") as caught:
        open_classes(tmp_path / "bad.onnx")
    assert "\n" not in str(caught.value)
