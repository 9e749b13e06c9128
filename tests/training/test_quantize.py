"""Networks in 8 bits: near the original, smaller, with a card of their own."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch (extra 'train') is not installed")
onnx = pytest.importorskip("onnx", reason="onnx (extra 'train') is not installed")
import onnxruntime  # noqa: E402
from cyclopts import App  # noqa: E402

from vs_sac.cli import models as cli  # noqa: E402
from vs_sac.core.errors import SacFileError, SacValueError  # noqa: E402
from vs_sac.segmentation.registry import CLASS_PROBABILITIES, find_model  # noqa: E402
from vs_sac.training.quantize import quantize_onnx  # noqa: E402

from .folders import make_camvid  # noqa: E402


def run(*arguments: object) -> None:
    app = App(name="vs-sac")
    app.command(cli.quantize)
    app([str(a) for a in arguments], exit_on_error=False, print_error=False, result_action="return_value")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network in 8 bits by the command, with ranges from four tiny pictures."""
    folder = tmp_path_factory.mktemp("quantize")
    run("quantize", find_model("ccnet-lite").path, folder / "small.onnx", "--data", make_camvid(folder / "data"))
    return folder / "small.onnx"


def test_weights_of_convolutions_are_eight_bits_and_the_rest_is_not(made: Path) -> None:
    graph = onnx.load(made).graph
    types = {item.name: item.data_type for item in graph.initializer}
    # A weight goes through DequantizeLinear, with a scale for each channel.
    sources = {node.output[0]: node for node in graph.node}
    every = [node for node in graph.node if node.op_type == "Conv"]
    # The sum over the classes stays as it is: 8 bits are too few for small probabilities.
    (summed,) = [node for node in every if CLASS_PROBABILITIES in node.input]
    assert types.get(summed.input[1], onnx.TensorProto.FLOAT) == onnx.TensorProto.FLOAT
    convolutions = [node for node in every if node is not summed]
    assert len(convolutions) > 20
    for node in convolutions:
        dequantize = sources[node.input[1]]
        assert dequantize.op_type == "DequantizeLinear"
        assert types[dequantize.input[0]] == onnx.TensorProto.INT8
    # The original stores its weights in half precision.
    assert made.stat().st_size < 0.6 * find_model("ccnet-lite").path.stat().st_size


def test_probabilities_stay_near_those_of_the_original(made: Path) -> None:
    rng = np.random.default_rng(0)
    rgb = np.kron(rng.random((1, 3, 6, 10), np.float32), np.ones((16, 16), np.float32))
    ours, theirs = (
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"rgb": rgb})[0]
        for path in (made, find_model("ccnet-lite").path)
    )
    assert np.abs(ours - theirs).mean() < 0.05
    assert not np.array_equal(ours, theirs)


def test_the_card(made: Path) -> None:
    cards = (path.with_suffix(".json") for path in (made, find_model("ccnet-lite").path))
    card, original = (json.loads(path.read_text()) for path in cards)
    assert card["name"] == "small"
    assert card["bytes"] == made.stat().st_size
    assert card["quantized"] == {"from": "ccnet-lite", "sha256": original["sha256"], "images": 4}
    assert (card["threshold"], card["parameters"]) == (original["threshold"], original["parameters"])
    assert not card.keys() & {"figures", "scores"}
    assert find_model(made).working_area == original["working_area"]


def test_the_same_pictures_give_the_same_file(made: Path, tmp_path: Path) -> None:
    pictures = sorted((made.parent / "data" / "train").iterdir())
    quantize_onnx(find_model("ccnet-lite").path, tmp_path / "again.onnx", pictures)
    assert (tmp_path / "again.onnx").read_bytes() == made.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again.onnx"]


def test_refusals(tmp_path: Path) -> None:
    model, data = find_model("ccnet-lite").path, make_camvid(tmp_path / "data")
    with pytest.raises(SacValueError, match="accepted: from 1"):
        run("quantize", model, tmp_path / "a.onnx", "--data", data, "--images", 0)
    with pytest.raises(SacValueError, match="both"):
        run("quantize", model, model, "--data", data)
    with pytest.raises(SacFileError, match="no images"):
        quantize_onnx(model, tmp_path / "a.onnx", [])
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(SacFileError, match="cannot quantize") as caught:
        run("quantize", tmp_path / "bad.onnx", tmp_path / "a.onnx", "--data", data)
    assert "\n" not in str(caught.value)
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(SacFileError, match="cannot read the model card"):
        run("quantize", tmp_path / "bad.onnx", tmp_path / "a.onnx", "--data", data)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.json", "bad.onnx", "data"]
