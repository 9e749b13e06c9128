"""Small helpers on clips."""

import numpy as np

from vs_sac.core.clips import frames

from ..helpers import arrays_of, noise_clip


def test_the_frames_are_those_of_the_clip_and_errors_come_through():
    clip = noise_clip(32, 32, 9)
    got = [[np.asarray(frame[p]).copy() for p in range(3)] for frame in frames(clip)]
    assert all(
        np.array_equal(a, b) for x, y in zip(got, arrays_of(clip), strict=True) for a, b in zip(x, y, strict=True)
    )
