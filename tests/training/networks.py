"""Tiny networks."""

import json
from pathlib import Path

import torch

from vs_sac.training.loop import TrainSettings
from vs_sac.training.model import CcNet, ModelSpec, build_model

TINY = ModelSpec(
    backbone="resnet18", stem=4, layers=(1, 1, 1, 1), channels=(4, 8, 8, 8), attention=8, decoder=(8, 8, 4), fine=False
)


def checkpoint(path: Path, spec: ModelSpec = TINY) -> CcNet:
    """A ``best.pt`` with random weights and running averages, and the network in it."""
    torch.manual_seed(0)
    model = build_model(spec)
    generator = torch.Generator().manual_seed(1)
    for name, value in model.state_dict().items():
        draw = torch.rand(value.shape, generator=generator)
        if "running_mean" in name:
            value.copy_(draw * 0.2 - 0.1)
        elif "running_var" in name or name.endswith(("gamma", "second.1.weight")):
            value.copy_(draw + 0.5)
    # The initial head is unsure everywhere; a steep one shows differences.
    model.head.weight.data *= 8
    settings = TrainSettings(data=("camvid:/d",), model=spec)
    torch.save(
        {
            "settings": json.dumps(settings.to_dict()),
            "spec": spec.to_dict(),
            "epoch": 3,
            "weights": model.state_dict(),
            "row": {"epoch": 3.0, "loss": 0.5, "miou": 0.25},
        },
        path,
    )
    return model.eval()
