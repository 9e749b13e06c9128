"""Counting and scores, against hand-made predictions."""

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

from vs_sac.core.errors import SacFileError  # noqa: E402
from vs_sac.segmentation.registry import Model, working_scale, working_size  # noqa: E402
from vs_sac.training.evaluate import confusion_matrix, evaluate_model, evaluate_onnx, iou  # noqa: E402

from .folders import COLOURS, make_camvid, save  # noqa: E402


class ByColour(torch.nn.Module):
    """Predicts the class whose colour is nearest, at a quarter of the size, as the networks do."""

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.avg_pool2d(rgb, 4)
        colours = torch.tensor(COLOURS / 255, dtype=torch.float32)
        return -20 * (small[:, None] - colours[None, :, :, None, None]).square().sum(2)


class Always(torch.nn.Module):
    """Predicts one class everywhere."""

    def __init__(self, cls: int) -> None:
        super().__init__()
        self.cls = cls

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(1, 4, rgb.shape[2] // 4, rgb.shape[3] // 4)
        out[:, self.cls] = 5.0
        return out


def test_iou_by_hand() -> None:
    confusion = np.diag([6, 3, 2, 1])
    confusion[0, 1] = 2
    scores = iou(confusion)
    assert scores["roi"] == pytest.approx(6 / 8)
    assert scores["construction"] == pytest.approx(3 / 5)
    assert scores["nature"] == scores["sky"] == 1
    assert scores["miou"] == pytest.approx((6 / 8 + 3 / 5 + 2) / 4)


def test_absent_classes_do_not_lower_the_mean() -> None:
    scores = iou(np.diag([5, 4, 0, 0]))
    assert scores["miou"] == 1
    assert math.isnan(scores["sky"])
    assert math.isnan(iou(np.zeros((4, 4), np.int64))["miou"])
    wrongly_predicted = np.diag([5, 4, 0, 0])
    wrongly_predicted[0, 3] = 1
    assert iou(wrongly_predicted)["sky"] == 0


def test_confusion_counts_every_labelled_pixel_and_no_void(tmp_path: Path) -> None:
    save(tmp_path / "val" / "a.png", np.zeros((32, 48, 3), np.uint8))
    label = np.full((32, 48), 3, np.uint8)
    label[:, :10], label[:5] = 0, 11
    save(tmp_path / "valannot" / "a.png", label)

    def predict(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        assert rgb.shape == (1, 3, 64, 96)
        assert rgb.dtype == np.float32
        out = np.full(size, 1)
        out[:, :20] = 3
        return out

    confusion = confusion_matrix(predict, [f"camvid:{tmp_path}:val"])
    expected = np.zeros((4, 4), int)
    expected[3, 3], expected[0, 3], expected[0, 1] = 27 * 10, 27 * 10, 27 * 28
    assert np.array_equal(confusion, expected)


def test_image_is_handed_over_as_fractions_in_channel_order(tmp_path: Path) -> None:
    save(tmp_path / "val" / "a.png", np.full((32, 32, 3), (255, 51, 0), np.uint8))
    save(tmp_path / "valannot" / "a.png", np.zeros((32, 32), np.uint8))
    seen = []
    confusion_matrix(
        lambda rgb, size: seen.append(rgb.mean((0, 2, 3))) or np.zeros(size, int), [f"camvid:{tmp_path}:val"]
    )
    assert seen[0].tolist() == pytest.approx([1.0, 0.2, 0.0])


def test_sets_add_up(tmp_path: Path) -> None:
    names = [make_camvid(tmp_path / str(n), count=n, seed=n) for n in (1, 2)]

    def predict(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return np.full(size, 2)

    assert np.array_equal(confusion_matrix(predict, names), sum(confusion_matrix(predict, [name]) for name in names))


def test_model_scores(tmp_path: Path) -> None:
    name = make_camvid(tmp_path)
    good = evaluate_model(ByColour(), [name])
    assert good["miou"] > 0.85
    sky = evaluate_model(Always(3), [name])
    assert sky["roi"] == sky["nature"] == 0
    assert 0.1 < sky["sky"] < 0.4


def test_working_size_is_the_one_of_segment() -> None:
    """Figures describe what `vs_sac.segment` will do."""
    model = Model(name="m", path=Path("m"))
    for size in [(16, 16), (33, 47), (480, 360), (640, 360), (1224, 370), (1280, 720), (2048, 1024), (4000, 40)]:
        assert working_size(*size) == model.working_size(*size)


def test_working_scale_enlarges_by_two_at_most() -> None:
    assert working_scale(64, 48) == 2
    assert working_scale(320, 180) == 2
    assert working_scale(480, 270) == pytest.approx(4 / 3)
    assert working_scale(640, 360) == 1
    assert working_scale(1280, 720) == 0.5
    assert working_size(1280, 720) == (640, 352)
    assert working_size(480, 360) == (560, 416)


def test_onnx_errors(tmp_path: Path) -> None:
    with pytest.raises(SacFileError, match="cannot use model"):
        evaluate_onnx(tmp_path / "none.onnx", [])
