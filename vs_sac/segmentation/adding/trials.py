"""Trial runs of a foreign network on a frame: its outputs, and the sizes of the input that it accepts."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import vapoursynth as vs

from ...core.errors import SacError, SacFileError
from ...core.inference import open_session
from ...core.rgb import convertible
from ..network_facts import Finding, Floats, InputSpec, Origin
from .loading import own_name
from .prepare import INPUT, with_input

__all__ = ["Trial", "frame_rgb", "quiet_session", "run_on", "try_network"]

_FUNC = "add_model"

#: Numbers of pixels of which the sides of an input may have to be multiples, and the two sizes in these that are tried.
#: The factors are odd, so that a larger number that is needed shows.
_MULTIPLES = {16: ((9, 13), (15, 11)), 32: ((5, 7), (9, 11)), 64: ((3, 5), (5, 7)), 128: ((3, 5), (5, 3))}


@dataclass(frozen=True)
class Trial:
    """What a network has given for a frame.

    Attributes:
        size: Width and height of the input in pixels.
        outputs: Outputs by their name in the graph.
    """

    size: tuple[int, int]
    outputs: dict[str, npt.NDArray[Any]]


def quiet_session(path: Path) -> Any:
    """Return an onnxruntime session that prints nothing, because some trial sizes are expected to fail.

    It has one thread: several would wait for each other on a busy machine.
    """
    return open_session(path, _FUNC, threads=1, quiet=True)


def frame_rgb(clip: vs.VideoNode, width: int, height: int) -> Floats:
    """Return the first frame of a YUV clip, scaled to a size: float32, (1, 3, H, W), about [0, 1]."""
    with convertible(clip).resize.Bilinear(width, height, format=vs.RGBS).get_frame(0) as frame:
        return np.stack([np.asarray(frame[plane]) for plane in range(3)])[None]


def try_network(
    model: onnx.ModelProto, spec: InputSpec, clip: vs.VideoNode
) -> tuple[InputSpec, list[Trial], list[Finding]]:
    """Run a network on the first frame of a clip.

    Args:
        model: Network from `loading.load_network`.
        spec: Its input; if its size is None, sizes are tried.
        clip: YUV clip.

    Returns:
        The input with `InputSpec.multiple_of`, one run at a fixed size or two at different sizes, and the findings.

    Raises:
        SacFileError: The network does not run.
    """
    with tempfile.TemporaryDirectory(prefix="vs-sac-") as folder:
        path = Path(folder) / "network.onnx"
        try:
            onnx.save(with_input(model, spec), str(path))
        except ValueError as error:
            raise SacFileError(f"the network is larger than a file can be: {error}", _FUNC) from error
        try:
            session = quiet_session(path)
        except SacFileError as error:
            reason = str(error).partition(f"{path}: ")[2].replace(f"Load model from {path} failed:", "")
            raise SacFileError(f"the network cannot be run: {reason}", _FUNC) from error
        if spec.size:
            return spec, [run_on(session, clip, spec.size)], []
        return _try_sizes(session, spec, clip)


def _try_sizes(session: Any, spec: InputSpec, clip: vs.VideoNode) -> tuple[InputSpec, list[Trial], list[Finding]]:
    failed: SacError | None = None
    for multiple, sizes in _MULTIPLES.items():
        trials = []
        try:
            for rows, columns in sizes:
                trials.append(run_on(session, clip, (columns * multiple, rows * multiple)))
        except SacFileError as error:
            failed = failed or error
            continue
        if any(_strides(trials, name) for name in trials[0].outputs):
            why = f"runs with {trials[0].size[1]}x{trials[0].size[0]}"
            finding = Finding("sides", f"multiples of {multiple}", Origin.GUESSED, why)
            return replace(spec, multiple_of=multiple), trials, [finding]
    if failed:
        raise SacFileError(f"the network does not run with an input of any size ({failed}); give the size that it"
                           " takes with --input HEIGHTxWIDTH", _FUNC) from failed  # fmt: skip
    raise SacFileError("the size of no output follows that of the input; give the size that the network takes with"
                       " --input HEIGHTxWIDTH", _FUNC)  # fmt: skip


def _strides(trials: Sequence[Trial], name: str) -> bool:
    """Whether two sides of an output are those of the input, divided by one whole number, in all trials."""
    possible: set[tuple[int, int]] | None = None
    for trial in trials:
        shape = trial.outputs[name].shape
        width, height = trial.size
        fitting = {
            (axis, height // shape[axis])
            for axis in range(len(shape) - 1)
            if shape[axis] and not height % shape[axis] and shape[axis + 1] * (height // shape[axis]) == width
        }
        possible = fitting if possible is None else possible & fitting
    return bool(possible)


def run_on(session: Any, clip: vs.VideoNode, size: tuple[int, int]) -> Trial:
    """Run a session on the first frame of a clip.

    Args:
        session: Session of a network with the input of `prepare.with_input`.
        clip: YUV clip.
        size: Width and height of the input in pixels.

    Raises:
        SacFileError: The network does not run with this size.
    """
    names = [value.name for value in session.get_outputs()]
    try:
        values = session.run(names, {INPUT: frame_rgb(clip, *size)})
    except Exception as error:  # onnxruntime has no common base for its errors
        reason = own_name((str(error).splitlines() or [""])[0])
        raise SacFileError(
            f"the network does not run with {size[1]}x{size[0]} (rows x columns): {reason}", _FUNC
        ) from error
    arrays = {name: value for name, value in zip(names, values, strict=True) if isinstance(value, np.ndarray)}
    return Trial(size, arrays)
