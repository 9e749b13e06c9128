"""Finding segmentation models and reading the cards beside them."""

import json
import math
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ..core.arguments import check_path
from ..core.errors import SacFileError

__all__ = ["DEFAULT_MODEL", "STRIDE", "WORKING_AREA", "Model", "find_model", "list_models", "working_scale",
           "working_size"]  # fmt: skip

#: `ccnet-lite` with convolutions in 8 bits: as good, and half again as fast on a processor (docs/network.md).
DEFAULT_MODEL = "ccnet-lite-int8"

#: Sides of the network's input are multiples of this.
STRIDE = 16

#: Pixels of the network's input where the model's card does not say.
WORKING_AREA = 640 * 360

#: Frames are enlarged by no more than this for the network.
_LARGEST_ZOOM = 2.0


def working_scale(width: int, height: int, area: int = WORKING_AREA) -> float:
    """Factor by which a frame is scaled for the network, at most 2; see `working_size`."""
    return min(_LARGEST_ZOOM, math.sqrt(area / (width * height)))


def working_size(width: int, height: int, area: int = WORKING_AREA) -> tuple[int, int]:
    """Width and height of the network's input for a frame.

    Frames are scaled to about `area` pixels; smaller frames are enlarged by at most 2. Sides are multiples of `STRIDE`.

    Args:
        width: Width of the frame in pixels.
        height: Height of the frame in pixels.
        area: Pixels of the network's input.
    """
    scale = working_scale(width, height, area)
    wide, high = (max(2 * STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (width, height))
    return wide, high


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
    working_area: int = WORKING_AREA

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height the network sees of a frame."""
        return working_size(width, height, self.working_area)


def _models_folder() -> Path:
    packaged = resources.files("vs_sac") / "models"
    # In a checkout the models lie beside the package, in the wheel inside of it.
    return Path(str(packaged)) if packaged.is_dir() else Path(__file__).resolve().parents[2] / "models"


def list_models() -> list[str]:
    """Names of the models that came with the package."""
    folder = _models_folder()
    return sorted(path.stem for path in folder.glob("*.onnx")) if folder.is_dir() else []


def find_model(model: str | Path = DEFAULT_MODEL) -> Model:
    """Find a model by name or path and read the JSON card beside it.

    Raises:
        SacFileError: There is no such model, or its card cannot be read.
    """
    check_path(model, "model", "find_model")
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
