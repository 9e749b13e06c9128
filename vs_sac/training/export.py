"""Export of a checkpoint to ONNX. Normalisation and softmax are part of the exported graph."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import SacError, SacFileError
from ..core.inference import open_session
from ..segmentation.registry import STRIDE
from .model import CcNet, ModelSpec

__all__ = ["ExportedModel", "export_onnx", "load_checkpoint"]

#: Names of the exported graph's input and output.
INPUT, OUTPUT = "rgb", "non_roi"


class ExportedModel(nn.Module):
    """The network as it is shipped: input RGB, output probabilities of construction, nature and sky.

    The output has the size of the input and three planes, so it can pass through a video pipeline as an RGB clip. The
    probability of ROI is 1 minus the sum of the three.
    """

    def __init__(self, model: CcNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, rgb: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1] to probabilities (N, 3, H, W)."""
        # The logits are enlarged by 2, as in the loss. The edges of enlarged logits lie where two classes are equally
        # likely.
        probabilities = _enlarge(self.model(rgb), 2).softmax(1)[:, 1:]
        return _enlarge(probabilities, 2 * self.model.spec.downscale)


def _enlarge(x: Tensor, factor: int) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def load_checkpoint(path: Path) -> tuple[CcNet, dict[str, Any]]:
    """Load the network of a checkpoint written by `train`, in eval mode, and the data stored with it.

    Returns:
        The network, and a mapping with ``settings`` (of the training run) and ``row`` (of its log, for this epoch).

    Raises:
        SacFileError: The file cannot be read, or is not a ``best.pt``.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        spec: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in state["spec"].items()}
        model = CcNet(ModelSpec(**spec))
        model.load_state_dict(state["weights"])
        stored = {"settings": json.loads(state["settings"]), "row": state["row"]}
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError
        detail = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SacFileError(f"{path} is no best.pt of a training run ({detail})", "load_checkpoint") from error
    model.eval()
    return model, stored


def export_onnx(checkpoint: Path, out: Path, *, tolerance: float = 1e-3) -> None:
    """Write an ONNX file for one image of any height and width, and compare it with torch at several sizes.

    Args:
        checkpoint: File written by `train`.
        out: The ONNX file.
        tolerance: Largest accepted difference of a probability.

    Raises:
        SacError: The result of onnxruntime differs from that of torch. Nothing is written.
        SacFileError: `checkpoint` is not a checkpoint.
    """
    model, _ = load_checkpoint(checkpoint)
    exported = ExportedModel(model).eval()
    step = STRIDE * model.spec.downscale
    sides = [step * torch.export.Dim(name, min=2, max=512) for name in ("rows", "columns")]
    # The exporter warns that torchvision is not installed. Nothing here uses torchvision.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    program = torch.onnx.export(
        exported,
        (torch.rand(1, 3, 22 * step, 40 * step),),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({2: sides[0], 3: sides[1]},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert program is not None
    _strip(program.model)
    part = out.with_suffix(".part")
    try:
        program.save(str(part), external_data=False)
        _check_parity(exported, part, step, tolerance)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _strip(model: Any) -> None:
    """Remove the exporter's metadata: paths and line numbers of the sources, which differ between checkouts."""
    graph = model.graph
    for part in (model, graph, *graph.inputs, *graph.initializers.values()):
        part.metadata_props.clear()
    for node in graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()


def _check_parity(model: nn.Module, path: Path, step: int, tolerance: float) -> None:
    session = open_session(path, "export_onnx")
    for rows, columns in ((22, 40), (23, 30), (4, 6), (2, 2)):
        height, width = rows * step, columns * step
        rgb = np.random.default_rng(0).random((1, 3, height, width), np.float32)
        with torch.inference_mode():
            expected = model(torch.from_numpy(rgb)).numpy()
        (got,) = session.run([OUTPUT], {INPUT: rgb})
        difference = float(np.abs(got - expected).max())
        if not difference <= tolerance:
            raise SacError(f"{path} differs from torch by {difference:.2g} at {width}x{height}", "export_onnx")
