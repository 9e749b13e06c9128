"""Scores of a model, against counting by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

from PIL import Image  # noqa: E402

from vs_sac import cli  # noqa: E402
from vs_sac.core.errors import SacValueError  # noqa: E402
from vs_sac.training import model_scores  # noqa: E402
from vs_sac.training.model_scores import score_model  # noqa: E402

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
    waiting = list(predictions)
    monkeypatch.setattr(model_scores, "onnx_probabilities", lambda path: lambda rgb, size: waiting.pop(0))
    return predictions


def test_by_hand(frames: list[np.ndarray], tmp_path: Path) -> None:
    second = frames[1]
    # Sky is found, the person in it is not; of the building half is taken for ROI.
    for frame in frames:
        frame[2, :16, :32] = 0.9
        frame[0, :16, 32:40] = 0.8
    # In the second frame the block of the person is ROI: a flip.
    second[2, 3, 20] = 0.2
    score = score_model(tmp_path / "m.onnx", f"camvid:{tmp_path}:val", threshold=0.7, area=640 * 360)
    assert score.images == 2
    # The block of void and building has no labelled ROI and void: it does not count.
    assert (score.blocks.true_roi, score.blocks.missed_roi) == (3 + 4, 1)
    assert (score.blocks.false_roi, score.blocks.true_rest) == (0, 2)
    assert score.coded_share == (4 + 5) / 12
    assert score.true_share == 10 / 12
    assert score.share_ratio == pytest.approx(0.9)
    assert score.classes["person"] == 0.5
    assert score.classes["car"] == score.classes["road"] == 1
    assert "rider" not in score.classes
    assert (score.flicker, score.true_flicker) == (1 / 6, 0)
    sky, building, roi = 2 * 511, 2 * 128, 2 * 769
    hit = roi - 1
    assert score.class_map.iou[3] == pytest.approx(sky / (sky + 1))
    assert score.class_map.iou[1] == pytest.approx(building / (2 * 255))
    assert score.class_map.roi_iou == pytest.approx(hit / (roi + 2 * 127))


@pytest.mark.parametrize(("threshold", "recall"), [(0.5, 0.75), (0.95, 1.0)])
def test_threshold_decides(frames: list[np.ndarray], tmp_path: Path, threshold: float, recall: float) -> None:
    for frame in frames:
        frame[2, :16] = 0.9
    score = score_model(tmp_path / "m.onnx", f"camvid:{tmp_path}:val", threshold=threshold, area=640 * 360)
    assert score.blocks.recall == recall
    # Of blocks, not of IoU: 255 of the building's pixels are called sky, of which one is void.
    sky, taken = 511, 1 + 255
    assert score.class_map.iou[3] == pytest.approx(sky / (sky + taken))


def test_threshold_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(SacValueError, match="threshold 0 "):
        score_model(tmp_path / "m.onnx", f"camvid:{tmp_path}:val", threshold=0, area=1)


def test_command(frames: list[np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "m.onnx"
    model.touch()
    (tmp_path / "m.json").write_text('{"threshold": 0.7, "name": "m"}')
    arguments = [str(model), "--dataset", f"camvid:{tmp_path}:val", "--json", str(tmp_path / "s.json"), "--card"]
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
