"""A network with its own class probabilities as a second output, without the package onnx.

The tensor ``class_probabilities`` is inside the graph of a prepared network, but is no output of the file, because the
VapourSynth plugins accept networks with a single output only. A message of Protocol Buffers that occurs twice is merged
by every reader ("last one wins", and repeated fields are concatenated), so an output is added by bytes behind the file.
"""

from typing import Any

from ..core.errors import SacFileError
from ..core.inference import open_session
from .registry import CLASS_PROBABILITIES, Model

__all__ = ["open_with_classes"]

# Field numbers of onnx.proto3: ModelProto.graph, GraphProto.output, ValueInfoProto.name and .type,
# TypeProto.tensor_type, and Tensor.elem_type = FLOAT, which is a whole number.
_GRAPH, _OUTPUT, _NAME, _TYPE, _TENSOR, _FLOAT_ELEMENTS = 7, 12, 1, 2, 1, b"\x08\x01"

#: What onnxruntime says of an output that no node of the graph has.
_ABSENT = f"output ({CLASS_PROBABILITIES}) does not exist"


def open_with_classes(
    model: Model, func: str, *, provider: str = "CPUExecutionProvider", threads: int = 0, spin: bool = False
) -> Any:
    """Load a network so that it gives its own classes too.

    Args:
        model: The network.
        func: Name of the calling function, for messages.
        provider: Name of the execution provider of onnxruntime.
        threads: Threads of one run; 0 leaves the number to onnxruntime.
        spin: Whether threads keep the processor busy while they wait for the next frame.

    Returns:
        An onnxruntime session with the outputs of the file and ``class_probabilities``.

    Raises:
        SacFileError: The file cannot be used, or its graph has no such tensor.
        SacMissingError: onnxruntime is not installed, or without this provider.
    """
    try:
        content = model.path.read_bytes() + _added_output()
    except OSError as error:
        raise SacFileError(f"cannot read model {model.path}: {error.strerror}", func) from error
    config = {} if spin else {"session.intra_op.allow_spinning": "0"}
    try:
        return open_session(model.path, func, provider=provider, threads=threads, config=config, content=content)
    except SacFileError as error:
        if _ABSENT not in str(error):
            raise
        message = f"model {model.path} has no tensor {CLASS_PROBABILITIES}, although its card names classes"
        raise SacFileError(message, func) from None


def _added_output() -> bytes:
    """The bytes of a ModelProto whose graph has nothing but the output."""
    kind = _field(_TYPE, _field(_TENSOR, _FLOAT_ELEMENTS))
    return _field(_GRAPH, _field(_OUTPUT, _field(_NAME, CLASS_PROBABILITIES.encode()) + kind))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of Protocol Buffers; `content` is shorter than 128 bytes."""
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content
