"""Quantization of an exported network's convolutions to 8 bits.

On many processors, 8-bit convolutions run about 1.5 times as fast.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

from ..core.errors import SacFileError
from ..segmentation.registry import CLASS_PROBABILITIES, WORKING_AREA, working_size
from .evaluate import read_image
from .export import INPUT

__all__ = ["quantize_onnx"]

#: What is computed in 8 bits: convolutions, and the cheap operations between them. If those stayed in single precision,
#: the conversions would cost more than half of what the convolutions save.
_EIGHT_BIT = ["Conv", "Clip", "Relu", "Add"]


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """Calibration images as the network's input, one after the other."""

    def __init__(self, paths: Sequence[Path], area: int) -> None:
        self._left, self._area = iter(paths), area

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        """The next image, or None after the last."""
        if (path := next(self._left, None)) is None:
            return None
        with Image.open(path) as image:
            rgb = image.convert("RGB")
        return {INPUT: read_image(rgb, working_size(*rgb.size, self._area))}


def quantize_onnx(model: Path, out: Path, images: Sequence[Path], *, area: int = WORKING_AREA) -> None:
    """Write a copy of an ONNX network with 8-bit convolutions: weights signed per channel, activations unsigned.

    Sums and activation functions between convolutions are computed in 8 bits too. Everything else stays as it is: the
    attention, and what follows the probabilities of the classes. The scheme is that of the ONNX operators
    QuantizeLinear and DequantizeLinear. The ranges are the extremes over the images.

    Args:
        model: ONNX file from `export_onnx`.
        out: The ONNX file to write.
        images: Images like those that the network will process. Labels are not needed.
        area: Number of pixels of the network's input.

    Raises:
        SacFileError: `model` cannot be read, or there are no images.
    """
    if not images:
        raise SacFileError("no images to take the ranges of activations from", "quantize_onnx")
    # The quantizer logs the advice to run the preprocessing that is run here.
    logging.getLogger().setLevel(logging.ERROR)
    prepared = out.with_suffix(".prepared.onnx")
    try:
        # The shapes depend on two free sides. Symbolic shape inference cannot solve them, and nothing here needs it.
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared), str(out), _Images(images, area), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, op_types_to_quantize=_EIGHT_BIT,
            nodes_to_exclude=_on_probabilities(prepared),
        )  # fmt: skip
    except Exception as error:  # onnx and onnxruntime have no common base for their errors
        raise SacFileError(f"cannot quantize {model}: {str(error).splitlines()[0]}", "quantize_onnx") from error
    finally:
        prepared.unlink(missing_ok=True)


def _on_probabilities(path: Path) -> list[str]:
    """Names of the nodes that take the probabilities of the classes: 8 bits are too few for small probabilities."""
    nodes = onnx.load(str(path)).graph.node
    return [node.name for node in nodes if CLASS_PROBABILITIES in node.input]
