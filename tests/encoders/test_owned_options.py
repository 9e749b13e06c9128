"""Encoder options that vs_sac sets itself are refused, with what to use instead; all others are passed on."""

import re
import shutil
import subprocess

import pytest

from vs_sac import EncodeOptions, StreamOptions, cli
from vs_sac.core.errors import SacValueError
from vs_sac.encoders.base import parse_args

REFUSED = {
    "--crf 3": "--crf-roi and --crf-non-roi",
    "--crf=3": "--crf-roi and --crf-non-roi",
    "--bitrate 500": "--target-kbps",
    "--preset slow": "--preset",
    "--output-csp i444": "those of the source",
    "--output-depth 10": "those of the source",
    "--video-filter crop:0,0,16,16": "those of the source",
    "--colormatrix bt709": "colours are tagged as those of the source",
    "--range pc": "colours are tagged as those of the source",
    "--fps 50": "times are those of the source",
    "--timebase 1/1000": "times are those of the source",
    "--frames 10": "--start, --end and --frames",
    "--seek 10": "--start, --end and --frames",
    "--output x.mkv": "vs_sac chooses what an encoder reads and writes",
    "--pass 2": "one pass",
    # By which names the encoders take them as well.
    "--demux y4m": "vs_sac chooses",
    "--prese slow": "--preset",
    "--output_depth 10": "those of the source",
    "--no-annexb": "vs_sac chooses",
    "--tune grain --crf 3": "--crf-roi and --crf-non-roi",
}


@pytest.mark.parametrize("words", REFUSED)
@pytest.mark.parametrize("name", ["encoder_args", "encoder_args_roi", "encoder_args_non_roi"])
def test_an_option_of_ours_is_refused(words, name):
    with pytest.raises(SacValueError, match=rf"encoder option --\S+ is not passed on: .*{re.escape(REFUSED[words])}"):
        StreamOptions(**{name: words})
    with pytest.raises(SacValueError, match="is not passed on"):
        StreamOptions(**{name: words.split()})


def test_the_command_line_says_so_before_anything_is_opened(tmp_path, capsys):
    assert (
        cli.run(["encode", str(tmp_path / "none.mp4"), "-o", str(tmp_path / "a.mkv"), "--encoder-args", "--crf 3"]) == 2
    )
    assert "use --crf-roi and --crf-non-roi" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "pairs"),
    [
        ("--qp 0", [("qp", "0")]),
        ("--lossless", [("lossless", None)]),
        ("--threads 4", [("threads", "4")]),
        ("--pools 4 --frame-threads 2", [("pools", "4"), ("frame-threads", "2")]),
        ("--tune grain --keyint 50", [("tune", "grain"), ("keyint", "50")]),
        ("--crf-max 40 --qpmin 5", [("crf-max", "40"), ("qpmin", "5")]),
        ("--deblock -1:-1 --chroma-qp-offset -2 --no-mbtree", [("deblock", "-1:-1"), ("chroma-qp-offset", "-2"),
                                                              ("no-mbtree", None)]),
        ("--vbv-maxrate 500 --vbv-bufsize 500", [("vbv-maxrate", "500"), ("vbv-bufsize", "500")]),
    ],
)  # fmt: skip
def test_other_options_are_passed_on(words, pairs):
    assert list(parse_args(words)) == pairs


@pytest.mark.parametrize("words", ["--no-mbtree -q3", "--no-psy -o", "--aud -p2"])
def test_short_options_are_not_taken_for_values(words):
    with pytest.raises(SacValueError, match="must be --name or --name value"):
        parse_args(words)


@pytest.mark.parametrize("name", ["encoder_args", "encoder_args_roi", "encoder_args_non_roi"])
@pytest.mark.parametrize("words", ["--tune grain", "--bframes 3", "--rc-lookahead 20", "--no-sliced-threads"])
def test_nothing_delays_frames_at_low_latency(name, words):
    with pytest.raises(SacValueError, match=r"low.latency"):
        EncodeOptions.from_flat(low_latency=True, **{name: words})


@pytest.mark.encoder
@pytest.mark.parametrize("program", ["x264", "x265"])
def test_only_options_that_are_meant_are_refused(program):
    """A name that is the beginning of one of ours must not be another option of the encoder."""
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([program, "--fullhelp"], capture_output=True, text=True, check=False)
    names = set(re.findall(r"--(?:\[no-\])?([a-z0-9][a-z0-9-]*)", done.stdout + done.stderr))
    refused = set()
    for name in names:
        try:
            parse_args([f"--{name}"])
        except SacValueError:
            refused.add(name)
    ours = {"abr-ladder", "annexb", "bitrate", "chromaloc", "chunk-end", "chunk-start", "colormatrix", "colorprim",
            "crf", "demuxer", "dts-compress", "dump-yuv", "force-cfr", "fps", "frames", "index", "input", "input-csp",
            "input-depth", "input-fmt", "input-range", "input-res", "muxer", "no-annexb", "output", "output-csp",
            "output-depth", "pass", "preset", "pulldown", "range", "recon", "seek", "stats", "tcfile-in", "timebase",
            "total-frames", "transfer", "vf", "video-filter", "video-signal-type-preset", "y4m"}  # fmt: skip
    assert refused <= ours
