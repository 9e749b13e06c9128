from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vs_sac.core.errors import SacError, SacFileError, SacValueError
from vs_sac.core.labels import LabelSet
from vs_sac.experiments.footage import _runs, find_footage
from vs_sac.source.datasets import DatasetKind, Sample


def save(path: Path, value: int = 0, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((32, 48, 3) if mode == "RGB" else (32, 48), value, np.uint8)).save(path)


@given(st.lists(st.integers(2, 6), min_size=1, max_size=4), st.integers(1, 5))
def test_snippets_of_one_recording_are_told_apart(lengths, step):
    numbers, start = [], 0
    for length in lengths:
        numbers.append([start + k * step for k in range(length)])
        start = numbers[-1][-1] + 100
    samples = [
        Sample(Path(f"town/town_000000_{n:06d}_leftImg8bit.png"), Path("x"), LabelSet.CITYSCAPES)
        for run in numbers for n in run
    ]  # fmt: skip
    found = [[int(s.image.stem.split("_")[2]) for s in run] for _, found_step, run in _runs(samples)]
    assert found == numbers
    names = [name for name, _, _ in _runs(samples)]
    assert len(set(names)) == len(numbers)


@pytest.mark.parametrize("folder", ["gtFine", "gtFine_sequence"])
def test_cityscapes_with_one_labelled_frame_of_each_snippet(tmp_path, folder):
    for n in range(4):
        save(tmp_path / f"leftImg8bit_sequence/train/ulm/ulm_000000_{n:06d}_leftImg8bit.png", 90, "RGB")
    save(tmp_path / folder / "train/ulm/ulm_000000_000002_gtFine_labelIds.png", 7)
    (footage,) = find_footage(f"cityscapes-sequence:{tmp_path}:train")
    assert (footage.name, footage.fps, len(footage.source)) == ("ulm_000000", 17, 4)
    truth = footage.truth()
    assert truth.frames == (2,)
    assert truth.of(footage.open()).num_frames == 1
    with pytest.raises(SacValueError, match="not every frame of ulm_000000 has a label"):
        footage.labelled_masks()


def test_every_nth_frame_of_a_camera_is_a_slower_video(tmp_path):
    for n in range(0, 8, 2):
        save(tmp_path / f"val/0016E5_{n:05d}.png", 90, "RGB")
        save(tmp_path / f"valannot/0016E5_{n:05d}.png", 3)
    (footage,) = find_footage(f"camvid:{tmp_path}:val", frames=3)
    assert (footage.fps, len(footage.source), len(footage.labels)) == (Fraction(15), 3, 3)


def test_kitti_step_labels_are_in_the_red_channel(tmp_path):
    for n in range(2):
        save(tmp_path / f"images/train/0000/{n:06d}.png", 90, "RGB")
        path = tmp_path / f"panoptic_maps/train/0000/{n:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.stack([np.full((32, 48), v, np.uint8) for v in (10, 3, 4)], -1)).save(path)
    (footage,) = find_footage(f"kitti-step:{tmp_path}:train")
    assert (footage.name, footage.fps) == ("0000", 10)
    with footage.truth().values.get_frame(0) as frame:
        assert (np.asarray(frame[0]) == 10).all()


def test_samples_of_drives_are_no_video(tmp_path):
    for n in range(0, 90, 30):
        save(tmp_path / f"train/0001TP_{n:06d}.png", 90, "RGB")
    with pytest.raises(SacFileError, match="none of them a video of consecutive frames"):
        find_footage(f"camvid:{tmp_path}:train")


@pytest.mark.parametrize("kind", [k for k in DatasetKind if k != DatasetKind.MAPPED_FOLDER])
def test_a_wrong_folder_shows_the_expected_layout_and_what_is_there(tmp_path, kind):
    save(tmp_path / "somewhere/else.png")
    (tmp_path / "readme.txt").touch()
    with pytest.raises(SacFileError) as caught:
        find_footage(f"{kind}:{tmp_path}:train")
    assert "expected" in str(caught.value)
    assert "which holds readme.txt, somewhere/" in str(caught.value)
    with pytest.raises(SacFileError, match="which is no folder"):
        find_footage(f"{kind}:{tmp_path / 'nowhere'}:train")


@pytest.mark.parametrize("text", ["missing.mp4", "folder/%05d.png"])
def test_inputs_that_are_not_there(tmp_path, text):
    with pytest.raises(SacError):
        find_footage(str(tmp_path / text))


def test_folders_and_patterns(tmp_path):
    for n in range(3):
        save(tmp_path / f"drive/f{n:03d}.png", 90, "RGB")
    (folder,) = find_footage(str(tmp_path / "drive"), fps="12")
    (pattern,) = find_footage(str(tmp_path / "drive" / "f%03d.png"), frames=2)
    assert (folder.name, folder.fps, len(folder.source)) == ("drive", 12, 3)
    assert (pattern.name, len(pattern.source)) == ("f", 2)
    assert folder.sha256 != pattern.sha256
    with pytest.raises(SacValueError, match="is not a number"):
        find_footage(str(tmp_path / "drive"), fps="fast")


def test_the_digest_is_of_the_content(tmp_path):
    def digest(folder: str, value: int, fps: str = "25") -> str:
        for n in range(2):
            save(tmp_path / folder / f"{n}.png", value + n, "RGB")
        return find_footage(str(tmp_path / folder), fps=fps)[0].sha256

    one = digest("a", 8)
    assert digest("b", 8) == one
    assert len({one, digest("b", 9), digest("a", 8, "12")}) == 3


@pytest.mark.data
def test_real_layouts(data):
    names = [f.name for f in find_footage(f"cityscapes-sequence:{data / 'cityscapes_mini'}:train")]
    assert names == ["aachen_000000", "aachen_000001", "aachen_000004"]
    (camvid,) = find_footage(f"camvid:{data / 'camvid'}:val")
    assert (camvid.name, len(camvid.source), camvid.fps) == ("0016E5", 101, 15)
