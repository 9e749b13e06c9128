"""Specks, against scikit-image's components."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import measure

pytest.importorskip("scipy", reason="scipy (extra 'train') is not installed")

from vs_sac.training.specks import speck_blocks, speck_limit, speck_mask


def test_the_limit_grows_with_the_picture():
    assert [speck_limit(*size) for size in ((1280, 720), (2560, 1440), (640, 360), (64, 48))] == [64, 256, 16, 4]


def by_hand(roi, labelled):
    """Specks one component at a time."""
    specks = np.zeros_like(roi)
    for part in measure.regionprops(measure.label(roi, connectivity=2)):
        rows, columns = part.coords.T
        if part.area < speck_limit(roi.shape[1], roi.shape[0]) and not labelled[rows, columns].any():
            specks[rows, columns] = True
    return specks


@given(st.integers(0, 2**16), st.floats(0.02, 0.6), st.sampled_from([0, 0.01, 0.2]))
def test_specks_are_the_small_components_without_an_object(seed, density, objects):
    rng = np.random.default_rng(seed)
    roi, labelled = rng.random((48, 70)) < density, rng.random((48, 70)) < objects
    specks = by_hand(roi, labelled)
    assert np.array_equal(speck_mask(roi, labelled), specks)
    # A block is due to specks if all its ROI pixels are.
    for y in range(0, 48, 16):
        for x in range(0, 70, 16):
            own, due = roi[y : y + 16, x : x + 16], specks[y : y + 16, x : x + 16]
            expected = own.any() and np.array_equal(own, due)
            assert speck_blocks(roi, labelled)[y // 16, x // 16] == expected


def test_neighbours_at_a_corner_are_connected():
    roi = np.zeros((32, 32), bool)
    roi[np.arange(10), np.arange(10)] = True
    nothing = np.zeros_like(roi)
    assert not speck_mask(roi, nothing).any()
    roi[3, 3] = False
    # Three pixels above the gap are below the limit of four, six pixels under it are not.
    assert np.argwhere(speck_mask(roi, nothing)).tolist() == [[0, 0], [1, 1], [2, 2]]
    labelled = nothing.copy()
    labelled[0, 0] = True
    assert not speck_mask(roi, labelled).any()
