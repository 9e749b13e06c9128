"""The low-pass of the non-ROI."""

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from vs_sac.core.errors import SacValueError
from vs_sac.streams.filtering import low_pass

from ..helpers import FORMATS, arrays_of, mask_arrays, mask_clip, noise_clip, same, sizes


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_softening_leaves_the_roi_alone(data):
    width, height = data.draw(sizes(16, 64, 4))
    fmt = data.draw(st.sampled_from([*FORMATS, vs.GRAY8]))
    clip = noise_clip(width, height, 1, fmt)
    masks = data.draw(mask_arrays(width // 4, height // 4)).repeat(4, 1).repeat(4, 2)
    soft = low_pass(clip, mask_clip(masks), data.draw(st.floats(0, 4)))
    before, after = arrays_of(clip)[0], arrays_of(soft)[0]
    for plane, (x, y) in enumerate(zip(before, after, strict=True)):
        step = [full // part for full, part in zip((height, width), x.shape, strict=True)]
        roi = masks[0, :: step[0], :: step[1]]
        assert np.array_equal(x[roi], y[roi]), plane


def test_softening_is_a_gaussian_away_from_the_roi():
    clip = noise_clip(96, 64, 1, vs.GRAY8)
    masks = np.zeros((1, 64, 96), bool)
    masks[:, :, :16] = True
    soft = arrays_of(low_pass(clip, mask_clip(masks), 1.5))[0][0].astype(float)
    picture = arrays_of(clip)[0][0].astype(float)
    expected = ndimage.gaussian_filter(picture, 1.5, mode="mirror", truncate=3)
    inner = np.s_[8:-8, 16 + 9 : -8]
    assert np.abs(soft[inner] - expected[inner]).max() <= 1.5
    # Beside the edge it sets in little by little.
    change = np.abs(soft - picture).mean(0)
    assert change[16] < 0.2 * change[30]
    assert change[16] < change[20] < change[24]


def test_softening_keeps_flat_pictures():
    clip = vs.core.std.BlankClip(width=64, height=64, format=vs.YUV420P10, length=1, color=[300, 500, 600])
    masks = np.zeros((1, 64, 64), bool)
    masks[:, 20:30, 20:30] = True
    assert same(low_pass(clip, mask_clip(masks), 3.0), clip)


@pytest.mark.parametrize("sigma", [-0.1, 4.1, float("nan")])
def test_softening_out_of_range(sigma):
    clip = noise_clip(32, 32, 1)
    with pytest.raises(SacValueError, match="sigma"):
        low_pass(clip, mask_clip(np.ones((1, 32, 32), bool)), sigma)
