from fractions import Fraction

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st

from vs_sac import SacError
from vs_sac.core.errors import SacFormatError, SacMissingError, SacValueError
from vs_sac.masks import propagation as motion
from vs_sac.masks.grid import block_grid
from vs_sac.masks.propagation import default_every, propagate_mask

from ..helpers import arrays_of, clip_of, mask_clip, noise_clip, same

SIZES = st.sampled_from([(64, 64), (65, 47), (96, 64), (120, 90), (160, 112)])


def texture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A picture that is told apart from itself a few pixels on, also at a quarter of its size."""
    coarse = np.random.default_rng(seed).integers(0, 256, (-(-height // 8) + 1, -(-width // 8) + 1), np.uint8)
    return np.kron(coarse, np.ones((8, 8), np.uint8))[:height, :width]


def pan(length: int, step: tuple[int, int], *, width: int = 384, height: int = 256):
    """A picture and a mask that move together, without end: clip, mask."""
    picture = texture(width, height)
    mask = np.zeros((height, width), np.bool_)
    mask[100:135, 150:210] = True
    moved = [[np.roll(plane, (n * step[0], n * step[1]), (0, 1)) for plane in (picture, mask)] for n in range(length)]
    return clip_of([[p] for p, _ in moved], vs.GRAY8), mask_clip(np.array([m for _, m in moved]))


@given(SIZES, st.integers(1, 9), st.integers(1, 14), st.integers(0, 99))
@settings(max_examples=25)
def test_segmented_frames_have_their_own_grid_and_the_others_something(size, every, length, seed):
    clip = noise_clip(*size, length, vs.YUV444P8, seed)
    mask = mask_clip(np.random.default_rng(seed).random((length, *size[::-1])) < 0.002)
    carried, own = propagate_mask(clip, mask, every), block_grid(mask)
    assert (carried.width, carried.height, carried.num_frames, carried.fps) == (
        own.width, own.height, length, clip.fps,
    )  # fmt: skip
    assert same(carried[::every], own[::every])
    assert set(np.unique(arrays_of(carried))) <= {0, 255}
    if every == 1:
        assert same(carried, own)


@pytest.mark.parametrize("step", [(0, 4), (4, 0), (-4, 8), (8, -4)])
def test_a_region_is_followed(step):
    clip, mask = pan(7, step)
    carried, own = arrays_of(propagate_mask(clip, mask, 7)), arrays_of(block_grid(mask))
    for (got,), (wanted,) in zip(carried, own, strict=True):
        assert not (wanted > got).any()
        # Overlapping blocks widen it by one macroblock on a side at most. What has come in over the frame's edge is not
        # known from before, and so ROI.
        margin = 5
        grown = np.pad(wanted, 1)
        grown = np.max([np.roll(grown, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)], 0)[1:-1, 1:-1]
        assert not (got > grown)[margin:-margin, margin:-margin].any()


def test_what_stands_still_keeps_its_mask():
    clip, mask = pan(7, (0, 0))
    assert same(propagate_mask(clip, mask, 7), block_grid(mask))


def test_behind_a_cut_everything_is_roi_until_the_next_segmented_frame():
    before, after = texture(256, 128, 1), 255 - texture(256, 128, 2)
    clip = clip_of([[before]] * 3 + [[after]] * 5, vs.GRAY8)
    carried = arrays_of(propagate_mask(clip, mask_clip(np.zeros((8, 128, 256), np.bool_)), 6))
    assert [bool(grid.any()) for (grid,) in carried] == [False] * 3 + [True] * 3 + [False] * 2
    assert all((carried[n][0] == 255).mean() > 0.9 for n in (3, 4, 5))


def test_what_is_not_found_again_is_roi():
    picture, other = texture(256, 128, 1), texture(256, 128, 2)
    changed = picture.copy()
    changed[48:80, 96:128] = other[48:80, 96:128] ^ 128
    carried = arrays_of(propagate_mask(clip_of([[picture], [changed]], vs.GRAY8),
                                   mask_clip(np.zeros((2, 128, 256), np.bool_)), 2))  # fmt: skip
    grid = carried[1][0] > 0
    assert grid[3:5, 6:8].all()
    assert grid.mean() < 0.3


@given(st.permutations(range(13)))
@settings(max_examples=10)
def test_frames_do_not_depend_on_the_order_in_which_they_are_asked_for(order):
    clip, mask = pan(13, (4, -8))
    expected = arrays_of(propagate_mask(clip, mask, 5))
    carried = propagate_mask(clip, mask, 5)
    for n in order:
        with carried.get_frame(n) as frame:
            np.testing.assert_array_equal(np.asarray(frame[0]), expected[n][0])


@pytest.mark.parametrize("every", [1, 2, 5, 32])
def test_only_segmented_frames_are_asked_for(every):
    clip, mask = pan(11, (0, 4))
    asked = []

    def note(n, f):
        asked.append(n)
        return f

    for _ in propagate_mask(clip, mask.std.ModifyFrame(mask, note), every).frames(close=True):
        pass
    assert sorted(asked) == list(range(0, 11, every))


def test_ten_bits_and_chroma_are_carried_alike():
    clip, mask = pan(5, (4, 4))
    wide = clip.resize.Point(format=vs.YUV420P10, matrix_s="709")
    assert same(propagate_mask(wide, mask, 5), propagate_mask(clip, mask, 5))


@pytest.mark.parametrize(("fps", "every"), [(25, 8), (17, 5), (15, 4), (Fraction(30000, 1001), 9), (1, 1), (1000, 32)])
def test_by_default_the_frames_of_three_tenths_of_a_second(fps, every):
    assert default_every(Fraction(fps)) == every
    clip, mask = pan(11, (0, 4))
    clip, mask = (
        c.std.AssumeFPS(fpsnum=Fraction(fps).numerator, fpsden=Fraction(fps).denominator) for c in (clip, mask)
    )
    assert same(propagate_mask(clip, mask), propagate_mask(clip, mask, every))


@pytest.mark.parametrize("every", [0, -1, 33])
def test_out_of_range(every):
    clip, mask = pan(2, (0, 0))
    with pytest.raises(SacValueError, match="outside 1-32"):
        propagate_mask(clip, mask, every)


def test_refusals(monkeypatch):
    clip, mask = pan(2, (0, 0))
    with pytest.raises(SacFormatError, match="num_frames"):
        propagate_mask(clip, mask[:1], 2)
    with pytest.raises(SacFormatError, match="GRAY8"):
        propagate_mask(clip, mask.resize.Point(format=vs.GRAY16), 2)
    monkeypatch.setattr(motion, "plugin", lambda name, func: (_ for _ in ()).throw(SacMissingError(name, func)))
    with pytest.raises(SacError):
        propagate_mask(clip, mask, 2)
    assert propagate_mask(clip, mask, 1).num_frames == 2
    monkeypatch.setattr(motion, "hasattr", lambda obj, name: False, raising=False)
    assert same(propagate_mask(clip, mask), block_grid(mask))
