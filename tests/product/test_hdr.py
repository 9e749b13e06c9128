"""HDR10 through encode and decode: ffprobe shows for the results what it shows for the source."""

import json
import shutil
import subprocess
from fractions import Fraction

import numpy as np
import pytest

from vs_sac import decode, encode, encode_uniform, open_clip, open_sac
from vs_sac.core.hdr import HdrMetadata

from ..encoders.test_colour import HDR, black
from ..helpers import mask_clip
from ..source.test_hdr_properties import hdr10

pytestmark = pytest.mark.encoder

COLOURS = ["color_range", "color_space", "color_transfer", "color_primaries", "chroma_location"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return hdr10(tmp_path_factory.mktemp("hdr") / "hdr10.mkv", frames=8)


def masks(frames, width=96, height=64):
    there = np.zeros((frames, height, width), np.bool_)
    there[:, 16:48, 16:48] = True
    return mask_clip(there)


def shown(path, track=0):
    """What ffprobe shows of a video track: colours, and static metadata of the track and of its first frame."""
    if not shutil.which("ffprobe"):
        pytest.skip("ffprobe is not installed")
    command = ["ffprobe", "-v", "error", "-select_streams", f"v:{track}", "-show_streams", "-show_frames",
               "-read_intervals", "%+#1", "-of", "json", str(path)]  # fmt: skip
    said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    (stream,), frame = said["streams"], said["frames"][0]
    metadata = {}
    for data in [*stream.get("side_data_list", []), *frame.get("side_data_list", [])]:
        if data["side_data_type"].startswith(("Mastering", "Content light")):
            values = {key: Fraction(value) for key, value in data.items() if key != "side_data_type"}
            # The track and the stream inside it must agree.
            assert metadata.setdefault(data["side_data_type"], values) == values
    return {key: frame.get(key) for key in COLOURS}, metadata


@pytest.mark.parametrize("mode", ["single-stream", "two-stream"])
@pytest.mark.parametrize("codec", ["x264", "x265"])
def test_hdr10_survives(tmp_path, source, mode, codec):
    sac, decoded = tmp_path / "a.sac.mkv", tmp_path / "a.mkv"
    encode(source, sac, mode=mode, codec=codec, preset="ultrafast" if mode == "two-stream" else "veryfast",
           masks=masks(8))  # fmt: skip
    colours, metadata = shown(source)
    assert len(metadata) == 2
    assert colours["chroma_location"] == "topleft"
    for track in range(1 if mode == "single-stream" else 2):
        assert shown(sac, track) == (colours, metadata)
    decode(sac, decoded)
    assert shown(decoded) == (colours, metadata)
    assert HdrMetadata.of(open_sac(sac).get_frame(7).props) == HDR
    for file, plugin in ((sac, None), (sac, "bs"), (decoded, None), (decoded, "bs")):
        assert HdrMetadata.of(open_clip(file, source=plugin).get_frame(0).props) == HDR


@pytest.mark.parametrize("codec", ["x264", "x265"])
def test_chunks_have_it_too(tmp_path, source, codec):
    first, sac = tmp_path / "first.sac.mkv", tmp_path / "a.sac.mkv"
    encode(source, first, mode="two-stream", codec=codec, preset="ultrafast", masks=masks(8))
    encode(source, sac, mode="two-stream", codec=codec, preset="ultrafast", masks=first, chunk=0.16)
    assert [shown(sac, track) for track in range(2)] == [shown(source)] * 2


def test_the_half_size_stream_has_it_too(tmp_path, source):
    sac = tmp_path / "a.sac.mkv"
    encode(source, sac, mode="two-stream", codec="x265", preset="ultrafast", masks=masks(8), non_roi_scale=2)
    assert [shown(sac, track) for track in range(2)] == [shown(source)] * 2


def test_a_uniform_encode_has_it(tmp_path, source):
    encode_uniform(source, tmp_path / "u.mkv", codec="x264", crf=30, preset="ultrafast")
    assert shown(tmp_path / "u.mkv") == shown(source)


@pytest.mark.parametrize("codec", ["x264", "x265"])
@pytest.mark.parametrize("labels", [(12, 22, 17), (16, 12, 17), (11, 10, 13)], ids=str)
def test_rare_numbers_survive(tmp_path, codec, labels):
    clip = black(*labels)[:1] * 4
    sac, decoded = tmp_path / "a.sac.mkv", tmp_path / "a.mkv"
    # Without masks, the network looks at the picture, whose colours it cannot convert exactly.
    encode(clip, sac, mode="single-stream", codec=codec, preset="veryfast")
    decode(sac, decoded)
    for file in (sac, decoded):
        props = open_clip(file).get_frame(0).props
        assert (props["_Matrix"], props["_Primaries"], props["_Transfer"]) == labels
