"""The segmentation network: attention, model, losses, data, training and export (extra ``train``).

Importing this subpackage needs torch. No other part of the package needs it, apart from the commands that train,
export, quantize and test models.
"""

from . import _require as _require  # first: its error names what to install
from .attention import CrissCrossAttention, RecurrentCrissCross
from .evaluate import evaluate_model, evaluate_onnx
from .export import export_onnx
from .losses import bce_dice, ce_dice
from .model import CcNet, ModelSpec, build_model
from .train import TrainSettings, train

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
