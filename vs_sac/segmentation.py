"""Clip → class map (paper S1): a network that predicts the non-ROI, as part of the graph; label images; mask files."""

import contextlib
import json
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs

from .errors import SacError, SacFileError, SacFormatError, SacMissingError, SacValueError
from .graph import check_constant_format, pin_cache, plugin
from .labels import CAMVID_COLOUR, SCORE_VOID, LabelSet, SemanticClass, label_table
from .source import open_raw
from .types import parse_choice

__all__ = ["DEFAULT_MODEL", "Backend", "Model", "find_model", "list_models", "open_label_values", "open_labels",
           "preload", "segment"]  # fmt: skip

#: `ccnet-lite` with convolutions in 8 bits: as good, and half again as fast on a processor (docs/network.md).
DEFAULT_MODEL = "ccnet-lite-int8"

#: Sides of the network's input are multiples of this.
_STRIDE = 16

#: Frames are enlarged by no more than this for the network.
_LARGEST_ZOOM = 2.0

#: Results kept so that the network never runs twice for a frame that several filters ask for.
_KEPT = 8


class Backend(StrEnum):
    """Ways to run the network: onnxruntime's Python package, on CUDA too, or the plugins of onnxruntime and OpenVINO.

    The package is what `auto` takes: its threads sleep between frames, where those of the plugin `ort` keep a
    processor busy that the encoders need (docs/performance.md).
    """

    AUTO = "auto"
    PYTHON = "python"
    CUDA = "cuda"
    ORT = "ort"
    OV = "ov"


@dataclass(frozen=True, kw_only=True)
class Model:
    """An ONNX network and the settings of its card.

    Attributes:
        name: Name for reports and the container's tags.
        path: The ONNX file: RGB (1, 3, H, W) in [0, 1] in, probabilities of construction, nature and sky out.
        threshold: Probability of non-ROI from which a pixel is non-ROI.
        working_area: Pixels the network looks at; frames are scaled to about this area, smaller ones by at most 2.
    """

    name: str
    path: Path
    threshold: float = 0.5
    working_area: int = 640 * 360

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height the network sees of a frame."""
        scale = min(_LARGEST_ZOOM, math.sqrt(self.working_area / (width * height)))
        return tuple(max(2 * _STRIDE, round(side * scale / _STRIDE) * _STRIDE) for side in (width, height))  # type: ignore[return-value]


def _models_folder() -> Path:
    packaged = resources.files("vs_sac") / "models"
    # In a checkout the models lie beside the package, in the wheel inside of it.
    return Path(str(packaged)) if packaged.is_dir() else Path(__file__).resolve().parent.parent / "models"


def list_models() -> list[str]:
    """Names of the models that came with the package."""
    folder = _models_folder()
    return sorted(path.stem for path in folder.glob("*.onnx")) if folder.is_dir() else []


def find_model(model: str | Path = DEFAULT_MODEL) -> Model:
    """Find a model by name or path and read the JSON card beside it.

    Raises:
        SacFileError: There is no such model, or its card cannot be read.
    """
    path = Path(model)
    if str(model) in list_models():
        path = _models_folder() / f"{model}.onnx"
    elif not path.is_file():
        known = ", ".join(list_models()) or "none"
        message = f"no model {str(model)!r}; shipped: {known}; or give the path of an .onnx file"
        raise SacFileError(message, "find_model")
    card: dict[str, Any] = {}
    if (beside := path.with_suffix(".json")).is_file():
        try:
            card = json.loads(beside.read_text())
        except (OSError, ValueError) as error:
            raise SacFileError(f"cannot read the model card {beside}: {error}", "find_model") from error
    settings = {key: card[key] for key in ("threshold", "working_area") if key in card}
    return Model(name=path.stem, path=path, **settings)


def segment(
    clip: vs.VideoNode,
    *,
    model: str | Path | Model = DEFAULT_MODEL,
    threshold: float | None = None,
    backend: Backend | str = Backend.AUTO,
) -> vs.VideoNode:
    """Segment a clip into ROI, construction, nature and sky.

    The network predicts the three non-ROI classes; a pixel is non-ROI only where their probabilities add up to
    `threshold` or more, and then belongs to the likeliest of them; everything else is ROI (paper Sec. III.B).

    Args:
        clip: YUV clip with `_Matrix` and `_Range` set, as `open_clip` gives it.
        model: Name, path or `Model`.
        threshold: In (0, 1]; higher calls more pixels ROI. The model's own if not given.
        backend: How the network runs. `auto` takes Python's onnxruntime if it is there, else a plugin that is loaded.

    Returns:
        Class map: GRAY8 clip of the same size and length, values of `labels.SemanticClass`.

    Raises:
        SacFileError: No such model, or it is not one this function can use.
        SacFormatError: `clip` is not YUV.
        SacMissingError: The wanted backend is not installed.
        SacValueError: `threshold` or `backend` is not accepted.
    """
    check_constant_format(clip, "segment")
    if clip.format.color_family != vs.YUV:
        raise SacFormatError(f"the clip is {clip.format.name}; accepted: YUV, as open_clip gives it", "segment")
    model = model if isinstance(model, Model) else find_model(model)
    threshold = model.threshold if threshold is None else threshold
    if not 0 < threshold <= 1:
        raise SacValueError(f"threshold {threshold!r} is outside (0, 1]", "segment")
    backend = _choose(parse_choice(Backend, backend, "segment"))
    width, height = model.working_size(clip.width, clip.height)
    rgb = clip.resize.Bilinear(width, height, format=vs.RGBS)
    run = _run_plugin if backend in _PLUGINS else _run_python
    probabilities = run(rgb, model, backend)
    pin_cache(probabilities, _KEPT)
    # Split first: large float frames that three filters share would fill the frame cache.
    planes = [plane.resize.Bilinear(clip.width, clip.height) for plane in probabilities.std.SplitPlanes()]
    construction, nature, sky = SemanticClass.CONSTRUCTION, SemanticClass.NATURE, SemanticClass.SKY
    likeliest = f"x y >= x z >= and {construction:d} y z >= {nature:d} {sky:d} ? ?"
    confident = f"x y + z + {threshold} >="
    class_map = vs.core.std.Expr(planes, f"{confident} {likeliest} {SemanticClass.ROI:d} ?", format=vs.GRAY8)
    pin_cache(class_map, _KEPT)
    return class_map


def preload(model: str | Path = DEFAULT_MODEL, backend: Backend | str = Backend.AUTO) -> None:
    """Load what `segment` will need, for a thread of its own while other things are made ready.

    Of what is wrong it says nothing; `segment` will.
    """
    with contextlib.suppress(SacError):
        chosen = _choose(parse_choice(Backend, backend, "segment"))
        if chosen not in _PLUGINS:
            _load(str(find_model(model).path.resolve()), _provider(chosen), vs.core.num_threads)


def open_labels(
    path: str | Path | Sequence[Path],
    labels: LabelSet | str,
    *,
    fps: Fraction | None = None,
    policy: Mapping[str, SemanticClass | int] | None = None,
    scoring: bool = False,
) -> vs.VideoNode:
    """Open a sequence of label images as a class map, so that ground truth can stand in for the network.

    Args:
        path: Folder, printf pattern or files: grey label images (KITTI-STEP: panoptic RGB; CamVid's colours: RGB).
        labels: Their encoding.
        fps: Frame rate.
        policy: See `labels.label_table`.
        scoring: Void becomes `labels.SCORE_VOID`, as do values the encoding does not have; otherwise both are ROI.

    Returns:
        Class map.

    Raises:
        SacFileError: No images.
        SacFormatError: They are not 8-bit.
        SacValueError: Unknown encoding or policy.
    """
    table = label_table(labels, policy, scoring=scoring)
    table[table < 0] = SCORE_VOID if scoring else SemanticClass.ROI
    return open_label_values(path, labels, fps=fps).std.Lut(lut=table.tolist())


def open_label_values(
    path: str | Path | Sequence[Path], labels: LabelSet | str, *, fps: Fraction | None = None
) -> vs.VideoNode:
    """Open label images with their original values, those of `labels.label_names`; takes and raises as `open_labels`.

    Returns:
        GRAY8 clip. A colour that is no label has the value 255.
    """
    raw = open_raw(path, fps=fps)
    if raw.format.bits_per_sample != 8:
        raise SacFormatError(f"the labels are {raw.format.name}; accepted: 8-bit grey or RGB", "open_labels")
    if labels == LabelSet.CAMVID_COLOUR:
        if raw.format.color_family != vs.RGB:
            raise SacFormatError(f"the labels are {raw.format.name}; accepted: RGB", "open_labels")
        expression = "255"
        for value, (red, green, blue) in enumerate(CAMVID_COLOUR):
            expression = f"x {red} = y {green} = and z {blue} = and {value} {expression} ?"
        return vs.core.std.Expr(raw.std.SplitPlanes(), expression)
    # Grey labels have one plane; KITTI-STEP keeps its classes in the red one. Both are the first.
    return vs.core.std.ShufflePlanes(raw, 0, vs.GRAY)


def _choose(backend: Backend) -> Backend:
    if backend in _PLUGINS:
        plugin(backend.value, "segment")
    if backend is not Backend.AUTO:
        return backend
    if find_spec("onnxruntime"):
        return Backend.PYTHON
    for candidate in _PLUGINS:
        if hasattr(vs.core, candidate.value):
            return candidate
    raise SacMissingError("no way to run the network: pip install onnxruntime", "segment")


def _run_plugin(rgb: vs.VideoNode, model: Model, backend: Backend) -> vs.VideoNode:
    try:
        out = getattr(vs.core, backend.value).Model(
            rgb, network_path=str(model.path.resolve()), num_streams=1, **_PLUGINS[backend]
        )
    except vs.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise SacFileError(f"cannot use model {model.path}: {reason}", "segment") from error
    if out.format.id != vs.RGBS or (out.width, out.height) != (rgb.width, rgb.height):
        raise SacFileError(
            f"model {model.path} gives {out.format.name} {out.width}x{out.height} for {rgb.width}x{rgb.height};"
            " accepted: three probability planes of the input's size", "segment",
        )  # fmt: skip
    return out


def _run_python(rgb: vs.VideoNode, model: Model, backend: Backend) -> vs.VideoNode:
    session = _load(str(model.path.resolve()), _provider(backend), vs.core.num_threads)
    failed: list[Exception] = []

    def infer(frame: vs.VideoFrame) -> np.ndarray[Any, Any]:
        planes = np.stack([np.asarray(frame[p]) for p in range(3)])[None]
        got = session.run(None, {session.get_inputs()[0].name: planes})[0]
        if got.shape != planes.shape:
            raise SacFileError(f"model {model.path} gives {got.shape}; accepted: {planes.shape}", "segment")
        return got[0]  # type: ignore[no-any-return]

    def probabilities(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        del n
        source, target = f[0], f[1].copy()
        try:
            planes = infer(source)
        except Exception as error:  # onnxruntime has no common base for its errors
            failed.append(error)
            raise
        for p in range(3):
            np.copyto(np.asarray(target[p]), planes[p])
        return target

    blank = vs.core.std.BlankClip(rgb, keep=True)
    made = blank.std.ModifyFrame([rgb, blank], probabilities)
    pin_cache(made, _KEPT)
    try:
        # A wrong model fails when the graph is built. The frame is kept, as it will be asked for.
        made.get_frame(0).close()
    except vs.Error:
        if not failed:
            raise
        if isinstance(failed[0], SacFileError | MemoryError):
            raise failed[0] from None
        raise _unusable(str(model.path), failed[0]) from None
    return made


def _provider(backend: Backend) -> str:
    return "CUDAExecutionProvider" if backend is Backend.CUDA else "CPUExecutionProvider"


def _load(path: str, provider: str, threads: int) -> Any:
    # Whoever comes second waits for the first.
    with _loading:
        return _loaded(path, provider, threads)


_loading = threading.Lock()


@cache
def _loaded(path: str, provider: str, threads: int) -> Any:
    """An onnxruntime session."""
    try:
        import onnxruntime
    except ImportError:
        raise SacMissingError("onnxruntime is not installed: pip install onnxruntime", "segment") from None
    if provider not in onnxruntime.get_available_providers():
        raise SacMissingError(f"onnxruntime has no {provider} here: pip install onnxruntime-gpu", "segment")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait for the next frame take half of the network's time once more.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=[provider])
    except Exception as error:  # onnxruntime has no common base for its errors
        raise _unusable(path, error) from error


def _unusable(path: str, error: Exception) -> SacFileError:
    return SacFileError(f"cannot use model {path}: {str(error).splitlines()[0]}", "segment")


#: Backends that are VapourSynth plugins, and what they are told.
_PLUGINS: dict[Backend, dict[str, str]] = {Backend.ORT: {"provider": "CPU"}, Backend.OV: {"device": "CPU"}}
