"""Residual backbone, criss-cross attention and feature concatenation (paper Fig. 3, eq. 1)."""

from itertools import zip_longest
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from ..core.errors import SacFileError, SacValueError
from ..core.labels import FINE_CLASSES, SemanticClass
from .attention import RecurrentCrissCross
from .settings import MODELS, ModelSpec

__all__ = ["MODELS", "CcNet", "ModelSpec", "build_model", "load_backbone"]


def _conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class CcNet(nn.Module):
    """Residual backbone down to 1/32, two criss-cross passes at 1/16, decoder with skip connections up to 1/4.

    Normalisation is part of the network, so an exported file needs no further settings.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: ModelSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or MODELS["ccnet-lite"]
        classes = len(FINE_CLASSES) if spec.fine else len(SemanticClass)
        mean, std = spec.normalization
        self.register_buffer("mean", torch.full((1, 3, 1, 1), mean))
        self.register_buffer("std", torch.full((1, 3, 1, 1), std))
        self.backbone = _backbone(spec)
        quarter, eighth, sixteenth, deepest = self.backbone.feature_info.channels()
        low, middle, high = spec.decoder
        self.reduce = nn.Conv2d(sixteenth, spec.attention, 1, bias=False)
        self.reduce_deepest = nn.Conv2d(deepest, spec.attention, 1, bias=False)
        self.norm = nn.BatchNorm2d(spec.attention)
        self.context = RecurrentCrissCross(spec.attention)
        # Eq. (1): concatenation of the backbone's features and the attended features.
        self.fuse = nn.Sequential(_conv(sixteenth + spec.attention, spec.attention, 1), _conv(spec.attention, low))
        self.skip_eighth = nn.Conv2d(eighth, low, 1)
        self.up_eighth = _conv(low, middle)
        self.narrow = nn.Conv2d(middle, high, 1)
        self.skip_quarter = nn.Conv2d(quarter, high, 1)
        self.up_quarter = _conv(high, high)
        self.drop = nn.Dropout2d(spec.dropout)
        self.head = nn.Conv2d(high, classes, 1)
        # Supervises the context features during training; unused in inference.
        self.aux = nn.Conv2d(low, classes, 1)

    def forward(self, rgb: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Predict classes.

        Args:
            rgb: Shape (N, 3, H, W), float in [0, 1]; H and W are multiples of 16 · downscale.

        Returns:
            Logits of shape (N, K, h/4, w/4), where K is 19 or 4 classes (`ModelSpec.fine`), and h and w are H and W
            divided by downscale. In training mode also the auxiliary logits (N, K, h/16, w/16).
        """
        x = (rgb - self.mean) / self.std
        if self.spec.downscale > 1:
            x = F.avg_pool2d(x, self.spec.downscale)
        quarter, eighth, sixteenth, deepest = self.backbone(x)
        # A side that is an odd multiple of 16 cannot be halved exactly to 1/32. Sizes are therefore taken from the
        # finer features.
        wide = _resize(self.reduce_deepest(deepest), sixteenth)
        context = self.context(F.relu(self.norm(self.reduce(sixteenth) + wide)))
        fused = self.fuse(torch.cat((sixteenth, context), 1))
        x = self.up_eighth(F.relu(_resize(fused, eighth) + self.skip_eighth(eighth)))
        # Channels are reduced before the features are enlarged: a quarter of the work for the same sum.
        x = self.up_quarter(F.relu(_resize(self.narrow(x), quarter) + self.skip_quarter(quarter)))
        logits: Tensor = self.head(self.drop(x))
        return (logits, self.aux(fused)) if self.training else logits


def _backbone(spec: ModelSpec) -> Any:
    options: dict[str, Any] = {}
    if spec.layers:
        options["layers"] = spec.layers
    if spec.channels:
        options["channels"] = spec.channels
    if spec.stem:
        options |= {"stem_type": "deep", "stem_width": spec.stem // 2}
    try:
        backbone: Any = timm.create_model(
            spec.backbone, pretrained=False, features_only=True, out_indices=(1, 2, 3, 4), **options
        )
    except (RuntimeError, TypeError, AttributeError) as error:
        message = f"timm has no residual network {spec.backbone!r} that takes {options} ({error})"
        raise SacValueError(message, "build_model") from error
    if backbone.feature_info.reduction() != [4, 8, 16, 32]:
        raise SacValueError(f"{spec.backbone} has no features at 1/4, 1/8, 1/16 and 1/32", "build_model")
    return backbone


def load_backbone(model: CcNet, path: Path) -> None:
    """Load the weights of a classifier with the same backbone, for example one trained on ImageNet, into the backbone.

    Args:
        model: The network. Only its backbone changes.
        path: A state dict. Tensors are matched by their order, because their names differ between libraries.

    Raises:
        SacFileError: The file cannot be read, or contains a different network.
    """
    try:
        found = [v for v in torch.load(path, map_location="cpu", weights_only=True).values() if v.ndim]
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError
        detail = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SacFileError(f"{path} is no state dict ({detail})", "load_backbone") from error
    own = {name: value for name, value in model.backbone.state_dict().items() if value.ndim}
    # The tensors of the classifier, at the end, are not used.
    for (name, value), given in zip_longest(own.items(), found[: len(own)]):
        if given is None or given.shape != value.shape:
            got = "nothing" if given is None else tuple(given.shape)
            message = f"{path} has {got} where {model.spec.backbone} has {tuple(value.shape)} ({name})"
            raise SacFileError(message, "load_backbone")
    model.backbone.load_state_dict(dict(zip(own, found, strict=False)), strict=False)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


def build_model(spec: ModelSpec | str | None = None) -> CcNet:
    """Build a freshly initialised network.

    Args:
        spec: A spec, or a name in `MODELS`; ``ccnet-lite`` by default.

    Raises:
        SacValueError: The name or the backbone is unknown.
    """
    if isinstance(spec, str):
        if spec not in MODELS:
            raise SacValueError(f"unknown network {spec!r}; known: {', '.join(MODELS)}", "build_model")
        spec = MODELS[spec]
    model = CcNet(spec)
    # The backbone is already initialised, with its residual branches at zero.
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and not name.startswith("backbone."):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
