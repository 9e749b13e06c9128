"""The segmentation network: attention, model, losses, data, training and export (extra ``train``).

Only `settings` can be used without torch. No other part of the package needs torch, apart from the commands that train,
export, quantize and test models.
"""

from typing import TYPE_CHECKING, Any

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .attention import CrissCrossAttention, RecurrentCrissCross
    from .evaluate import evaluate_model, evaluate_onnx
    from .export import export_onnx
    from .loop import train
    from .losses import bce_dice, ce_dice
    from .model import CcNet, build_model
    from .settings import ModelSpec, TrainSettings

__all__ = [
    "CcNet",
    "CrissCrossAttention",
    "ModelSpec",
    "RecurrentCrissCross",
    "TrainSettings",
    "bce_dice",
    "build_model",
    "ce_dice",
    "evaluate_model",
    "evaluate_onnx",
    "export_onnx",
    "train",
]

_HOMES = {
    **dict.fromkeys(("CrissCrossAttention", "RecurrentCrissCross"), "attention"),
    **dict.fromkeys(("evaluate_model", "evaluate_onnx"), "evaluate"),
    "export_onnx": "export",
    "train": "loop",
    **dict.fromkeys(("bce_dice", "ce_dice"), "losses"),
    **dict.fromkeys(("CcNet", "build_model"), "model"),
    **dict.fromkeys(("ModelSpec", "TrainSettings"), "settings"),
}

_named = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    try:
        return _named(name)
    except ModuleNotFoundError as error:
        from ..core.errors import SacMissingError

        raise SacMissingError(f"{error.name} is not installed; get it with: pip install 'vs-sac[train]'",
                              __name__) from error  # fmt: skip
