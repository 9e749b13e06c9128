"""The reader and BestSource give the same colour and HDR properties."""

import subprocess

import pytest

from vs_sac import open_clip
from vs_sac.core.hdr import HdrMetadata
from vs_sac.encoders import find_ffmpeg

from ..encoders.test_colour import HDR

pytestmark = pytest.mark.encoder


def ffmpeg(*words):
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", *map(str, words)], check=True)


def hdr10(out, frames=6, size="96x64"):
    """An HDR10 file by ffmpeg's libx265."""
    labels = "setparams=range=tv:colorspace=bt2020nc:color_primaries=bt2020:color_trc=smpte2084"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25", "-frames:v", frames, "-vf",
           f"format=yuv420p10le,{labels}", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
           f"log-level=none:chromaloc=2:repeat-headers=1:master-display={HDR.mastering}:max-cll={HDR.light_level}",
           out)  # fmt: skip
    return out


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "hevc"])
@pytest.mark.parametrize("sequential", [False, True])
def test_both_readers_agree(tmp_path, suffix, sequential):
    source = hdr10(tmp_path / f"a.{suffix}")
    ours, theirs = open_clip(source, sequential=sequential), open_clip(source, source="bs")
    for number in (0, 5):
        got, wanted = ours.get_frame(number).props, theirs.get_frame(number).props
        names = [
            name for name in wanted if name.startswith(("Mastering", "Content", "_Ma", "_Pri", "_Tr", "_Ra", "_Ch"))
        ]
        assert len(names) == 6 + 2 + 5
        assert {name: got[name] for name in names} == {name: wanted[name] for name in names}
    assert HdrMetadata.of(got) == HDR


@pytest.mark.parametrize("fmt", ["yuv420p12le", "gbrp10le"])
def test_conversion_keeps_the_labels(tmp_path, fmt):
    labels = "setparams=range=pc:color_primaries=bt2020:color_trc=smpte2084:colorspace="
    labels += "gbr" if fmt.startswith("gbr") else "bt2020nc"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25", "-frames:v", 2, "-vf", f"format={fmt},{labels}", "-c:v",
           "ffv1", "-strict", -1, tmp_path / "a.mkv")  # fmt: skip
    props = open_clip(tmp_path / "a.mkv").get_frame(0).props
    assert (props["_Matrix"], props["_Primaries"], props["_Transfer"]) == (9, 9, 16)


def test_srgb_is_labelled_as_before(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25", "-frames:v", 2, "-vf",
           "format=rgb24,setparams=color_primaries=bt709:color_trc=iec61966-2-1", tmp_path / "%d.png")  # fmt: skip
    props = open_clip(tmp_path / "%d.png").get_frame(0).props
    assert (props["_Matrix"], props["_Primaries"], props["_Transfer"], props["_Range"]) == (1, 1, 1, 0)
