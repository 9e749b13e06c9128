import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from vs_sac import SacError, grey_tones, macroblock_mask, roi_mask
from vs_sac.core.errors import SacValueError
from vs_sac.core.macroblocks import grid_size
from vs_sac.masks.grid import block_grid, block_grid_array, expand_grid
from vs_sac.masks.morphology import morphological_closing, temporal_dilation

from .helpers import arrays_of, clip_of, mask_arrays, mask_clip, noise_clip, same, sizes

masks = sizes(16, 100).flatmap(lambda size: mask_arrays(*size))
blocks = st.sampled_from([2, 4, 8, 16, 32, 64])


def by_hand(mask: np.ndarray, block: int) -> np.ndarray:
    """Block by block, as the paper words it."""
    height, width = mask.shape
    rows, columns = range(0, height, block), range(0, width, block)
    return np.array([[mask[y : y + block, x : x + block].any() for x in columns] for y in rows])


@given(masks, blocks)
def test_a_block_is_roi_wherever_any_of_its_pixels_is(mask, block):
    grid = arrays_of(block_grid(mask_clip(mask), block))[0][0]
    expected = by_hand(mask[0], block)
    assert grid.shape == grid_size(mask.shape[2], mask.shape[1], block)[::-1]
    np.testing.assert_array_equal(grid, expected * 255)
    np.testing.assert_array_equal(block_grid_array(mask[0], block), expected)


@given(masks)
def test_every_roi_pixel_lies_in_a_roi_block_and_masking_twice_changes_nothing(mask):
    once = macroblock_mask(mask_clip(mask))
    assert not (mask[0] & (arrays_of(once)[0][0] == 0)).any()
    assert same(macroblock_mask(once), once)


@given(sizes(16, 100), st.integers(0, 2**16))
def test_expanding_a_grid_and_fitting_it_again_gives_the_grid(size, seed):
    shape = grid_size(*size)[::-1]
    grid = mask_clip(np.random.default_rng(seed).random((1, *shape)) < 0.5)
    assert same(block_grid(expand_grid(grid, *size)), grid)


def test_any_value_above_zero_is_roi():
    mask = clip_of([[np.array([[1] + [0] * 31] * 16, np.uint8)]], vs.GRAY8)
    assert arrays_of(block_grid(mask))[0][0].tolist() == [[255, 0]]


def test_roi_mask_and_grey_tones_of_every_value():
    classes = clip_of([[np.arange(256, dtype=np.uint8).reshape(16, 16)]], vs.GRAY8)
    assert arrays_of(roi_mask(classes))[0][0].ravel().tolist() == [255, 0, 0, 0] + [255] * 252
    tones = arrays_of(grey_tones(classes))[0][0].ravel()
    assert tones[:4].tolist() == [255, 170, 85, 0]
    # A rendered class map is at the same time a mask: 255 exactly where the ROI is.
    np.testing.assert_array_equal(tones == 255, arrays_of(roi_mask(classes))[0][0].ravel() == 255)


@pytest.mark.parametrize("function", [roi_mask, grey_tones, macroblock_mask])
def test_masks_of_another_format_are_refused(function):
    with pytest.raises(SacError, match=r"accepted: GRAY8") as caught:
        function(noise_clip(32, 32, 1))
    assert isinstance(caught.value, TypeError)


def test_block_sizes_that_are_not_accepted():
    with pytest.raises(SacError, match=r"block 12 is not accepted") as caught:
        macroblock_mask(mask_clip(np.zeros((1, 32, 32), np.bool_)), 12)
    assert isinstance(caught.value, ValueError)


def test_a_grid_of_another_picture_is_refused():
    with pytest.raises(SacError, match=r"needs 2x3"):
        expand_grid(mask_clip(np.zeros((1, 2, 2), np.bool_)), 32, 33)


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
