"""Classes tinted over the picture."""

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import SacError, overlay

from ..helpers import FORMATS, arrays_of, clip_of, mask_clip, noise_clip


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_overlay_leaves_roi_alone_and_changes_the_rest(fmt):
    clip = noise_clip(32, 32, 1, fmt)
    classes = np.zeros((32, 32), np.uint8)
    classes[:, 16:] = 3
    before = arrays_of(clip)[0]
    after = arrays_of(overlay(clip, clip_of([[classes]], vs.GRAY8)))[0]
    for x, y in zip(before, after, strict=True):
        half = x.shape[1] // 2
        np.testing.assert_array_equal(x[:, :half], y[:, :half])
        assert (x[:, half:] != y[:, half:]).mean() > 0.5


def test_overlay_refuses_a_strength_outside_of_0_to_1():
    with pytest.raises(SacError, match="outside 0-1"):
        overlay(noise_clip(32, 32, 1), mask_clip(np.zeros((1, 32, 32), np.bool_)), strength=2)
