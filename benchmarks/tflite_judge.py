"""A judge in TensorFlow Lite, such as ../shared/data/judge: Cityscapes class ids for `segment_classes`.

    pip install ai-edge-litert

Importing this module makes the package read .tflite files as networks with classes. It is used by benchmarks only.
"""

import threading
from pathlib import Path
from typing import Any

import numpy as np

from vs_sac.core.labels import CLASS_LISTS
from vs_sac.segmentation.class_probabilities import LOADERS, ClassNetwork
from vs_sac.segmentation.registry import Model

CLASSES = CLASS_LISTS["cityscapes19"]


class TfliteNetwork(ClassNetwork):
    """A network with 8-bit RGB in and class ids out; its probabilities are 0 and 1."""

    def __init__(self, model: Model, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.model, self.classes = model, model.classes
        self._interpreter = Interpreter(str(model.path), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._in = self._interpreter.get_input_details()[0]["index"]
        self._out = self._interpreter.get_output_details()[0]["index"]
        self._lock = threading.Lock()

    def run(self, rgb: np.ndarray[Any, Any]) -> tuple[Any, Any]:
        """See `ClassNetwork.run`; there are no planes of the four classes."""
        pixels = np.rint(rgb.transpose(0, 2, 3, 1) * 255).clip(0, 255).astype(np.uint8)
        with self._lock:
            self._interpreter.set_tensor(self._in, pixels)
            self._interpreter.invoke()
            ids = self._interpreter.get_tensor(self._out).reshape(pixels.shape[1:3])
        return None, (np.arange(len(self.classes))[:, None, None] == ids).astype(np.float32)


LOADERS[".tflite"] = TfliteNetwork


def judge(data: Path, store: Path) -> Path:
    """The judge of the data, beside a card of its own in the store; returns the path of the network."""
    source, store = data / "judge/deeplab_slim_city.tflite", store / "judge"
    store.mkdir(parents=True, exist_ok=True)
    beside = store / source.name
    if not beside.is_file():
        beside.write_bytes(source.read_bytes())
        names = ", ".join(f'"{name}"' for name in CLASSES)
        beside.with_suffix(".json").write_text(f'{{"classes": [{names}], "input_size": [513, 513]}}\n')
    return beside
