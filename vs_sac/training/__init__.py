"""The segmentation network: attention, model, losses, data, training and export (extra ``train``).

Only `settings` can be used without torch. No other part of the package needs torch, apart from the commands that train,
export, quantize and test models.
"""

from typing import Any

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

try:
    from .attention import CrissCrossAttention, RecurrentCrissCross
    from .evaluate import evaluate_model, evaluate_onnx
    from .export import export_onnx
    from .losses import bce_dice, ce_dice
    from .model import CcNet, ModelSpec, build_model
    from .train import TrainSettings, train
except ModuleNotFoundError as _error:
    # The subpackage can be imported all the same, for its settings: the command line lists them.
    _missing = _error

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from ..core.errors import SacMissingError

        message = f"{_missing.name} is not installed; get it with: pip install 'vs-sac[train]'"
        raise SacMissingError(message, __name__) from _missing
