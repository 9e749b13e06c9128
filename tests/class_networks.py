"""Tiny networks with a tensor ``class_probabilities``: the class of a pixel is the one with the nearest colour."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vs_sac.core.labels import CITYSCAPES_TRAIN_ID, LabelSet, label_table

NAMES = tuple(CITYSCAPES_TRAIN_ID.values())
#: Colours of the classes, 0 to 255, far from each other.
COLOURS = np.array([(r, g, b) for r in (0, 128, 255) for g in (0, 128, 255) for b in (0, 128, 255)], np.uint8)[:19]
#: The side of a square of pixels that have one prediction.
SCALE = 4


def class_network(
    path: Path, names: Sequence[str] = NAMES, *, tensor: str = "class_probabilities", card: dict | None = None
) -> Path:
    """Write such a network and its card; a picture painted in `COLOURS` is recognized, 4×4 pixels at a time."""
    count = len(names)
    colours = COLOURS[:count].astype(np.float32) / 255
    groups = label_table(LabelSet.CITYSCAPES_TRAIN)
    place = {name: value for value, name in CITYSCAPES_TRAIN_ID.items()}
    grouped = np.zeros((3, count, 1, 1), np.float32)
    for column, name in enumerate(names):
        if name in place and groups[place[name]] > 0:
            grouped[groups[place[name]] - 1, column] = 1
    # The distance to a colour without the square of the pixel, which is the same for all colours.
    sharp = 40.0
    constants = {
        "near": (2 * sharp * colours)[..., None, None],
        "far": -sharp * (colours**2).sum(1),
        "grouped": grouped,
        "scales": np.array([1, 1, SCALE, SCALE], np.float32),
    }
    nodes = [
        helper.make_node("AveragePool", ["rgb"], ["small"], kernel_shape=[SCALE, SCALE], strides=[SCALE, SCALE]),
        helper.make_node("Conv", ["small", "near", "far"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [tensor], axis=1),
        helper.make_node("Conv", [tensor, "grouped"], ["three"]),
        helper.make_node("Resize", ["three", "", "scales"], ["probabilities"], mode="nearest"),
    ]
    graph = helper.make_graph(
        nodes, "nearest-colour",
        [helper.make_tensor_value_info("rgb", TensorProto.FLOAT, [1, 3, "height", "width"])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 3, "height", "width"])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    content = {"threshold": 0.5, "classes": list(names)} if card is None else card
    path.with_suffix(".json").write_text(json.dumps(content))
    return path


def painted(classes: np.ndarray) -> np.ndarray:
    """RGB picture of train ids, each pixel in the colour of its class."""
    return COLOURS[classes]
