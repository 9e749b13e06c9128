"""Folders of images: their order, hidden files, orientation, and what cannot be one video."""

import subprocess

import numpy as np
import pytest
import vapoursynth as vs
from PIL import Image, ImageOps

from vs_sac import open_clip
from vs_sac.core.clips import frames
from vs_sac.core.errors import SacFileError, SacFormatError
from vs_sac.encoders import find_ffmpeg
from vs_sac.source.datasets import find_samples
from vs_sac.source.images import image_files

ORIENTATION = 0x112


def picture(n=0, size=(64, 48)):
    """Four quarters of different colours, of which one tells the number."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[height // 2 :, width // 2 :] = (0, 255, 0)
    pixels[: height // 2, width // 2 :] = (0, 0, 255)
    pixels[height // 2 :, : width // 2] = 16 * n
    return Image.fromarray(pixels)


def save(image, path, orientation=None):
    exif = Image.Exif()
    if orientation:
        exif[ORIENTATION] = orientation
    how = {"tiffinfo": {ORIENTATION: orientation}} if path.suffix == ".tif" and orientation else {"exif": exif}
    image.save(path, **({"lossless": True} if path.suffix == ".webp" else {}), **how)


def rgb(clip, n):
    with clip[n].resize.Point(format=vs.RGB24).get_frame(0) as frame:
        return np.stack([np.asarray(frame[plane]) for plane in range(3)], -1).astype(int)


def quarters(pixels):
    """The middle of each quarter, away from edges that halved chroma blurs."""
    height, width = pixels.shape[:2]
    return pixels[height // 4 :: height // 2, width // 4 :: width // 2].astype(int)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("sequential", [False, True])
def test_numbers_in_names_count_as_numbers(tmp_path, sequential):
    for n in range(1, 13):
        picture(n).save(tmp_path / f"frame{n}.png")
    clip = open_clip(tmp_path, sequential=sequential)
    assert [round(rgb(clip, n)[40, 8, 0] / 16) for n in range(12)] == list(range(1, 13))


@pytest.mark.parametrize(
    "names",
    [["a2.png", "a10.png", "b1.png"], ["1.png", "02.png", "2.png", "10.png"], ["x1y2.png", "x1y10.png", "x2y1.png"],
     ["1.png", "a.png"], ["20240131_9.png", "20240131_10.png", "20240201_1.png"]],
)  # fmt: skip
def test_natural_order(tmp_path, names):
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in image_files(tmp_path)] == names


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_hidden_files_are_skipped(tmp_path):
    for n in range(3):
        picture(n).save(tmp_path / f"{n}.png")
        # What macOS leaves on foreign file systems, and an editor's backup.
        (tmp_path / f"._{n}.png").write_bytes(b"\0\5\26\7")
        picture(9).save(tmp_path / f".{n}.png")
    assert open_clip(tmp_path).num_frames == 3
    for hidden in image_files(tmp_path):
        hidden.unlink()
    with pytest.raises(SacFileError, match="holds no images"):
        open_clip(tmp_path)


def test_hidden_files_are_no_samples_of_a_data_set(tmp_path):
    for folder in ("val", "valannot"):
        (tmp_path / folder).mkdir()
        picture().save(tmp_path / folder / "a_1.png")
    (tmp_path / "val" / "._a_1.png").touch()
    assert [sample.image.name for sample in find_samples("camvid", tmp_path, "val")] == ["a_1.png"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(tmp_path, suffix, orientation, sequential):
    for n in range(2):
        save(picture(n), tmp_path / f"{n}.{suffix}", orientation)
    clip = open_clip(tmp_path, sequential=sequential)
    for n in range(2):
        expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / f"{n}.{suffix}")).convert("RGB"))
        assert expected.shape == (clip.height, clip.width, 3)
        assert abs(quarters(rgb(clip, n)) - quarters(expected)).max() < 8


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_image_has_its_own_orientation(tmp_path):
    turns = [1, 3, 3, 2, 1]
    for n, turn in enumerate(turns):
        save(picture(n), tmp_path / f"{n}.png", turn)
    clip = open_clip(tmp_path, sequential=True)
    for n in range(5):
        expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / f"{n}.png")))
        assert abs(quarters(rgb(clip, n)) - quarters(expected)).max() < 8


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: picture(size=(32, 48)).save(p), "{} is 32x48 and 0.{} is 64x48; all images .* must have one size"),
        (lambda p: save(picture(size=(48, 64)), p, 6), "{} is stored turned by 90°"),
        (lambda p: p.write_bytes(b""), "cannot read the image {}: "),
        (lambda p: p.write_bytes(b"no image at all"), "cannot read the image {}: "),
    ],
    ids=["size", "turned", "empty", "broken"],
)
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_what_is_wrong_with_an_image_names_it(tmp_path, change, said, suffix, sequential):
    for n in range(4):
        picture(n).save(tmp_path / f"{n}.{suffix}")
    change(tmp_path / f"2.{suffix}")
    with pytest.raises((SacFileError, SacFormatError), match=said.format(tmp_path / f"2.{suffix}", suffix)) as caught:
        open_clip(tmp_path, sequential=sequential)
    assert "vs-sac-images" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_is_refused_by_name(tmp_path, suffix):
    picture().save(tmp_path / f"0.{suffix}")
    picture().convert("CMYK").save(tmp_path / f"1.{suffix}")
    with pytest.raises(SacFormatError, match=rf"1\.{suffix} is CMYK.*accepted: grey, RGB and YCbCr"):
        open_clip(tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("sequential", [False, True])
def test_several_formats_or_types_name_the_file(tmp_path, sequential):
    picture().save(tmp_path / "0.png")
    picture().convert("L").save(tmp_path / "1.png")
    with pytest.raises(SacFormatError, match=r"1\.png has another pixel format than 0\.png"):
        open_clip(tmp_path, sequential=sequential)
    picture().save(tmp_path / "2.jpg")
    with pytest.raises(SacFormatError, match=r"2\.jpg is of another type than 0\.png; keep one type"):
        open_clip(tmp_path, sequential=sequential)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_image_that_fails_late_is_named(tmp_path):
    for n in range(4):
        picture(n).save(tmp_path / f"{n}.png")
    whole = (tmp_path / "2.png").read_bytes()
    # The header is right, and nothing of the picture.
    (tmp_path / "2.png").write_bytes(whole[:33])
    with pytest.raises(SacFileError) as caught:
        list(frames(open_clip(tmp_path, sequential=True)))
    assert "2.png" in str(caught.value)
    assert "vs-sac-images" not in str(caught.value)


@pytest.mark.encoder
def test_the_command_line_names_the_image(tmp_path):
    from vs_sac import cli

    for n in range(3):
        picture(n).save(tmp_path / f"{n}.jpg")
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", "-i", tmp_path / "0.jpg", "-vf", "scale=32:48",
                    tmp_path / "1.jpg"], check=True)  # fmt: skip
    assert cli.run(["encode", str(tmp_path), "-o", str(tmp_path / "a.mkv")]) == 1
