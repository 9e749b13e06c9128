"""Layouts of datasets on disk, and every way in which they can be wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

from PIL import Image

from vs_sac.core.errors import SacFileError, SacValueError
from vs_sac.core.labels import LabelSet, fine_table
from vs_sac.source.datasets import DatasetKind, DatasetRef, LabelMapping, Sample, find_samples
from vs_sac.training.data import load_image, load_label, load_pair

from .folders import VALUES, make_camvid, save, scene


def _encode(kind: str, classes: np.ndarray) -> np.ndarray:
    return np.array(VALUES[kind], np.uint8)[classes]


def _camvid(root: Path) -> None:
    make_camvid(root, "train", count=2)


def _cityscapes(root: Path, suffix: str = "") -> None:
    for number, city in enumerate(("aachen", "bochum")):
        rgb, classes = scene(number)
        stem = f"{city}_000000_{number:06}"
        save(root / f"leftImg8bit{suffix}" / "train" / city / f"{stem}_leftImg8bit.png", rgb)
        label = root / f"gtFine{suffix}" / "train" / city / f"{stem}_gtFine_labelIds.png"
        save(label, _encode("cityscapes", classes))


def _cityscapes_sequence(root: Path) -> None:
    _cityscapes(root, "_sequence")


def _kitti_step(root: Path) -> None:
    for number in range(2):
        rgb, classes = scene(number)
        save(root / "images" / "train" / "0000" / f"{number:06}.png", rgb)
        panoptic = np.zeros((*classes.shape, 3), np.uint8)
        panoptic[..., 0] = _encode("train-id", classes)
        panoptic[..., 1:] = np.random.default_rng(number).integers(0, 256, (*classes.shape, 2))
        save(root / "panoptic_maps" / "train" / "0000" / f"{number:06}.png", panoptic)


def _train_id_folder(root: Path) -> None:
    for number in range(2):
        rgb, classes = scene(number)
        save(root / "images" / f"{number}.png", rgb)
        save(root / "labels" / f"{number}.png", _encode("train-id", classes))


#: A road, a bridge, a tree and the sky in CamVid's colours; black is void.
_COLOURS = np.zeros((256, 3), np.uint8)
_COLOURS[:4] = (128, 64, 128), (0, 128, 64), (128, 128, 0), (128, 128, 128)


def _camvid_colour(root: Path) -> None:
    for number in range(2):
        rgb, classes = scene(number)
        save(root / "train" / f"{number}.png", rgb)
        save(root / "train_labels" / f"{number}_L.png", _COLOURS[classes])


def _mapped_folder(root: Path) -> None:
    (root / "mapping.json").write_text('{"7": "roi", "1": "construction", "20": "nature", "3": "sky", "0": "void"}')
    values = np.zeros(256, np.uint8)
    values[:4] = 7, 1, 20, 3
    for number in range(2):
        rgb, classes = scene(number)
        save(root / "images" / "train" / f"{number}.jpg.png", rgb)
        save(root / "labels" / "train" / f"{number}.jpg.png", values[classes])


MAKERS: dict[DatasetKind, Callable[[Path], None]] = {
    DatasetKind.CAMVID: _camvid,
    DatasetKind.CAMVID_COLOUR: _camvid_colour,
    DatasetKind.CITYSCAPES: _cityscapes,
    DatasetKind.CITYSCAPES_SEQUENCE: _cityscapes_sequence,
    DatasetKind.KITTI_STEP: _kitti_step,
    DatasetKind.TRAIN_ID_FOLDER: _train_id_folder,
    DatasetKind.MAPPED_FOLDER: _mapped_folder,
}


def test_every_kind_is_tested() -> None:
    assert set(MAKERS) == set(DatasetKind)


@pytest.mark.parametrize("kind", DatasetKind)
def test_layout_is_read_in_order_with_its_classes(kind: DatasetKind, tmp_path: Path) -> None:
    MAKERS[kind](tmp_path)
    samples = find_samples(str(kind), tmp_path, "train")
    assert [s.image for s in samples] == sorted(s.image for s in samples)
    assert len(samples) == 2
    for number, sample in enumerate(samples):
        rgb, classes = scene(number)
        image, label = load_pair(sample)
        assert np.array_equal(np.asarray(image), rgb)
        assert np.array_equal(label, classes)


@pytest.mark.parametrize("kind", DatasetKind)
def test_missing_label_names_image_and_label(kind: DatasetKind, tmp_path: Path) -> None:
    MAKERS[kind](tmp_path)
    gone = find_samples(kind, tmp_path)[1]
    gone.label.unlink()
    with pytest.raises(SacFileError) as caught:
        find_samples(kind, tmp_path)
    assert str(gone.image) in str(caught.value)
    assert str(gone.label) in str(caught.value)


def test_unknown_colour_names_file_and_colour(tmp_path: Path) -> None:
    _camvid_colour(tmp_path)
    sample = find_samples("camvid-colour", tmp_path)[0]
    save(sample.label, np.full((4, 4, 3), (1, 2, 3), np.uint8))
    with pytest.raises(SacFileError, match=r"0_L.png holds the colour \(1, 2, 3\)"):
        load_label(sample)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"x": "sky"}', '{"1": "cloud"}', '{"256": "sky"}'])
def test_broken_mappings_are_named(content: str, tmp_path: Path) -> None:
    _mapped_folder(tmp_path)
    (tmp_path / "mapping.json").write_text(content)
    with pytest.raises(SacFileError, match=r"mapping\.json"):
        find_samples("mapped-folder", tmp_path)


def test_mapping_must_be_there(tmp_path: Path) -> None:
    _mapped_folder(tmp_path)
    (tmp_path / "mapping.json").unlink()
    with pytest.raises(SacFileError, match=r"mapping\.json"):
        find_samples("mapped-folder", tmp_path)


@pytest.mark.parametrize("kind", DatasetKind)
def test_missing_folder_names_it_and_the_layout(kind: DatasetKind, tmp_path: Path) -> None:
    with pytest.raises(SacFileError, match=rf"{tmp_path}.*is missing; expected .*\{{?"):
        find_samples(kind, tmp_path)


def test_empty_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "notes.txt").write_text("no image")
    with pytest.raises(SacFileError, match="no labelled images of split 'val'"):
        find_samples("camvid", tmp_path, "val")


def test_a_split_can_be_narrowed_to_images_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "leftImg8bit" / "train" / "aachen"
    labels = tmp_path / "gtFine" / "train" / "aachen"
    for path in (folder, labels):
        path.mkdir(parents=True)
    for number in (4, 6, 7):
        name = f"aachen_00000{number}_000019"
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / f"{name}_leftImg8bit.png")
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(labels / f"{name}_gtFine_labelIds.png")
    found = find_samples("cityscapes", tmp_path, "train/aachen/aachen_00000[67]_*")
    assert [sample.image.name[7:13] for sample in found] == ["000006", "000007"]
    ref = DatasetRef.parse("cityscapes:/d:train/aachen_00000[67]_*:0.5")
    assert (ref.split, ref.weight) == ("train/aachen_00000[67]_*", 0.5)
    with pytest.raises(SacFileError, match="no labelled images"):
        find_samples("cityscapes", tmp_path, "train/nowhere_*")


def test_a_split_can_be_narrowed_to_a_list(tmp_path: Path) -> None:
    make_camvid(tmp_path, "val", count=3)
    (tmp_path / "some.txt").write_text("002\n000\n")
    found = find_samples("camvid", tmp_path, "val/some.txt")
    assert [sample.image.stem for sample in found] == ["000", "002"]
    (tmp_path / "some.txt").write_text("")
    with pytest.raises(SacFileError, match="no labelled images"):
        find_samples("camvid", tmp_path, "val/some.txt")
    with pytest.raises(SacFileError, match=r"cannot read the list of images .*none\.txt"):
        find_samples("camvid", tmp_path, "val/none.txt")


def test_fine_classes_of_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "mapping.json").write_text('{"0": "sky", "7": "roi", "9": "void"}')
    sample = Sample(tmp_path / "a.png", tmp_path / "b.png", LabelMapping.read(tmp_path / "mapping.json"))
    table, groups = sample.fine_table(), fine_table(LabelSet.CLASS_MAP)
    assert np.array_equal(table[[0, 7]], groups[[3, 0]])
    assert table.any(1).sum() == 2


def test_unknown_kind_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(SacValueError, match=r"'mapillary'.*camvid, .*cityscapes"):
        find_samples("mapillary", tmp_path)


def test_jpeg_images_with_png_labels(tmp_path: Path) -> None:
    make_camvid(tmp_path, count=1)
    png = tmp_path / "train" / "000.png"
    Image.open(png).save(png.with_suffix(".JPG"), "JPEG", quality=95)
    png.unlink()
    (sample,) = find_samples("camvid", tmp_path)
    assert sample.image.suffix == ".JPG"
    assert np.abs(np.asarray(load_image(sample.image)).astype(int) - scene(0)[0]).mean() < 10


def test_void_is_ignored_in_scores_and_roi_in_masks(tmp_path: Path) -> None:
    path = save(tmp_path / "l.png", np.array([[11, 0], [1, 5]], np.uint8))
    sample = Sample(tmp_path / "x.png", path, LabelSet.CAMVID)
    assert load_label(sample).tolist() == [[255, 3], [1, 2]]
    assert load_label(sample, scoring=False).tolist() == [[0, 3], [1, 2]]


def test_palette_labels_are_read_by_index(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1], [5, 3]], np.uint8), "L").convert("P")
    picture.putdata([0, 1, 5, 3])
    picture.putpalette([200, 10, 10] * 256)
    picture.save(tmp_path / "l.png")
    assert load_label(Sample(tmp_path, tmp_path / "l.png", LabelSet.CAMVID)).tolist() == [[3, 1], [2, 0]]


def test_unknown_value_names_file_and_value(tmp_path: Path) -> None:
    path = save(tmp_path / "l.png", np.array([[3, 12]], np.uint8))
    with pytest.raises(SacFileError, match=rf"{path} holds 12, which is no camvid label"):
        load_label(Sample(path, path, LabelSet.CAMVID))


def test_colour_label_is_refused_where_indices_are_meant(tmp_path: Path) -> None:
    path = save(tmp_path / "l.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(SacFileError, match="colour image"):
        load_label(Sample(path, path, LabelSet.CAMVID))
    assert load_label(Sample(path, path, LabelSet.KITTI_STEP)).shape == (4, 4)


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint16), np.zeros((4, 4), np.bool_)])
def test_labels_must_have_eight_bits(pixels: np.ndarray, tmp_path: Path) -> None:
    path = save(tmp_path / "l.png", pixels)
    with pytest.raises(SacFileError, match="8-bit"):
        load_label(Sample(path, path, LabelSet.CAMVID))


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"no picture")
    with pytest.raises(SacFileError, match=rf"cannot read image {path}"):
        load_image(path)
    with pytest.raises(SacFileError, match=rf"cannot read label {path}"):
        load_label(Sample(path, path, LabelSet.CAMVID))


def test_sizes_must_match(tmp_path: Path) -> None:
    image = save(tmp_path / "i.png", np.zeros((4, 6, 3), np.uint8))
    label = save(tmp_path / "l.png", np.zeros((4, 5), np.uint8))
    with pytest.raises(SacFileError, match=rf"{label} is 5x4, its image 6x4"):
        load_pair(Sample(image, label, LabelSet.CAMVID))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("camvid:/d", DatasetRef(DatasetKind.CAMVID, Path("/d"))),
        ("camvid:/d:val", DatasetRef(DatasetKind.CAMVID, Path("/d"), "val")),
        ("kitti-step:a/b:train:0.25", DatasetRef(DatasetKind.KITTI_STEP, Path("a/b"), "train", 0.25)),
        ("train-id-folder:x::3", DatasetRef(DatasetKind.TRAIN_ID_FOLDER, Path("x"), "train", 3.0)),
    ],
)
def test_ref_parses_and_round_trips(text: str, expected: DatasetRef) -> None:
    assert DatasetRef.parse(text) == expected
    assert DatasetRef.parse(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "camvid", "camvid:", "nothing:/d", "camvid:/d:train:many", "camvid:/d:train:0", "camvid:/d:train:-1",
     "camvid:/d:train:inf", "camvid:/d:train:nan", "camvid:/d:train:1:2"],
)  # fmt: skip
def test_malformed_ref_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(SacValueError, match=r"is not KIND:ROOT\[:SPLIT\[:WEIGHT\]\].*kitti-step"):
        DatasetRef.parse(text)


@pytest.mark.data
@pytest.mark.parametrize(
    ("kind", "folder", "split", "count", "size"),
    [
        ("camvid", "camvid", "train", 367, (480, 360)),
        ("camvid", "camvid", "val", 101, (480, 360)),
        ("camvid", "camvid", "test", 233, (480, 360)),
        ("cityscapes", "cityscapes_mini", "train", 5, (2048, 1024)),
        ("cityscapes-sequence", "cityscapes_mini", "train", 90, (2048, 1024)),
        ("kitti-step", "kitti_step_mini", "train", 5, None),
        ("train-id-folder", "highway_pseudo", "train", 73, None),
    ],
)
def test_real_sets(data: Path, kind: str, folder: str, split: str, count: int, size: tuple[int, int] | None) -> None:
    root = data / folder
    if kind == "kitti-step":
        split = next(p.name for p in sorted((root / "images").iterdir()) if p.is_dir())
    samples = find_samples(kind, root, split)
    assert len(samples) == count
    for sample in samples[:: max(1, count // 3)]:
        image, label = load_pair(sample)
        if size is not None:
            assert image.size == size
        shares = np.bincount(label.ravel(), minlength=256) / label.size
        assert set(np.flatnonzero(shares)) <= {0, 1, 2, 3, 255}
        # A street is in every picture, and most of it is labelled.
        assert shares[0] > 0.1
        assert shares[255] < 0.5


@pytest.mark.data
@pytest.mark.slow
def test_every_real_label_map_is_known(data: Path) -> None:
    for kind, folder in (("camvid", "camvid"), ("train-id-folder", "highway_pseudo")):
        for sample in find_samples(kind, data / folder):
            assert load_label(sample).max() <= 255
