import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vs_sac.core.errors import SacError
from vs_sac.core.labels import LabelSet, fine_table, label_names, label_table
from vs_sac.experiments.footage import Truth, find_footage
from vs_sac.experiments.method_run import PreparedClip, Settings
from vs_sac.experiments.perception import perceive_classes, score_map
from vs_sac.experiments.store import Store
from vs_sac.metrics import ClassTable, SegmentationScore, confusion
from vs_sac.segmentation.class_probabilities import segment_classes
from vs_sac.segmentation.registry import find_model

from ..helpers import arrays_of, clip_of


def maps(seed: int, frames: int, values: list[int]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.choice(np.array(values, np.uint8), (16, 24)) for _ in range(frames)]


@given(st.integers(0, 2**16), st.sampled_from([LabelSet.CITYSCAPES, LabelSet.CAMVID, LabelSet.KITTI_STEP]))
def test_scores_are_those_of_the_functions_on_arrays(seed, labels):
    names = label_names(labels)
    truth, seen = maps(seed, 2, [*names, 255]), maps(seed + 1, 2, [0, 1, 2, 3])
    values = clip_of([[m] for m in truth], vs.GRAY8)
    got = score_map(clip_of([[m] for m in seen], vs.GRAY8), Truth(values, labels, (0, 1)))
    table = label_table(labels, scoring=True).astype(np.uint8)
    matrix = sum(confusion(table[t], s) for t, s in zip(truth, seen, strict=True))
    assert got.score == SegmentationScore.from_matrix(matrix)
    for name, recall in got.recall.items():
        hit = whole = 0
        for value, own in names.items():
            if own == name and table[value] != 255:
                here = [(t == value, s == table[value]) for t, s in zip(truth, seen, strict=True)]
                hit += sum(int((a & b).sum()) for a, b in here)
                whole += sum(int(a.sum()) for a, _ in here)
        assert recall == pytest.approx(hit / whole)


def test_a_perfect_map_scores_one():
    truth = maps(0, 1, [0, 1, 2, 3])
    clip = clip_of([[truth[0]]], vs.GRAY8)
    got = score_map(clip, Truth(clip, LabelSet.CLASS_MAP, (0,)))
    assert (got.score.miou, got.score.roi_iou, set(got.recall.values())) == (1, 1, {1.0})


def test_only_labelled_frames_count():
    truth = maps(0, 1, [0, 1, 2, 3])[0]
    clip = clip_of([[np.zeros_like(truth)], [truth], [np.zeros_like(truth)]], vs.GRAY8)
    one = Truth(clip_of([[truth]], vs.GRAY8), LabelSet.CLASS_MAP, (1,))
    assert score_map(one.of(clip), one).score.miou == 1
    with pytest.raises(SacError, match="num_frames"):
        score_map(clip, one)


@pytest.fixture
def network(tmp_path):
    pytest.importorskip("onnx", reason="onnx (extra 'report') is not installed")
    from ..class_networks import class_network

    return find_model(class_network(tmp_path / "net.onnx"))


def yuv_of(*classes):
    from ..class_networks import painted

    rgb = clip_of([list(painted(c).transpose(2, 0, 1)) for c in classes], vs.RGB24)
    return rgb.std.SetFrameProps(_Matrix=0).resize.Bicubic(format=vs.YUV444P8, matrix_s="709")


def test_own_classes_are_scored_on_labelled_frames(network):
    """A picture of CamVid's label "car" that shows a bus is right, one that shows a road is wrong."""
    from ..class_networks import NAMES

    def flat(name):
        return np.full((64, 96), NAMES.index(name), np.uint8)

    labels = LabelSet.CAMVID
    table = ClassTable.of(NAMES, label_names(labels), fine_table(labels), label_table(labels, scoring=True))
    car = [np.full((64, 96), 8, np.uint8)]
    truth = clip_of([car, car], vs.GRAY8)
    steps = []
    score = perceive_classes(
        yuv_of(flat("bus"), flat("road")), truth, table, network, progress=lambda *done: steps.append(done)
    )
    assert score.iou["car"] == 0.5
    assert score.iou["road"] == 0
    assert score.thing_mean == 0.5
    assert steps == [(1, 2), (2, 2)]
    with pytest.raises(SacError, match="width"):
        perceive_classes(yuv_of(flat("bus"))[:1], clip_of([[np.zeros((64, 80), np.uint8)]], vs.GRAY8), table, network)


@pytest.mark.encoder
def test_without_labels_the_networks_own_classes_of_the_source_are_the_truth(network, tmp_path):
    from ..class_networks import painted

    truth = np.kron(np.random.default_rng(3).integers(0, 19, (8, 12)), np.ones((8, 8))).astype(np.uint8)
    for n in range(2):
        Image.fromarray(painted(truth)).save(tmp_path / f"f{n:02}.png")
    (footage,) = find_footage(str(tmp_path / "f%02d.png"))
    store = Store(tmp_path / "store")
    settings = Settings(masks=str(network.path), models=(str(network.path),))
    prepared = PreparedClip(footage, settings, store, lambda share: None)
    same = prepared.perceived_classes(prepared.clip, network, lambda share: None)
    assert set(same.iou.values()) == {1.0}
    assert same.pixels == 2 * truth.size
    # The map was kept, value by value, and another reconstruction is compared with it.
    (kept,) = (tmp_path / "store" / "masks").glob("*-classes-*.mkv")
    assert np.array_equal(arrays_of(prepared._own_classes(network))[1][0],
                          arrays_of(segment_classes(prepared.clip, model=network))[1][0])  # fmt: skip
    written = kept.stat().st_mtime_ns
    grey = prepared.clip.std.Expr(["", "128", "128"])
    assert prepared.perceived_classes(grey, network, lambda share: None).mean < 0.5
    assert kept.stat().st_mtime_ns == written
