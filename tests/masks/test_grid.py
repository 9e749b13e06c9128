import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given
from hypothesis import strategies as st

from vs_sac import SacError, macroblock_mask
from vs_sac.core.errors import SacFormatError
from vs_sac.core.macroblocks import grid_size
from vs_sac.masks.grid import (
    block_grid,
    block_grid_array,
    expand_grid,
    expand_grid_array,
    scaled_block_grid,
    scaled_block_grid_array,
)

from ..helpers import arrays_of, clip_of, mask_arrays, mask_clip, same, sizes

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


@given(masks, sizes(16, 100), st.sampled_from([8, 16]))
def test_a_block_of_a_scaled_picture_is_roi_wherever_it_covers_a_part_of_a_roi_pixel(mask, scaled, block):
    """A second implementation, on units of which a pixel of the mask and one of the scaled picture are multiples."""
    wanted = mask[0]
    for small in reversed(scaled):
        fine = wanted.repeat(small, 0)
        step = block * len(wanted)
        # The other axis is next, and the first one after it is again.
        wanted = np.array([fine[at : at + step].any(0) for at in range(0, len(fine), step)]).T
    np.testing.assert_array_equal(scaled_block_grid_array(mask[0], *scaled, block), wanted)
    np.testing.assert_array_equal(arrays_of(scaled_block_grid(mask_clip(mask), *scaled, block))[0][0], wanted * 255)


@given(masks, st.sampled_from([2, 4]))
def test_a_whole_ratio_is_a_larger_block(mask, ratio):
    mask = np.pad(mask, ((0, 0), (0, -mask.shape[1] % ratio), (0, -mask.shape[2] % ratio)))
    size = mask.shape[2] // ratio, mask.shape[1] // ratio
    assert same(scaled_block_grid(mask_clip(mask), *size), block_grid(mask_clip(mask), 16 * ratio))


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


def test_block_sizes_that_are_not_accepted():
    with pytest.raises(SacError, match=r"block 12 is not accepted") as caught:
        macroblock_mask(mask_clip(np.zeros((1, 32, 32), np.bool_)), 12)
    assert isinstance(caught.value, ValueError)


def test_a_grid_of_another_picture_is_refused():
    with pytest.raises(SacError, match=r"needs 2x3"):
        expand_grid(mask_clip(np.zeros((1, 2, 2), np.bool_)), 32, 33)


def test_expanding_an_array_covers_partial_blocks():
    grid = np.arange(6).reshape(2, 3)
    full = expand_grid_array(grid, 40, 20)
    assert full.shape == (20, 40)
    assert all(full[y, x] == grid[y // 16, x // 16] for y in range(20) for x in range(40))
    with pytest.raises(SacFormatError, match="blocks"):
        expand_grid_array(grid, 40, 33)


@given(st.data())
def test_arrays_and_clips_are_expanded_alike(data):
    width, height = data.draw(sizes(16, 70))
    columns, rows = grid_size(width, height)
    grid = data.draw(mask_arrays(columns, rows))
    expanded = arrays_of(expand_grid(mask_clip(grid), width, height))[0][0]
    np.testing.assert_array_equal(expand_grid_array(grid[0], width, height) * 255, expanded)
