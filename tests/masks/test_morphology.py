"""Temporal dilation and morphological closing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from vs_sac.core.errors import SacValueError
from vs_sac.masks.morphology import morphological_closing, temporal_dilation

from ..helpers import arrays_of, mask_clip


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_held_blocks_leave_later_and_enter_at_once(data):
    frames = data.draw(st.integers(0, 16))
    length = data.draw(st.integers(1, 24))
    masks = np.random.default_rng(data.draw(st.integers(0, 99))).random((length, 3, 4)) < 0.2
    held = np.array([planes[0] for planes in arrays_of(temporal_dilation(mask_clip(masks), frames))]) > 0
    expected = [masks[max(0, n - frames) : n + 1].any(0) for n in range(length)]
    assert np.array_equal(held, expected)


@pytest.mark.parametrize("frames", [-1, 17])
def test_hold_out_of_range(frames):
    with pytest.raises(SacValueError, match="outside 0-16"):
        temporal_dilation(mask_clip(np.ones((1, 3, 4), bool)), frames)


@given(st.integers(1, 30), st.integers(1, 30), st.floats(0.1, 0.7), st.integers(0, 99), st.integers(0, 3))
@settings(max_examples=60)
def test_gaps_are_closed_as_scipy_does_and_nothing_leaves_the_roi(columns, rows, share, seed, blocks):
    grid = np.random.default_rng(seed).random((1, rows, columns)) < share
    closed = arrays_of(morphological_closing(mask_clip(grid), blocks))[0][0] > 0
    square = np.ones((2 * blocks + 1,) * 2, bool)
    grown = ndimage.binary_dilation(grid[0], square)
    np.testing.assert_array_equal(closed, ndimage.binary_erosion(grown, square, border_value=1))
    assert closed[grid[0]].all()
    again = arrays_of(morphological_closing(morphological_closing(mask_clip(grid), blocks), blocks))[0][0] > 0
    np.testing.assert_array_equal(again, closed)


@pytest.mark.parametrize("blocks", [-1, 9])
def test_gaps_out_of_range(blocks):
    with pytest.raises(SacValueError, match="outside 0-8"):
        morphological_closing(mask_clip(np.ones((1, 3, 4), bool)), blocks)
