import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import SacError, container, decode, encode, open_sac
from vs_sac.core.errors import SacWarning
from vs_sac.masks.grid import expand_grid
from vs_sac.metrics import Region, measure
from vs_sac.source.opening import open_raw
from vs_sac.source.synthetic import street_scene

from ..helpers import arrays_of, mask_clip, noise_clip, remuxed, same


@pytest.mark.slow_except(r"coarse")
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


@pytest.mark.slow
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
