"""--track, --start, --end and --frames. The second opinion on every frame is ffmpeg."""

import hashlib
import subprocess

import av
import numpy as np
import pytest
from PIL import Image

from vs_sac import EncodeOptions, encode, open_clip, plan
from vs_sac.core.errors import SacFileError, SacValueError
from vs_sac.encoders import find_ffmpeg
from vs_sac.pipeline.options import SourceOptions
from vs_sac.pipeline.plan_report import resume_key
from vs_sac.pipeline.planning import open_source

from ..helpers import arrays_of

pytestmark = pytest.mark.encoder

FPS = 25


def ffmpeg(*words):
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", *map(str, words)], check=True)


def hashes_of_ffmpeg(path, *words):
    """MD5 of every frame that ffmpeg decodes."""
    command = [find_ffmpeg(), "-v", "error", "-i", str(path), *words, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    size = 96 * 64 * 3 // 2
    return [hashlib.md5(raw[n : n + size]).hexdigest() for n in range(0, len(raw), size)]


def hashes(clip):
    return [hashlib.md5(b"".join(p.tobytes() for p in planes)).hexdigest() for planes in arrays_of(clip)]


@pytest.fixture(scope="module")
def two_cameras(tmp_path_factory):
    """Two cameras of 2 s with B-frames, cover art in front of them, and a sound that rises."""
    folder = tmp_path_factory.mktemp("cameras")
    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(folder / "cover.png")
    path = folder / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size=96x64:rate={FPS}:duration=2", "-f", "lavfi", "-i",
           f"mandelbrot=size=96x64:rate={FPS}", "-f", "lavfi", "-i", "aevalsrc=sin(2000*t*t):s=48000:d=2", "-i",
           folder / "cover.png", "-map", "3:v", "-map", "0:v", "-map", "1:v", "-map", "2:a", "-t", "2", "-c:v",
           "libx264", "-c:v:0", "copy", "-disposition:v:0", "attached_pic", "-bf", "3", "-g", "12", "-pix_fmt",
           "yuv420p", "-c:a", "aac", path)  # fmt: skip
    return path


@pytest.mark.slow
@pytest.mark.parametrize("track", [0, 1])
def test_a_track_is_the_nth_camera_and_never_the_cover(two_cameras, track):
    wanted = hashes_of_ffmpeg(two_cameras, "-map", _camera(two_cameras, track))
    assert len(wanted) == 2 * FPS
    assert hashes(open_clip(two_cameras, track=track)) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("plugin", [None, "bs"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_cover_art_in_front_of_the_video_is_not_taken(two_cameras, tmp_path, codec, plugin):
    path = tmp_path / "a.mov"
    cover, video = two_cameras.with_name("cover.png"), _camera(two_cameras, 1)
    # In a MOV file, the cover is the first of the tracks.
    ffmpeg("-i", two_cameras, "-i", cover, "-map", "1:v", "-map", video, "-c:v:0", "png", "-disposition:v:0",
           "attached_pic", "-c:v:1", codec, "-t", "0.4", path)  # fmt: skip
    clip = open_clip(path, source=plugin)
    assert (clip.width, clip.height, clip.num_frames) == (96, 64, 10)
    if codec == "libx264":
        assert hashes(clip) == hashes_of_ffmpeg(path, "-map", _camera(path, 0))


@pytest.mark.slow
def test_a_file_with_nothing_but_cover_art_is_refused(two_cameras, tmp_path):
    path = tmp_path / "a.m4a"
    ffmpeg("-i", two_cameras, "-map", "0:a", "-map", _cover(two_cameras), "-c", "copy", "-disposition:v:0",
           "attached_pic", path)  # fmt: skip
    with pytest.raises(SacFileError, match="cover art"):
        open_clip(path)


def _is_cover(path):
    with av.open(str(path)) as file:
        return {s.index: bool(s.disposition & av.stream.Disposition.attached_pic) for s in file.streams.video}


def _camera(path, track):
    return f"0:{[index for index, cover in _is_cover(path).items() if not cover][track]}"


def _cover(path):
    return f"0:{next(index for index, cover in _is_cover(path).items() if cover)}"


@pytest.mark.slow
def test_a_track_that_is_not_there_is_named(two_cameras, tmp_path):
    with pytest.raises(SacValueError, match="has 2 video tracks, counted from 0, and no track 2"):
        encode(two_cameras, tmp_path / "a.mkv", track=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cut", "first", "last"),
    [
        ({"start": 0.6}, 15, 50),
        ({"end": 0.6}, 0, 15),
        ({"start": 0.5, "end": 1.0}, 13, 25),
        ({"frames": 7}, 0, 7),
        ({"start": 1.0, "frames": 7}, 25, 32),
        ({"start": 1.9, "end": 99.0, "frames": 99}, 48, 50),
    ],
)
def test_a_part_has_the_frames_of_ffmpeg(two_cameras, tmp_path, cut, first, last):
    wanted = hashes_of_ffmpeg(two_cameras, "-map", _camera(two_cameras, 0))[first:last]
    for sequential in (True, False):
        assert hashes(open_source(two_cameras, SourceOptions(**cut), sequential)) == wanted
    # Lossless, so that the file can be compared frame by frame.
    out = tmp_path / "a.mkv"
    result = encode(two_cameras, out, mode="single-stream", crf_gap=0, encoder_args="--qp 0", preset="ultrafast", **cut)
    assert result.info.frames == last - first
    assert hashes_of_ffmpeg(out, "-map", "0:0") == wanted
    audio = _audio_span(out)
    # Whole packets of 1024 samples, so up to one packet is missing at either end.
    assert audio[1] - audio[0] == pytest.approx((last - first) / FPS, abs=2 * 1024 / 48000)
    assert abs(audio[0]) <= 1024 / 48000 + 1e-3


def _audio_span(path):
    with av.open(str(path)) as file:
        packets = [p for p in file.demux(file.streams.audio[0]) if p.size]
        return (float(packets[0].pts * packets[0].time_base),
                float((packets[-1].pts + packets[-1].duration) * packets[-1].time_base))  # fmt: skip


@pytest.mark.slow
def test_the_sound_of_a_part_is_that_of_its_time(two_cameras, tmp_path):
    out = tmp_path / "a.mkv"
    encode(two_cameras, out, mode="single-stream", preset="ultrafast", start=1.0, audio="flac")
    whole, part = _samples(two_cameras), _samples(out)
    middle = part[len(part) // 2 - 2000 : len(part) // 2 + 2000]
    place = round((1.0 + (len(part) // 2 - 2000) / 48000) * 48000)
    best = min(range(place - 2000, place + 2000), key=lambda n: float(np.abs(whole[n : n + 4000] - middle).sum()))
    assert abs(best - place) <= 1024


def _samples(path):
    command = [find_ffmpeg(), "-v", "error", "-i", str(path), "-map", "0:a", "-f", "f32le", "-ac", "1", "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [({"start": 0.2, "end": 0.6}, {"start": 0.4, "end": 0.8}), ({}, {"track": 1}), ({"frames": 9}, {"frames": 8}),
     ({}, {"strict": True})],
)  # fmt: skip
def test_chunks_of_another_part_are_not_reused(two_cameras, before, after):
    keys = [
        resume_key(plan(two_cameras, EncodeOptions.from_flat(fill="grey", **how))) for how in (before, after, before)
    ]
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]


@pytest.mark.slow
@pytest.mark.parametrize("cut", [{"start": 2.0}, {"start": -1}, {"start": 1, "end": 1}, {"frames": 0}, {"track": -1}])
def test_an_empty_part_is_refused(two_cameras, tmp_path, cut):
    with pytest.raises(SacValueError):
        encode(two_cameras, tmp_path / "a.mkv", **cut)
