"""What a network must be for `segment`, and in what one that is not differs from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import SacError, SacFileError
from ..core.inference import open_session
from .registry import Model

__all__ = ["TensorInfo", "check_session", "explain", "misfits"]

#: Number of planes of a prepared network's input (red, green, blue) and output (construction, nature, sky).
_PLANES = 3


@dataclass(frozen=True)
class TensorInfo:
    """An input or output as a network declares it.

    Attributes:
        name: Name of the tensor.
        type: Type of its values as in NumPy, for example ``float32``.
        shape: Sizes of its dimensions; a word or None for one that is not fixed.
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...]

    @classmethod
    def of(cls, value: Any) -> "TensorInfo":
        """Return the description of an input or output of an onnxruntime session."""
        inner = value.type.removeprefix("tensor(").removesuffix(")")
        return cls(value.name, {"float": "float32", "double": "float64"}.get(inner, inner), tuple(value.shape))

    @property
    def shown(self) -> str:
        """The shape as text, for example ``1x3xHxW``; a question mark is a dimension of which nothing is known."""
        return "x".join("?" if side is None or side == "" else str(side) for side in self.shape)


def misfits(
    inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo], size: tuple[int, int] | None = None
) -> list[str]:
    """Return in what a network differs from a prepared one, as sentences without a full stop; empty if it fits.

    Args:
        inputs: Inputs of the network.
        outputs: Outputs of the network.
        size: Width and height of the input in pixels that the card states.

    Example:
        >>> misfits([TensorInfo('x', 'uint8', (1, 3, 'H', 'W'))], [TensorInfo('y', 'float32', (1, 3, 'H', 'W'))])
        ['its input is uint8 from 0 to 255, not float32 from 0 to 1']
    """
    found = []
    if len(inputs) != 1:
        found.append(f"it has {len(inputs)} inputs ({_listed(inputs)}), not 1")
    else:
        found += _misfits_of_input(inputs[0], size)
    if len(outputs) != 1:
        found.append(f"it has {len(outputs)} outputs ({_listed(outputs)}), not 1")
    if outputs:
        found += _misfits_of_output(outputs[0])
    return found


def check_session(session: Any, model: Model) -> None:
    """Check the declared input and output of an onnxruntime session.

    Raises:
        SacFileError: The network does not fit. The message lists in what, and names ``vs-sac add-model``.
    """
    if found := _misfits_of_session(session, model):
        raise _refused(model, found)


def explain(model: Model) -> SacFileError | None:
    """Return the error for a network that a plugin has refused; None if the network fits or cannot be opened."""
    try:
        found = _misfits_of_session(open_session(model.path, "segment"), model)
    except SacError:
        return None
    return _refused(model, found) if found else None


def _refused(model: Model, found: Sequence[str]) -> SacFileError:
    return SacFileError(
        f"cannot use model {model.path}: {'; '.join(found)}; what range and normalisation it expects is not known:"
        f" prepare it with vs-sac add-model {model.path.name} --classes LIST", "segment",
    )  # fmt: skip


def _misfits_of_session(session: Any, model: Model) -> list[str]:
    inputs, outputs = (list(map(TensorInfo.of, values)) for values in (session.get_inputs(), session.get_outputs()))
    return misfits(inputs, outputs, model.input_size)


def _misfits_of_input(image: TensorInfo, size: tuple[int, int] | None) -> list[str]:
    found = []
    if image.type != "float32":
        span = " from 0 to 255" if image.type == "uint8" else ""
        found.append(f"its input is {image.type}{span}, not float32 from 0 to 1")
    if len(image.shape) != 4:
        return [*found, f"its input has {len(image.shape)} dimensions ({image.shown}), not 4 (1x3xHxW)"]
    if image.shape[3] == _PLANES and image.shape[1] != _PLANES:
        return [*found, f"its layout is NHWC ({image.shown}), not NCHW (1x3xHxW)"]
    if isinstance(image.shape[1], int) and image.shape[1] != _PLANES:
        found.append(f"its input has {image.shape[1]} planes ({image.shown}), not 3 (red, green, blue)")
    height, width = image.shape[2:]
    if isinstance(height, int) and isinstance(width, int) and (width, height) != size:
        stated = f"the card states {size[0]}x{size[1]}" if size else "the card does not state it (input_size)"
        found.append(f"its size is fixed at {width}x{height}, and {stated}")
    return found


def _misfits_of_output(planes: TensorInfo) -> list[str]:
    if planes.type != "float32":
        return [f"its first output is {planes.type} ({planes.shown}), not float32 probabilities"]
    if len(planes.shape) != 4:
        return [f"its first output has {len(planes.shape)} dimensions ({planes.shown}), not 4 (1x3xHxW)"]
    if isinstance(planes.shape[1], int) and planes.shape[1] != _PLANES:
        return [f"its first output has {planes.shape[1]} planes ({planes.shown}), not 3 (construction, nature, sky)"]
    return []


def _listed(tensors: Sequence[TensorInfo]) -> str:
    return ", ".join(tensor.name for tensor in tensors)
