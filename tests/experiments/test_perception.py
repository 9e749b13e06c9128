import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given
from hypothesis import strategies as st

from vs_sac.core.errors import SacError
from vs_sac.core.labels import LabelSet, label_names, label_table
from vs_sac.experiments.footage import Truth
from vs_sac.experiments.perception import score_map
from vs_sac.metrics import SegmentationScore, confusion

from ..helpers import clip_of


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
