"""Finding segmentation models and reading their cards (JSON files beside the ONNX files)."""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from ..core.arguments import check_path
from ..core.choices import Caution, parse_choice
from ..core.errors import SacFileError, SacValueError
from ..core.labels import EVEN_ODDS

__all__ = ["CLASS_PROBABILITIES", "DEFAULT_MODEL", "STRIDE", "WORKING_AREA", "Decision", "Model", "added_models",
           "find_model", "list_models", "models_folder", "neighbourhood", "read_card", "shipped_models",
           "user_models_folder", "working_scale", "working_size"]  # fmt: skip

#: `ccnet-lite` with 8-bit convolutions: equally good, and 1.5 times as fast on a CPU (docs/network.md).
DEFAULT_MODEL = "ccnet-lite-int8"

#: Name of the tensor, inside a network's graph, with the probabilities of the classes that its card lists: float32
#: (1, K, h, w), where h and w are the input's sides or an integer fraction of them.
CLASS_PROBABILITIES = "class_probabilities"

#: Width and height of the network's input are multiples of this number of pixels, if the card does not state another.
STRIDE = 16

#: Area of the network's input in pixels, if the card of the model does not state it.
WORKING_AREA = 640 * 360

#: A pixel in doubt is judged by the pixels up to this distance in rows and columns, in pixels of the frame: 13×13
#: pixels, a little less than a macroblock.
_NEIGHBOURHOOD = 6

#: Limits of the working area of a card, in pixels: the smallest input of the network, and 8192×8192.
_SMALLEST_AREA, _LARGEST_AREA = (2 * STRIDE) ** 2, 8192**2

#: Largest factor by which a frame is enlarged for the network.
_LARGEST_ZOOM = 2.0

#: Limits of the sides of a fixed input, and the largest number of which sides can be multiples, in pixels.
_SMALLEST_SIDE, _LARGEST_SIDE, _LARGEST_MULTIPLE = 16, 8192, 512


class Decision(StrEnum):
    """How the class of a pixel follows from a network's output.

    Attributes:
        THRESHOLD: The output is probabilities; a pixel is non-ROI if that is likely enough.
        ARGMAX: The network chooses the class itself, so a threshold has no meaning.
    """

    THRESHOLD = "threshold"
    ARGMAX = "argmax"


def _is_probability(value: Any) -> bool:
    # JSON's true is a number to Python.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _is_caution(value: Any) -> bool:
    if not isinstance(value, Mapping) or (value and set(value) != set(Caution)):
        return False
    points = [value[point] for point in Caution if value]
    return all(map(_is_probability, points)) and points == sorted(points)


def _is_area(value: Any) -> bool:
    return isinstance(value, int) and _SMALLEST_AREA <= value <= _LARGEST_AREA


def _is_whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_size(value: Any) -> bool:
    if value is None:
        return True
    sides = isinstance(value, list | tuple) and len(value) == 2
    return sides and all(_is_whole(side, _SMALLEST_SIDE, _LARGEST_SIDE) for side in value)


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(set(map(str, value))) == len(value) and all(
        isinstance(name, str) and name for name in value
    )  # fmt: skip


#: Settings of a card: what is accepted, and how messages say so.
_ACCEPTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "threshold": (_is_probability, "a number above 0 and up to 1"),
    "caution": (_is_caution, "the keys low, normal and high with numbers above 0 and up to 1 that do not fall"),
    "working_area": (_is_area, f"a whole number of pixels from {_SMALLEST_AREA} to {_LARGEST_AREA}"),
    "classes": (_are_names, "a list of different names, those of the classes of the network"),
    "input_size": (_is_size, f"[width, height], whole numbers of pixels from {_SMALLEST_SIDE} to {_LARGEST_SIDE}"),
    "multiple_of": (
        lambda value: _is_whole(value, 1, _LARGEST_MULTIPLE),
        f"a whole number of pixels from 1 to {_LARGEST_MULTIPLE}",
    ),
    "decision": (lambda value: value in tuple(Decision), " or ".join(Decision)),
}


def neighbourhood(inside: int, side: int) -> int:
    """Return the distance up to which neighbours judge a pixel in doubt, in pixels of the network's input.

    It is that of 6 pixels of the frame, but from 1 to 12; see `vs_sac.segment`.

    Args:
        inside: Width or height of the network's input.
        side: The same side of the frame.
    """
    # A convolution of VapourSynth has at most 25 taps.
    return min(max(1, round(_NEIGHBOURHOOD * inside / side)), 12)


def working_scale(width: int, height: int, area: int = WORKING_AREA) -> float:
    """Return the factor by which a frame is scaled for the network, at most 2; see `working_size`."""
    return min(_LARGEST_ZOOM, math.sqrt(area / (width * height)))


def working_size(width: int, height: int, area: int = WORKING_AREA, multiple_of: int = STRIDE) -> tuple[int, int]:
    """Return width and height of the network's input for a frame, in pixels.

    Frames are scaled to about `area` pixels; smaller frames are enlarged by a factor of at most 2. Both sides are
    multiples of `multiple_of`, and at least 32.

    Args:
        width: Width of the frame in pixels.
        height: Height of the frame in pixels.
        area: Area of the network's input in pixels.
        multiple_of: Number of pixels of which both sides are multiples.
    """
    scale = working_scale(width, height, area)
    smallest = math.ceil(2 * STRIDE / multiple_of) * multiple_of
    wide, high = (max(smallest, round(side * scale / multiple_of) * multiple_of) for side in (width, height))
    return wide, high


@dataclass(frozen=True, kw_only=True)
class Model:
    """An ONNX network and the settings of its card.

    Attributes:
        name: Name for reports and for the tags of the container.
        path: The ONNX file. Input: RGB, (1, 3, H, W), in [0, 1]. Output: the probabilities of construction, nature and
            sky, in the shape of the input.
        threshold: Probability of non-ROI from which on a pixel is non-ROI.
        caution: The thresholds of the three operating points (`Caution`); empty if the card has none.
        working_area: Area of the network's input in pixels. Frames are scaled to about this area; smaller frames are
            enlarged by a factor of at most 2.
        classes: Names of the network's own classes, in the order of the planes of its tensor ``class_probabilities``;
            empty if the card does not state them.
        input_size: Width and height of the input in pixels, if the network accepts this size only. Frames are then
            scaled to it, and `working_area` and `multiple_of` do not matter.
        multiple_of: Number of pixels of which both sides of the input are multiples.
        decision: How the class of a pixel follows from the output.
    """

    name: str
    path: Path
    threshold: float = EVEN_ODDS
    caution: Mapping[str, float] = field(default_factory=dict, hash=False)
    working_area: int = WORKING_AREA
    classes: tuple[str, ...] = ()
    input_size: tuple[int, int] | None = None
    multiple_of: int = STRIDE
    decision: Decision | str = Decision.THRESHOLD

    def __post_init__(self) -> None:
        for setting, (accepted, described) in _ACCEPTED.items():
            value = getattr(self, setting)
            if not accepted(value):
                raise SacValueError(f"{setting} is {value!r}; accepted: {described}", "Model")
        object.__setattr__(self, "path", Path(self.path))
        # The lists of a card become tuples, because a model is a key of caches.
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "decision", Decision(self.decision))
        if self.input_size is not None:
            object.__setattr__(self, "input_size", tuple(self.input_size))

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the network's input for a frame, in pixels."""
        return self.input_size or working_size(width, height, self.working_area, self.multiple_of)

    def file_stamp(self) -> tuple[int, int]:
        """Return what tells a file that was written anew from the one that was loaded; zeros if there is none."""
        try:
            stat = self.path.stat()
        except OSError:
            return 0, 0
        return stat.st_mtime_ns, stat.st_size

    def threshold_for(self, threshold: float | None, caution: Caution | str | None, func: str) -> float:
        """Return the threshold that is used if the caller asks for a threshold or for an operating point.

        Args:
            threshold: A threshold, or None.
            caution: An operating point, or None. With neither, the result is the model's own threshold.
            func: Name of the calling function, for messages.

        Raises:
            SacValueError: Both are given, the threshold is outside (0, 1], the card has no operating points, or one of
                both is given and the output of the model is argmax.
        """
        if threshold is not None and caution is not None:
            raise SacValueError("threshold and caution both choose the operating point; give one", func)
        if self.decision is Decision.ARGMAX:
            for name, given in (("threshold", threshold), ("caution", caution)):
                if given is not None:
                    raise SacValueError(f"{name} {given} has no meaning for {self.name}, whose output is argmax", func)
            # At the edges of enlarged planes, this is half way between two classes.
            return EVEN_ODDS
        if caution is not None:
            point = parse_choice(Caution, caution, func)
            if not self.caution:
                raise SacValueError(f"the card of {self.name} has no points for caution; give threshold", func)
            return float(self.caution[point])
        if threshold is not None and not 0 < threshold <= 1:
            raise SacValueError(f"threshold {threshold!r} is outside (0, 1]", func)
        return self.threshold if threshold is None else threshold


def models_folder() -> Path:
    """Return the folder of the models that are part of the package."""
    packaged = resources.files("vs_sac") / "models"
    # The models are beside the package in a checkout, and inside the package in a wheel.
    return Path(str(packaged)) if packaged.is_dir() else Path(__file__).resolve().parents[2] / "models"


def user_models_folder() -> Path | None:
    """Return the folder of the models that `vs-sac add-model` adds; it need not exist.

    It is the value of the environment variable ``VS_SAC_MODELS``, else ``vs_sac/models`` in ``XDG_DATA_HOME`` or in
    ``~/.local/share``. None if the user has no home.
    """
    if given := os.environ.get("VS_SAC_MODELS"):
        return Path(given)
    if data := os.environ.get("XDG_DATA_HOME"):
        return Path(data) / "vs_sac/models"
    if os.environ.get("HOME") == "":
        return None
    try:
        return Path.home() / ".local/share/vs_sac/models"
    except RuntimeError:
        return None


def _names(folder: Path | None) -> list[str]:
    """Names of the models in a folder; none where it is missing or cannot be read."""
    try:
        files = [path for path in folder.glob("*.onnx") if path.is_file()] if folder and folder.is_dir() else []
        return sorted(path.stem for path in files)
    except OSError:
        return []


def shipped_models() -> list[str]:
    """Return the names of the models that are part of the package."""
    return _names(models_folder())


def added_models() -> list[str]:
    """Return the names of the models in the user's folder, except those that a shipped model has."""
    return [name for name in _names(user_models_folder()) if name not in shipped_models()]


def list_models() -> list[str]:
    """Return the names that `find_model` accepts: the shipped models, then those in the user's folder."""
    return [*shipped_models(), *added_models()]


def find_model(model: str | Path = DEFAULT_MODEL) -> Model:
    """Find a model by name or path, and read the JSON card beside it.

    A name is that of a shipped model or of a model in the user's folder, in this order.

    Raises:
        SacFileError: The model does not exist, or its card cannot be read.
    """
    check_path(model, "model", "find_model")
    path = Path(model)
    folder = user_models_folder()
    if str(model) in shipped_models():
        path = models_folder() / f"{model}.onnx"
    elif folder and str(model) in added_models():
        path = folder / f"{model}.onnx"
    elif not path.is_file():
        known = f"shipped: {', '.join(shipped_models()) or 'none'}"
        if added := added_models():
            known += f"; added: {', '.join(added)}"
        raise SacFileError(f"no model {str(model)!r}; {known}; or give the path of an .onnx file", "find_model")
    card = read_card(path)
    settings = {key: card[key] for key in _ACCEPTED if key in card}
    try:
        if isinstance(names := settings.get("classes"), list):
            # A tuple can be hashed, as runtimes keep sessions by model; `Model` checks the names.
            settings["classes"] = tuple(names)
        return Model(name=path.stem, path=path, **settings)
    except SacValueError as error:
        reason = str(error).partition(") ")[2]
        raise SacFileError(f"the model card {path.with_suffix('.json')} is wrong: {reason}", "find_model") from error


def read_card(model: Path) -> dict[str, Any]:
    """The JSON card beside a model's file; empty where there is none.

    Raises:
        SacFileError: It cannot be read, or is no JSON object.
    """
    beside = model.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        card = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SacFileError(f"cannot read the model card {beside}: {error}", "find_model") from error
    if not isinstance(card, dict):
        raise SacFileError(f"the model card {beside} is no JSON object", "find_model")
    return card
