"""Clip → class map by the segmentation network, as part of the VapourSynth graph (paper Sec. III.B)."""

import contextlib
from pathlib import Path

import vapoursynth as vs

from ..core.choices import Caution
from ..core.clips import check_constant_format, pin_cache
from ..core.errors import SacError, SacFormatError
from ..core.labels import EVEN_ODDS, SemanticClass
from ..core.rgb import convertible
from .registry import DEFAULT_MODEL, NEIGHBOURHOOD, Model, find_model
from .runtimes import Backend, choose_backend, runtime_of
from .runtimes.base import KEPT_FRAMES

__all__ = ["preload", "segment"]

#: Values of `_Matrix` (ITU-T H.273) of a YUV clip: all but RGB (0), unspecified (2) and reserved (3).
_MATRICES = frozenset({1, *range(4, 18)})

#: Smallest side of a frame that VapourSynth's BoxBlur accepts, in pixels.
_SMALLEST_BLUR = 4


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
    mean of the probability over 13×13 pixels, a little less than a macroblock, must be below `threshold` too: a few
    pixels in doubt do not make a macroblock ROI. The class of every other pixel is the likeliest of the three (paper
    Sec. III.B).

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
    check_constant_format(clip, "segment")
    if clip.format.color_family != vs.YUV:
        raise SacFormatError(f"the clip is {clip.format.name}; accepted: YUV, as open_clip gives it", "segment")
    clip = _with_matrix(clip)
    model = model if isinstance(model, Model) else find_model(model)
    threshold = model.threshold_for(threshold, caution, "segment")
    runtime = runtime_of(choose_backend(backend))
    width, height = model.working_size(clip.width, clip.height)
    rgb = convertible(clip).resize.Bilinear(width, height, format=vs.RGBS)
    probabilities = runtime.probabilities(rgb, model)
    pin_cache(probabilities, KEPT_FRAMES)
    # The planes are split first, because large float frames that three filters share would fill the frame cache.
    planes = [plane.resize.Bilinear(clip.width, clip.height) for plane in probabilities.std.SplitPlanes()]
    non_roi = vs.core.std.Expr(planes, "x y + z +", format=vs.GRAYS)
    around = _mean_around(non_roi)
    construction, nature, sky = SemanticClass.CONSTRUCTION, SemanticClass.NATURE, SemanticClass.SKY
    likeliest = f"x y >= x z >= and {construction:d} y z >= {nature:d} {sky:d} ? ?"
    # a is the probability of non-ROI, b its mean.
    confident = f"a {EVEN_ODDS} < a a b max ? {threshold} >="
    class_map = vs.core.std.Expr(
        [*planes, non_roi, around], f"{confident} {likeliest} {SemanticClass.ROI:d} ?", format=vs.GRAY8
    )
    pin_cache(class_map, KEPT_FRAMES)
    return class_map


def _mean_around(plane: vs.VideoNode) -> vs.VideoNode:
    """Return the mean over the `NEIGHBOURHOOD` of every pixel. Frames too small for the filter are enlarged for it."""
    width, height = max(plane.width, _SMALLEST_BLUR), max(plane.height, _SMALLEST_BLUR)
    tiny = (width, height) != (plane.width, plane.height)
    large = plane.resize.Point(width, height) if tiny else plane
    mean = large.std.BoxBlur(hradius=NEIGHBOURHOOD, vradius=NEIGHBOURHOOD)
    return mean.resize.Point(plane.width, plane.height) if tiny else mean


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


def preload(model: str | Path = DEFAULT_MODEL, backend: Backend | str = Backend.AUTO) -> None:
    """Load the model and the runtime of `segment` in advance; called in its own thread while other things are loaded.

    Errors are ignored here, because `segment` raises them again.
    """
    with contextlib.suppress(SacError):
        runtime_of(choose_backend(backend)).preload(find_model(model))
