from fractions import Fraction

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import RateControl, SacError, encode, encode_uniform
from vs_sac.core.choices import Codec
from vs_sac.core.errors import SacProcessError, SacValueError
from vs_sac.core.processes import StdinProcess, end
from vs_sac.encoders import EncoderSettings, FfmpegEncoder, NativeX264, NativeX265, PictureFormat, parse_args

from ..helpers import mask_clip, noise_clip, write_ffv1

PICTURE = PictureFormat(
    width=64, height=48, fps=Fraction(30000, 1001), bits=10, chroma="422", matrix=9, primaries=9, transfer=14,
    full_range=True, chroma_location=2,
)  # fmt: skip


def test_the_native_commands_say_everything_the_pipe_does_not(tmp_path):
    settings = EncoderSettings(codec=Codec.X264, args=parse_args("--tune grain --no-mbtree"))
    command = NativeX264("x264").command(PICTURE, settings, 18.5, tmp_path / "a.mkv")
    joined = " ".join(command)
    for part in (
        "--crf 18.5", "--output-csp i422", "--output-depth 10", "--range pc", "--colormatrix bt2020nc",
        "--colorprim bt2020", "--transfer bt2020-10", "--chromaloc 2", "--tune grain --no-mbtree",
    ):  # fmt: skip
        assert part in joined
    joined = " ".join(NativeX265("x265").command(PICTURE, settings, 18.5, tmp_path / "a.hevc"))
    assert "--range full" in joined
    assert "--output-depth 10" in joined


def test_options_are_translated_for_the_libraries(tmp_path):
    args = parse_args("--tune grain --no-mbtree --keyint 50 --qp=0 --deblock -1:-1 --lossless")
    settings = EncoderSettings(codec=Codec.X264, args=args)
    command = FfmpegEncoder("ffmpeg", Codec.X264).command(PICTURE, settings, 18, tmp_path / "a.mkv")
    assert command[command.index("-tune") + 1] == "grain"
    assert command[command.index("-x264-params") + 1] == (
        r"chromaloc=2:crf=18:mbtree=0:keyint=50:qp=0:deblock=-1\:-1:lossless=1"
    )


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", ()),
        ("--qp 0", (("qp", "0"),)),
        ("--deblock -1:-1 --no-cabac", (("deblock", "-1:-1"), ("no-cabac", None))),
        ("--zones='0,10,q=20'", (("zones", "0,10,q=20"),)),
        (["--zones", "b c"], (("zones", "b c"),)),
    ],
)
def test_reading_options(text, pairs):
    assert parse_args(text) == pairs


@pytest.mark.parametrize("text", ["qp 0", "--qp 0 1", "-q", "--", "--output x.mkv", "--input=y", "--x 'open"])
def test_options_that_are_not_accepted(text):
    with pytest.raises(SacError, match="encoder option"):
        parse_args(text)


@pytest.mark.parametrize(
    ("codec", "preset", "said"),
    [("x264", "fastest", "unknown preset 'fastest'; accepted: ultra"), ("x263", "medium", "unknown codec 'x263'")],
)
def test_settings_that_are_not_accepted(codec, preset, said):
    with pytest.raises(SacError, match=said):
        EncoderSettings(codec=codec, preset=preset)


@pytest.mark.parametrize("crf", [-1, 52])
def test_crfs_that_no_encoder_takes(tmp_path, crf):
    for name in ("crf_roi", "crf_non_roi"):
        with pytest.raises(SacError, match="0-51"):
            RateControl(**{name: crf})
    with pytest.raises(SacError, match="0-51"):
        encode_uniform(noise_clip(64, 64, 2), tmp_path / "a.mkv", crf=crf)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("codec", "how", "wanted", "unwanted"),
    [
        ("x264", {}, [], ["threads=", "zerolatency"]),
        ("x264", {"threads": 1}, ["threads=1"], []),
        ("x264", {"threads": 8, "mode": "single-stream"}, ["threads=8"], []),
        ("x264", {"threads": 8}, ["threads=5"], []),
        ("x264", {"threads": 8, "jobs": 2}, ["threads=3"], []),
        ("x264", {"threads": 8, "jobs": 2, "mode": "single-stream"}, ["threads=4"], []),
        ("x265", {"threads": 4}, ["pools=3"], ["threads="]),
        ("x264", {"low_latency": True}, ["tune=zerolatency", "sliced-threads=1"], []),
        ("x265", {"low_latency": True, "mode": "single-stream"}, ["tune=zerolatency"], ["sliced"]),
        ("x264", {"threads": 2, "encoder_args": "--threads 7"}, ["threads=2:threads=7"], []),
    ],
    ids=str,
)
def test_threads_and_latency_reach_the_encoders(tmp_path, monkeypatch, codec, how, wanted, unwanted):
    """One by one and in chunks; each of two streams gets its share."""
    commands = []

    def note(self, name, argv, depth=4, process=None):
        commands.append((name, argv, depth))
        if process:
            end(process)
        raise SacProcessError("noted", name)

    monkeypatch.setattr(StdinProcess, "__init__", note)
    threads = vs.core.num_threads
    source = write_ffv1(noise_clip(64, 64, 2), tmp_path / "in.mkv")
    masks = write_ffv1(mask_clip(np.ones((2, 4, 4), np.bool_)), tmp_path / "masks.mkv")
    with pytest.raises(SacProcessError, match="noted"):
        encode(source, tmp_path / "out.mkv", codec=codec, masks=masks, **how)
    assert vs.core.num_threads == threads
    for name, argv, depth in commands:
        assert depth == (1 if "low_latency" in how else 4)
        if name != "mask encoder":
            assert all(word in " ".join(argv) for word in wanted)
            assert not any(word in " ".join(argv) for word in unwanted)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"threads": 0}, "threads 0; accepted: from 1"),
        ({"jobs": 0}, "jobs 0; accepted: from 1"),
        ({"low_latency": True, "encoder_args": "--tune grain"}, "leave out --tune"),
        ({"jobs": 2, "match_crf": 23}, "not of a search"),
    ],
)
def test_bad_threads_and_latency(tmp_path, how, said):
    with pytest.raises(SacValueError, match=said):
        encode(noise_clip(64, 64, 2), tmp_path / "out.mkv", masks=mask_clip(np.ones((2, 4, 4), np.bool_)), **how)
