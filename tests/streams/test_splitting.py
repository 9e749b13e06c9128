import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st

from vs_sac import SacError, macroblock_mask, merge, split
from vs_sac.core.choices import Fill
from vs_sac.streams.fills import HOLD_WINDOW

from ..helpers import FORMATS, arrays_of, clip_of, mask_arrays, mask_clip, noise_clip, same, sizes

fills = st.sampled_from([fill for fill in Fill if fill is not Fill.COARSE])


@st.composite
def clips_and_masks(draw, length=2):
    fmt = draw(st.sampled_from(FORMATS))
    info = vs.core.get_video_format(fmt)
    width, height = draw(sizes(16, 70))
    width, height = (
        width >> info.subsampling_w << info.subsampling_w,
        height >> info.subsampling_h << info.subsampling_h,
    )
    clip = noise_clip(width, height, length, fmt, draw(st.integers(0, 99)))
    return clip, mask_clip(draw(mask_arrays(width, height, length)))


@given(clips_and_masks(), fills)
@settings(max_examples=60)
def test_merging_what_was_split_gives_the_clip_bit_for_bit(pair, fill):
    clip, mask = pair
    for m in (mask, macroblock_mask(mask)):
        assert same(merge(*split(clip, m, fill=fill), m), clip)


@given(clips_and_masks())
@settings(max_examples=40)
def test_the_streams_are_disjoint_and_complete_and_splitting_twice_changes_nothing(pair):
    clip, mask = pair
    mask = macroblock_mask(mask)
    roi, non_roi = split(clip, mask)
    again, nothing = split(roi, mask)
    assert same(again, roi)
    # Paper eq. 5: x = nm + im, where what is masked out is black.
    info = clip.format
    scale = 1 << (info.bits_per_sample - 8)
    black = [16 * scale, 128 * scale, 128 * scale]
    for x, i, n, m, none in zip(*map(arrays_of, (clip, roi, non_roi, mask, nothing)), strict=True):
        for plane, level in enumerate(black):
            step_y, step_x = (1 << info.subsampling_h, 1 << info.subsampling_w) if plane else (1, 1)
            inside = m[0][::step_y, ::step_x] > 0
            np.testing.assert_array_equal(i[plane], np.where(inside, x[plane], level))
            np.testing.assert_array_equal(n[plane], np.where(inside, level, x[plane]))
            assert (none[plane] == level).all()


@pytest.mark.parametrize(("full", "level"), [(0, 16), (1, 0)])
def test_black_follows_the_range(full, level):
    clip = noise_clip(32, 16, 1).std.SetFrameProps(_Range=full)
    roi, _ = split(clip, mask_clip(np.zeros((1, 16, 32), np.bool_)))
    assert [np.unique(p).tolist() for p in arrays_of(roi)[0]] == [[level], [128], [128]]


def test_grey_is_the_middle_of_every_plane():
    _, non_roi = split(noise_clip(32, 16, 1, vs.YUV420P10), mask_clip(np.ones((1, 16, 32), np.bool_)), fill="grey")
    assert [np.unique(p).tolist() for p in arrays_of(non_roi)[0]] == [[512]] * 3


@given(st.integers(0, 2**16), st.integers(1, 2 * HOLD_WINDOW + 3))
@settings(max_examples=20)
def test_hold_shows_what_was_last_visible(seed, length):
    rng = np.random.default_rng(seed)
    masks = np.repeat(np.repeat(rng.random((length, 2, 2)) < 0.15, 16, 1), 16, 2)
    clip = noise_clip(32, 32, length, vs.YUV444P8, seed)
    roi = arrays_of(split(clip, mask_clip(masks), fill="hold")[0])
    frames = arrays_of(clip)
    for n in range(length):
        expected = np.full((32, 32), 128, np.uint8)
        for m in range(max(0, n - HOLD_WINDOW + 1), n + 1):
            expected = np.where(masks[m], frames[m][0], expected)
        np.testing.assert_array_equal(roi[n][0], expected)


def test_hold_does_not_depend_on_the_order_of_requests():
    clip = noise_clip(32, 32, 40, vs.YUV444P8)
    mask = mask_clip(np.random.default_rng(1).random((40, 32, 32)) < 0.2)
    forwards = arrays_of(split(clip, mask, fill="hold")[0])
    backwards = split(clip, mask, fill="hold")[0]
    for n in reversed(range(40)):
        with backwards.get_frame(n) as frame:
            np.testing.assert_array_equal(np.asarray(frame[0]), forwards[n][0])


def test_the_additive_merge_of_the_paper_would_overflow_where_ours_does_not():
    """Two coded streams, each with an error of one level in its black part."""
    level = np.full((16, 16), 255, np.uint8)
    roi = clip_of([[level]], vs.GRAY8)
    noisy_black = clip_of([[np.ones((16, 16), np.uint8)]], vs.GRAY8)
    merged = arrays_of(merge(roi, noisy_black, mask_clip(np.ones((1, 16, 16), np.bool_))))[0][0]
    assert (merged == 255).all()
    assert (arrays_of(roi)[0][0] + arrays_of(noisy_black)[0][0] == 0).all()


@pytest.mark.parametrize("fill", ["black", "grey", "hold"])
def test_both_streams_keep_the_colour_properties(fill):
    clip = noise_clip(32, 32, 1).std.SetFrameProps(_Matrix=9, _Range=1)
    for stream in split(clip, mask_clip(np.zeros((1, 32, 32), np.bool_)), fill=fill):
        with stream.get_frame(0) as frame:
            assert (frame.props["_Matrix"], frame.props["_Range"]) == (9, 1)


def test_frame_properties_are_those_of_the_roi():
    clip = noise_clip(32, 32, 1).std.SetFrameProps(_Matrix=9, _Range=1)
    mask = mask_clip(np.zeros((1, 32, 32), np.bool_))
    with merge(*split(clip, mask), mask).get_frame(0) as frame:
        assert (frame.props["_Matrix"], frame.props["_Range"]) == (9, 1)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (lambda: mask_clip(np.zeros((1, 32, 30), np.bool_)), "width is 32, the mask's 30"),
        (lambda: mask_clip(np.zeros((2, 32, 32), np.bool_)), "num_frames is 1, the mask's 2"),
        (lambda: noise_clip(32, 32, 1), "accepted: GRAY8"),
    ],
)
def test_masks_that_do_not_fit_are_refused_when_the_graph_is_built(mask, said):
    with pytest.raises(SacError, match=said):
        split(noise_clip(32, 32, 1), mask())


def test_streams_of_different_formats_are_refused():
    with pytest.raises(SacError, match="YUV420P8, the non-ROI YUV444P8"):
        merge(noise_clip(32, 32, 1), noise_clip(32, 32, 1, vs.YUV444P8), mask_clip(np.zeros((1, 32, 32), np.bool_)))


def test_unknown_fill():
    with pytest.raises(SacError, match="unknown fill 'white'; accepted: black, grey, hold, coarse"):
        split(noise_clip(32, 32, 1), mask_clip(np.zeros((1, 32, 32), np.bool_)), fill="white")
    with pytest.raises(SacError, match="fill coarse is made by the encoder; accepted: black, grey, hold"):
        split(noise_clip(32, 32, 1), mask_clip(np.zeros((1, 32, 32), np.bool_)), fill="coarse")
