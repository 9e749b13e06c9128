"""Finding segmentation models and reading their cards (JSON files beside the ONNX files)."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ..core.arguments import check_path
from ..core.choices import Caution, parse_choice
from ..core.errors import SacFileError, SacValueError

__all__ = ["CLASS_PROBABILITIES", "DEFAULT_MODEL", "STRIDE", "WORKING_AREA", "Model", "find_model", "list_models",
           "read_card", "working_scale", "working_size"]  # fmt: skip

#: `ccnet-lite` with 8-bit convolutions: equally good, and 1.5 times as fast on a CPU (docs/network.md).
DEFAULT_MODEL = "ccnet-lite-int8"

#: Name of the tensor, inside a network's graph, with the probabilities of the classes that its card lists: float32
#: (1, K, h, w), where h and w are the input's sides or an integer fraction of them.
CLASS_PROBABILITIES = "class_probabilities"

#: Width and height of the network's input are multiples of this number of pixels.
STRIDE = 16

#: Area of the network's input in pixels, if the card of the model does not state it.
WORKING_AREA = 640 * 360

#: Limits of the working area of a card, in pixels: the smallest input of the network, and 8192×8192.
_SMALLEST_AREA, _LARGEST_AREA = (2 * STRIDE) ** 2, 8192**2

#: Largest factor by which a frame is enlarged for the network.
_LARGEST_ZOOM = 2.0


def _is_probability(value: Any) -> bool:
    # JSON's true is a number to Python.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _is_caution(value: Any) -> bool:
    if not isinstance(value, Mapping) or (value and set(value) != set(Caution)):
        return False
    points = [value[point] for point in Caution if value]
    return all(map(_is_probability, points)) and points == sorted(points)


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) and name for name in value)


def _is_area(value: Any) -> bool:
    return isinstance(value, int) and _SMALLEST_AREA <= value <= _LARGEST_AREA


#: Settings of a card: what is accepted, and how messages say so.
_ACCEPTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "threshold": (_is_probability, "a number above 0 and up to 1"),
    "caution": (_is_caution, "the keys low, normal and high with numbers above 0 and up to 1 that do not fall"),
    "classes": (_are_names, "a list of names"),
    "working_area": (_is_area, f"a whole number of pixels from {_SMALLEST_AREA} to {_LARGEST_AREA}"),
}


def working_scale(width: int, height: int, area: int = WORKING_AREA) -> float:
    """Return the factor by which a frame is scaled for the network, at most 2; see `working_size`."""
    return min(_LARGEST_ZOOM, math.sqrt(area / (width * height)))


def working_size(width: int, height: int, area: int = WORKING_AREA) -> tuple[int, int]:
    """Return width and height of the network's input for a frame, in pixels.

    Frames are scaled to about `area` pixels; smaller frames are enlarged by a factor of at most 2. Both sides are
    multiples of `STRIDE`.

    Args:
        width: Width of the frame in pixels.
        height: Height of the frame in pixels.
        area: Area of the network's input in pixels.
    """
    scale = working_scale(width, height, area)
    wide, high = (max(2 * STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (width, height))
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
        classes: Names of the network's own classes, in the order of its tensor `class_probabilities`; empty if it has
            none. See `open_classes`.
    """

    name: str
    path: Path
    threshold: float = 0.5
    caution: Mapping[str, float] = field(default_factory=dict, hash=False)
    working_area: int = WORKING_AREA
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for setting, (accepted, described) in _ACCEPTED.items():
            value = getattr(self, setting)
            if not accepted(value):
                raise SacValueError(f"{setting} is {value!r}; accepted: {described}", "Model")

    def threshold_for(self, threshold: float | None, caution: Caution | str | None, func: str) -> float:
        """Return the threshold that a user asks for.

        Args:
            threshold: A threshold, or None.
            caution: An operating point, or None. With neither, the result is the model's own threshold.
            func: Name of the calling function, for messages.

        Raises:
            SacValueError: Both are given, the threshold is outside (0, 1], or the model has no operating points.
        """
        if threshold is not None and caution is not None:
            raise SacValueError("threshold and caution both choose the operating point; give one", func)
        if caution is not None:
            point = parse_choice(Caution, caution, func)
            if not self.caution:
                raise SacValueError(
                    f"the card of {self.name} has no operating points for caution; give threshold", func
                )
            return float(self.caution[point])
        if threshold is not None and not 0 < threshold <= 1:
            raise SacValueError(f"threshold {threshold!r} is outside (0, 1]", func)
        return self.threshold if threshold is None else threshold

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height of the network's input for a frame, in pixels."""
        return working_size(width, height, self.working_area)


def _models_folder() -> Path:
    packaged = resources.files("vs_sac") / "models"
    # The models are beside the package in a checkout, and inside the package in a wheel.
    return Path(str(packaged)) if packaged.is_dir() else Path(__file__).resolve().parents[2] / "models"


def list_models() -> list[str]:
    """Return the names of the models that are part of the package."""
    folder = _models_folder()
    return sorted(path.stem for path in folder.glob("*.onnx")) if folder.is_dir() else []


def find_model(model: str | Path = DEFAULT_MODEL) -> Model:
    """Find a model by name or path, and read the JSON card beside it.

    Raises:
        SacFileError: The model does not exist, or its card cannot be read.
    """
    check_path(model, "model", "find_model")
    path = Path(model)
    if str(model) in list_models():
        path = _models_folder() / f"{model}.onnx"
    elif not path.is_file():
        known = ", ".join(list_models()) or "none"
        message = f"no model {str(model)!r}; shipped: {known}; or give the path of an .onnx file"
        raise SacFileError(message, "find_model")
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
