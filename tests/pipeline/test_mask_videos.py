"""What is given as masks: masks of every kind are taken, and what is none is said to be none."""

import subprocess
import warnings

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac import cli, encode, pipeline
from vs_sac.core.clips import frames
from vs_sac.core.errors import SacFormatError, SacValueError, SacWarning
from vs_sac.encoders import find_ffmpeg
from vs_sac.source.synthetic import street_scene

from ..helpers import noise_clip

pytestmark = pytest.mark.encoder

#: ffmpeg's options by kind of mask, from what `vs-sac segment` writes.
BINARY = "lut=y='if(gte(val,200),255,0)'"
MASKS = {
    "as segment writes": ["-c:v", "copy"],
    "binary": ["-vf", BINARY, "-c:v", "ffv1"],
    "RGB": ["-vf", f"{BINARY},format=gbrp", "-c:v", "ffv1"],
    "YUV full range": ["-vf", f"format=yuvj420p,{BINARY}", "-c:v", "libx264", "-qp", "0"],
    "no ROI": ["-vf", "lut=y=0", "-c:v", "ffv1"],
    "nothing but ROI": ["-vf", "lut=y=255", "-c:v", "ffv1"],
    "no ROI, other classes": ["-vf", "lut=y='if(gte(val,200),170,85)'", "-c:v", "ffv1"],
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masks")
    clip = street_scene(192, 112, 4)[0]
    pipeline.write_masks(clip, folder / "masks.mkv")
    return folder, clip


def ffmpeg(*words):
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", *map(str, words)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("sequential", [False, True])
def test_masks_are_taken_without_a_word(scene, kind, sequential):
    folder, clip = scene
    out = folder / "kind.mkv"
    ffmpeg("-i", folder / "masks.mkv", *MASKS[kind], out)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SacWarning)
        grid = pipeline.open_masks(out, clip, sequential=sequential)
        shares = [(np.asarray(frame[0]) == 255).mean() for frame in grid.frames(close=True)]
    if kind in ("as segment writes", "binary", "RGB", "YUV full range"):
        expected = pipeline.open_masks(folder / "masks.mkv", clip)
        assert shares == [(np.asarray(frame[0]) == 255).mean() for frame in expected.frames(close=True)]
        assert 0 < shares[0] < 1
    else:
        assert set(shares) == {float(kind == "nothing but ROI")}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-vf", "lut=y=val/255", "-c:v", "ffv1", "-pix_fmt", "gray"], "is 255, the largest is 1"),
        (["-pix_fmt", "yuv420p", "-c:v", "libx264"], "of what is nearly white in its first frame is less than 255"),
        (["-vf", "lut=y='if(gte(val,200),250,0)'", "-c:v", "ffv1"], "100% of what is nearly white"),
    ],
    ids=["0 and 1", "limited range", "not quite white"],
)  # fmt: skip
def test_masks_that_lose_their_roi_are_a_warning(scene, options, said):
    folder, clip = scene
    ffmpeg("-i", folder / "masks.mkv", *options, folder / "lossy.mkv")
    with pytest.warns(SacWarning, match=said):
        pipeline.open_masks(folder / "lossy.mkv", clip)


@pytest.mark.parametrize("sequential", [False, True])
def test_a_grey_video_is_a_warning(scene, sequential):
    folder, clip = scene
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=192x112:d=0.16", "-vf", "hue=s=0", "-c:v", "libx264", "-pix_fmt", "yuv420p",
           folder / "grey.mp4")  # fmt: skip
    with pytest.warns(
        SacWarning, match=r"may not be a mask video: \d+% of its first frame is far from 0, 85, 170, 255"
    ):
        pipeline.open_masks(folder / "grey.mp4", clip, sequential=sequential)


@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("pixels", ["yuv420p", "bgr0"])
def test_a_video_in_colour_is_refused(scene, sequential, pixels):
    folder, clip = scene
    codec = "libx264" if pixels == "yuv420p" else "ffv1"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=192x112:d=0.16", "-c:v", codec, "-pix_fmt", pixels, folder / "colour.mkv")
    with pytest.raises(SacFormatError, match=r"colour.mkv is in colour \(frame 0\).*accepted: grey video"):
        pipeline.open_masks(folder / "colour.mkv", clip, sequential=sequential)


def test_a_video_that_begins_with_black_is_refused_as_well(scene):
    folder, _ = scene
    ffmpeg("-f", "lavfi", "-i", "color=black:s=192x112:d=1", "-f", "lavfi", "-i", "testsrc2=s=192x112:d=0.24",
           "-filter_complex", "concat", "-c:v", "libx264", "-pix_fmt", "yuv420p", folder / "fade.mp4")  # fmt: skip
    with pytest.warns(SacWarning, match="the largest is 16"):
        grid = pipeline.open_masks(folder / "fade.mp4", noise_clip(192, 112, 31), sequential=True)
    with pytest.raises(SacFormatError, match=r"in colour \(frame 25\)"):
        list(frames(grid))


def test_labels_without_masks(scene, tmp_path, capsys):
    folder, clip = scene
    with pytest.raises(SacValueError, match=r"labels is the encoding .* there are no masks; give masks"):
        encode(clip, tmp_path / "a.mkv", labels="cityscapes")
    source = str(folder / "masks.mkv")
    assert cli.run(["encode", source, "-o", str(tmp_path / "a.mkv"), "--labels", "camvid"]) == 2
    assert cli.run(["evaluate", source, source, "--labels", "camvid"]) == 2
    assert "give --masks" in capsys.readouterr().err


@pytest.mark.slow
def test_labels_beside_masks_that_have_none(scene, tmp_path):
    _, clip = scene
    masks = vs.core.std.BlankClip(format=vs.GRAY8, width=12, height=7, length=4)
    with pytest.raises(SacValueError, match="labels has no meaning where masks is a clip"):
        encode(clip, tmp_path / "a.mkv", masks=masks, labels="cityscapes")
    encode(clip, tmp_path / "sac.mkv", masks=masks)
    with pytest.raises(SacValueError, match="labels has no meaning where masks is a SAC file"):
        encode(clip, tmp_path / "a.mkv", masks=tmp_path / "sac.mkv", labels="cityscapes")
