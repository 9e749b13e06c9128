"""QP offsets as clips: from class probabilities to grids, carried by motion, smoothed, and split into regions."""

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st

from vs_sac.core.errors import SacFormatError, SacValueError
from vs_sac.core.labels import FINE_CLASSES
from vs_sac.masks.importance import ImportancePredictor
from vs_sac.masks.propagation import BlockMotion, propagate_offsets
from vs_sac.masks.qp_offsets import check_offsets, qp_offsets, region_of_offsets, smooth_offsets
from vs_sac.masks.tiers import DRIVING

from ..helpers import arrays_of, clip_of, noise_clip
from .test_propagation import texture


def one_hot(classes: np.ndarray, count: int = 19) -> np.ndarray:
    """Probabilities of certain classes, as the stacked planes of a frame."""
    planes = (np.arange(count)[:, None, None] == classes).astype(np.float32)
    return planes.reshape(-1, classes.shape[1])


def stacked(*frames: np.ndarray) -> vs.VideoNode:
    return clip_of([[frame] for frame in frames], vs.GRAYS)


@given(st.integers(0, 2**16), st.sampled_from([(64, 48), (72, 40), (33, 95)]))
@settings(max_examples=25)
def test_tiers_are_means_over_the_pixels_of_a_block(seed, size):
    width, height = size
    random = np.random.default_rng(seed)
    classes = random.integers(0, 19, (height, width))
    clip = noise_clip(width, height, 1, vs.YUV420P8, seed) if not (width | height) & 1 else noise_clip(
        width, height, 1, vs.GRAY8, seed)  # fmt: skip
    (got,) = arrays_of(qp_offsets(clip, stacked(one_hot(classes)), FINE_CLASSES, tiers=DRIVING))
    value = np.array([DRIVING[name] for name in FINE_CLASSES])[classes]
    means = np.array([[value[y : y + 16, x : x + 16].mean() for x in range(0, width, 16)]
                      for y in range(0, height, 16)])  # fmt: skip
    expected = means - means.mean()
    assert np.abs((got[0].astype(int) - 128) / 2 - expected).max() <= 0.25 + 1e-4


def test_the_luma_that_predicts_importance_is_the_same_in_every_format():
    seen = []

    class Spy(ImportancePredictor):
        def predict(self, features):
            seen.append(features)
            return features[22]

    empty = [np.zeros(1, np.float32)] * 7
    full = texture(64, 48)
    limited = np.rint(full.astype(float) * 219 / 255 + 16)
    for depth, fmt in ((8, vs.GRAY8), (10, vs.GRAY10)):
        plane = (limited * (1 << (depth - 8))).astype(np.uint8 if depth == 8 else np.uint16)
        for samples, span in ((plane, 0), (full.astype(int) * ((1 << depth) - 1) // 255, 1)):
            clip = clip_of([[samples.astype(plane.dtype)]], fmt).std.SetFrameProps(_Range=span)
            probabilities = stacked(one_hot(np.zeros((12, 16), int)))
            made = qp_offsets(clip, probabilities, FINE_CLASSES, tiers=DRIVING, predictor=Spy(*empty, {}))
            made.get_frame(0).close()
    assert len(seen) == 4
    for features in seen[1:]:
        np.testing.assert_allclose(features[22:27], seen[0][22:27], atol=0.06)


def test_offsets_stay_with_a_still_picture_and_are_forgotten_after_a_cut():
    still, other = texture(256, 192), texture(256, 192, seed=9)
    clip = clip_of([[still]] * 4 + [[other]] * 4, vs.GRAY8)
    grid = np.random.default_rng(3).integers(108, 149, (12, 16), np.uint8)
    carried = arrays_of(propagate_offsets(clip_of([[grid]] * 8, vs.GRAY8), BlockMotion(clip, 8, "test")))
    for (plane,) in carried[:4]:
        assert np.array_equal(plane, grid)
    for (plane,) in carried[4:]:
        assert (plane == 128).all()


def test_offsets_follow_the_motion_of_the_picture():
    picture, grid = texture(384, 256), np.full((16, 24), 128, np.uint8)
    grid[6:9, 8:12] = 108
    clip = clip_of([[np.roll(picture, 4 * n, 1)] for n in range(5)], vs.GRAY8)
    carried = arrays_of(propagate_offsets(clip_of([[grid]] * 5, vs.GRAY8), BlockMotion(clip, 5, "test")))
    # Four frames later the picture has moved by one macroblock.
    assert carried[4][0][6:9, 10:12].max() <= 112
    assert carried[4][0][6:9, 14:].min() == 128


def test_smoothing_is_a_mean_over_nine_frames():
    values = np.random.default_rng(1).integers(100, 160, (20, 3, 4), np.uint8)
    smooth = arrays_of(smooth_offsets(clip_of([[v] for v in values], vs.GRAY8)))
    for n in range(4, 16):
        assert np.abs(smooth[n][0] - values[n - 4 : n + 5].mean(0)).max() <= 0.51


def test_the_region_is_where_the_offset_is_not_above_zero():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    ((region,),) = arrays_of(region_of_offsets(clip_of([[values]], vs.GRAY8)))
    assert np.array_equal(region, np.where(values <= 128, 255, 0))


def test_wrong_arguments_are_refused():
    clip = noise_clip(64, 48, 1, vs.YUV420P8, 0)
    with pytest.raises(SacFormatError, match="4x3"):
        check_offsets(clip_of([[np.zeros((3, 3), np.uint8)]], vs.GRAY8), 4, 3, "encode")
    with pytest.raises(SacValueError, match="none of them"):
        qp_offsets(clip, stacked(one_hot(np.zeros((3, 4), int), 1)), ("cat",), tiers=DRIVING)
    with pytest.raises(SacFormatError, match="accepted: integer"):
        qp_offsets(clip.resize.Point(format=vs.RGBS, matrix_in=1), clip, FINE_CLASSES, tiers=DRIVING)
