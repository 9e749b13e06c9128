"""The non-ROI at half its size and back."""

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st

from vs_sac import merge
from vs_sac.core.macroblocks import grid_size
from vs_sac.masks.grid import expand_grid
from vs_sac.metrics import Region, measure
from vs_sac.source.synthetic import street_scene
from vs_sac.streams.resampling import coded_crf, enlarge, half_size, shrink, shrink_grid

from ..helpers import FORMATS, arrays_of, mask_clip, same, sizes


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=40)
def test_a_block_of_the_small_grid_is_roi_where_all_that_it_covers_is(columns, rows, seed):
    grid = np.random.default_rng(seed).random((1, rows, columns)) < 0.7
    small = arrays_of(shrink_grid(mask_clip(grid)))[0][0] > 0
    padded = np.ones((rows + rows % 2, columns + columns % 2), np.bool_)
    padded[:rows, :columns] = grid[0]
    np.testing.assert_array_equal(small, padded.reshape(padded.shape[0] // 2, 2, -1, 2).all((1, 3)))


@given(st.sampled_from(FORMATS), sizes(32, 90), st.integers(0, 99))
@settings(max_examples=40)
def test_its_non_roi_covers_that_of_the_picture(fmt, size, seed):
    info = vs.core.get_video_format(fmt)
    width, height = size[0] >> 1 << 1, size[1] >> 1 << 1
    grid = mask_clip(np.random.default_rng(seed).random((1, *grid_size(width, height)[::-1])) < 0.5)
    half = half_size(width, height, (info.subsampling_w, info.subsampling_h))
    shown = arrays_of(expand_grid(shrink_grid(grid), *half))[0][0] == 0
    full = arrays_of(expand_grid(grid, width, height))[0][0] == 0
    rows, columns = (np.arange(n) // 2 for n in (height, width))
    assert shown[np.ix_(rows, columns)][full].all()


@given(st.sampled_from(FORMATS), sizes(32, 90))
@settings(max_examples=30)
def test_flat_pictures_come_back_whatever_their_size(fmt, size):
    info = vs.core.get_video_format(fmt)
    width, height = size[0] >> 1 << 1, size[1] >> 1 << 1
    colour = [n << (info.bits_per_sample - 8) for n in (90, 60, 200)[: info.num_planes]]
    clip = vs.core.std.BlankClip(None, width, height, fmt, 1, color=colour)
    half = shrink(clip)
    assert (half.width, half.height) == half_size(width, height, (info.subsampling_w, info.subsampling_h))
    grid = vs.core.std.BlankClip(clip, *grid_size(width, height), vs.GRAY8)
    assert same(enlarge(half, clip, grid), clip)


def test_samples_lie_where_they_lay():
    """A ramp stays one, to its ends, in luma and in subsampled chroma: nothing moves by a fraction of a sample."""
    clip, _ = street_scene(170, 98, 1)
    smooth = clip.std.BoxBlur(hradius=6, hpasses=3, vradius=6, vpasses=3)
    grid = vs.core.std.BlankClip(smooth, *grid_size(170, 98), vs.GRAY8)
    back = enlarge(shrink(smooth), smooth, grid)
    for ours, theirs in zip(arrays_of(back)[0], arrays_of(smooth)[0], strict=True):
        assert np.abs(ours.astype(int) - theirs).max() <= 2


def test_what_is_hidden_does_not_reach_over_the_edge():
    clip, _ = street_scene(192, 96, 1)
    grid = mask_clip((np.arange(12) < 6).reshape(1, 1, 12).repeat(6, 1))
    half = shrink(clip)
    hidden = expand_grid(shrink_grid(grid), half.width, half.height)
    holes = vs.core.std.MaskedMerge(half, vs.core.std.BlankClip(half, color=[255, 128, 128]), hidden, first_plane=True)
    whole, filled = (merge(clip, enlarge(h, clip, grid), expand_grid(grid, 192, 96)) for h in (half, holes))
    near = measure(clip, filled, grid, ssim=False).luma.psnr(Region.NON_ROI)
    assert near == pytest.approx(measure(clip, whole, grid, ssim=False).luma.psnr(Region.NON_ROI), abs=0.3)


def test_the_crf_is_finer_at_half_size_and_never_negative():
    assert [coded_crf(crf, scale) for crf, scale in ((35, 1), (35, 2), (6, 2), (3, 2))] == [35, 29, 0, 0]
