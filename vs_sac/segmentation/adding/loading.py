"""A network as its author wrote it: read from its files, with names that ours cannot meet."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import inliner, numpy_helper, version_converter

from ...core.errors import SacFileError
from ..network_facts import Floats

__all__ = ["constants", "inner_graphs", "input_of", "load_network", "own_name", "shape_of", "type_of"]

_FUNC = "add_model"

#: Prefix of the names of a foreign network, so that none is one of ours.
_PREFIX = "net/"

#: Oldest operator set in which the operators of the preparation mean what they mean today (Softmax, Unsqueeze).
_OLDEST_OPSET = 13

#: Oldest version of the file format in which weights need not be declared as inputs.
_OLDEST_IR = 4

#: Latest version of the file format that is written. Runtimes refuse a later one than they know, and networks of images
#: use nothing of it.
_LATEST_IR = 10


def load_network(path: Path) -> onnx.ModelProto:
    """Read a network with its external weights. Every name in it is prefixed with ``net/``.

    Raises:
        SacFileError: The file or its weights cannot be read, the network does not have exactly one input, or it uses an
            operator set that is too old and cannot be converted.
    """
    if not path.is_file():
        raise SacFileError(f"{path} does not exist", _FUNC)
    try:
        model = onnx.load(str(path))
    except Exception as error:  # onnx, protobuf and the file system have no common base for their errors
        raise SacFileError(f"cannot read the network {path}: {_line(error)}", _FUNC) from error
    if not model.graph.node:
        raise SacFileError(f"{path} is no ONNX network, or an empty one", _FUNC)
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < _OLDEST_OPSET:
        try:
            model = version_converter.convert_version(model, _OLDEST_OPSET)
        except Exception as error:
            raise SacFileError(
                f"{path} has operator set {opset}, which cannot be converted to {_OLDEST_OPSET} ({_line(error)});"
                f" export it again with opset_version={_OLDEST_OPSET} or later", _FUNC,
            ) from error  # fmt: skip
    if model.functions:
        # OpenVINO does not know the functions of a file.
        model = inliner.inline_local_functions(model)
    _add_prefix(model.graph)
    model.ir_version = min(max(model.ir_version, _OLDEST_IR), _LATEST_IR)
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(own_name(value.name) for value in inputs) or "none"
        raise SacFileError(f"{path} has {len(inputs)} inputs ({names}); accepted: one, the image", _FUNC)
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    # Shapes of tensors between the layers hold for the exported size only.
    del model.graph.value_info[:]
    # Sequences and the like are no planes, and have no shape that could be cleared.
    outputs = [value for value in model.graph.output if value.type.HasField("tensor_type")]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    return model


def _add_prefix(graph: onnx.GraphProto) -> None:
    """Prefix all names in a graph and in the branches and loops inside of it, which use its tensors by name too."""
    del graph.quantization_annotation[:]
    for named in (*graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        # Nodes need no name, but two must not have the same one.
        named.name = _PREFIX + named.name if named.name else ""
    for sparse in graph.sparse_initializer:
        sparse.values.name = _PREFIX + sparse.values.name
    for node in graph.node:
        for names in (node.input, node.output):
            # An empty name is an input or output that is left out.
            names[:] = [_PREFIX + name if name else "" for name in names]
        for inner in inner_graphs(node):
            _add_prefix(inner)


def inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the branches or the body of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def own_name(name: str) -> str:
    """Return the name that a tensor has in the user's file."""
    return name.removeprefix(_PREFIX)


def input_of(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """Return the only input of a network from `load_network`."""
    image: onnx.ValueInfoProto = model.graph.input[0]
    return image


def shape_of(value: onnx.ValueInfoProto) -> tuple[int | None, ...] | None:
    """Return the sizes of the dimensions of an input or output, None for a free one; None if nothing is declared."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(side.dim_value if side.HasField("dim_value") and side.dim_value > 0 else None
                 for side in tensor.shape.dim)  # fmt: skip


def type_of(value: onnx.ValueInfoProto) -> str:
    """Return the type of the values of an input or output as in NumPy, for example ``float16``."""
    word: str = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
    return {"float": "float32", "double": "float64"}.get(word, word)


def constants(model: onnx.ModelProto) -> dict[str, Floats]:
    """Return the small constants of a graph by name: weights and Constant nodes of up to 16 numbers."""
    return {name: values for name, values in _constants(model) if values.size <= 16}


def _constants(model: onnx.ModelProto) -> Iterator[tuple[str, Floats]]:
    for weight in model.graph.initializer:
        if np.prod(weight.dims, dtype=np.int64) <= 16:
            yield weight.name, numpy_helper.to_array(weight).astype(np.float64)
    for node in model.graph.node:
        for attribute in node.attribute if node.op_type == "Constant" else ():
            if attribute.name == "value" and np.prod(attribute.t.dims, dtype=np.int64) <= 16:
                yield node.output[0], numpy_helper.to_array(attribute.t).astype(np.float64)
            elif attribute.name == "value_float":
                yield node.output[0], np.array(attribute.f)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
