"""The track header of Matroska states the colour and the HDR metadata of a picture."""

import shutil
import subprocess
from dataclasses import replace

import av
import pytest

from vs_sac.container.header import _completed, _element, _elements, _plain_header, described
from vs_sac.container.muxer import Track, constant_times, multiplex
from vs_sac.core.errors import SacWarning
from vs_sac.core.hdr import HdrMetadata
from vs_sac.core.processes import ProcessGroup
from vs_sac.encoders import PictureFormat, ffv1_command, find_ffmpeg
from vs_sac.pipeline.feeding import feed
from vs_sac.source import open_raw

from ..encoders.test_colour import HDR, LABELS, black, props_of


def lossless(clip, out, picture):
    with ProcessGroup() as group:
        feed([clip], [group.start("test", ffv1_command(find_ffmpeg(), out, picture))])
        group.finish()
    return out


def multiplexed(clip, folder, picture=None):
    picture = picture or PictureFormat.of(clip)
    coded = lossless(clip, folder / "coded.mkv", picture)
    multiplex(folder / "out.mkv", [Track("", coded, picture)], constant_times(2, clip.fps), fps=clip.fps)
    return folder / "out.mkv"


@pytest.mark.slow
@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_ffv1_has_every_number(tmp_path, labels):
    props = open_raw(multiplexed(black(*labels), tmp_path)).get_frame(0).props
    assert (props["_Matrix"], props["_Primaries"], props["_Transfer"]) == labels
    assert (props["_Range"], props["_ChromaLocation"]) == (0, 2)


@pytest.mark.parametrize(
    "hdr",
    [
        HDR,
        HdrMetadata(light=(2, 1)),
        HdrMetadata(luminances=(2, 1)),
        HdrMetadata(chromaticities=HDR.chromaticities),
        HdrMetadata(chromaticities=(1,) * 8, luminances=(2**32 - 1, 0), light=(65535, 65535)),
    ],
    ids=["all", "light", "luminances", "chromaticities", "ends"],
)
def test_ffv1_has_the_metadata(tmp_path, hdr):
    out = multiplexed(black(9, 9, 16, **props_of(hdr)), tmp_path)
    for source in (None, "bs"):
        assert HdrMetadata.of(open_raw(out, source=source).get_frame(0).props) == hdr


def test_what_ffmpeg_drops_is_not_dropped_silently(tmp_path):
    with pytest.warns(SacWarning, match="cannot state all HDR metadata"):
        multiplexed(black(9, 9, 16, **props_of(HdrMetadata(light=(1000, 0)))), tmp_path)


@pytest.mark.skipif(not shutil.which("mkvmerge"), reason="mkvmerge, a second reader of Matroska, is not installed")
def test_mkvmerge_reads_the_header(tmp_path):
    out = multiplexed(black(9, 22, 16, **props_of(HDR)), tmp_path)
    said = subprocess.run(["mkvmerge", "-J", str(out)], capture_output=True, text=True, check=True).stdout
    for part in ('"color_primaries": 22', '"chromaticity_coordinates": "0.68,0.32,0.265,0.69,0.15,0.06"',
                 '"max_luminance": 1000.0', '"min_luminance": 0.005'):  # fmt: skip
        assert part in said


def test_a_header_that_says_all_is_kept(tmp_path):
    clip = black(1, 1, 1).std.SetFrameProps(_ChromaLocation=0)
    picture = PictureFormat.of(clip)
    with av.open(str(multiplexed(clip, tmp_path))) as file:
        stream = file.streams.video[0]
        with described(stream, picture) as template:
            assert template is stream
        with described(stream, None) as template:
            assert template is stream
        with described(stream, replace(picture, hdr=HDR)) as template:
            assert template is not stream
            assert template.codec_context.extradata == stream.codec_context.extradata


def test_elements_are_read_as_they_are_written(tmp_path):
    with av.open(str(lossless(black(1, 1, 1), tmp_path / "a.mkv", None))) as file:
        header = _plain_header(file.streams.video[0])
    assert dict(_elements(b"".join(_element(*part) for part in _elements(header)))) == dict(_elements(header))
    first = _completed(header, PictureFormat.of(black(9, 9, 16, **props_of(HDR))))
    assert first is not None
    assert _completed(first, PictureFormat.of(black(9, 9, 16, **props_of(HDR)))) is None
