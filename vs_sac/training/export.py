"""Export of a checkpoint to ONNX. Normalisation and softmax are part of the exported graph."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnxscript import ir
from torch import Tensor, nn

from ..core.errors import SacError, SacFileError
from ..core.inference import open_session
from ..core.labels import FINE_CLASSES, SemanticClass, group_fine
from ..segmentation.registry import CLASS_PROBABILITIES, STRIDE
from .model import CcNet, ModelSpec

__all__ = ["ExportedModel", "export_onnx", "load_checkpoint"]

#: Names of the exported graph's input and output.
INPUT, OUTPUT = "rgb", "non_roi"

#: Tensors with fewer values than this stay in single precision.
_SMALL = 256

#: Smallest probability whose logarithm is taken; in half precision it is not zero.
_TINY = 1e-6


class ExportedModel(nn.Module):
    """The network as it is shipped: input RGB, output probabilities of construction, nature and sky.

    The output has the size of the input and three planes, so it can pass through a video pipeline as an RGB clip. The
    probability of ROI is 1 minus the sum of the three. The probabilities of the fine classes, (N, 19, H/4, W/4), are on
    the way to the output; `export_onnx` names this tensor.

    Args:
        model: The network.
        roi_odds: Factor on the odds of ROI; see `export_onnx`.
    """

    def __init__(self, model: CcNet, roi_odds: float = 1.0) -> None:
        super().__init__()
        self.model = model
        if model.spec.fine:
            members = torch.from_numpy(group_fine() == np.arange(len(SemanticClass))[:, None]).float()
            members[SemanticClass.ROI] *= roi_odds
            self.register_buffer("groups", members[..., None, None])
        elif roi_odds != 1:
            with torch.no_grad():
                model.head.bias[SemanticClass.ROI] += math.log(roi_odds)  # type: ignore[index]

    def forward(self, rgb: Tensor) -> Tensor:
        """Map (N, 3, H, W) in [0, 1] to probabilities (N, 3, H, W)."""
        logits = self.model(rgb)
        if self.model.spec.fine:
            # A convolution sums the fine classes. The logarithms are logits of the four classes.
            logits = nn.functional.conv2d(_softmax(logits), self.get_buffer("groups")).clamp(min=_TINY).log()
        # The logits are enlarged by 2, as in the loss. The edges of enlarged logits lie where two classes are equally
        # likely.
        probabilities = _softmax(_enlarge(logits, 2))[:, 1:]
        return _enlarge(probabilities, 2 * self.model.spec.downscale)


def _softmax(logits: Tensor) -> Tensor:
    """Softmax over channels, in steps: onnxruntime's operator takes five times as long on this dimension."""
    powers = (logits - logits.amax(1, keepdim=True)).exp()
    return powers / powers.sum(1, keepdim=True)


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
        # Networks trained before there were fine classes do not say so.
        model = CcNet(ModelSpec(**{"fine": False, **spec}))
        model.load_state_dict(state["weights"])
        stored = {"settings": json.loads(state["settings"]), "row": state["row"]}
    except Exception as error:  # torch raises anything from EOFError to UnpicklingError
        detail = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SacFileError(f"{path} is no best.pt of a training run ({detail})", "load_checkpoint") from error
    model.eval()
    return model, stored


def export_onnx(
    checkpoint: Path, out: Path, *, half: bool = False, roi_odds: float = 1.0, tolerance: float = 1e-3
) -> None:
    """Write an ONNX file for one image of any height and width, and compare it with torch at several sizes.

    Args:
        checkpoint: File written by `train`.
        out: The ONNX file.
        half: Store the weights in half precision, which halves the file. The network still computes in single
            precision.
        roi_odds: The odds of ROI are multiplied by this. A loss that weighs missed ROI more than needless ROI makes the
            network expect too much ROI; a factor below 1 corrects its probabilities.
        tolerance: Largest accepted difference of a probability; ten times as much if the weights are rounded.

    Raises:
        SacError: The result of onnxruntime differs from that of torch. Nothing is written.
        SacFileError: `checkpoint` is not a checkpoint.
    """
    model, _ = load_checkpoint(checkpoint)
    exported = ExportedModel(model, roi_odds).eval()
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
    if model.spec.fine:
        _name_classes(program.model)
    if half:
        _store_half(program.model)
    part = out.with_suffix(".part")
    try:
        program.save(str(part), external_data=False)
        _check_parity(exported, part, step, 10 * tolerance if half else tolerance)
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


def _name_classes(model: Any) -> None:
    """Give the probabilities of the fine classes their name: the result of the division in their softmax."""
    for node in model.graph:
        if node.op_type == "Div" and node.outputs[0].shape[1] == len(FINE_CLASSES):
            node.outputs[0].name = CLASS_PROBABILITIES
            return
    raise SacError("the exported network has no softmax over its fine classes", "export_onnx")


def _store_half(model: Any) -> None:
    """Store large weights in half precision, each with a cast that restores its type when the file is loaded."""
    graph = model.graph
    for value in list(graph.initializers.values()):
        tensor = value.const_value.numpy()
        if tensor.dtype != np.float32 or tensor.size < _SMALL:
            continue
        stored = ir.Value(name=f"{value.name}.half", const_value=ir.tensor(tensor.astype(np.float16)))
        graph.register_initializer(stored)
        cast = ir.node("Cast", [stored], {"to": ir.DataType.FLOAT}, num_outputs=1)
        cast.outputs[0].name, cast.outputs[0].shape = f"{value.name}.single", ir.Shape(tensor.shape)
        cast.outputs[0].dtype = ir.DataType.FLOAT
        value.replace_all_uses_with(cast.outputs[0])
        del graph.initializers[value.name]
        graph.insert_before(graph[0], cast)


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
