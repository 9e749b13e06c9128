"""Videos read by PyAV give what the source plugin gives."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import vapoursynth as vs
from PIL import Image

from vs_sac import open_clip
from vs_sac.core.errors import SacDamageWarning, SacFileError
from vs_sac.source import decoder as video_decoder
from vs_sac.source import video
from vs_sac.source.opening import open_raw
from vs_sac.source.video import open_video, samples

from ..helpers import same

FFMPEG = shutil.which("ffmpeg")
PROPS = ("_Matrix", "_Primaries", "_Transfer", "_Range", "_ChromaLocation", "_SARNum", "_SARDen")

pytestmark = pytest.mark.skipif(FFMPEG is None, reason="needs ffmpeg on PATH to make videos")


def make(out: Path, *options: str, frames: int = 12) -> Path:
    source = f"testsrc2=size=66x50:rate=30000/1001:duration=2,trim=end_frame={frames}"
    subprocess.run([str(FFMPEG), "-v", "error", "-y", "-f", "lavfi", "-i", source, *options, str(out)], check=True)
    return out


@pytest.mark.encoder
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("b-frames.mp4", ["-c:v", "libx264", "-bf", "3", "-pix_fmt", "yuv420p"]),
        ("open-gop.mkv", ["-c:v", "libx265", "-x265-params", "log-level=none:keyint=5", "-pix_fmt", "yuv420p10le"]),
        ("lossless.mkv", ["-c:v", "ffv1", "-pix_fmt", "yuv444p12le"]),
        ("grey.mkv", ["-c:v", "ffv1", "-pix_fmt", "gray"]),
        ("full.mkv", ["-c:v", "mjpeg", "-pix_fmt", "yuvj422p"]),
        ("raw.y4m", ["-pix_fmt", "yuv422p"]),
        ("wide.mp4", ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-vf", "setsar=4/3"]),
        ("wide.mkv", ["-c:v", "ffv1", "-pix_fmt", "yuv420p", "-vf", "setsar=4/3"]),
        ("unknown.mkv", ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-vf", "setsar=0"]),
        ("bt2020.mkv", ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-colorspace", "bt2020nc", "-color_trc", "bt2020-10",
                        "-color_primaries", "bt2020", "-chroma_sample_location", "topleft"]),
    ],
)  # fmt: skip
def test_equals_the_plugin(tmp_path: Path, name: str, options: list[str]) -> None:
    path = make(tmp_path / name, *options)
    ours, theirs = open_video(path, 0, sequential=True), open_raw(path, source="bs")
    assert ours is not None
    assert ours.fps == theirs.fps
    assert same(ours, theirs)
    ours, theirs = open_clip(path, sequential=True), open_clip(path, source="bs")
    assert same(ours, theirs)
    with ours.get_frame(0) as a, theirs.get_frame(0) as b:
        assert {key: a.props.get(key) for key in PROPS} == {key: b.props.get(key) for key in PROPS}


@pytest.mark.encoder
def test_frames_before_the_start_of_an_edit_list_are_left_out(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mp4", "-c:v", "libx264", "-bf", "2", "-g", "12", "-pix_fmt", "yuv420p", frames=24)
    cut = tmp_path / "cut.mp4"
    subprocess.run([str(FFMPEG), "-v", "error", "-ss", "0.2", "-i", str(whole), "-c", "copy", str(cut)], check=True)
    ours, theirs = open_video(cut, 0, sequential=True), open_raw(cut, source="bs")
    assert ours is not None
    assert ours.num_frames < 24
    assert same(ours, theirs)


def test_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 255, (20, 34, 3), np.uint8)).save(tmp_path / f"{number:03}.png")
    assert open_video(tmp_path / "%03d.png", 0, sequential=True) is not None
    assert same(open_clip(tmp_path, sequential=True), open_clip(tmp_path, source="bs"))


@pytest.mark.encoder
@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4", "clip.ts"])
def test_any_order_gives_the_same_frames(tmp_path: Path, name: str, sequential: bool) -> None:
    path = make(tmp_path / name, "-c:v", "libx264", "-g", "12", "-pix_fmt", "yuv420p", frames=50)
    ours, theirs = open_video(path, 0, sequential=sequential), open_raw(path, source="bs")
    assert ours is not None
    for number in (49, 0, 30, 29, 31, 2, 49, 48):
        with ours.get_frame(number) as a, theirs.get_frame(number) as b:
            assert all(np.array_equal(np.asarray(a[plane]), np.asarray(b[plane])) for plane in range(3))


@pytest.mark.encoder
def test_decodes_once(tmp_path: Path) -> None:
    path = make(tmp_path / "clip.mkv", "-c:v", "libx264", "-pix_fmt", "yuv420p", frames=60)
    with mock.patch.object(video_decoder, "numbered_frames", wraps=video_decoder.numbered_frames) as decode:
        clip = open_clip(path, sequential=True)
        assert sum(1 for _ in clip.frames(close=True)) == 60
    assert decode.call_count == 1


@pytest.mark.encoder
def test_what_only_a_plugin_reads(tmp_path: Path) -> None:
    wave = make(tmp_path / "vp9.mkv", "-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p")
    (tmp_path / "text.mkv").write_text("no video")
    assert open_video(wave, 0, sequential=True) is None
    assert open_video(wave, 3, sequential=True) is None
    assert open_video(tmp_path / "text.mkv", 0, sequential=True) is None
    assert same(open_clip(wave, sequential=True), open_clip(wave))


@pytest.mark.encoder
@pytest.mark.parametrize("strict", [True, False])
def test_a_frame_that_cannot_be_decoded(tmp_path: Path, strict: bool) -> None:
    path = make(tmp_path / "clip.mkv", "-c:v", "libx264", "-pix_fmt", "yuv420p")
    whole = open_raw(path, source="bs")

    def without_two(*words: Any) -> Iterator[Any]:
        return (found for found in numbered(*words) if found[0] not in (5, 6))

    numbered = video_decoder.numbered_frames
    with mock.patch.object(video_decoder, "numbered_frames", without_two):
        clip = open_video(path, 0, sequential=True, strict=strict)
        assert clip is not None
        if strict:
            with pytest.raises(vs.Error, match="cannot be decoded beyond frame 5"):
                clip.get_frame(9)
            return
        places = [0, 1, 2, 3, 4, 4, 4, 7, 8, 9, 10, 11]
        assert same(clip, vs.core.std.Splice([whole[n] for n in places]))
    assert "2 of 12 frames cannot be decoded" in video.damage_of(clip)
    with pytest.warns(SacDamageWarning, match="2 of 12"):
        video.report_damage(clip)


@pytest.mark.encoder
def test_samples_past_the_graph_are_those_of_the_frames(tmp_path: Path) -> None:
    path = make(tmp_path / "clip.mkv", "-c:v", "libx264", "-pix_fmt", "yuv420p10le")
    clip = open_clip(path, fps="25", sequential=True)
    read = samples(clip, (0, 2))
    assert read is not None
    for frame, planes in zip(clip.frames(close=True), read, strict=True):
        assert all(np.array_equal(np.asarray(frame[n]), plane) for n, plane in zip((0, 2), planes, strict=True))
    assert samples(clip.std.Invert(), (0,)) is None
    assert samples(open_clip(path, source="bs"), (0,)) is None


@pytest.mark.encoder
def test_samples_of_a_file_that_ends_early_are_an_error(tmp_path: Path) -> None:
    path = make(tmp_path / "clip.mkv", "-c:v", "libx264", "-pix_fmt", "yuv420p")
    clip = open_video(path, 0, sequential=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert clip is not None
    read = samples(clip, (0,))
    assert read is not None
    with pytest.raises(SacFileError, match="cannot be decoded beyond frame"):
        list(read)
