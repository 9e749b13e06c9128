"""--mode single-stream to .mp4: an ordinary MP4, with the mask in a file beside it."""

import json
import subprocess

import av
import numpy as np
import pytest

from vs_sac import EncodeOptions, StreamOptions, encode, plan, run
from vs_sac.container.reader import is_sac
from vs_sac.core.errors import SacFileError, SacValueError, SacWarning
from vs_sac.encoders import find_ffmpeg

from ..cli.runs import street, vs_sac
from ..helpers import mask_clip

pytestmark = pytest.mark.encoder


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return street(tmp_path_factory.mktemp("film") / "a.mp4")


def masks(length=20):
    grid = np.zeros((length, 4, 6), np.bool_)
    grid[:, :2] = True
    return mask_clip(grid)


def frames(path):
    command = [find_ffmpeg(), "-v", "error", "-i", str(path), "-map", "0:v:0", "-f", "framemd5", "-"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split(",")[-1] for line in shown.splitlines() if not line.startswith("#")]


def boxes(path):
    data, place, names = path.read_bytes(), 0, []
    while place < len(data):
        names.append(data[place + 4 : place + 8].decode())
        place += int.from_bytes(data[place : place + 4])
    return names


@pytest.mark.parametrize(("codec", "tag"), [("x264", "avc1"), ("x265", "hvc1")])
def test_the_mp4_has_the_frames_times_and_audio_of_the_sac_file(film, tmp_path, codec, tag):
    how = {"mode": "single-stream", "codec": codec, "masks": masks(), "preset": "fast"}
    made = encode(film, tmp_path / "a.mp4", **how)
    same = encode(film, tmp_path / "a.mkv", **how)
    assert frames(tmp_path / "a.mp4") == frames(tmp_path / "a.mkv")
    assert made.mask_file == tmp_path / "a.mask.mkv"
    assert same.mask_file is None
    assert frames(made.mask_file) == frames_of_mask(tmp_path / "a.mkv")
    places = boxes(tmp_path / "a.mp4")
    assert places.index("moov") < places.index("mdat")  # fast start
    with av.open(str(tmp_path / "a.mp4")) as file, av.open(str(film)) as source:
        video, sound = file.streams.video[0], file.streams.audio[0]
        assert (video.codec_context.codec_tag, sound.codec_context.name) == (tag, "aac")
        assert (video.frames, video.average_rate, float(video.duration * video.time_base)) == (20, 25, 0.8)
        assert (video.start_time or 0) == 0
        start = float(sound.start_time * sound.time_base)
        other = source.streams.audio[0]
        assert start == pytest.approx(float(other.start_time * other.time_base), abs=0.022)
    assert made.bytes["file"] == (tmp_path / "a.mp4").stat().st_size
    assert made.bytes["mask_file"] == made.mask_file.stat().st_size
    assert made.bytes["video"] == same.bytes["video"]
    assert made.to_dict()["mask_file"] == str(made.mask_file)


def frames_of_mask(path):
    command = [find_ffmpeg(), "-v", "error", "-i", str(path), "-map", "0:v:1", "-f", "framemd5", "-"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split(",")[-1] for line in shown.splitlines() if not line.startswith("#")]


@pytest.mark.slow
def test_variable_frame_rate_keeps_its_times(tmp_path):
    film = street(tmp_path / "v.mkv", "-vf", "select='not(eq(mod(n,5),2))'", "-fps_mode", "vfr")
    result = encode(film, tmp_path / "a.mp4", mode="single-stream", masks=masks(16))
    assert times(tmp_path / "a.mp4") == pytest.approx(times(film), abs=0.001)
    # The audio begins first. Without it, the mask begins at 0.
    assert times(result.mask_file) == pytest.approx([time - times(film)[0] for time in times(film)], abs=0.001)


def times(path):
    with av.open(str(path)) as file:
        return sorted(float(p.pts * p.time_base) for p in file.demux(file.streams.video[0]) if p.size)


@pytest.mark.slow
def test_audio_that_mp4_cannot_hold_becomes_flac(tmp_path):
    film = street(tmp_path / "a.avi", "-bf", "0", "-c:a", "adpcm_ms")
    with pytest.warns(SacWarning, match=r"MP4 cannot hold .*adpcm_ms.*FLAC"):
        encode(film, tmp_path / "a.mp4", mode="single-stream", masks=masks())
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert file.streams.audio[0].codec_context.name == "flac"


@pytest.mark.slow
def test_two_streams_to_mp4_are_refused_with_the_reason(film, tmp_path):
    with pytest.raises(SacValueError, match=r"a\.mp4 must end in \.mkv: players show one of the two streams"):
        encode(film, tmp_path / "a.mp4")
    done = vs_sac("encode", film, "-o", tmp_path / "a.mp4")
    assert done.returncode == 2
    assert "single-stream" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_neither_output_is_overwritten_without_force_or_left_half(film, tmp_path, monkeypatch):
    out, beside = tmp_path / "a.mp4", tmp_path / "a.mask.mkv"
    beside.write_text("precious")
    with pytest.raises(SacFileError, match=r"a\.mask\.mkv exists"):
        encode(film, out, mode="single-stream", masks=masks())
    assert (beside.read_text(), out.exists()) == ("precious", False)
    # An encode that fails leaves both as they are.
    with pytest.raises(Exception, match="masks"):
        encode(film, out, mode="single-stream", masks=masks(3), force=True)
    assert (beside.read_text(), out.exists()) == ("precious", False)
    encode(film, out, mode="single-stream", masks=masks(), force=True)
    assert frames(beside)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mask.mkv", "a.mp4"]


@pytest.mark.slow
def test_evaluate_and_info_of_such_an_mp4(film, tmp_path):
    out = tmp_path / "a.mp4"
    done = vs_sac("encode", film, "-o", out, "--mode", "single-stream")
    assert f"{out} and {tmp_path / 'a.mask.mkv'}: 20 frames" in done.stdout
    assert not is_sac(out)
    done = vs_sac("info", out)
    assert done.returncode == 1
    assert "is an ordinary MP4, not a SAC file" in done.stderr
    assert "its mask is in" in done.stderr
    done = vs_sac("evaluate", film, out)
    assert done.returncode == 2
    assert f"--masks {tmp_path / 'a.mask.mkv'}" in done.stderr
    done = vs_sac("evaluate", film, out, "--masks", tmp_path / "a.mask.mkv", "--json", tmp_path / "a.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "a.json").read_text())
    assert (result["frames"], result["bytes"]["total"]) == (20, out.stat().st_size)


@pytest.mark.slow
def test_a_size_is_that_of_both_files(film, tmp_path):
    made = encode(film, tmp_path / "a.mp4", mode="single-stream", masks=masks(), target_kbps=300, audio="none")
    assert made.bytes["file"] + made.bytes["mask_file"] == made.trials[-1].bytes or any(
        made.bytes["file"] + made.bytes["mask_file"] == trial.bytes for trial in made.trials
    )


@pytest.mark.slow
def test_chunks_and_a_plan(film, tmp_path):
    options = EncodeOptions(streams=StreamOptions(mode="single-stream"))
    planned = plan(film, options)
    with pytest.raises(SacValueError, match=r"name .*a\.mp4 to `plan`"):
        run(planned, tmp_path / "a.mp4")
    run(plan(film, options, out=tmp_path / "a.mp4"), tmp_path / "a.mp4")
    encode(film, tmp_path / "b.mp4", mode="single-stream", chunk=0.4)
    assert len(frames(tmp_path / "b.mp4")) == 20
