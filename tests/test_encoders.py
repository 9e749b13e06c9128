from fractions import Fraction

import pytest

from vs_sac import SacError
from vs_sac.encoders import (
    EncoderSettings,
    FfmpegEncoder,
    NativeX264,
    NativeX265,
    PictureFormat,
    parse_args,
)
from vs_sac.types import Codec

PICTURE = PictureFormat(
    width=64, height=48, fps=Fraction(30000, 1001), bits=10, chroma="422", matrix=9, primaries=9, transfer=14,
    full_range=True, chroma_location=2,
)  # fmt: skip


def test_the_native_commands_say_everything_the_pipe_does_not(tmp_path):
    settings = EncoderSettings(codec=Codec.X264, crf=18.5, args=parse_args("--tune grain --no-mbtree"))
    command = NativeX264("x264").command(PICTURE, settings, tmp_path / "a.mkv")
    joined = " ".join(command)
    for part in (
        "--crf 18.5", "--output-csp i422", "--output-depth 10", "--range pc", "--colormatrix bt2020nc",
        "--colorprim bt2020", "--transfer bt2020-10", "--chromaloc 2", "--tune grain --no-mbtree",
    ):  # fmt: skip
        assert part in joined
    joined = " ".join(NativeX265("x265").command(PICTURE, settings, tmp_path / "a.hevc"))
    assert "--range full" in joined
    assert "--output-depth 10" in joined


def test_options_are_translated_for_the_libraries(tmp_path):
    args = parse_args("--tune grain --no-mbtree --keyint 50 --qp=0 --deblock -1:-1 --lossless")
    settings = EncoderSettings(codec=Codec.X264, crf=18, args=args)
    command = FfmpegEncoder("ffmpeg", Codec.X264).command(PICTURE, settings, tmp_path / "a.mkv")
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
        (["--a", "b c"], (("a", "b c"),)),
    ],
)
def test_reading_options(text, pairs):
    assert parse_args(text) == pairs


@pytest.mark.parametrize("text", ["qp 0", "--qp 0 1", "-q", "--", "--output x.mkv", "--input=y", "--x 'open"])
def test_options_that_are_not_accepted(text):
    with pytest.raises(SacError, match="encoder option"):
        parse_args(text)


@pytest.mark.parametrize(
    ("crf", "preset", "said"),
    [(-1, "medium", "0-51"), (52, "medium", "0-51"), (18, "fastest", "unknown preset 'fastest'; accepted: ultra")],
)
def test_settings_that_are_not_accepted(crf, preset, said):
    with pytest.raises(SacError, match=said):
        EncoderSettings(codec=Codec.X264, crf=crf, preset=preset)
