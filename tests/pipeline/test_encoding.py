import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest

from vs_sac import SacError, container, decode, encode, masks, open_clip, open_sac, pipeline
from vs_sac.core.choices import Mode
from vs_sac.metrics import Region, measure
from vs_sac.pipeline import mask_plan
from vs_sac.source.opening import open_raw
from vs_sac.source.synthetic import street_scene

from ..helpers import FORMATS, arrays_of, count_network_runs, mask_clip, noise_clip, same

pytestmark = pytest.mark.encoder
LOSSLESS = {"x264": "--qp 0", "x265": "--lossless"}


def random_masks(clip, seed=0):
    grid = np.random.default_rng(seed).random((clip.num_frames, -(-clip.height // 16), -(-clip.width // 16))) < 0.5
    return mask_clip(grid)


@pytest.fixture(params=["native", "ffmpeg"])
def tools(request, monkeypatch):
    """The native programs, and a machine that has nothing but pip packages."""
    if request.param == "ffmpeg":
        monkeypatch.setenv("PATH", "")
    return request.param


@pytest.mark.slow_except(r"native-(805830913|805961985|805961728)-x264")
@pytest.mark.parametrize("codec", ["x264", "x265"])
@pytest.mark.parametrize("fmt", FORMATS)
def test_lossless_encoders_give_the_source_back_bit_for_bit(tmp_path, tools, codec, fmt):
    clip = noise_clip(82, 66, 7, fmt, smooth=True)
    clip = clip.std.SetFrameProps(_Range=int(fmt in FORMATS[::2]))  # half of them full range
    encode(clip, tmp_path / "a.mkv", codec=codec, masks=random_masks(clip), encoder_args=LOSSLESS[codec])
    assert same(open_sac(tmp_path / "a.mkv"), clip)


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["x264", "x265"])
@pytest.mark.parametrize(
    ("size", "share"), [((16, 16), 1), ((16, 16), 0), ((34, 18), 0.5), ((48, 80), 1), ((48, 80), 0)]
)
def test_small_sizes_and_masks_of_one_kind(tmp_path, codec, size, share):
    clip = noise_clip(*size, 3, smooth=True)
    grid = np.random.default_rng(0).random((3, *masks.grid_size(*size)[::-1])) < share
    encode(clip, tmp_path / "a.mkv", codec=codec, masks=mask_clip(grid), encoder_args=LOSSLESS[codec])
    assert same(open_sac(tmp_path / "a.mkv"), clip)
    grey = arrays_of(container.open_mask_grid(container.probe(tmp_path / "a.mkv")))
    np.testing.assert_array_equal([g[0] for g in grey], grid * 255)


def test_one_frame(tmp_path):
    clip = noise_clip(64, 48, 1)
    encode(clip, tmp_path / "a.mkv", masks=random_masks(clip), encoder_args="--qp 0")
    assert same(open_sac(tmp_path / "a.mkv"), clip)


def test_the_non_roi_filter_saves_bits_outside_of_the_roi_only(tmp_path):
    clip = noise_clip(96, 64, 6, smooth=True)
    mask = mask_clip(np.arange(24).reshape(1, 4, 6).repeat(6, 0) % 2 == 0)
    for sigma in (0.0, 1.5):
        encode(clip, tmp_path / f"{sigma}.mkv", masks=mask, non_roi_filter=sigma, fill="black")
    plain, soft = (container.probe(tmp_path / f"{sigma}.mkv").track_bytes() for sigma in (0.0, 1.5))
    assert soft["ROI"] == plain["ROI"]
    assert soft["non-ROI"] < 0.9 * plain["non-ROI"]


@pytest.mark.slow_except(r"^x264-(-coarse|--qp)")
@pytest.mark.parametrize(
    ("codec", "args", "fill"),
    [
        ("x264", "", "coarse"),
        ("x264", "--qp 20", "grey"),
        ("x264", "--aq-mode 0 --no-mbtree", "grey"),
        ("x265", "", "grey"),
    ],
)
def test_the_fill_is_coarse_where_the_encoder_can_make_it(tmp_path, codec, args, fill):
    clip = noise_clip(64, 48, 2, smooth=True)
    encode(clip, tmp_path / "a.mkv", codec=codec, masks=random_masks(clip), encoder_args=args)
    assert container.probe(tmp_path / "a.mkv").tags()["SAC_FILL"] == fill


@pytest.mark.slow
def test_coarse_streams_show_all_of_the_picture_and_their_own_part_well(tmp_path):
    clip, _ = street_scene(192, 112, 10)
    grid = np.zeros((10, 7, 12), np.bool_)
    grid[:, :, :6] = True
    left = mask_clip(grid)
    hidden = {}
    for fill in ("coarse", "black"):
        out = tmp_path / f"{fill}.mkv"
        encode(clip, out, masks=left, crf_roi=22, crf_non_roi=22, fill=fill)
        whole = measure(clip, open_sac(out), left, ssim=False).luma
        assert min(whole.psnr(Region.ROI), whole.psnr(Region.NON_ROI)) > 35
        info = container.probe(out)
        for track, own, other in (("ROI", Region.ROI, Region.NON_ROI), ("non-ROI", Region.NON_ROI, Region.ROI)):
            part = measure(clip, open_raw(out, fps=clip.fps, track=info.tracks[track]), left, ssim=False).luma
            assert part.psnr(own) == pytest.approx(whole.psnr(own), abs=0.01)
            assert part.psnr(other) < part.psnr(own) - 8
            hidden[fill, track] = part.psnr(other)
    # Without the other stream a coarse picture is left, not a hole.
    for track in ("ROI", "non-ROI"):
        assert hidden["coarse", track] > hidden["black", track] + 3


@pytest.mark.slow
def test_fps_length_and_colour_survive(tmp_path, tools):
    clip = noise_clip(64, 64, 12, smooth=True).std.AssumeFPS(fpsnum=30000, fpsden=1001)
    clip = clip.std.SetFrameProps(_Matrix=5, _Primaries=5, _Transfer=6, _Range=1, _ChromaLocation=1)
    for codec in ("x264", "x265"):
        encode(clip, tmp_path / f"{codec}.mkv", codec=codec, masks=random_masks(clip))
        decode(tmp_path / f"{codec}.mkv", tmp_path / f"{codec}-back.mkv")
        for got in (open_sac(tmp_path / f"{codec}.mkv"), open_clip(tmp_path / f"{codec}-back.mkv")):
            assert (got.num_frames, got.format.id) == (12, clip.format.id)
            assert got.fps == pytest.approx(clip.fps, abs=0.001)
            with got.get_frame(0) as frame:
                found = [int(frame.props[n]) for n in ("_Matrix", "_Primaries", "_Transfer", "_Range")]
            assert found == [5, 5, 6, 1]


@pytest.mark.slow_except(r"native")
def test_the_container_is_as_documented(tmp_path, tools):
    clip = noise_clip(82, 66, 5, smooth=True)
    out = tmp_path / "a.mkv"
    encode(clip, out, codec="x265", crf_roi=20, crf_non_roi=30.5, fill="grey", masks=random_masks(clip))
    info = container.probe(out)
    assert list(info.tracks) == ["ROI", "non-ROI", "mask"]
    expected = {
        "SAC_VERSION": "1", "SAC_MODE": "two-stream", "SAC_BLOCK": "16", "SAC_WIDTH": "82", "SAC_HEIGHT": "66",
        "SAC_CODEC": "x265", "SAC_CRF_ROI": "20", "SAC_CRF_NON_ROI": "30.5", "SAC_FILL": "grey", "SAC_MODEL": "clip",
        "SAC_FPS": "25/1", "SAC_FRAMES": "5",
    }  # fmt: skip
    assert info.tags() == expected
    if tools == "native":
        # The same by the tools a user has.
        shown = json.loads(subprocess.check_output(["mkvmerge", "-J", out]))
        assert [t["properties"]["track_name"] for t in shown["tracks"]] == ["ROI", "non-ROI", "mask"]
        probed = json.loads(subprocess.check_output(["ffprobe", "-v", "error", "-show_format", "-of", "json", out]))
        assert expected.items() <= probed["format"]["tags"].items()


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["x264", "x265"])
@pytest.mark.parametrize("mode", Mode)
def test_encoding_twice_gives_the_same_file(tmp_path, codec, mode):
    clip = street_scene(192, 112, 12)[0]
    for name in ("a", "b"):
        encode(clip, tmp_path / f"{name}.mkv", codec=codec, mode=mode)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        {"codec": "x264", "encoder_args": "--threads 1"},
        {"codec": "x264", "encoder_args": "--threads 4"},
        {"codec": "x264", "encoder_args": "--threads 4", "fill": "black"},
        {"codec": "x264", "encoder_args": "--threads 4", "mode": "single-stream"},
        {"codec": "x265", "encoder_args": "--pools 4 --frame-threads 2"},
        {"codec": "x265", "encoder_args": "--pools 4 --frame-threads 2", "mode": "single-stream"},
    ],
    ids=str,
)
def test_threads_that_are_chosen_give_the_same_file_on_any_number_of_processors(tmp_path, how):
    clip = street_scene(192, 112, 30)[0]
    mask, usual = random_masks(clip), os.sched_getaffinity(0)
    encode(clip, tmp_path / "all.mkv", masks=mask, **how)
    try:
        # The encoders are programs, which inherit it.
        os.sched_setaffinity(0, {min(usual)})
        encode(clip, tmp_path / "one.mkv", masks=mask, **how)
    finally:
        os.sched_setaffinity(0, usual)
    assert (tmp_path / "all.mkv").read_bytes() == (tmp_path / "one.mkv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(("every", "frames"), [({}, range(0, 40, 8)), ({"every": 1}, range(40))])
def test_the_network_runs_once_for_the_frames_it_is_to_see(tmp_path, monkeypatch, every, frames):
    clip = street_scene(192, 112, 40)[0]
    asked = count_network_runs(monkeypatch)
    encode(clip, tmp_path / "a.mkv", preset="ultrafast", **every)
    assert sorted(asked) == list(frames)


def test_given_masks_are_not_carried(tmp_path):
    clip = street_scene(64, 64, 4)[0]
    with pytest.raises(SacError, match="every has no meaning where masks are given"):
        encode(clip, tmp_path / "a.mkv", masks=mask_clip(np.ones((4, 64, 64), np.bool_)), every=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_lower_crf_of_one_region_costs_bytes_of_that_track_only(tmp_path):
    clip = street_scene(192, 112, 10)[0]
    sizes = {}
    for crf in (18, 25):
        sizes[crf] = encode(clip, tmp_path / f"{crf}.mkv", crf_roi=crf, crf_non_roi=27).bytes
    assert sizes[18]["ROI"] > 1.3 * sizes[25]["ROI"]
    assert sizes[18]["non-ROI"] == sizes[25]["non-ROI"]
    assert sizes[18]["mask"] == sizes[25]["mask"]


@pytest.mark.slow
def test_options_reach_the_stream_they_are_meant_for(tmp_path, tools):
    clip = street_scene(192, 112, 10)[0]
    plain = encode(clip, tmp_path / "a.mkv").bytes
    worse = encode(clip, tmp_path / "b.mkv", encoder_args_non_roi="--qpmin 45").bytes
    assert worse["ROI"] == plain["ROI"]
    assert worse["non-ROI"] < plain["non-ROI"]


@pytest.mark.slow
def test_masks_can_come_from_files(tmp_path):
    clip = street_scene(192, 112, 6)[0]
    pipeline.write_masks(clip, tmp_path / "m.mkv", overlay_out=tmp_path / "o.mp4")
    encode(clip, tmp_path / "net.mkv", every=1)
    encode(clip, tmp_path / "file.mkv", masks=tmp_path / "m.mkv")
    encode(clip, tmp_path / "sac.mkv", masks=tmp_path / "net.mkv")
    grids = [container.open_mask_grid(container.probe(tmp_path / f"{n}.mkv")) for n in ("net", "file", "sac")]
    assert same(grids[0], grids[1])
    assert same(grids[0], grids[2])
    tones = open_clip(tmp_path / "m.mkv")
    assert set(np.unique(arrays_of(tones)[0][0])) <= {0, 85, 170, 255}
    shown = open_clip(tmp_path / "o.mp4")
    assert (shown.num_frames, shown.width, shown.height) == (6, 192, 112)


def test_masks_that_do_not_fit(tmp_path):
    clip = noise_clip(64, 48, 3)
    for shape in ((3, 48, 62), (2, 48, 64)):
        with pytest.raises(SacError, match="masks"):
            encode(clip, tmp_path / "a.mkv", masks=mask_clip(np.zeros(shape, np.bool_)))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_audio_is_carried_over(tmp_path, tools):
    from vs_sac.encoders import find_ffmpeg

    source = tmp_path / "in.mp4"
    subprocess.run(
        [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x48:d=1", "-f", "lavfi", "-i", "sine=d=1",
         "-pix_fmt", "yuv420p", "-c:v", "mpeg4", "-c:a", "aac", source], check=True,
    )  # fmt: skip
    assert encode(source, tmp_path / "a.mkv").bytes["audio"] > 1000
    assert encode(source, tmp_path / "b.mkv", audio=False).bytes["audio"] == 0
    decode(tmp_path / "a.mkv", tmp_path / "back.mkv")
    with container.opened(tmp_path / "back.mkv") as file:
        assert len(file.streams.audio) == 1
    assert open_clip(tmp_path / "back.mkv").num_frames == 25


FAILURES = {
    "exits": "import sys; sys.stdin.buffer.read(99); print('bad day', file=sys.stderr); sys.exit(9)",
    "killed": "import os, signal, sys; sys.stdin.buffer.read(99); os.kill(os.getpid(), signal.SIGKILL)",
    "writes nothing": "import sys; sys.stdin.buffer.read()",
    "floods": "import sys; sys.stderr.buffer.write(bytes(range(256)) * 9999); sys.exit(1)",
}


@pytest.mark.parametrize("failure", FAILURES)
def test_an_encoder_that_fails_leaves_the_disk_as_it_was(tmp_path, monkeypatch, failure):
    fake = tmp_path / "bin" / "x264"
    fake.parent.mkdir()
    fake.write_text(f"#!{sys.executable}\n{FAILURES[failure]}\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.mkv").write_text("precious")
    clip = noise_clip(64, 48, 60)
    with pytest.raises(SacError) as caught:
        encode(clip, out / "a.mkv", masks=random_masks(clip), fill="grey", force=True)
    assert "\n" not in str(caught.value)
    assert [p.name for p in out.iterdir()] == ["a.mkv"]
    assert (out / "a.mkv").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "said", "kind"),
    [
        ({"codec": "av1"}, "accepted: x264, x265", ValueError),
        ({"preset": "fastest"}, "unknown preset", ValueError),
        ({"crf_roi": 60}, "outside 0-51", ValueError),
        ({"fill": "white"}, "accepted: black, grey, hold, coarse", ValueError),
        ({"fill": "coarse", "codec": "x265"}, "needs x264.*accepted: black, grey, hold", ValueError),
        ({"fill": "coarse", "encoder_args_non_roi": "--aq-mode 0"}, "ignores QP offsets", ValueError),
        ({"encoder_args": "qp 0"}, "must be --name", ValueError),
        ({"model": "none"}, "shipped: ccnet-lite", OSError),
        ({"encoder_args": "--no-such-option 1"}, "x264", RuntimeError),
    ],
)
def test_bad_arguments_leave_nothing_behind(tmp_path, arguments, said, kind):
    with pytest.raises(SacError, match=said) as caught:
        encode(noise_clip(64, 48, 2), tmp_path / "a.mkv", **arguments)
    assert isinstance(caught.value, kind)
    assert not list(tmp_path.iterdir())


def test_outputs_that_cannot_be_written(tmp_path):
    clip = noise_clip(64, 48, 1)
    (tmp_path / "there.mkv").touch()
    for out, said in (("there.mkv", "use --force"), ("no/a.mkv", "does not exist"), ("a.mp4", r"must end in \.mkv")):
        with pytest.raises(SacError, match=said):
            encode(clip, tmp_path / out)
    assert [p.name for p in tmp_path.iterdir()] == ["there.mkv"]


def test_a_picture_smaller_than_a_macroblock_is_refused(tmp_path):
    with pytest.raises(SacError, match="accepted: 16x16 and up"):
        encode(noise_clip(14, 16, 1), tmp_path / "a.mkv")


def test_what_is_no_sac_file(tmp_path):
    (tmp_path / "a.mkv").write_bytes(b"nothing")
    clip = noise_clip(64, 48, 1)
    pipeline.write_masks(clip, tmp_path / "m.mkv")
    for name, said in (("a.mkv", "no media file"), ("m.mkv", "no SAC file"), ("none.mkv", "does not exist")):
        with pytest.raises(SacError, match=said):
            decode(tmp_path / name, tmp_path / "out.y4m")
    assert not (tmp_path / "out.y4m").exists()


def test_decoding_to_y4m_gives_the_same_frames(tmp_path):
    clip = noise_clip(64, 48, 4, smooth=True)
    encode(clip, tmp_path / "a.mkv", masks=random_masks(clip), encoder_args="--qp 0")
    assert decode(tmp_path / "a.mkv", tmp_path / "a.y4m") == 4
    assert same(open_clip(tmp_path / "a.y4m"), clip)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("codec", "mode", "fill", "side", "gap", "closed"),
    [
        ("x264", "two-stream", None, 544, None, 1),
        ("x265", "two-stream", None, 544, None, 2),
        ("x265", "two-stream", None, 544, 0, 4),
        ("x264", "two-stream", None, 544, 0, 4),
        ("x264", "two-stream", "black", 544, None, 0),
        ("x264", "single-stream", None, 544, None, 0),
        ("x264", "two-stream", None, 528, 0, 0),
    ],
)
def test_gaps_are_closed_in_the_networks_masks_of_large_pictures_only(
    tmp_path, monkeypatch, codec, mode, fill, side, gap, closed
):
    clip = noise_clip(side, side, 1, smooth=True)
    grid = mask_clip(np.random.default_rng(3).random((1, side // 16, side // 16)) < 0.2)
    monkeypatch.setattr(mask_plan, "propagate_mask", lambda *_, **__: grid)
    how = {"codec": codec, "mode": mode, "fill": fill, "preset": "ultrafast"}
    how |= {} if gap is None else {"crf_roi": 24, "crf_non_roi": 24 + gap}
    encode(clip, tmp_path / "a.mkv", **how)
    assert same(
        container.open_mask_grid(container.probe(tmp_path / "a.mkv")), masks.morphological_closing(grid, closed)
    )
    encode(clip, tmp_path / "b.mkv", masks=grid, **how)
    assert same(container.open_mask_grid(container.probe(tmp_path / "b.mkv")), grid)
    encode(clip, tmp_path / "c.mkv", masks=grid, roi_close=3, **how)
    assert same(container.open_mask_grid(container.probe(tmp_path / "c.mkv")), masks.morphological_closing(grid, 3))
