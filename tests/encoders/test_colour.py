"""Every colour number of ITU-T H.273, and HDR metadata, arrive in the bitstream of every encoder."""

import shutil
import stat
from itertools import zip_longest

import av
import pytest
import vapoursynth as vs

from vs_sac.core.choices import Codec
from vs_sac.core.errors import SacWarning
from vs_sac.core.hdr import HdrMetadata
from vs_sac.encoders import EncoderSettings, FfmpegEncoder, NativeX264, NativeX265, PictureFormat, RoiEncoder
from vs_sac.encoders.base import hdr_options
from vs_sac.encoders.registry import _ffmpeg_encoders, _ffmpegs, find_mkvmerge
from vs_sac.masks.grid import blank_grid
from vs_sac.pipeline.feeding import Stream, run_encoders
from vs_sac.source import open_raw

MATRICES = [1, *range(4, 18)]
PRIMARIES = [1, *range(4, 13), 22]
TRANSFERS = [1, *range(4, 19)]

#: Every number once, in combinations that mean nothing.
LABELS = [
    (m, p, t) for m, p, t in zip_longest(MATRICES, PRIMARIES, TRANSFERS, fillvalue=9)
]  # fmt: skip

HDR = HdrMetadata(
    chromaticities=(34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450), luminances=(10000000, 50), light=(1000, 400)
)


def encoders():
    """Every encoder that is installed, by name."""
    found = {}
    for codec in Codec:
        found[f"worker-{codec}"] = RoiEncoder.without_offsets(codec)
        for number, program in enumerate(_ffmpegs()):
            if f"lib{codec}" in _ffmpeg_encoders(program):
                found[f"ffmpeg{number}-{codec}"] = FfmpegEncoder(program, codec)
        native = {Codec.X264: NativeX264, Codec.X265: NativeX265}[codec]
        if (program := shutil.which(codec)) and (codec is Codec.X264 or find_mkvmerge()):
            found[f"native-{codec}"] = native(program)
    return found


ENCODERS = encoders()


def codec_of(name):
    return Codec(name.rsplit("-", 1)[1])


def black(matrix, primaries, transfer, **props):
    clip = vs.core.std.BlankClip(None, 64, 64, vs.YUV420P10, 2, fpsnum=25, fpsden=1, keep=True)
    return clip.std.SetFrameProps(
        _Matrix=matrix, _Primaries=primaries, _Transfer=transfer, _Range=0, _ChromaLocation=2, **props
    )


def props_of(hdr):
    """The frame properties of metadata."""
    props = {}
    if hdr.chromaticities:
        *primaries, white_x, white_y = hdr.in_chromaticity
        props |= {"MasteringDisplayPrimariesX": primaries[::2], "MasteringDisplayPrimariesY": primaries[1::2],
                  "MasteringDisplayWhitePointX": white_x, "MasteringDisplayWhitePointY": white_y}  # fmt: skip
    if hdr.luminances:
        props |= dict(zip(("MasteringDisplayMaxLuminance", "MasteringDisplayMinLuminance"), hdr.in_nits, strict=True))
    if hdr.light:
        props |= {"ContentLightLevelMax": hdr.light[0], "ContentLightLevelAverage": hdr.light[1]}
    return props


def coded(name, clip, folder):
    settings = EncoderSettings(codec=codec_of(name), preset="ultrafast")
    (path,), _ = run_encoders([Stream("video", clip, ENCODERS[name], settings, 30)], blank_grid(clip), folder)
    return path


@pytest.mark.encoder
@pytest.mark.slow_except(r"\(12, 22, 17\)|\(9, 9, 16\)")
@pytest.mark.parametrize("labels", LABELS, ids=str)
@pytest.mark.parametrize("name", ENCODERS)
def test_every_number_arrives(tmp_path, name, labels):
    path = coded(name, black(*labels), tmp_path)
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
    assert len(frames) == 2
    assert (int(frames[0].colorspace), int(frames[0].color_primaries), int(frames[0].color_trc)) == labels
    assert frames[0].color_range == 1
    if not (path.suffix == ".mkv" and name.startswith("native")):
        # PyAV has no property of a frame for it.
        assert open_raw(path).get_frame(0).props["_ChromaLocation"] == 2


@pytest.mark.slow
@pytest.mark.encoder
@pytest.mark.parametrize(
    "hdr",
    [
        HDR,
        HdrMetadata(chromaticities=HDR.chromaticities, luminances=HDR.luminances),
        HdrMetadata(chromaticities=HDR.chromaticities),
        HdrMetadata(luminances=(40000000, 1)),
        HdrMetadata(light=(65535, 1)),
    ],
    ids=["all", "display", "chromaticities", "luminances", "light"],
)
@pytest.mark.parametrize("name", ENCODERS)
def test_metadata_arrives(tmp_path, name, hdr):
    path = coded(name, black(9, 9, 16, **props_of(hdr)), tmp_path)
    for clip in (open_raw(path), open_raw(path, source="bs")):
        assert HdrMetadata.of(clip.get_frame(0).props) == hdr
        assert HdrMetadata.of(clip.get_frame(1).props) in (hdr, None)


def test_a_picture_without_metadata_has_no_options():
    picture = PictureFormat.of(black(1, 1, 1))
    assert picture.hdr is None
    assert [hdr_options(picture, codec) for codec in Codec] == [[], []]


def test_an_x264_without_the_options_is_not_given_them(tmp_path):
    program = tmp_path / "x264"
    program.write_text("#!/bin/sh\necho '      --colorprim <string>    Specify color primaries'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    picture = PictureFormat.of(black(9, 9, 16, **props_of(HDR)))
    with pytest.warns(SacWarning, match="too old for HDR metadata"):
        command = NativeX264(str(program)).command(picture, EncoderSettings(codec=Codec.X264), 20, tmp_path / "a.mkv")
    assert not {"--mastering-display", "--cll"} & set(command)
