"""What the encoders are told beyond the user's options."""

import re

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import EncodeOptions, encode, plan
from vs_sac.core.choices import Codec, Fill
from vs_sac.encoders import EncoderSettings, PictureFormat
from vs_sac.masks.grid import blank_grid
from vs_sac.pipeline.coded_streams import coded_streams
from vs_sac.pipeline.encoder_settings import choose_scale
from vs_sac.source.synthetic import street_scene

from ..helpers import mask_clip, noise_clip


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
    non_roi = EncoderSettings(codec=Codec(codec), preset="medium", args=args)
    assert choose_scale(None, None, picture, non_roi, crf) == scale
    assert choose_scale(None, Fill.BLACK, picture, non_roi, crf) == 1
    assert [choose_scale(asked, None, picture, non_roi, crf) for asked in (1, 2)] == [1, 2]


@pytest.mark.slow_except(r"^\{\}")
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
    settings = EncoderSettings(codec=Codec(codec), args=(("bframes", "2"),))
    options = EncodeOptions.from_flat(codec=codec, encoder_args="--bframes 2", masks=blank_grid(clip))
    planned = plan(clip, options)
    assert planned.fill == (Fill.COARSE if codec == "x264" else Fill.GREY)
    assert planned.roi == planned.non_roi == planned.uniform == settings
    own = {("bframes", "2"), ("rc-lookahead", "15")}
    for crfs, wanted in [((20, 29), coarse), ((24, 24), equal), ((24, 20), equal)]:
        _, non_roi = coded_streams(planned, blank_grid(clip), crfs)
        added = [name if value is None else f"{name}={value}" for name, value in non_roi.settings.args
                 if (name, value) not in own]  # fmt: skip
        assert " ".join(added) == wanted
