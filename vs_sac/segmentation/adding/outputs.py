"""What the output of a foreign network is, from trial runs and from what the user says."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...core.errors import SacFileError, SacValueError
from ..network_facts import Finding, Layout, NetworkOptions, Origin, OutputKind, OutputSpec
from .loading import own_name
from .trials import Trial

__all__ = ["inspect_output"]

_FUNC = "add_model"

#: How far sums of probabilities may be from 1, by the number of bits of a value.
_TOLERANCE = {16: 0.02, 32: 1e-3, 64: 1e-3}


def inspect_output(
    trials: Sequence[Trial], count: int, options: NetworkOptions, layout: Layout
) -> tuple[OutputSpec, list[Finding]]:
    """Find out which output has the classes, and what its values are.

    Args:
        trials: Runs from `trials.try_network`, all of them at sizes that the network accepts.
        count: Number of classes in the list.
        options: What the user says of the network.
        layout: Layout of the input, which decides if both dimensions of an output could be the classes.

    Raises:
        SacFileError: No output fits the class list, or the values are not numbers.
        SacValueError: The options contradict the output.
    """
    first = trials[0]
    chosen = _chosen(first, options)
    fitting = {name: form for name in chosen if (form := _form(first, name, count, options.output, layout))}
    if not fitting:
        raise SacFileError(_no_output(first, chosen, count, options.output), _FUNC)
    # Scores of every class say more than the number of the best.
    name = max(fitting, key=lambda each: fitting[each][1])
    class_axis, planes = fitting[name]
    values = first.outputs[name]
    if not np.isfinite(np.asarray(values, np.float64)).all():
        raise SacFileError(f"the output {own_name(name)} has values that are no numbers (NaN or infinite)", _FUNC)
    findings = [_named(name, first, options)]
    kind, why = _kind(values, class_axis, planes)
    if options.output:
        if (options.output is OutputKind.ARGMAX) is not (kind is OutputKind.ARGMAX):
            raise SacValueError(f"output {options.output} does not fit the output {own_name(name)}: {why}", _FUNC)
        if options.output is OutputKind.SOFTMAX:
            _check_probabilities(values, own_name(name))
        kind, why = options.output, ""
    if kind is OutputKind.ARGMAX:
        why = "; ".join(filter(None, (why, _numbers(values, count, own_name(name)))))
    findings.append(Finding("output", kind, Origin.GIVEN if options.output else Origin.GUESSED, why))
    stride = _stride(first, values, class_axis)
    exact = _follows(trials, name, class_axis, stride)
    if not exact and len(trials) > 1:
        raise SacFileError(f"the size of the output {own_name(name)} does not follow that of the input; give the size"
                           " that the network takes with --input HEIGHTxWIDTH", _FUNC)  # fmt: skip
    findings.append(Finding("output stride", f"{stride:g}", Origin.GUESSED, f"{_text(values)} for {_size(first)}"))
    return OutputSpec(name=name, kind=kind, class_axis=class_axis, rank=values.ndim, stride=stride), findings


def _chosen(trial: Trial, options: NetworkOptions) -> list[str]:
    """Outputs among which to look."""
    if options.output_name is None:
        return list(trial.outputs)
    for name in trial.outputs:
        if own_name(name) == options.output_name:
            return [name]
    known = ", ".join(map(own_name, trial.outputs))
    raise SacValueError(f"output_name {options.output_name!r}; the network has {known}", _FUNC)


def _form(
    trial: Trial, name: str, count: int, kind: OutputKind | None, layout: Layout
) -> tuple[int | None, int] | None:
    """Dimension of the classes (None if there is none) and its size; None if an output does not fit the class list."""
    values = trial.outputs[name]
    shape = values.shape
    if not 2 <= values.ndim <= 4 or values.dtype.kind not in "fiu" or 0 in shape:
        return None
    if values.ndim == 4 and shape[0] != 1:
        return None
    axes = {4: [1, 3], 3: [0, 2], 2: []}[values.ndim]
    if layout is Layout.NHWC:
        axes.reverse()
    for axis in axes:
        if shape[axis] == count and values.dtype.kind == "f":
            return axis, count
    whole = values.dtype.kind in "iu" or bool((values == np.floor(values)).all())
    if not whole or kind in (OutputKind.LOGITS, OutputKind.SOFTMAX):
        return None
    if values.ndim == 4:
        return next(((axis, 1) for axis in axes if shape[axis] == 1), None)
    return (None, 1) if values.ndim == 2 or shape[0] == 1 else None


def _kind(values: npt.NDArray[Any], class_axis: int | None, planes: int) -> tuple[OutputKind, str]:
    """What the values of an output are, and why."""
    if class_axis is None or planes == 1:
        return OutputKind.ARGMAX, f"{_text(values)} of {values.dtype}: one whole number a pixel"
    sums = values.astype(np.float64).sum(class_axis)
    tolerance = _TOLERANCE[values.dtype.itemsize * 8]
    low, high = float(values.min()), float(values.max())
    if low >= -tolerance and abs(sums - 1).max() <= tolerance:
        return OutputKind.SOFTMAX, "no value is below 0, and they add up to 1"
    why = f"values from {low:.3g} to {high:.3g} do not add up to 1"
    if low >= 0 and high <= 1:
        why += "; if they are independent probabilities (sigmoid), results will be poor"
    return OutputKind.LOGITS, why


def _check_probabilities(values: npt.NDArray[Any], name: str) -> None:
    low, high = float(values.min()), float(values.max())
    tolerance = _TOLERANCE[16]
    if low < -tolerance or high > 1 + tolerance:
        raise SacValueError(f"output softmax does not fit the output {name}: values from {low:.3g} to {high:.3g}, not"
                            " from 0 to 1", _FUNC)  # fmt: skip


def _numbers(values: npt.NDArray[Any], count: int, name: str) -> str:
    """The class numbers that the network gives for the frame, as text. They show a class list that is too short."""
    known = values[(values >= 0) & (values < count)]
    if not known.size:
        raise SacFileError(
            f"the output {name} has class numbers from {values.min():g} to {values.max():g}; accepted: from 0 to"
            f" {count - 1}, the positions in the class list", _FUNC,
        )  # fmt: skip
    found = f"numbers from {known.min():g} to {known.max():g}"
    outside = np.setdiff1d(values, known)
    if not outside.size:
        return found
    listed = ", ".join(f"{number:g}" for number in outside[:5])
    return f"{found}, and {listed}{' …' if outside.size > 5 else ''} outside the class list, which are ROI"


def _stride(trial: Trial, values: npt.NDArray[Any], class_axis: int | None) -> float:
    rows, columns = _sides(values, class_axis)
    width, height = trial.size
    return max(height / rows, width / columns)


def _follows(trials: Sequence[Trial], name: str, class_axis: int | None, stride: float) -> bool:
    """Whether the output has the sides of the input, divided by the stride, in every run."""
    for trial in trials:
        rows, columns = _sides(trial.outputs[name], class_axis)
        width, height = trial.size
        if not (math.isclose(rows * stride, height) and math.isclose(columns * stride, width)):
            return False
    return True


def _sides(values: npt.NDArray[Any], class_axis: int | None) -> tuple[int, int]:
    """Rows and columns of an output."""
    shape = list(values.shape)
    if class_axis is not None:
        del shape[class_axis]
    return shape[-2], shape[-1]


def _named(name: str, trial: Trial, options: NetworkOptions) -> Finding:
    if options.output_name is not None:
        return Finding("output name", own_name(name), Origin.GIVEN)
    if len(trial.outputs) == 1:
        return Finding("output name", own_name(name), Origin.READ, "the only one")
    return Finding("output name", own_name(name), Origin.GUESSED, "the first that fits the class list")


def _no_output(trial: Trial, chosen: Sequence[str], count: int, kind: OutputKind | None) -> str:
    have = ", ".join(f"{own_name(name)} {_text(trial.outputs[name])} {trial.outputs[name].dtype}" for name in chosen)
    wanted = f"{count} planes, one for each class of the list"
    if kind in (None, OutputKind.ARGMAX):
        wanted += ", or one plane of whole class numbers"
    return f"no output fits the class list: the network gives {have or 'nothing'}; accepted: {wanted}"


def _text(values: npt.NDArray[Any]) -> str:
    return "x".join(map(str, values.shape))


def _size(trial: Trial) -> str:
    return f"{trial.size[1]}x{trial.size[0]}"
