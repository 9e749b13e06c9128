import itertools
from dataclasses import replace

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import SacError, segment
from vs_sac.core import clips
from vs_sac.core.errors import SacMissingError
from vs_sac.core.labels import FINE_CLASSES
from vs_sac.segmentation import runtimes
from vs_sac.segmentation.registry import Model, find_model, list_models, shipped_models
from vs_sac.source.synthetic import street_scene

from ..helpers import arrays_of, noise_clip, same


@pytest.fixture(scope="module")
def street():
    return street_scene(320, 192, 3)


def test_the_default_model_ships_with_a_card():
    model = find_model()
    assert {"ccnet-lite", "ccnet-lite-int8"} <= set(list_models())
    assert sum(find_model(name).path.stat().st_size for name in shipped_models()) <= 15_000_000
    assert model.classes == FINE_CLASSES
    assert model.path.with_suffix(".json").is_file()


def test_plugin_and_python_give_the_same_map(street):
    maps = [segment(street[0], backend=backend) for backend in ("ort", "python")]
    assert same(*maps)


@pytest.mark.skipif(not hasattr(vs.core, "ov"), reason="vapoursynth-mlrt-ov is not installed")
def test_openvino_gives_nearly_the_same_map(street):
    maps = (segment(street[0], model="ccnet-lite", backend=backend) for backend in ("python", "ov"))
    ours, other = (arrays_of(classes)[0][0] for classes in maps)
    assert (ours != other).mean() < 1e-3


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (3, 50), (50, 3)])
def test_frames_smaller_than_the_filter_of_the_neighbourhood(width, height):
    clip = noise_clip(width, height, 1, vs.YUV444P8)
    assert arrays_of(segment(clip))[0][0].shape == (height, width)


def test_what_auto_takes(street, monkeypatch):
    expected = segment(street[0], backend="python")
    assert same(segment(street[0]), expected)
    monkeypatch.setattr(runtimes.python, "find_spec", lambda name: None)
    monkeypatch.setattr(runtimes.python, "_loaded", None)
    assert same(segment(street[0]), expected)
    monkeypatch.setattr(runtimes.base, "hasattr", lambda obj, name: False, raising=False)
    with pytest.raises(SacMissingError, match="no runtime for the network is installed: pip install onnxruntime"):
        segment(street[0])


def test_backends_that_are_not_there(street, monkeypatch):
    monkeypatch.setattr(clips, "hasattr", lambda obj, name: False, raising=False)
    for name, package in {"ort": "vapoursynth-mlrt-ort", "ov": "vapoursynth-mlrt-ov"}.items():
        with pytest.raises(SacMissingError, match=f"pip install {package}"):
            segment(street[0], backend=name)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(SacMissingError, match="pip install onnxruntime-gpu"):
        segment(street[0], backend="cuda")


@pytest.mark.gpu
def test_cuda_gives_nearly_the_same_map(street):
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime has no CUDA here")
    maps = (segment(street[0], model="ccnet-lite", backend=backend) for backend in ("python", "cuda"))
    ours, other = (arrays_of(classes)[0][0] for classes in maps)
    assert (ours != other).mean() < 1e-3


@pytest.mark.parametrize("size", [(16, 16), (18, 34), (333, 97), (1226, 370)])
def test_the_map_has_the_clips_size_and_only_classes(size):
    got = segment(noise_clip(*size, 1, vs.YUV444P8))
    assert (got.width, got.height, got.num_frames, got.format.id) == (*size, 1, vs.GRAY8)
    assert arrays_of(got)[0][0].max() <= 3


def test_a_higher_threshold_only_ever_adds_roi(street):
    rois = [arrays_of(segment(street[0], threshold=t))[0][0] == 0 for t in (0.1, 0.5, 0.9, 1.0)]
    for smaller, larger in itertools.pairwise(rois):
        assert (larger | ~smaller).all()
    assert rois[0].sum() < rois[-2].sum()


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.9])
def test_thresholding_by_hand_gives_the_same_map(street, threshold):
    """The graph's expression against numpy on the network's own output, at a size that needs no resizing."""
    clip = street[0]
    model = replace(find_model(), working_area=320 * 192)
    assert model.working_size(320, 192) == (320, 192)
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model.path), providers=["CPUExecutionProvider"])
    with clip.resize.Bilinear(format=vs.RGBS).get_frame(0) as frame:
        rgb = np.stack([np.asarray(frame[p]) for p in range(3)])[None]
    probabilities = session.run(None, {session.get_inputs()[0].name: rgb})[0][0]
    own = probabilities.sum(0)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(own, 6, mode="symmetric"), (13, 13))
    roi = (own < threshold) & ((own < 0.5) | (windows.mean((2, 3)) < threshold))
    expected = np.where(roi, 0, probabilities.argmax(0) + 1)
    assert len(np.unique(expected)) > 2
    got = arrays_of(segment(clip, model=model, threshold=threshold, backend="python"))[0][0]
    assert (got != expected).mean() < 1e-4


def test_the_scores_judge_what_the_graph_gives(street):
    """`training.evaluate` and the graph are two implementations of one rule, at sizes that need resizing too."""
    evaluate = pytest.importorskip("vs_sac.training.evaluate", reason="the extra train is not installed")
    model = find_model("ccnet-lite")
    infer = evaluate.onnx_probabilities(model.path)
    for width, height in ((320, 192), (200, 150), (1280, 720)):
        clip = street[0].resize.Bilinear(width, height)
        work = model.working_size(width, height)
        with clip.resize.Bilinear(*work, format=vs.RGBS).get_frame(0) as frame:
            rgb = np.stack([np.asarray(frame[p]) for p in range(3)])[None]
        expected = evaluate.decide(infer(rgb, (height, width)), 0.8)
        got = arrays_of(segment(clip, model=model, threshold=0.8, backend="python"))[0][0]
        assert (got != expected).mean() < 2e-3


def test_caution_is_a_threshold_of_the_card(street):
    points = find_model().caution
    assert list(points) == ["low", "normal", "high"]
    for name, threshold in points.items():
        assert same(segment(street[0], caution=name), segment(street[0], threshold=threshold))
    assert same(segment(street[0]), segment(street[0], caution="normal"))


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        ({"caution": "high", "threshold": 0.5}, "threshold and caution both choose"),
        ({"caution": "extreme"}, "unknown caution 'extreme'; accepted: low, normal, high"),
    ],
)
def test_caution_that_is_not_accepted(street, options, needle):
    with pytest.raises(SacError, match=needle):
        segment(street[0], **options)


def test_caution_needs_a_card_with_points(street):
    model = replace(find_model(), caution={})
    with pytest.raises(SacError, match=r"the card of ccnet-lite-int8 has no points for caution; give threshold"):
        segment(street[0], model=model, caution="low")


@pytest.mark.parametrize("threshold", [0, -1, 1.5, float("nan")])
def test_thresholds_that_are_not_accepted(street, threshold):
    with pytest.raises(SacError, match=r"outside \(0, 1\]"):
        segment(street[0], threshold=threshold)


def test_models_that_cannot_be_used(street, tmp_path):
    with pytest.raises(SacError, match="shipped: ccnet-lite"):
        segment(street[0], model="resnet")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    for backend in ("ort", "python"):
        with pytest.raises(SacError, match="cannot use model") as caught:
            segment(street[0], model=tmp_path / "bad.onnx", backend=backend)
        assert "\n" not in str(caught.value)


def test_a_broken_card(tmp_path):
    (tmp_path / "m.onnx").write_bytes(find_model().path.read_bytes())
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(SacError, match="cannot read the model card"):
        find_model(tmp_path / "m.onnx")


def test_the_working_size_has_the_area_or_twice_the_sides(tmp_path):
    model = Model(name="m", path=tmp_path)
    for size in ((1280, 720), (2048, 1024), (1226, 370), (480, 360), (4096, 2160), (160, 96), (16, 16)):
        width, height = model.working_size(*size)
        assert width % 16 == 0
        assert height % 16 == 0
        wanted = min(2 * size[0] * 2 * size[1], model.working_area)
        assert 0.9 * wanted <= width * height <= 1.1 * wanted


def test_the_model_finds_the_road_on_a_real_clip(data):
    """Coarse and robust: on a highway the middle of the lower half is road, the top is sky."""
    from vs_sac import open_clip

    classes = arrays_of(segment(open_clip(data / "clips/vd_test_small1.mp4")[40:43]))
    for (frame,) in classes:
        assert (frame[500:650, 400:900] == 0).mean() > 0.98
        assert (frame[:100] == 3).mean() > 0.98
