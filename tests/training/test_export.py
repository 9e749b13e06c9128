"""The exported ONNX equals torch, at every size, and is refused when it does not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch (extra 'train') is not installed")
onnx = pytest.importorskip("onnx", reason="onnx (extra 'train') is not installed")
pytest.importorskip("onnxscript", reason="onnxscript (extra 'train') is not installed")
onnxruntime = pytest.importorskip("onnxruntime")

from vs_sac.core.errors import SacError, SacFileError  # noqa: E402
from vs_sac.core.labels import group_fine  # noqa: E402
from vs_sac.training import export as export_module  # noqa: E402
from vs_sac.training.export import ExportedModel, export_onnx, load_checkpoint  # noqa: E402
from vs_sac.training.model import CcNet  # noqa: E402

from .networks import TINY, checkpoint  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a ``best.pt`` and the ``model.onnx`` exported from it; one export takes seconds."""
    folder = tmp_path_factory.mktemp("export")
    checkpoint(folder / "best.pt")
    export_onnx(folder / "best.pt", folder / "model.onnx")
    return folder


@pytest.fixture(scope="module")
def exported(folder: Path) -> tuple[CcNet, Any]:
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    return load_checkpoint(folder / "best.pt")[0], session


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).random((1, 3, height, width), np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(32, 32), (32, 160), (48, 64), (176, 96), (352, 640), (368, 480), (240, 1008)])
def test_equals_torch_at_every_size(exported: tuple[CcNet, Any], size: tuple[int, int]) -> None:
    model, session = exported
    rgb = picture(*size)
    (got,) = session.run(None, {"rgb": rgb})
    with torch.inference_mode():
        # Written out here: softmax at half the size, all but ROI, up to the input's size.
        half = (size[0] // 2, size[1] // 2)
        logits = model(torch.from_numpy(rgb))
        small = torch.nn.functional.interpolate(logits, half, mode="bilinear", align_corners=False).softmax(1)[:, 1:]
        full = torch.nn.functional.interpolate(small, size, mode="bilinear", align_corners=False)
    assert got.shape == (1, 3, *size)
    assert got.dtype == np.float32
    assert np.abs(got - full.numpy()).max() < 1e-4
    assert got.std() > 0.01, "a constant would pass for the wrong reason"


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True])
def test_fine_classes_are_inside_and_summed(half: bool, tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "best.pt", replace(TINY, fine=True, decoder=(16, 16, 16), attention=24))
    for name, stored in (("single", False), ("model", half)):
        export_onnx(tmp_path / "best.pt", tmp_path / f"{name}.onnx", half=stored)
    graph = onnx.load(str(tmp_path / "model.onnx"))
    onnx.checker.check_model(graph)
    graph.graph.output.append(onnx.helper.make_tensor_value_info("class_probabilities", 1, None))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    rgb = picture(96, 128)
    coarse, fine = session.run(None, {"rgb": rgb})
    with torch.inference_mode():
        expected = model(torch.from_numpy(rgb)).softmax(1)
        summed = torch.stack([expected[:, group_fine() == cls].sum(1) for cls in range(4)], 1).clamp(min=1e-6).log()
        sizes = [(48, 64), (96, 128)]
        large = torch.nn.functional.interpolate(summed, sizes[0], mode="bilinear", align_corners=False).softmax(1)
        large = torch.nn.functional.interpolate(large, sizes[1], mode="bilinear", align_corners=False)[:, 1:]
    assert fine.shape == (1, 19, 24, 32)
    tolerance = 1e-2 if half else 1e-4
    assert np.abs(fine - expected.numpy()).max() < tolerance
    assert np.abs(coarse - large.numpy()).max() < tolerance
    assert coarse.std() > 0.01
    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("model", "single")]
    assert sizes[0] < 0.75 * sizes[1] if half else sizes[0] == sizes[1]


@pytest.mark.slow
@pytest.mark.parametrize("fine", [False, True])
def test_odds_of_roi_are_multiplied(fine: bool, tmp_path: Path) -> None:
    checkpoint(tmp_path / "best.pt", replace(TINY, fine=fine))
    odds = []
    for factor in (1.0, 0.5):
        export_onnx(tmp_path / "best.pt", tmp_path / "model.onnx", roi_odds=factor)
        session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
        # A flat picture, so that enlarging changes nothing away from the edges.
        (got,) = session.run(None, {"rgb": np.full((1, 3, 64, 96), 0.4, np.float32)})
        rest = got.sum(1)
        odds.append((1 - rest) / rest)
    assert np.median(odds[1] / odds[0]) == pytest.approx(0.5, rel=0.01)


@pytest.mark.slow
def test_output_is_a_probability(exported: tuple[CcNet, Any]) -> None:
    for rgb in (picture(64, 96), np.zeros((1, 3, 64, 96), np.float32), np.ones((1, 3, 64, 96), np.float32)):
        (got,) = exported[1].run(None, {"rgb": rgb})
        assert got.min() >= 0
        assert got.sum(1).max() <= 1 + 1e-5


@pytest.mark.slow
def test_graph_declares_free_sides_and_nothing_else(exported: tuple[CcNet, Any]) -> None:
    (source,), (result,) = exported[1].get_inputs(), exported[1].get_outputs()
    assert (source.name, result.name) == ("rgb", "non_roi")
    assert source.shape[:2] == result.shape[:2] == [1, 3]
    assert all(isinstance(side, str) for side in source.shape[2:])


@pytest.mark.slow
def test_export_is_repeatable(folder: Path, tmp_path: Path) -> None:
    export_onnx(folder / "best.pt", tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (folder / "model.onnx").read_bytes()


@pytest.mark.slow
def test_file_tells_nothing_of_the_machine_it_was_made_on(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    assert b".py" not in content
    assert str(Path(export_module.__file__).parent).encode() not in content


@pytest.mark.slow
def test_difference_from_torch_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    checkpoint(tmp_path / "best.pt")
    with pytest.raises(SacError, match=r"differs from torch by .* at 640x352"):
        export_onnx(tmp_path / "best.pt", tmp_path / "model.onnx", tolerance=-1.0)
    assert [p.name for p in tmp_path.iterdir()] == ["best.pt"]


@pytest.mark.slow
def test_parity_check_notices_other_weights(folder: Path) -> None:
    model, _ = load_checkpoint(folder / "best.pt")
    export_module._check_parity(ExportedModel(model).eval(), folder / "model.onnx", 16, 1e-3)
    with torch.no_grad():
        model.head.bias += torch.tensor([0.0, 0.1, 0.0, 0.0])
    with pytest.raises(SacError, match="differs from torch"):
        export_module._check_parity(ExportedModel(model).eval(), folder / "model.onnx", 16, 1e-3)


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "best.pt")
    loaded, stored = load_checkpoint(tmp_path / "best.pt")
    x = torch.from_numpy(picture(32, 48))
    assert not loaded.training
    assert torch.equal(loaded(x), model(x))
    assert stored["row"]["miou"] == 0.25
    assert stored["settings"]["epochs"] == 47


@pytest.mark.parametrize("kind", ["missing", "garbage", "other", "weights"])
def test_what_is_no_checkpoint_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    if kind == "garbage":
        path.write_bytes(b"no checkpoint")
    elif kind == "other":
        torch.save({"model": {}}, path)
    elif kind == "weights":
        checkpoint(path)
        state = torch.load(path, weights_only=True)
        torch.save({**state, "spec": replace(TINY, attention=16).to_dict()}, path)
    with pytest.raises(SacFileError, match=r"best\.pt is no best\.pt of a training run"):
        load_checkpoint(path)
