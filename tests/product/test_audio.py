"""Audio of a source is carried, transcoded or left out, and it is known which before the first frame."""

import subprocess

import av
import numpy as np
import pytest

from vs_sac import encode
from vs_sac.container.audio import plan_audio
from vs_sac.core.choices import AudioMode
from vs_sac.core.errors import SacValueError, SacWarning
from vs_sac.encoders import find_ffmpeg

from ..helpers import mask_clip

pytestmark = pytest.mark.encoder


def clip_with(path, *audio):
    subprocess.run(
        [find_ffmpeg(), "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=25:duration=1", "-f",
         "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=1", "-f", "lavfi", "-i",
         "sine=frequency=880:sample_rate=44100:duration=1", "-map", "0:v", "-map", "1", "-map", "2", "-c:v", "libx264",
         "-preset", "ultrafast", "-pix_fmt", "yuv420p", *audio, path], check=True,
    )  # fmt: skip
    return path


def coded(source, out, **how):
    masks = mask_clip(np.ones((25, 4, 4), np.bool_))
    return encode(source, out, masks=masks, preset="ultrafast", mode="single-stream", crf_gap=0, **how)


def codecs(path):
    with av.open(str(path)) as file:
        return [stream.codec_context.name for stream in file.streams.audio]


@pytest.mark.parametrize(
    ("suffix", "audio", "carried"),
    [("mp4", "aac", "aac"), ("mkv", "flac", "flac"), ("mkv", "libopus", "opus"), ("avi", "pcm_s16le", "pcm_s16le"),
     ("ts", "mp2", "mp2"), ("mkv", "ac3", "ac3")],
)  # fmt: skip
def test_what_matroska_holds_is_copied(tmp_path, recwarn, suffix, audio, carried):
    source = clip_with(tmp_path / f"a.{suffix}", "-c:a", audio)
    coded(source, tmp_path / "out.mkv")
    assert codecs(tmp_path / "out.mkv") == [carried] * 2
    assert not [w for w in recwarn if issubclass(w.category, SacWarning)]


@pytest.mark.parametrize(("suffix", "audio"), [("mov", "adpcm_ima_wav"), ("avi", "adpcm_ms"), ("avi", "wmav2")])
def test_what_matroska_cannot_hold_becomes_flac_with_a_warning(tmp_path, suffix, audio):
    source = clip_with(tmp_path / f"a.{suffix}", "-c:a", audio)
    with pytest.warns(SacWarning, match=rf"{audio}.*FLAC"):
        plan_audio(source)
    with pytest.warns(SacWarning, match="FLAC"):
        coded(source, tmp_path / "out.mkv")
    assert codecs(tmp_path / "out.mkv") == ["flac"] * 2
    with av.open(str(tmp_path / "out.mkv")) as file:
        heard = sum(frame.samples for frame in file.decode(audio=0))
    assert heard == pytest.approx(44100, abs=4096)


def test_flac_holds_the_decoded_samples(tmp_path):
    source = clip_with(tmp_path / "a.avi", "-c:a", "pcm_s16le")
    coded(source, tmp_path / "out.mkv", audio="flac")
    samples = []
    for path in (source, tmp_path / "out.mkv"):
        with av.open(str(path)) as file:
            samples.append(np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)]))
    assert np.array_equal(*samples)


@pytest.mark.parametrize("audio", ["none", False, AudioMode.NONE])
def test_audio_can_be_left_out(tmp_path, audio):
    source = clip_with(tmp_path / "a.mp4", "-c:a", "aac")
    coded(source, tmp_path / "out.mkv", audio=audio)
    assert codecs(tmp_path / "out.mkv") == []


def test_an_unknown_way_is_refused(tmp_path):
    with pytest.raises(SacValueError, match="copy, flac, none"):
        coded(tmp_path / "a.mp4", tmp_path / "out.mkv", audio="mp3")


def test_languages_titles_and_metadata_survive(tmp_path):
    source = clip_with(tmp_path / "a.mkv", "-c:a", "flac", "-metadata:s:a:0", "language=deu", "-metadata:s:a:0",
                       "title=Fahrerraum", "-metadata", "title=Drive 7", "-metadata", "location=+48.1+011.6/",
                       "-metadata", "creation_time=2024-05-06T07:08:09Z")  # fmt: skip
    coded(source, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as file:
        first, second = file.streams.audio
        assert (first.metadata["language"], first.metadata["title"]) == ("deu", "Fahrerraum")
        assert "title" not in second.metadata
        found = {key.lower(): value for key, value in file.metadata.items()}
    assert found["title"] == "Drive 7"
    assert found["location"] == "+48.1+011.6/"
    assert found["creation_time"].startswith("2024-05-06T07:08:09")


def test_names_are_not_read_by_any_program(tmp_path, monkeypatch):
    """mkvmerge took "=a.mp4" for all of a series, "@x" for a file of options, "+a" for a part, "(" for a list."""
    monkeypatch.chdir(tmp_path)
    other = clip_with(tmp_path / "a.mp4", "-c:a", "aac", "-metadata:s:a:0", "language=fra")
    for name in ("=a.mp4", "@opts.json", "+a.mp4", "(", ")", "-o"):
        (tmp_path / name).write_bytes(other.read_bytes())
        coded(tmp_path / name, tmp_path / "out.mkv", force=True)
        assert codecs(tmp_path / "out.mkv") == ["aac", "aac"]
        assert len(list(tmp_path.glob(".*"))) == 0
