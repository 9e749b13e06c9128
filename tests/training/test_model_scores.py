"""Scores of a model, against counting by hand."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (extra 'train') is not installed")
pytest.importorskip("onnx", reason="onnx (extra 'train') is not installed")

from PIL import Image  # noqa: E402

from vs_sac import cli  # noqa: E402
from vs_sac.core.errors import SacValueError  # noqa: E402
from vs_sac.segmentation.registry import Model, find_model  # noqa: E402
from vs_sac.training import model_scores  # noqa: E402
from vs_sac.training.contact_sheet import jpeg_within  # noqa: E402
from vs_sac.training.model_scores import score_model  # noqa: E402

from ..class_networks import NAMES, class_network, painted  # noqa: E402

SKY, BUILDING, ROAD, CAR, PERSON, VOID = 0, 1, 3, 8, 9, 11


@pytest.fixture
def frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Two frames of 32x48 with labels; what the network predicts for them is returned to be filled in.

    Blocks: sky, sky with one pixel of a person, void and building; below road, road, car.
    """
    label = np.empty((32, 48), np.uint8)
    label[:16, :32], label[:16, 32:], label[16:, :32], label[16:, 32:] = SKY, BUILDING, ROAD, CAR
    label[3, 20] = PERSON
    label[5, 40] = VOID
    for name in ("a", "b"):
        for folder, picture in (("val", np.zeros((32, 48, 3), np.uint8)), ("valannot", label)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / folder / f"{name}.png")
    predictions = [np.zeros((3, 32, 48), np.float32) for _ in range(2)]

    # Every look at the set begins with the first frame.
    def opened(path: Path) -> Callable[..., np.ndarray]:
        left = iter(predictions)
        return lambda rgb, size: next(left)

    monkeypatch.setattr(model_scores, "onnx_probabilities", opened)
    return predictions


def model(folder: Path) -> Model:
    return Model(name="m", path=folder / "m.onnx")


def test_by_hand(frames: list[np.ndarray], tmp_path: Path) -> None:
    second = frames[1]
    # Sky is found, the person in it is not; of the building half is taken for ROI.
    for frame in frames:
        frame[2, :16, :32] = 0.9
        frame[0, :16, 32:40] = 0.8
    # In the second frame the block of the person is ROI: a flip.
    second[2, 3, 20] = 0.2
    score = score_model(model(tmp_path), f"camvid:{tmp_path}:val", threshold=0.7)
    score_large = score_model(model(tmp_path), f"camvid:{tmp_path}:val", threshold=0.7, min_pixels=2)
    assert score.images == 2
    # The block of void and building has no labelled ROI and void: it does not count.
    report = score.report
    assert (report.blocks.true_roi, report.blocks.missed_roi) == (3 + 4, 1)
    assert (report.blocks.false_roi, report.blocks.true_rest) == (0, 2)
    assert report.coded_share == (4 + 5) / 12
    assert report.true_share == 10 / 12
    assert report.share_ratio == pytest.approx(0.9)
    assert report.classes["person"] == 0.5
    assert report.classes["car"] == report.classes["road"] == 1
    assert "rider" not in report.classes
    # A single pixel of a person is not counted from two pixels on.
    assert score_large.report.large_classes == {"road": 1, "car": 1}
    assert (report.flicker, report.true_flicker) == (1 / 6, 0)
    assert report.waste == {"sky": 0}
    # Half of the building is one component with the road; the person's pixel shows a labelled object.
    assert score.speck_share == 0
    assert score.own_classes is None
    sky, building, roi = 2 * 511, 2 * 128, 2 * 769
    hit = roi - 1
    assert score.class_map.iou[3] == pytest.approx(sky / (sky + 1))
    assert score.class_map.iou[1] == pytest.approx(building / (2 * 255))
    assert score.class_map.roi_iou == pytest.approx(hit / (roi + 2 * 127))


@pytest.mark.parametrize(("threshold", "recall"), [(0.5, 0.75), (0.95, 1.0)])
def test_threshold_decides(frames: list[np.ndarray], tmp_path: Path, threshold: float, recall: float) -> None:
    for frame in frames:
        frame[2, :16] = 0.9
    score = score_model(model(tmp_path), f"camvid:{tmp_path}:val", threshold=threshold)
    assert score.report.blocks.recall == recall
    # Of blocks, not of IoU: 255 of the building's pixels are called sky, of which one is void.
    sky, taken = 511, 1 + 255
    assert score.class_map.iou[3] == pytest.approx(sky / (sky + taken))


def test_numbers_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(SacValueError, match="threshold 0 "):
        score_model(model(tmp_path), f"camvid:{tmp_path}:val", threshold=0)
    for least in (0, 257):
        with pytest.raises(SacValueError, match=f"min_pixels is {least}; accepted: 1 to 256"):
            score_model(model(tmp_path), f"camvid:{tmp_path}:val", min_pixels=least)


def test_specks_are_the_share_of_the_coded_blocks(frames: list[np.ndarray], tmp_path: Path) -> None:
    for frame in frames:
        frame[2, :16] = 0.9
        # Of the three blocks of the upper row, the first has a speck and the second the person.
        frame[2, 3, 3] = 0
        frame[2, 3, 20] = 0
    score = score_model(model(tmp_path), f"camvid:{tmp_path}:val")
    assert score.speck_share == 1 / 5
    assert score.report.waste == {"sky": 1}


def test_command(frames: list[np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.onnx"
    path.touch()
    (tmp_path / "m.json").write_text('{"threshold": 0.7, "name": "m"}')
    arguments = [str(path), "--dataset", f"camvid:{tmp_path}:val", "--json", str(tmp_path / "s.json"), "--card"]
    arguments += ["--roi-hold", "1"]
    assert cli.run(["test-model", *arguments, "--consecutive"]) == 0
    shown = capsys.readouterr().out
    assert "flicker" in shown
    assert "person 1.000" in shown
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["threshold"] == 0.7
    assert report["sets"][f"camvid:{tmp_path}:val"]["macroblock_recall"] == 1
    card = json.loads((tmp_path / "m.json").read_text())
    assert card == {"threshold": 0.7, "name": "m", "scores": report}


def test_picture(frames: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").touch()
    sky = np.zeros((3, 32, 48), np.float32)
    sky[2, :, :16] = 1
    monkeypatch.setattr(model_scores, "onnx_probabilities", lambda path: lambda rgb, size: sky)
    arguments = [str(tmp_path / "m.onnx"), "--dataset", f"camvid:{tmp_path}:val", "--picture", str(tmp_path / "p.png")]
    assert cli.run(["test-model", *arguments]) == 0
    with Image.open(tmp_path / "p.png") as sheet:
        assert sheet.size == (1200, 200)
        # Third panel, the class map: sky at the left, ROI at the right.
        assert sheet.getpixel((610, 100)) == (110, 160, 220)
        assert sheet.getpixel((890, 100)) == (255, 255, 255)
    assert cli.run(["test-model", *arguments[:-1], str(tmp_path / "p.gif")]) == 2


@pytest.fixture
def street(tmp_path: Path) -> tuple[Path, str]:
    """A network with 19 classes, and a set of one picture in Cityscapes train ids: sky over road, with things."""
    labels = np.zeros((64, 96), np.uint8)
    labels[:32] = NAMES.index("sky")
    labels[8:16, 8:16] = NAMES.index("traffic light")
    labels[32:48, 64:] = NAMES.index("bus")
    labels[40:48, 32:40] = 255
    colours = painted(np.where(labels == 255, 0, labels))
    # What is labelled bus looks like a truck at one end.
    colours[32:48, 80:] = painted(np.array(NAMES.index("truck")))
    for folder, picture in (("images", colours), ("labels", labels)):
        (tmp_path / folder).mkdir()
        Image.fromarray(picture).save(tmp_path / folder / "a.png")
    return class_network(tmp_path / "net.onnx"), f"train-id-folder:{tmp_path}"


def test_a_networks_own_classes_are_scored(street: tuple[Path, str]) -> None:
    path, data = street
    # At the size of the picture, so that its squares are those of the network.
    found = Model(**{**vars(find_model(path)), "working_area": 64 * 96})
    score = score_model(found, data)
    own = score.own_classes
    assert own is not None
    assert own.iou["traffic light"] == pytest.approx(1, abs=0.3)
    assert own.iou["truck"] == 0
    assert own.iou["bus"] == pytest.approx(0.5, abs=0.05)
    assert own.pixels == 64 * 96 - 64
    assert own.thing_mean == pytest.approx(np.mean([own.iou[n] for n in ("traffic light", "truck", "bus")]))
    content = score.to_dict()["own_classes"]
    assert content["iou"]["person"] is None
    assert content["thing_classes"] == pytest.approx(own.thing_mean, rel=1e-4)


def test_the_command_chooses_points_and_writes_them_into_the_card(
    street: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, data = street
    arguments = [str(path), "--dataset", data, "--choose", "--card", "--json", str(tmp_path / "s.json")]
    assert cli.run(["test-model", *arguments, "--min-pixels", "8", "--max-share", "9"]) == 0
    shown = capsys.readouterr().out
    assert "low" in shown
    assert "macroblocks with at least 8 pixels (ROI" in shown
    assert "IoU at the model's own classes (mean" in shown
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["caution"]["low"] <= card["threshold"] == card["caution"]["normal"] <= card["caution"]["high"]
    assert card["costs"]["lost"]["traffic light"] == 25
    assert card["costs"]["max_share"] == 9
    assert card["classes"] == list(NAMES)
    assert card["scores"]["threshold"] == card["threshold"]
    assert card["scores"]["sets"][data]["own_classes"]["iou"]["sky"] > 0.9
    report = json.loads((tmp_path / "s.json").read_text())
    assert report["operating_points"] == card["operating_points"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-share", "1.1"], "--max-share 1.1; accepted: above 0, and only with --choose"),
        (["--max-share", "-1", "--choose"], "--max-share -1; accepted"),
        (["--choose", "--threshold", "0.5"], "--threshold 0.5 and --choose exclude each other"),
        (["--sheet", "s.png"], "s.png must end in .jpg"),
    ],
)
def test_options_that_do_not_fit(
    street: tuple[Path, str], words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["test-model", str(street[0]), "--dataset", street[1], *words]) == 2
    assert message in capsys.readouterr().err


def test_the_sheet_has_every_picture(frames: list[np.ndarray], tmp_path: Path) -> None:
    (tmp_path / "m.onnx").touch()
    frames[0][2, :16] = 1
    frames[1][1] = 1
    arguments = [str(tmp_path / "m.onnx"), "--dataset", f"camvid:{tmp_path}:val", "--sheet", str(tmp_path / "s.jpg")]
    assert cli.run(["test-model", *arguments]) == 0
    with Image.open(tmp_path / "s.jpg") as sheet:
        # Two pictures side by side, each of three panels of 240x160, and the name under them.
        assert sheet.size == (2 * 3 * 240, 160 + 14)
        pixels = np.asarray(sheet).astype(int)
    # The pictures are black: sky (110, 160, 220) at half in the upper half of the first, nature (60, 140, 60) in all of
    # the second.
    for (x, y), colour in (((360, 40), (55, 80, 110)), ((360, 120), (0, 0, 0)), ((1080, 120), (30, 70, 30))):
        assert abs(pixels[y, x] - colour).max() < 8
    caption = pixels[160:]
    assert caption.max() > 250
    assert caption[:, :240].min() < 100


def test_a_sheet_is_small() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    large = len(jpeg_within(noise, 10**9))
    small = jpeg_within(noise, large - 1)
    assert len(small) < large
    # If even the lowest quality is too large, that is taken.
    assert 0 < len(jpeg_within(noise, 1)) <= len(small)


def test_a_set_can_be_a_list_of_pictures(street: tuple[Path, str], tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder / "b.png").write_bytes((tmp_path / folder / "a.png").read_bytes())
    (tmp_path / "chosen.txt").write_text("b\n")
    pictures = model_scores.read_pictures(find_model(street[0]), f"{street[1]}:all/chosen.txt")
    assert [picture.sample.image.stem for picture in pictures] == ["b"]
