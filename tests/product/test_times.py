"""Audio and video keep the presentation times that ffmpeg shows, through encode and decode, in any container."""

import subprocess
from itertools import pairwise

import av
import numpy as np
import pytest

from vs_sac import decode, encode
from vs_sac.encoders import find_ffmpeg
from vs_sac.source import open_raw
from vs_sac.source.video import timeline_of

from ..helpers import mask_clip

pytestmark = pytest.mark.encoder

#: One audio frame of AAC at 48 kHz, which cannot be cut, and Matroska's unit on either side.
AUDIO_FRAME, TICK = 1024 / 48000, 0.0011


def ffmpeg(*words):
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", *map(str, words)], check=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a clip of 2 s (a keyframe in 0.4 s, B-frames, AAC) and what becomes of it on the way to a user."""
    folder = tmp_path_factory.mktemp("times")
    av_mp4 = folder / "av.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=2", "-f", "lavfi", "-i",
           "sine=frequency=440:sample_rate=48000:duration=2", "-c:v", "libx264", "-g", "10", "-bf", "2", "-pix_fmt",
           "yuv420p", "-c:a", "aac", av_mp4)  # fmt: skip
    ffmpeg("-ss", "0.55", "-i", av_mp4, "-c", "copy", folder / "cut.mp4")
    ffmpeg("-ss", "0.55", "-i", av_mp4, "-c", "copy", folder / "cut.mkv")
    for suffix in ("mp4", "mkv", "ts"):
        ffmpeg("-i", av_mp4, "-c", "copy", folder / f"plain.{suffix}")
        ffmpeg("-itsoffset", "0.5", "-i", av_mp4, "-i", av_mp4, "-map", "0:v", "-map", "1:a", "-c", "copy",
               folder / f"late-video.{suffix}")  # fmt: skip
        ffmpeg("-itsoffset", "0.5", "-i", av_mp4, "-i", av_mp4, "-map", "1:v", "-map", "0:a", "-c", "copy",
               folder / f"late-audio.{suffix}")  # fmt: skip
    ffmpeg("-i", av_mp4, "-vf", "setpts='if(lt(N,20),N/25,20/25+(N-20)/10)/TB'", "-fps_mode", "vfr", "-c:v", "libx264",
           "-g", "10", "-c:a", "copy", folder / "variable.mp4")  # fmt: skip
    ffmpeg("-ss", "0.55", "-i", folder / "variable.mp4", "-c", "copy", folder / "variable-cut.mp4")
    ffmpeg("-i", av_mp4, "-c:v", "libx265", "-x265-params", "log-level=error:keyint=10:open-gop=1:bframes=3", "-c:a",
           "copy", folder / "open.mp4")  # fmt: skip
    for suffix in ("mkv", "ts"):
        ffmpeg("-ss", "0.55", "-i", folder / "open.mp4", "-c", "copy", folder / f"open-cut.{suffix}")
    for codec, suffix in (("libx264", "h264"), ("libx265", "hevc")):
        ffmpeg("-i", av_mp4, "-an", "-vf", "fps=20", "-c:v", codec, folder / f"raw.{suffix}")
    return folder


NAMES = ["plain.mp4", "plain.mkv", "plain.ts", "cut.mp4", "cut.mkv", "late-video.mp4", "late-video.mkv",
         "late-video.ts", "late-audio.mp4", "late-audio.mkv", "late-audio.ts", "variable.mp4", "variable-cut.mp4",
         "open-cut.mkv", "open-cut.ts"]  # fmt: skip


def shown(path, kind):
    """Presentation time of every frame that a decoder outputs, in seconds."""
    with av.open(str(path)) as file:
        stream = getattr(file.streams, kind)[0]
        return [float(frame.pts * frame.time_base) for frame in file.decode(stream)]


def hashes(path):
    """A digest of every frame that ffmpeg shows: a third opinion."""
    command = [find_ffmpeg(), "-v", "error", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough", "-f",
               "framemd5", "-"]  # fmt: skip
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split(",")[-1].strip() for line in lines if not line.startswith("#")]


def own_hashes(clip, order):
    import hashlib

    found = {}
    for n in order:
        with clip.get_frame(n) as frame:
            planes = b"".join(np.ascontiguousarray(np.asarray(frame[p])).tobytes() for p in range(3))
        found[n] = hashlib.md5(planes).hexdigest()
    return [found[n] for n in range(clip.num_frames)]


@pytest.mark.parametrize("name", [*NAMES, "raw.h264", "raw.hevc"])
def test_both_ways_of_reading_show_what_ffmpeg_shows(made, name):
    expected = hashes(made / name)
    order = np.random.default_rng(0).permutation(len(expected))
    assert own_hashes(open_raw(made / name, sequential=True), range(len(expected))) == expected
    jumping = open_raw(made / name)
    assert jumping.num_frames == len(expected)
    assert own_hashes(jumping, [int(n) for n in order]) == expected
    assert timeline_of(jumping) == timeline_of(open_raw(made / name, sequential=True))


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("variable")])
def test_the_rate_is_that_of_the_timestamps(made, name):
    assert open_raw(made / name).fps == 25


@pytest.mark.parametrize("suffix", ["h264", "hevc"])
def test_a_raw_stream_has_the_rate_it_states(made, suffix):
    for sequential in (True, False):
        assert open_raw(made / f"raw.{suffix}", sequential=sequential).fps == 20


@pytest.mark.parametrize("tools", ["native", "pip"])
@pytest.mark.parametrize("name", NAMES)
def test_times_survive_encode_and_decode(made, tmp_path, monkeypatch, name, tools):
    if tools == "pip":
        monkeypatch.setenv("PATH", "")
    video, audio = shown(made / name, "video"), shown(made / name, "audio")
    masks = mask_clip(np.ones((len(video), 4, 6), np.bool_))
    encode(made / name, tmp_path / "a.mkv", masks=masks, preset="ultrafast", mode="single-stream", crf_gap=0)
    decode(tmp_path / "a.mkv", tmp_path / "b.mkv")
    for path in (tmp_path / "a.mkv", tmp_path / "b.mkv"):
        got, heard = shown(path, "video"), shown(path, "audio")
        assert len(got) == len(video)
        assert max(abs((a - video[0]) - (b - got[0])) for a, b in zip(video, got, strict=True)) < TICK
        # Only the first packet of audio may begin before the time at which it is first heard.
        apart = (video[0] - audio[0]) - (got[0] - heard[0])
        assert -AUDIO_FRAME - TICK < apart < TICK
        assert min(got[0], heard[0]) == pytest.approx(0, abs=TICK)
        assert all(b > a for a, b in pairwise(got))


def test_a_beep_still_meets_its_flash(tmp_path):
    """The measurement of the report: white from 1 s on, a tone from 1 s on, cut by -ss and -c copy."""
    source, cut = tmp_path / "av.mp4", tmp_path / "t.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=black:size=96x64:rate=25:duration=1,format=yuv420p", "-f", "lavfi", "-i",
           "color=white:size=96x64:rate=25:duration=1,format=yuv420p", "-f", "lavfi", "-i",
           "aevalsrc='if(gte(t,1),sin(2764*t),0)':s=48000:d=2", "-filter_complex", "[0][1]concat=n=2:v=1[v]", "-map",
           "[v]", "-map", "2", "-c:v", "libx264", "-g", "25", "-c:a", "aac", source)  # fmt: skip
    ffmpeg("-ss", "0.5", "-i", source, "-c", "copy", cut)
    encode(cut, tmp_path / "a.mkv", masks=mask_clip(np.ones((len(shown(cut, "video")), 4, 6), np.bool_)),
           preset="ultrafast", mode="single-stream", crf_gap=0)  # fmt: skip
    decode(tmp_path / "a.mkv", tmp_path / "b.mkv")
    # The cut itself moves the audio by less than one of its frames.
    apart = beep_after_flash(cut)
    assert abs(apart) < AUDIO_FRAME
    assert beep_after_flash(tmp_path / "a.mkv") == pytest.approx(apart, abs=TICK)
    assert beep_after_flash(tmp_path / "b.mkv") == pytest.approx(apart, abs=TICK)


def beep_after_flash(path):
    with av.open(str(path)) as file:
        flash = next(float(f.pts * f.time_base) for f in file.decode(video=0) if np.mean(f.to_ndarray()[:64]) > 128)
    with av.open(str(path)) as file:
        for frame in file.decode(audio=0):
            loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.05)
            if len(loud):
                return float(frame.pts * frame.time_base) + loud[0] / 48000 - flash
    raise AssertionError(f"no beep in {path}")
