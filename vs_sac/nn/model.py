"""Residual network with criss-cross attention and feature concatenation (paper Fig. 3, eq. 1)."""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from ..labels import SemanticClass
from .attention import RecurrentCrissCross

__all__ = ["CcnetLite", "ModelSpec", "build_model"]

#: Input sides must be multiples of this (the features are at 1/16).
STRIDE = 16


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What `build_model` needs; stored in every checkpoint.

    Attributes:
        stem: Channels at half size.
        widths: Channels at 1/4, 1/8 and 1/16.
        blocks: Residual blocks at 1/4, 1/8 and 1/16.
        attention: Channels the attention works on.
        dropout: Drop probability before the classifier.
    """

    stem: int = 16
    widths: tuple[int, int, int] = (32, 64, 128)
    blocks: tuple[int, int, int] = (1, 2, 3)
    attention: int = 96
    dropout: float = 0.1

    def to_dict(self) -> dict[str, object]:
        """The spec as plain values, for JSON and checkpoints."""
        return asdict(self)


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, dilation * (kernel // 2), dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """Basic residual block (He et al. 2016) with an optional stride and dilation."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.first = _conv(inputs, outputs, stride=stride)
        self.second = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, 1, dilation, dilation, bias=False), nn.BatchNorm2d(outputs)
        )
        self.shortcut = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


def _stage(inputs: int, outputs: int, blocks: int, *, dilate: bool = False) -> nn.Sequential:
    layers = [_Residual(inputs, outputs, stride=2)]
    layers += [_Residual(outputs, outputs, dilation=2**i if dilate else 1) for i in range(1, blocks)]
    return nn.Sequential(*layers)


class CcnetLite(nn.Module):
    """The real-time network: residual encoder to 1/16, two criss-cross passes, decoder with skips to 1/4.

    Normalisation is part of the network, so that an exported file needs no settings beside it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: ModelSpec | None = None) -> None:
        super().__init__()
        self.spec = spec = spec or ModelSpec()
        quarter, eighth, sixteenth = spec.widths
        classes = len(SemanticClass)
        self.register_buffer("mean", torch.tensor([0.406, 0.414, 0.411]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.29, 0.29, 0.29]).view(1, 3, 1, 1))
        self.stem = _conv(3, spec.stem, stride=2)
        self.quarter = _stage(spec.stem, quarter, spec.blocks[0])
        self.eighth = _stage(quarter, eighth, spec.blocks[1])
        self.sixteenth = _stage(eighth, sixteenth, spec.blocks[2], dilate=True)
        self.reduce = _conv(sixteenth, spec.attention, kernel=1)
        self.context = RecurrentCrissCross(spec.attention)
        # Eq. (1): the backbone's features beside the attended ones.
        self.fuse = _conv(sixteenth + spec.attention, eighth)
        self.up_eighth = _conv(eighth * 2, eighth)
        self.up_quarter = _conv(eighth + quarter, quarter)
        self.drop = nn.Dropout2d(spec.dropout)
        self.head = nn.Conv2d(quarter, classes, 1)
        # Supervises the context alone while training; unused in inference.
        self.aux = nn.Conv2d(eighth, classes, 1)

    def forward(self, rgb: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Predict classes.

        Args:
            rgb: Shape (N, 3, H, W), float in [0, 1]; H and W multiples of 16.

        Returns:
            Logits of shape (N, 4, H/4, W/4); while training also the auxiliary (N, 4, H/16, W/16).
        """
        x = self.stem((rgb - self.mean) / self.std)
        quarter = self.quarter(x)
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        fused = self.fuse(torch.cat((sixteenth, self.context(self.reduce(sixteenth))), 1))
        x = self.up_eighth(torch.cat((_double(fused), eighth), 1))
        x = self.up_quarter(torch.cat((_double(x), quarter), 1))
        logits: Tensor = self.head(self.drop(x))
        return (logits, self.aux(fused)) if self.training else logits


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def build_model(spec: ModelSpec | None = None) -> CcnetLite:
    """A freshly initialised network of the given spec."""
    model = CcnetLite(spec)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    # Residual branches start at zero: the untrained network is its shortcuts, which trains more steadily.
    for module in model.modules():
        if isinstance(module, _Residual):
            norm = module.second[1]
            assert isinstance(norm, nn.BatchNorm2d)
            nn.init.zeros_(norm.weight)
    return model
