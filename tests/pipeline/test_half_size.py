import re

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st
from vs_sac.pipeline.jobs import Job

from vs_sac import SacError, container, decode, encode, merge, open_sac
from vs_sac.core.choices import Codec, Fill, Mode
from vs_sac.core.errors import SacWarning
from vs_sac.core.macroblocks import grid_size
from vs_sac.encoders import EncoderSettings, PictureFormat
from vs_sac.masks.grid import blank_grid, expand_grid
from vs_sac.metrics import Region, measure
from vs_sac.pipeline.encoder_settings import choose_scale
from vs_sac.source.opening import open_raw
from vs_sac.source.synthetic import street_scene
from vs_sac.streams.resampling import coded_crf, enlarge, half_size, shrink, shrink_grid

from .helpers import FORMATS, arrays_of, mask_clip, noise_clip, remuxed, same, sizes


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


@pytest.mark.parametrize(("codec", "fill"), [("x264", "coarse"), ("x264", "black"), ("x265", "grey")])
def test_a_non_roi_at_half_size_is_written_and_put_together(tmp_path, codec, fill):
    clip, _ = street_scene(210, 114, 6)
    grid = mask_clip(np.random.default_rng(1).random((6, 8, 14)) < 0.5)
    made = {}
    for scale in (1, 2):
        out = tmp_path / f"{scale}.mkv"
        encode(clip, out, codec=codec, fill=fill, masks=grid, crf_roi=20, crf_non_roi=35, non_roi_scale=scale)
        info = made[scale] = container.probe(out)
        assert info.non_roi_scale == scale
        assert info.tags().get("SAC_NON_ROI_SCALE", "1") == str(scale)
        track = open_raw(out, fps=clip.fps, track=info.tracks["non-ROI"])
        assert (track.width, track.height) == ((210, 114) if scale == 1 else (106, 58))
    assert made[2].track_bytes()["ROI"] == made[1].track_bytes()["ROI"]
    luma = [measure(clip, open_sac(tmp_path / f"{scale}.mkv"), grid, ssim=False).luma for scale in (1, 2)]
    assert luma[1].psnr(Region.ROI) == luma[0].psnr(Region.ROI)
    assert luma[1].psnr(Region.NON_ROI) > 25
    decode(tmp_path / "2.mkv", tmp_path / "back.y4m")
    assert same(open_raw(tmp_path / "back.y4m", fps=clip.fps), open_sac(tmp_path / "2.mkv"))


def test_it_pays_where_the_non_roi_is_coarse(tmp_path):
    """Fewer bytes and more PSNR than at full size, on a picture with few details, as at high CRFs on real ones."""
    clip, _ = street_scene(640, 360, 4)
    grid = mask_clip((np.arange(23) > 11).reshape(1, 23, 1).repeat(40, 2).repeat(4, 0))
    found = {}
    for scale, crf in ((1, 45), (2, 44)):
        encode(clip, tmp_path / "a.mkv", masks=grid, crf_roi=30, crf_non_roi=crf, non_roi_scale=scale, force=True)
        luma = measure(clip, open_sac(tmp_path / "a.mkv"), grid, ssim=False).luma
        found[scale] = container.probe(tmp_path / "a.mkv").track_bytes()["non-ROI"], luma.psnr(Region.NON_ROI)
    assert found[2][0] < found[1][0]
    assert found[2][1] > found[1][1]


def test_a_lost_stream_leaves_grey_of_the_right_size(tmp_path):
    clip, _ = street_scene(96, 64, 5)
    grid = mask_clip(np.arange(24).reshape(1, 4, 6).repeat(5, 0) % 2 == 0)
    encode(clip, tmp_path / "a.mkv", masks=grid, crf_roi=20, crf_non_roi=32, non_roi_scale=2)
    for track in ("ROI", "non-ROI"):
        number = container.probe(tmp_path / "a.mkv").tracks[track]
        remuxed(tmp_path / "a.mkv", tmp_path / "b.mkv", "-map", "0", "-map", f"-0:v:{number}")
        with pytest.warns(SacWarning, match="is missing"):
            back = open_sac(tmp_path / "b.mkv", allow_missing=True)
        assert (back.width, back.height, back.num_frames) == (96, 64, 5)
        mask = arrays_of(expand_grid(grid, 96, 64))[0][0] > 0
        lost = mask if track == "ROI" else ~mask
        luma = arrays_of(back)[0][0]
        assert luma[~lost].std() > 5
        if track == "ROI":
            assert (luma[lost] == 128).all()


@pytest.mark.parametrize(
    ("codec", "crf", "size", "args", "scale"),
    [
        ("x264", 28.9, (1280, 720), (), 1),
        ("x264", 29, (1280, 720), (), 2),
        ("x264", 31, (960, 528), (), 1),
        ("x264", 40, (1280, 720), (("qp", "20"),), 1),
        ("x265", 31.5, (2048, 1024), (), 1),
        ("x265", 32, (540, 960), (), 2),
    ],
)
def test_by_default_it_follows_what_was_measured(codec, crf, size, args, scale):
    picture = PictureFormat.of(vs.core.std.BlankClip(None, *size, vs.YUV420P8, 1))
    non_roi = EncoderSettings(codec=Codec(codec), crf=crf, preset="medium", args=args)
    assert choose_scale(None, None, picture, non_roi) == scale
    assert choose_scale(None, Fill.BLACK, picture, non_roi) == 1
    assert [choose_scale(asked, None, picture, non_roi) for asked in (1, 2)] == [1, 2]


def test_the_crf_is_finer_at_half_size_and_never_negative():
    assert [coded_crf(crf, scale) for crf, scale in ((35, 1), (35, 2), (6, 2), (3, 2))] == [35, 29, 0, 0]


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        ((64, 64), {"non_roi_scale": 3}, "accepted: 1, 2"),
        ((30, 64), {"non_roi_scale": 2}, "30x64"),
        ((64, 64), {"non_roi_scale": 2, "mode": "single-stream"}, "single-stream"),
    ],
)
def test_what_cannot_be_halved_is_refused(tmp_path, size, options, message):
    clip = noise_clip(*size, 2)
    with pytest.raises(SacError, match=message):
        encode(clip, tmp_path / "a.mkv", masks=vs.core.std.BlankClip(clip, format=vs.GRAY8), **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "lookahead", "references"),
    [
        ({}, [b"30", b"15"], [b"3", b"1"]),
        ({"crf_roi": 20, "crf_non_roi": 20}, [b"30", b"15"], [b"3", b"3"]),
        ({"preset": "slow"}, [b"50", b"50"], [b"5", b"5"]),
        ({"fill": "black"}, [b"40", b"40"], [b"3", b"3"]),
        ({"encoder_args": "--rc-lookahead 7 --ref 2"}, [b"7", b"7"], [b"2", b"2"]),
        ({"low_latency": True}, [], [b"3", b"1"]),
    ],
    ids=str,
)
def test_two_x264_hold_fewer_frames_where_that_costs_nothing(tmp_path, options, lookahead, references):
    """x264 writes its settings into the stream; without a lookahead it leaves it out."""
    clip, _ = street_scene(64, 64, 2)
    grid = mask_clip(np.arange(16).reshape(1, 4, 4).repeat(2, 0) % 2 == 0)
    encode(clip, tmp_path / "a.mkv", masks=grid, **options)
    written = (tmp_path / "a.mkv").read_bytes()
    assert re.findall(rb" rc_lookahead=(\d+)", written) == lookahead
    assert re.findall(rb" ref=(\d+)", written) == references


@pytest.mark.parametrize(("codec", "coarse", "equal"), [
    ("x264", "ref=1", ""), ("x265", "ref=1 no-info", "no-info"),
])  # fmt: skip
def test_a_non_roi_as_fine_as_the_roi_keeps_its_reference_frames(codec, coarse, equal):
    clip = noise_clip(64, 64, 2)
    settings = EncoderSettings(codec=Codec(codec), crf=0, args=(("bframes", "2"),))
    fill = Fill.COARSE if codec == "x264" else Fill.GREY
    job = Job(clip=clip, model="", mode=Mode.TWO_STREAM, fill=fill, roi=settings, non_roi=settings, uniform=settings,
              non_roi_filter=0)  # fmt: skip
    own = {("bframes", "2"), ("rc-lookahead", "15")}
    for crfs, wanted in [((20, 29), coarse), ((24, 24), equal), ((24, 20), equal)]:
        _, non_roi = job.streams(blank_grid(clip), crfs)
        added = [name if value is None else f"{name}={value}" for name, value in non_roi.settings.args
                 if (name, value) not in own]  # fmt: skip
        assert " ".join(added) == wanted
