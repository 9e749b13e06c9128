import subprocess
from fractions import Fraction

import numpy as np
import pytest
import vapoursynth as vs
from PIL import Image

from vs_sac import SacError, open_clip
from vs_sac.encoders import find_ffmpeg
from vs_sac.source.images import image_files

from ..helpers import FORMATS, arrays_of, noise_clip, props, same, write_ffv1


@pytest.mark.parametrize("fmt", FORMATS)
def test_video_is_read_bit_for_bit_in_its_own_format(tmp_path, fmt):
    clip = noise_clip(64, 48, 3, fmt)
    got = open_clip(write_ffv1(clip, tmp_path / "a.mkv"))
    assert same(got, clip)
    assert got.fps == 25


def test_colour_is_carried(tmp_path):
    tags = "setparams=range=pc:colorspace=bt2020nc:color_primaries=bt2020:color_trc=bt2020-10"
    got = open_clip(write_ffv1(noise_clip(64, 48, 1, vs.YUV420P10), tmp_path / "a.mkv", "-vf", tags))
    assert props(got) == {"_Matrix": 9, "_Primaries": 9, "_Transfer": 14, "_Range": 1}


@pytest.mark.parametrize(("height", "matrix"), [(48, 6), (720, 1)])
def test_colour_left_open_is_guessed_by_size(tmp_path, height, matrix):
    got = open_clip(write_ffv1(noise_clip(64, height, 1), tmp_path / "a.mkv"))
    assert props(got) == {"_Matrix": matrix, "_Primaries": matrix, "_Transfer": matrix, "_Range": 0}


def test_deep_video_becomes_10_bits(tmp_path):
    got = open_clip(write_ffv1(noise_clip(64, 48, 1, vs.YUV420P12), tmp_path / "a.mkv"))
    assert got.format.id == vs.YUV420P10


def save_images(folder, count=3, size=(64, 48), mode="RGB", suffix="png"):
    folder.mkdir()
    rng = np.random.default_rng(0)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    for n in range(count):
        Image.fromarray(rng.integers(0, 256, shape, np.uint8), mode).save(folder / f"shot {7 * n + 1:03d}.{suffix}")
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("size", "fmt"),
    [((64, 48), vs.YUV420P8), ((65, 48), vs.YUV444P8), ((64, 49), vs.YUV422P8), ((65, 49), vs.YUV444P8)],
)
def test_rgb_images_become_yuv(tmp_path, size, fmt):
    clip = open_clip(save_images(tmp_path / "in", size=size))
    assert (clip.format.id, clip.width, clip.height, clip.num_frames) == (fmt, *size, 3)
    assert props(clip) == {"_Matrix": 1, "_Primaries": 1, "_Transfer": 1, "_Range": 0}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_rgb_is_converted_by_bt709(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (64, 48), (200, 30, 90)).save(folder / "a.png")
    y, u, v = (int(p[0, 0]) for p in arrays_of(open_clip(folder))[0])
    # ITU-R BT.709-6 items 3.2-3.4.
    r, g, b = (c / 255 for c in (200, 30, 90))
    luma = 0.2126 * r + 0.7152 * g + 0.0722 * b
    expected = (16 + 219 * luma, 128 + 224 * (b - luma) / 1.8556, 128 + 224 * (r - luma) / 1.5748)
    assert (y, u, v) == pytest.approx(expected, abs=1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_grey_images_keep_their_luma_and_get_neutral_chroma(tmp_path):
    folder = save_images(tmp_path / "in", mode="L")
    for file, planes in zip(sorted(folder.iterdir()), arrays_of(open_clip(folder)), strict=True):
        np.testing.assert_array_equal(planes[0], np.asarray(Image.open(file)))
        assert [np.unique(p).tolist() for p in planes[1:]] == [[128], [128]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_printf_patterns_take_numbers_in_order_and_only_those(tmp_path):
    for name in ("f0010.png", "f0002.png", "f3.png", "g0001.png", "f0001.jpg"):
        Image.new("L", (32, 32)).save(tmp_path / name)
    assert [f.name for f in image_files(tmp_path / "f%04d.png")] == ["f0002.png", "f0010.png"]
    assert open_clip(tmp_path / "f%04d.png", fps="30000/1001").fps == Fraction(30000, 1001)


def test_names_that_look_like_options_or_protocols_are_plain_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = write_ffv1(noise_clip(32, 32, 2), tmp_path / "a.mkv")
    for name in ("-i.mkv", "concat:x.mkv", "a b'\"ü.mkv", "100%.mkv"):
        (tmp_path / name).write_bytes(source.read_bytes())
        assert open_clip(name).num_frames == 2


def test_a_format_change_midway_is_refused(tmp_path):
    for n, size in enumerate(((64, 48), (32, 48))):
        write_ffv1(noise_clip(*size, 2), tmp_path / f"{n}.mkv", "-f", "matroska")
    # Two sizes in one stream: MPEG-TS carries what follows as it comes.
    parts = []
    for n in range(2):
        part = tmp_path / f"{n}.ts"
        subprocess.run(
            [find_ffmpeg(), "-v", "error", "-y", "-i", tmp_path / f"{n}.mkv", "-c:v", "mpeg2video", part], check=True
        )
        parts.append(part.read_bytes())
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(parts))
    with pytest.raises(SacError, match="changes midway"):
        open_clip(both)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p / "none.mp4", "does not exist"),
        (lambda p: p, "holds no images"),
        (lambda p: p / "f%03d.png", "no file matches"),
    ],
)
def test_missing_inputs(tmp_path, make, said):
    with pytest.raises(SacError, match=said) as caught:
        open_clip(make(tmp_path))
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("content", [b"", b"no video", bytes(range(256)) * 50])
def test_what_is_no_video_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(SacError, match="cannot open") as caught:
        open_clip(tmp_path / "a.mp4")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fps", ["fast", "0", "-5", "1/0"])
def test_bad_frame_rates(tmp_path, fps):
    with pytest.raises(SacError, match="is not a number above 0"):
        open_clip(tmp_path, fps=fps)


def test_unknown_plugin(tmp_path):
    with pytest.raises(SacError, match="accepted: ffms2, bs, lsmas"):
        open_clip(tmp_path, source="avi")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "frames", "size"),
    [("udacity_solidWhiteRight.mp4", 221, (960, 540)), ("vd_test_small1.mp4", 88, (1280, 720))],
)
def test_real_clips(data, name, frames, size):
    clip = open_clip(data / "clips" / name)
    assert (clip.num_frames, (clip.width, clip.height), clip.format.id, clip.fps) == (frames, size, vs.YUV420P8, 25)


@pytest.mark.data
def test_cityscapes_jpegs_are_read_as_they_were_coded(data):
    folder = data / "cityscapes_mini/leftImg8bit_sequence/train/aachen"
    clip = open_clip(folder, fps=17)
    assert (clip.num_frames, clip.format.id, clip.fps) == (90, vs.YUV420P8, 17)
    assert props(clip)["_Range"] == 1
