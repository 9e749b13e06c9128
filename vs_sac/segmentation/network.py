"""Clip → class map by the segmentation network, as part of the VapourSynth graph (paper Sec. III.B)."""

import contextlib
from pathlib import Path

import vapoursynth as vs

from ..core.choices import Caution
from ..core.clips import check_constant_format, pin_cache
from ..core.errors import SacError, SacFileError, SacFormatError, SacValueError
from ..core.labels import EVEN_ODDS, SemanticClass
from ..core.rgb import convertible
from .registry import DEFAULT_MODEL, Model, find_model, neighbourhood
from .runtimes import Backend, choose_backend, runtime_of
from .runtimes.base import CLASSES_PROPERTY, KEPT_FRAMES

__all__ = ["preload", "segment", "segment_with_classes"]

#: Values of `_Matrix` (ITU-T H.273) of a YUV clip: all but RGB (0), unspecified (2) and reserved (3).
_MATRICES = frozenset({1, *range(4, 18)})


def segment(
    clip: vs.VideoNode,
    *,
    model: str | Path | Model = DEFAULT_MODEL,
    threshold: float | None = None,
    caution: Caution | str | None = None,
    backend: Backend | str = Backend.AUTO,
) -> vs.VideoNode:
    """Segment a clip into ROI, construction, nature and sky.

    The network predicts the probabilities of the three non-ROI classes, which add up to the probability of non-ROI. A
    pixel is ROI if this probability is below `threshold`. Where ROI is not the likelier of both (from one half on), the
    mean of the probability over 13×13 pixels of the clip, a little less than a macroblock, must be below `threshold`
    too: a few pixels in doubt do not make a macroblock ROI. This is decided at the size of the network's input. The
    class of every other pixel is the likeliest of the three (paper Sec. III.B).

    Args:
        clip: YUV clip with the frame properties `_Matrix` and `_Range`, as returned by `open_clip`.
        model: Name of a model, path of an ONNX file, or `Model`.
        threshold: In (0, 1]; a higher threshold makes more pixels ROI. Default: the threshold of the model.
        caution: Operating point of the model instead of a threshold; higher caution makes more pixels ROI.
        backend: Runtime of the network. ``auto`` uses the Python package onnxruntime if it is installed, else a loaded
            plugin.

    Returns:
        Class map: GRAY8 clip of the same size and length with the values of `core.labels.SemanticClass`.

    Raises:
        SacFileError: The model does not exist, or does not have the expected input and output; the message says in
            what it differs.
        SacFormatError: `clip` is not YUV, or does not have the frame property `_Matrix`.
        SacMissingError: The backend is not installed.
        SacValueError: `threshold`, `caution` or `backend` is not accepted, or `threshold` or `caution` is given for a
            model whose output is argmax.
    """
    clip = _segmentable(clip)
    model = model if isinstance(model, Model) else find_model(model)
    threshold = model.threshold_for(threshold, caution, "segment")
    return _class_map(_probabilities(clip, model, backend, False), clip, threshold)


def segment_with_classes(
    clip: vs.VideoNode,
    *,
    model: str | Path | Model = DEFAULT_MODEL,
    threshold: float | None = None,
    caution: Caution | str | None = None,
    backend: Backend | str = Backend.AUTO,
) -> tuple[vs.VideoNode, vs.VideoNode]:
    """Segment a clip, and give the probabilities of the network's own classes too. The network runs once a frame.

    Args:
        clip: See `segment`, as for `model`, `threshold`, `caution` and `backend`.
        model: A network whose card names its K classes.
        threshold: See `segment`.
        caution: See `segment`.
        backend: See `segment`; the plugins cannot give the classes.

    Returns:
        The class map of `segment`, and the probabilities of the classes: a GRAYS clip in which the K planes of a frame,
        each w×h, lie below each other.

    Raises:
        SacError: See `segment`.
        SacFileError: The graph of the network has no tensor ``class_probabilities``.
        SacValueError: The card of the model names no classes, or the backend cannot give them.
    """
    clip = _segmentable(clip)
    model = model if isinstance(model, Model) else find_model(model)
    if not model.classes:
        raise SacValueError(f"the card of {model.name} names no classes, which the map needs; vs-sac add-model writes"
                            " them into it", "segment_with_classes")  # fmt: skip
    threshold = model.threshold_for(threshold, caution, "segment")
    probabilities = _probabilities(clip, model, backend, True)
    planes = probabilities.std.PropToClip(CLASSES_PROPERTY)
    if planes.height % len(model.classes):
        raise SacFileError(
            f"the network gives {planes.height} rows of class probabilities, no multiple of the {len(model.classes)}"
            f" classes of the card of {model.name}", "segment_with_classes",
        )  # fmt: skip
    return _class_map(probabilities.std.RemoveFrameProps(CLASSES_PROPERTY), clip, threshold), planes


def _segmentable(clip: vs.VideoNode) -> vs.VideoNode:
    check_constant_format(clip, "segment")
    if clip.format.color_family != vs.YUV:
        raise SacFormatError(f"the clip is {clip.format.name}; accepted: YUV, as open_clip gives it", "segment")
    return _with_matrix(clip)


def _probabilities(clip: vs.VideoNode, model: Model, backend: Backend | str, classes: bool) -> vs.VideoNode:
    """The probabilities of construction, nature and sky, RGBS at the working size."""
    runtime = runtime_of(choose_backend(backend))
    width, height = model.working_size(clip.width, clip.height)
    rgb = convertible(clip).resize.Bilinear(width, height, format=vs.RGBS)
    probabilities = runtime.probabilities(rgb, model, classes=classes)
    pin_cache(probabilities, KEPT_FRAMES)
    return probabilities


def _class_map(probabilities: vs.VideoNode, clip: vs.VideoNode, threshold: float) -> vs.VideoNode:
    """The class map at the size of the clip."""
    # The planes are split first, because large float frames that three filters share would fill the frame cache.
    planes = [plane.resize.Bilinear(clip.width, clip.height) for plane in _steady(probabilities, clip)]
    construction, nature, sky = SemanticClass.CONSTRUCTION, SemanticClass.NATURE, SemanticClass.SKY
    likeliest = f"x y >= x z >= and {construction:d} y z >= {nature:d} {sky:d} ? ?"
    confident = f"x y + z + {threshold} >="
    class_map = vs.core.std.Expr(planes, f"{confident} {likeliest} {SemanticClass.ROI:d} ?", format=vs.GRAY8)
    pin_cache(class_map, KEPT_FRAMES)
    return class_map


def _steady(probabilities: vs.VideoNode, clip: vs.VideoNode) -> list[vs.VideoNode]:
    """Raise the probability of non-ROI where a doubtful pixel has a less doubtful neighbourhood; see `segment`.

    Args:
        probabilities: Those of construction, nature and sky, RGBS at the working size.
        clip: The clip that is segmented.

    Returns:
        The three planes, GRAYS. Each is multiplied by the same factor.
    """
    planes = probabilities.std.SplitPlanes()
    non_roi = vs.core.std.Expr(planes, "x y + z +", format=vs.GRAYS)
    around = non_roi
    for mode, inside, side in (("h", non_roi.width, clip.width), ("v", non_roi.height, clip.height)):
        around = around.std.Convolution([1] * (2 * neighbourhood(inside, side) + 1), mode=mode)
    factor = f"y {EVEN_ODDS} < x x y z max * y / ?"
    return [vs.core.std.Expr([plane, non_roi, around], factor) for plane in planes]


def _with_matrix(clip: vs.VideoNode) -> vs.VideoNode:
    """Return the clip with a cache for its first frame, whose `_Matrix` is checked.

    Raises:
        SacFormatError: The clip does not say how it is converted to RGB.
    """
    # This node caches the frame that is read here, so that it is not computed twice.
    clip = clip.std.RemoveFrameProps("SacNone")
    pin_cache(clip, 1)
    with clip.get_frame(0) as frame:
        matrix = int(frame.props.get("_Matrix", vs.MATRIX_UNSPECIFIED))
    if matrix not in _MATRICES:
        said = "no frame property _Matrix" if matrix == vs.MATRIX_UNSPECIFIED else f"_Matrix {matrix}"
        raise SacFormatError(
            f"the clip has {said}; accepted: 1 or 4 to 17 (ITU-T H.273), for example clip.std.SetFrameProps(_Matrix=1)"
            " for BT.709; open_clip sets it", "segment",
        )  # fmt: skip
    return clip


def preload(model: str | Path = DEFAULT_MODEL, backend: Backend | str = Backend.AUTO, *, classes: bool = False) -> None:
    """Load the model and the runtime of `segment` in advance; called in its own thread while other things are loaded.

    Errors are ignored here, because `segment` raises them again.
    """
    with contextlib.suppress(SacError):
        runtime_of(choose_backend(backend)).preload(find_model(model), classes=classes)
