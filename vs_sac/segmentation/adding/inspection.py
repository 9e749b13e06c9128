"""What the input of a foreign network is, from its file and from what the user says."""

import re
from typing import NamedTuple

import onnx

from ...core.errors import SacFileError, SacValueError
from ..network_facts import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Channels,
    Finding,
    InputSpec,
    Layout,
    NetworkOptions,
    Origin,
    shown,
)
from .loading import constants, input_of, own_name, shape_of, type_of

__all__ = ["inspect_input", "is_dynamic"]

_FUNC = "add_model"

#: Types of input that can be fed with pixels.
_TYPES = ("float32", "float16", "float64", "uint8")

#: Operators at the beginning of a graph that leave the values of the pixels as they are.
_MOVING = frozenset({"Cast", "Gather", "Identity", "Pad", "Resize", "Slice", "Squeeze", "Transpose", "Unsqueeze"})

#: A pixel of a range up to 1 would not be divided by more, nor is a mean subtracted that is larger.
_LARGEST_DIVISOR, _LARGEST_MEAN = 10.0, 3.0

_SMALLEST_SIDE, _LARGEST_SIDE = 16, 8192

#: Largest absolute value of a mean or standard deviation; the smallest standard deviation is its inverse.
_LARGEST_FIGURE = 1e6

_UNIT = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class _Normalisation(NamedTuple):
    """The arithmetic with which a graph begins: whether there is any, the range that it shows, and the operator."""

    there: bool
    top: int | None = None
    operator: str = ""


def is_dynamic(given: str | None) -> bool:
    """Whether the user says that the input has no fixed size."""
    return given is not None and given.lower() == "dynamic"


def inspect_input(model: onnx.ModelProto, options: NetworkOptions) -> tuple[InputSpec, list[Finding]]:
    """Find out what a network expects.

    Args:
        model: Network from `loading.load_network`.
        options: What the user says of it.

    Returns:
        The input, and how each fact was found. If `InputSpec.size` is None, the size has to be tried.

    Raises:
        SacFileError: The input is no image that can be fed: its type, rank, planes or batch size.
        SacValueError: The options contradict the file or each other.
    """
    value = input_of(model)
    kind = type_of(value)
    if kind not in _TYPES:
        raise SacFileError(f"the input {own_name(value.name)} is {kind}; accepted: {', '.join(_TYPES)}", _FUNC)
    findings = [Finding("input type", kind, Origin.READ, "declared in the file")]
    shape = shape_of(value) or (None, None, None, None)
    layout = _layout(own_name(value.name), shape, options, findings)
    size = _size(shape, layout, options, findings)
    channels = options.channels or Channels.RGB
    why = "" if options.channels else "the usual order of networks from PyTorch; a file does not show it"
    findings.append(Finding("channels", channels, _origin(options.channels), why))
    top, mean, std = _range(_normalisation(model), kind, options, findings)
    spec = InputSpec(
        name=value.name, type=kind, layout=layout, channels=channels, top=top, mean=mean, std=std, size=size
    )
    return spec, findings


def _layout(name: str, shape: tuple[int | None, ...], options: NetworkOptions, findings: list[Finding]) -> Layout:
    text = "x".join("?" if side is None else str(side) for side in shape)
    if len(shape) != 4:
        raise SacFileError(f"the input {name} has {len(shape)} dimensions ({text}); accepted: 4, as 1x3xHxW", _FUNC)
    if shape[0] not in (None, 1):
        raise SacFileError(f"the input {name} takes {shape[0]} images at once ({text}); accepted: 1", _FUNC)
    possible = [layout for layout, axis in ((Layout.NCHW, 1), (Layout.NHWC, 3)) if shape[axis] in (None, 3)]
    if options.layout:
        if options.layout not in possible:
            raise SacValueError(f"layout {options.layout} does not fit the input {name}, which is {text}", _FUNC)
        findings.append(Finding("layout", options.layout, Origin.GIVEN))
        return options.layout
    if not possible:
        raise SacFileError(f"the input {name} is {text}; accepted: 3 planes, as 1x3xHxW or 1xHxWx3", _FUNC)
    exact = [layout for layout, axis in ((Layout.NCHW, 1), (Layout.NHWC, 3)) if shape[axis] == 3]
    found = (exact or possible)[0]
    why = f"the 3 in {text}" if exact else f"the usual layout; {text} does not show it"
    findings.append(Finding("layout", found, Origin.READ if exact else Origin.GUESSED, why))
    return found


def _size(
    shape: tuple[int | None, ...], layout: Layout, options: NetworkOptions, findings: list[Finding]
) -> tuple[int, int] | None:
    """Width and height of a fixed input; None if the size is free."""
    rows, columns = shape[2:] if layout is Layout.NCHW else shape[1:3]
    given = _parse_size(options.input)
    if is_dynamic(options.input):
        findings.append(Finding("input size", "dynamic", Origin.GIVEN))
        return None
    if given:
        for mine, theirs in zip(given, (rows, columns), strict=True):
            if theirs not in (None, mine):
                hint = "; the order is HEIGHTxWIDTH" if given[::-1] == (rows, columns) else ""
                declared = f"{rows or '?'}x{columns or '?'}"
                raise SacValueError(f"input {options.input} does not fit the file, which has {declared}{hint}", _FUNC)
        findings.append(Finding("input size", f"{given[0]}x{given[1]}", Origin.GIVEN))
        return given[1], given[0]
    if rows is None and columns is None:
        findings.append(Finding("input size", "dynamic", Origin.READ, "height and width are free in the file"))
        return None
    if rows is None or columns is None:
        fixed = f"{rows or '?'}x{columns or '?'}"
        raise SacValueError(f"the input has one free side ({fixed}); give its size with --input HEIGHTxWIDTH", _FUNC)
    if not all(_SMALLEST_SIDE <= side <= _LARGEST_SIDE for side in (rows, columns)):
        fixed = f"the input has the fixed size {rows}x{columns} (rows x columns)"
        raise SacFileError(f"{fixed}; accepted: sides from {_SMALLEST_SIDE} to {_LARGEST_SIDE}", _FUNC)
    findings.append(Finding("input size", f"{rows}x{columns}", Origin.READ, "fixed in the file (rows x columns)"))
    return columns, rows


def _parse_size(given: str | None) -> tuple[int, int] | None:
    """Rows and columns that the user gives."""
    if given is None or is_dynamic(given):
        return None
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", given)
    sides = tuple(map(int, match.groups())) if match else ()
    if len(sides) != 2 or not all(_SMALLEST_SIDE <= side <= _LARGEST_SIDE for side in sides):
        accepted = f"HEIGHTxWIDTH with sides from {_SMALLEST_SIDE} to {_LARGEST_SIDE}, or dynamic"
        raise SacValueError(f"input {given!r}; accepted: {accepted}", _FUNC)
    return sides


def _origin(given: object) -> Origin:
    return Origin.GUESSED if given is None else Origin.GIVEN


def _range(
    found: _Normalisation, kind: str, options: NetworkOptions, findings: list[Finding]
) -> tuple[int, tuple[float, float, float], tuple[float, float, float]]:
    """Largest value of the input, and the mean and standard deviation to normalise with."""
    given = [values for values in (options.mean, options.std) if values is not None]
    if kind == "uint8" and given:
        raise SacValueError("mean and std have no meaning for an input of type uint8; leave them out", _FUNC)
    _check_normalisation(options)
    top, why = _top(found, kind, given)
    if options.input_range and kind == "uint8" and options.input_range != 255:
        raise SacValueError("input_range 1 does not fit an input of type uint8; accepted: 255", _FUNC)
    top = options.input_range or top
    findings.append(
        Finding("input range", f"0 to {top}", _origin(options.input_range), "" if options.input_range else why)
    )
    if given:
        mean, std = options.mean or _UNIT[0], options.std or _UNIT[1]
        findings.append(Finding("mean, std", f"{shown(mean)} and {shown(std)}", Origin.GIVEN))
    elif kind == "uint8" or found.there:
        mean, std = _UNIT
        why = f"the graph begins with {found.operator}" if found.there else "the input is uint8"
        findings.append(Finding("mean, std", "none", Origin.READ, why))
    else:
        mean, std = ((values[0] * top, values[1] * top, values[2] * top) for values in (IMAGENET_MEAN, IMAGENET_STD))
        findings.append(Finding("mean, std", f"{shown(mean)} and {shown(std)}", Origin.GUESSED,
                                "those of ImageNet, the usual ones; the graph does not normalise"))  # fmt: skip
    return top, mean, std


def _check_normalisation(options: NetworkOptions) -> None:
    """Raise a SacValueError for figures with which float32 cannot be normalised."""
    if options.mean is not None and not all(abs(value) <= _LARGEST_FIGURE for value in options.mean):
        accepted = f"three numbers from -{_LARGEST_FIGURE:g} to {_LARGEST_FIGURE:g}"
        raise SacValueError(f"mean is {shown(options.mean)}; accepted: {accepted}", _FUNC)
    if options.std is not None and not all(1 / _LARGEST_FIGURE <= value <= _LARGEST_FIGURE for value in options.std):
        accepted = f"three numbers above 0, from {1 / _LARGEST_FIGURE:g} to {_LARGEST_FIGURE:g}"
        raise SacValueError(f"std is {shown(options.std)}; accepted: {accepted}", _FUNC)


def _top(found: _Normalisation, kind: str, given: list[tuple[float, float, float]]) -> tuple[int, str]:
    """Largest value of the input as it can be guessed, and why."""
    if kind == "uint8":
        return 255, "that of uint8"
    if given:
        large = max(map(abs, given[0])) > _LARGEST_MEAN or max(map(abs, given[-1])) > _LARGEST_MEAN
        return (255, "as large as mean and std show") if large else (1, "as large as mean and std show")
    if found.top:
        return found.top, f"the graph begins with {found.operator}"
    return 1, "the usual one; a file does not show it"


def _normalisation(model: onnx.ModelProto) -> _Normalisation:
    """The arithmetic with which a graph begins, behind operators that only move pixels."""
    small = constants(model)
    tensor = input_of(model).name
    while True:
        users = [node for node in model.graph.node if tensor in node.input]
        if len(users) != 1:
            return _Normalisation(False)
        (node,) = users
        if node.op_type in _MOVING and node.input[0] == tensor:
            tensor = node.output[0]
            continue
        if node.op_type == "BatchNormalization":
            return _Normalisation(True, None, "BatchNormalization")
        others = [small[name] for name in node.input if name != tensor and name in small]
        if node.op_type not in ("Sub", "Add", "Mul", "Div") or len(others) != 1 or others[0].size not in (1, 3):
            return _Normalisation(False)
        largest = float(abs(others[0]).max())
        smallest = float(abs(others[0]).min())
        large = {
            "Sub": largest > _LARGEST_MEAN,
            "Add": largest > _LARGEST_MEAN,
            "Div": largest > _LARGEST_DIVISOR,
            "Mul": smallest < 1 / _LARGEST_DIVISOR,
        }[node.op_type]
        return _Normalisation(True, 255 if large else 1, f"{node.op_type} {shown(others[0].ravel().tolist())}")
