"""Sequences of images with gaps or with images that are cut off: what is there is coded, and a warning says so."""

import numpy as np
import pytest
from PIL import Image

from vs_sac import SacError, encode, open_clip
from vs_sac.cli import run
from vs_sac.core.errors import SacDamageWarning
from vs_sac.pipeline import write_masks
from vs_sac.source import open_raw

from ..helpers import mask_clip

pytestmark = pytest.mark.encoder


def save(folder, names):
    folder.mkdir(exist_ok=True)
    for n, name in enumerate(names):
        grey = (np.indices((64, 96)).sum(0) * 3 + 20 * n).astype(np.uint8)
        exif = Image.Exif()
        exif[0x010E] = "drive"
        Image.fromarray(grey).convert("RGB").save(folder / name, **({"exif": exif} if name.endswith("jpg") else {}))
    return folder


def cut(path):
    """Cut a JPEG inside its data; the file still has the end marker of a thumbnail."""
    data = path.read_bytes()
    assert data.endswith(b"\xff\xd9")
    start = data.index(b"Exif\0\0")
    path.write_bytes(data[:start] + data[start : len(data) * 3 // 4].replace(b"drive\0", b"drive\0", 1))


def masks(frames):
    return mask_clip(np.full((frames, 64, 96), 255, np.uint8))


def code(folder, out, frames, **options):
    return encode(folder, out, masks=masks(frames), mode="single-stream", codec="x264", preset="ultrafast", **options)


@pytest.mark.parametrize("pattern", ["", "frame%02d.png"])
def test_gaps_in_the_numbers(tmp_path, pattern):
    folder = save(tmp_path / "images", [f"frame{n:02d}.png" for n in (1, 2, 3, 6, 7, 9, 10)])
    with pytest.warns(SacDamageWarning, match=r"missing between others: 3, first 2 before frame06\.png"):
        made = code(folder / pattern, tmp_path / "a.mkv", 7)
    assert open_raw(tmp_path / "a.mkv").num_frames == 7
    assert "missing between others: 3" in made.damage
    with pytest.raises(SacError, match="missing between others: 3"):
        code(folder / pattern, tmp_path / "b.mkv", 7, strict=True)
    with pytest.raises(SacError, match="missing between others: 3"):
        write_masks(folder / pattern, tmp_path / "b.mkv", strict=True)
    assert not (tmp_path / "b.mkv").exists()


@pytest.mark.parametrize(
    "names",
    [
        [f"a_{n}.png" for n in (5, 6, 7, 8)],
        [f"a_{n}.png" for n in (0, 30, 60, 90, 120)],
        [f"a_{n}.png" for n in (10123, 10162, 10199, 10241)],
        ["aachen_000000_01.png", "aachen_000000_02.png", "aachen_000003_01.png", "aachen_000003_02.png"],
        ["front.png", "rear.png"],
        ["1.png"],
    ],
    ids=["all", "every 30th", "times", "two numbers", "no numbers", "one"],
)
def test_other_names_have_no_gaps(tmp_path, recwarn, names):
    folder = save(tmp_path / "images", names)
    assert code(folder, tmp_path / "a.mkv", len(names), strict=True).damage == ""
    assert not [each for each in recwarn if each.category is SacDamageWarning]


def test_a_jpeg_that_is_cut_off(tmp_path):
    folder = save(tmp_path / "images", [f"{n}.jpg" for n in range(5)])
    cut(folder / "3.jpg")
    with pytest.warns(SacDamageWarning, match=r"cut off: 1 of 5, first 3\.jpg"):
        code(folder, tmp_path / "a.mkv", 5)
    assert open_raw(tmp_path / "a.mkv").num_frames == 5
    with pytest.raises(SacError, match=r"cut off: 1 of 5"):
        code(folder, tmp_path / "b.mkv", 5, strict=True)


def test_a_png_that_cannot_be_decoded_is_replaced_by_the_one_before(tmp_path):
    folder = save(tmp_path / "images", [f"{n}.png" for n in range(5)])
    data = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(data[: len(data) // 2])
    clip = open_clip(folder, strict=False)
    same = np.asarray(clip.get_frame(3)[0])
    whole = np.asarray(clip.get_frame(2)[0])
    assert np.array_equal(same, whole)
    with pytest.warns(SacDamageWarning, match="1 of 5 frames"):
        code(folder, tmp_path / "a.mkv", 5)
    assert open_raw(tmp_path / "a.mkv").num_frames == 5


def test_the_command_line_exits_with_1_and_keeps_the_output(tmp_path, capsys):
    folder = save(tmp_path / "images", [f"{n}.png" for n in (1, 2, 3, 5)])
    arguments = ["encode", str(folder), "-o", str(tmp_path / "a.mkv"), "--mode", "single-stream"]
    assert run(arguments) == 1
    assert "missing between others: 1, first 1 before 5.png" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "a.mkv").exists()
