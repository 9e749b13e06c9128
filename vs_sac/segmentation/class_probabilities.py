"""A network's own classes: the tensor ``class_probabilities`` inside its graph, as arrays and as a clip.

The three planes that the network gives to `segment` are sums over these classes. The tensor is no declared output,
because the VapourSynth plugins accept networks with a single output only.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..core.clips import check_constant_format, pin_cache
from ..core.errors import SacFileError, SacFormatError, SacValueError
from ..core.rgb import convertible
from .class_output import open_with_classes
from .registry import CLASS_PROBABILITIES, Model, find_model
from .runtimes.base import KEPT_FRAMES

__all__ = ["LOADERS", "ClassNetwork", "likeliest_class", "open_classes", "segment_classes"]

type FloatArray = npt.NDArray[np.float32]


class ClassNetwork:
    """A loaded network that gives its own classes beside the three non-ROI planes. Made by `open_classes`.

    Attributes:
        model: The network and its card.
        classes: Names of its K classes.
    """

    def __init__(self, model: Model, session: Any) -> None:
        self.model, self.classes = model, model.classes
        self._session = session
        self._input = session.get_inputs()[0].name
        self._planes = session.get_outputs()[0].name

    def run(self, rgb: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Run the network on one frame.

        Args:
            rgb: RGB, float32 (1, 3, H, W) in [0, 1], of the size that `Model.working_size` gives.

        Returns:
            Probabilities of construction, nature and sky, (3, H, W), and of the network's own classes, (K, h, w).

        Raises:
            SacFileError: The network cannot be run, or has not as many classes as its card names.
        """
        try:
            planes, classes = self._session.run([self._planes, CLASS_PROBABILITIES], {self._input: rgb})
        except Exception as error:  # onnxruntime has no common base for its errors
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise SacFileError(f"cannot run model {self.model.path}: {reason}", "open_classes") from error
        if classes.ndim != 4 or classes.shape[:2] != (1, len(self.classes)):
            raise _other_shape(self.model, classes.shape)
        return planes[0], classes[0]


def _other_shape(model: Model, shape: Sequence[object]) -> SacFileError:
    count = len(model.classes)
    shown = "x".join("?" if side is None else str(side) for side in shape)
    return SacFileError(
        f"{CLASS_PROBABILITIES} of model {model.path} has the shape {shown}; accepted for the {count} classes of its"
        f" card: 1x{count}xHxW", "open_classes",
    )  # fmt: skip


def open_classes(model: str | Path | Model) -> ClassNetwork:
    """Load a network so that it gives its own classes too. A network is loaded once and kept.

    Args:
        model: Name of a model, path of an ONNX file, or `Model`.

    Raises:
        SacFileError: The model does not exist, or its graph has no tensor ``class_probabilities``, or one of another
            number of classes than its card names.
        SacMissingError: onnxruntime is not installed.
        SacValueError: The card of the model has no ``classes``, or more than 255.
    """
    model = model if isinstance(model, Model) else find_model(model)
    if not 0 < len(model.classes) <= 255:
        raise SacValueError(f"the card of {model.path} names {len(model.classes)} classes; accepted: 1 to 255 under"
                            ' "classes"', "open_classes")  # fmt: skip
    return _loaded(model, model.file_stamp(), vs.core.num_threads)


#: Functions (model, threads) → `ClassNetwork` for files that are no ONNX, by suffix. The benchmarks add one here.
LOADERS: dict[str, Callable[[Model, int], "ClassNetwork"]] = {}


@lru_cache(maxsize=2)
def _loaded(model: Model, stamp: tuple[int, int], threads: int) -> ClassNetwork:
    """`stamp` tells a file that was written anew from the one that was loaded."""
    del stamp
    if load := LOADERS.get(model.path.suffix):
        return load(model, threads)
    session = open_with_classes(model, "open_classes", threads=threads)
    # Which output is which is known by name only; a size that is not fixed is None or a word.
    (shape,) = (output.shape for output in session.get_outputs() if output.name == CLASS_PROBABILITIES)
    if len(shape) == 4 and isinstance(shape[1], int) and shape[1] != len(model.classes):
        raise _other_shape(model, shape)
    return ClassNetwork(model, session)


def likeliest_class(probabilities: FloatArray, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return the likeliest class of every pixel, with the probabilities enlarged bilinearly.

    Args:
        probabilities: Shape (K, h, w).
        height: Height of the result.
        width: Width of the result.

    Returns:
        Indices of the classes, uint8 (height, width); the lower index where two are equally likely.
    """
    rows = _neighbours(probabilities.shape[1], height)
    columns = _neighbours(probabilities.shape[2], width)
    best = np.full((height, width), -np.inf, np.float32)
    chosen = np.zeros((height, width), np.uint8)
    # One class at a time, because all classes at full size would take 150 MB.
    for index, plane in enumerate(probabilities):
        (above, below, down), (left, right, along) = rows, columns
        tall = plane[above] + (plane[below] - plane[above]) * down[:, None]
        full = tall[:, left] + (tall[:, right] - tall[:, left]) * along
        better = full > best
        best[better] = full[better]
        chosen[better] = index
    return chosen


def _neighbours(size: int, wanted: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], FloatArray]:
    """For each sample of an enlarged row: the two samples beside it, and the weight of the second one.

    Samples are at the centres of their pixels, and the row is continued at its ends.
    """
    place = ((np.arange(wanted) + 0.5) * size / wanted - 0.5).clip(0, size - 1)
    first = np.floor(place).astype(np.intp)
    return first, np.minimum(first + 1, size - 1), (place - first).astype(np.float32)


def segment_classes(clip: vs.VideoNode, *, model: str | Path | Model, own_size: bool = False) -> vs.VideoNode:
    """Segment a clip into a network's own classes.

    Args:
        clip: YUV clip with the frame properties `_Matrix` and `_Range`, as returned by `open_clip`.
        model: Name of a model, path of an ONNX file, or `Model`.
        own_size: Whether the result has the size of the network's output, instead of the size of the clip. That is
            many times as fast.

    Returns:
        GRAY8 clip of the same length; the values are indices of ``Model.classes``.

    Raises:
        SacError: See `open_classes`; also if the clip is not YUV.
    """
    check_constant_format(clip, "segment_classes")
    if clip.format.color_family != vs.YUV:
        raise SacFormatError(f"the clip is {clip.format.name}; accepted: YUV", "segment_classes")
    network = open_classes(model)
    size = network.model.working_size(clip.width, clip.height)
    rgb = convertible(clip).resize.Bilinear(*size, format=vs.RGBS)

    def planes(frame: vs.VideoFrame) -> FloatArray:
        return network.run(np.stack([np.asarray(frame[p]) for p in range(3)])[None])[1]

    def classes(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        del n
        source, target = f[0], f[1].copy()
        own = planes(source)
        seen = own.argmax(0) if own_size else likeliest_class(own, target.height, target.width)
        np.copyto(np.asarray(target[0]), seen, casting="unsafe")
        return target

    width, height = clip.width, clip.height
    if own_size:
        # Only the network knows the size of its output.
        with rgb.get_frame(0) as frame:
            height, width = planes(frame).shape[1:]
    blank = vs.core.std.BlankClip(clip, width, height, vs.GRAY8, keep=True)
    made = blank.std.ModifyFrame([rgb, blank], classes)
    pin_cache(made, KEPT_FRAMES)
    return made
