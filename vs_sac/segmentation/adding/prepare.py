"""Graph surgery: from a foreign network to one that takes RGB and gives three planes of probabilities."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ...core.labels import SemanticClass
from ..network_facts import Channels, InputSpec, Layout, OutputKind, OutputSpec
from .classes import ClassList
from .loading import inner_graphs

__all__ = ["CLASS_PROBABILITIES", "INPUT", "OUTPUT", "prepared", "with_input"]

#: Names of the prepared graph's input and output, and of the tensor with the probabilities of the own classes.
INPUT, OUTPUT, CLASS_PROBABILITIES = "rgb", "non_roi", "class_probabilities"

_ELEMENT = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "float64": TensorProto.DOUBLE,
            "uint8": TensorProto.UINT8}  # fmt: skip

#: Coarsest stride of planes that become probabilities, in pixels of the input; coarser ones are enlarged to it first.
_FINE = 2

#: Coarsest stride at which probabilities are kept as they are.
_COARSEST = 8


class _Nodes:
    """Nodes and constants that are added to a graph, one after the other.

    Args:
        prefix: Beginning of the names of what is added.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(
        self, operator: str, tensor: str, *constants: npt.NDArray[Any] | None, output: str | None = None, **more: Any
    ) -> str:
        """Add a node; None among the constants is an input that is left out.

        Returns:
            Name of its output.
        """
        inputs = [tensor]
        for values in constants:
            inputs.append("" if values is None else f"{self._prefix}constant{len(self.constants)}")
            if values is not None:
                self.constants.append(numpy_helper.from_array(np.asarray(values), inputs[-1]))
        name = f"{self._prefix}{len(self.nodes)}_{operator}"
        self.nodes.append(helper.make_node(operator, inputs, [output or name], name=name, **more))
        return output or name


def with_input(model: onnx.ModelProto, spec: InputSpec) -> onnx.ModelProto:
    """Return the network with RGB as its input: float32, (1, 3, H, W), in [0, 1]. Its outputs are as they were.

    Args:
        model: Network from `loading.load_network`.
        spec: Its input.
    """
    added = _Nodes("sac/in/")
    # (rgb · top − mean) / std, as one product and one sum.
    scale = np.array([spec.top / std for std in spec.std], np.float32).reshape(1, 3, 1, 1)
    offset = np.array([-mean / std for mean, std in zip(spec.mean, spec.std, strict=True)], np.float32)
    tensor = INPUT
    if (scale != 1).any():
        tensor = added.add("Mul", tensor, scale)
    if offset.any():
        tensor = added.add("Add", tensor, offset.reshape(1, 3, 1, 1))
    if spec.channels is Channels.BGR:
        tensor = added.add("Gather", tensor, np.array([2, 1, 0], np.int64), axis=1)
    if spec.layout is Layout.NHWC:
        tensor = added.add("Transpose", tensor, perm=[0, 2, 3, 1])
    if spec.type == "uint8":
        # Conversion from video leaves the range a little, and a cast would wrap around.
        tensor = added.add("Clip", tensor, np.array(0, np.float32), np.array(255, np.float32))
        tensor = added.add("Round", tensor)
    if spec.type != "float32":
        tensor = added.add("Cast", tensor, to=_ELEMENT[spec.type])
    added.add("Identity", tensor, output=spec.name)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    width, height = spec.size or ("width", "height")
    del made.graph.input[:]
    made.graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 3, height, width]))
    _put_before(made.graph, added)
    # What is declared of the outputs may hold for another size.
    for value in made.graph.output:
        value.type.tensor_type.ClearField("shape")
    return made


def prepared(model: onnx.ModelProto, spec: InputSpec, output: OutputSpec, classes: ClassList) -> onnx.ModelProto:
    """Return a network for `segment`.

    The output ``non_roi`` is float32 of shape (1, 3, H, W): the probabilities of construction, nature and sky. Inside
    of the graph, ``class_probabilities`` is float32 of shape (1, K, h, w). Layers that only other outputs need are left
    out.

    Args:
        model: Network from `loading.load_network`.
        spec: Its input.
        output: The output to use.
        classes: Its K classes.
    """
    made = with_input(model, spec)
    added = _Nodes("sac/out/")
    tensor = _probabilities(added, output, spec, len(classes.names))
    weights = np.zeros((3, len(classes.names), 1, 1), np.float32)
    for plane, group in enumerate((SemanticClass.CONSTRUCTION, SemanticClass.NATURE, SemanticClass.SKY)):
        weights[plane, :, 0, 0] = [own is group for own in classes.groups]
    tensor = added.add("Conv", tensor, weights, kernel_shape=[1, 1])
    stride = _stride_of_probabilities(output)
    if stride == 1:
        added.add("Identity", tensor, output=OUTPUT)
    else:
        _resize(added, tensor, spec, (stride, 1), 3, OUTPUT)
    graph = made.graph
    graph.node.extend(added.nodes)
    graph.initializer.extend(added.constants)
    width, height = spec.size or ("width", "height")
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, 3, height, width]))
    inner = [1, len(classes.names), None, None]
    graph.value_info.append(helper.make_tensor_value_info(CLASS_PROBABILITIES, TensorProto.FLOAT, inner))
    _prune(graph)
    return made


def _probabilities(added: _Nodes, output: OutputSpec, spec: InputSpec, count: int) -> str:
    """Add what makes probabilities of the classes of an output. Returns ``class_probabilities``."""
    stride = _stride_of_probabilities(output)
    enlarged = stride != output.stride
    if output.kind is OutputKind.ARGMAX:
        tensor = _labels(added, output)
        numbers = np.arange(count, dtype=np.int64).reshape(1, count, 1, 1)
        # Void, whatever its number, equals none of the classes, so it is ROI.
        tensor = added.add("Equal", tensor, numbers)
        tensor = added.add("Cast", tensor, to=TensorProto.FLOAT, output=None if enlarged else CLASS_PROBABILITIES)
        change = (output.stride, stride)
        return _resize(added, tensor, spec, change, count, CLASS_PROBABILITIES) if enlarged else tensor
    tensor = added.add("Cast", output.name, to=TensorProto.FLOAT)
    axis = output.class_axis
    if output.rank == 3:
        tensor = added.add("Unsqueeze", tensor, np.array([0], np.int64))
        axis = None if axis is None else axis + 1
    if axis == 3:
        tensor = added.add("Transpose", tensor, perm=[0, 3, 1, 2])
    if enlarged:
        tensor = _resize(added, tensor, spec, (output.stride, stride), count)
    if output.kind is OutputKind.LOGITS:
        return added.add("Softmax", tensor, axis=1, output=CLASS_PROBABILITIES)
    return added.add("Identity", tensor, output=CLASS_PROBABILITIES)


def _labels(added: _Nodes, output: OutputSpec) -> str:
    """Add what makes int64 of shape (1, 1, H, W) of an output of class numbers."""
    tensor = added.add("Cast", output.name, to=TensorProto.INT64)
    if output.class_axis == 3:
        return added.add("Transpose", tensor, perm=[0, 3, 1, 2])
    missing = 4 - output.rank
    return added.add("Unsqueeze", tensor, np.arange(missing, dtype=np.int64)) if missing else tensor


def _stride_of_probabilities(output: OutputSpec) -> float:
    """Stride of ``class_probabilities``.

    Logits are enlarged before the softmax, because the edges of enlarged logits lie where two classes are equally
    likely. Half the input's size is fine enough for that, and a quarter of the work.
    """
    coarsest = _FINE if output.kind is OutputKind.LOGITS else _COARSEST
    return output.stride if output.stride <= coarsest else float(_FINE)


def _resize(
    added: _Nodes, tensor: str, spec: InputSpec, strides: tuple[float, float], planes: int, output: str | None = None
) -> str:
    """Add a bilinear change of the stride of planes, from the first to the second."""
    before, after = strides
    how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel", "output": output}
    if spec.size is None:
        scales = np.array([1, 1, before / after, before / after], np.float32)
        return added.add("Resize", tensor, None, scales, **how)
    # The sides of a fixed size need not be multiples of the stride.
    columns, rows = (math.ceil(side / after) for side in spec.size)
    return added.add("Resize", tensor, None, None, np.array([1, planes, rows, columns], np.int64), **how)


def _put_before(graph: onnx.GraphProto, added: _Nodes) -> None:
    nodes = [*added.nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(added.constants)


def _prune(graph: onnx.GraphProto) -> None:
    """Remove nodes and weights that no output of the graph needs."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(_used(node))
    weights = [weight for weight in graph.initializer if weight.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(weights)


def _used(node: onnx.NodeProto) -> Iterator[str]:
    """Names of the tensors that a node uses, also inside of its branches and loops."""
    yield from node.input
    for graph in inner_graphs(node):
        for inner in graph.node:
            yield from _used(inner)
        yield from (value.name for value in graph.output)
