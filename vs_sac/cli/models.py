"""The commands that make model files: ``export`` and ``quantize``.

Modules that need torch are imported when a command runs, so that its help can be read without torch.
"""

import hashlib
import json
import math
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from ..core.errors import SacValueError
from ..core.inference import load_onnxruntime
from ..core.labels import CLASS_NAMES, FINE_CLASSES
from ..core.outputs import check_outputs, workspace
from ..segmentation.registry import STRIDE, WORKING_AREA, find_model, read_card
from ..source.datasets import DatasetRef, find_samples
from .parameters import Sets, Switch

__all__ = ["export", "quantize"]


def export(
    checkpoint: Path,
    out: Path,
    /,
    *,
    card: Path | None = None,
    test: Sets | None = None,
    threshold: float = 0.5,
    half: Switch = False,
    roi_odds: float = 1.0,
    credit: str | None = None,
    force: Switch = False,
) -> None:
    """Export a trained network to ONNX, together with a model card.

    The ONNX network takes RGB in 0..1 with sides that are multiples of 16, and returns the probabilities of
    construction, nature and sky. Normalisation and softmax are part of it, so any ONNX runtime can use it. Before it is
    written, it is compared with torch at several sizes. Use it with "vs-sac encode --model OUT".

    The card (JSON) says what the file is, how it was trained and how good it is. The figures are computed from the ONNX
    file itself, through onnxruntime, on the sets given with --test. Use sets that were not used for training.

    Needs the extra "train": pip install 'vs-sac[train]'.

    Args:
        checkpoint: best.pt of a run of "vs-sac train".
        out: The ONNX file to write.
        card: The card to write. [default: OUT with the ending .json, where "vs-sac encode" looks for it]
        test: Labelled sets for the figures, KIND:ROOT[:SPLIT] as for "vs-sac train"; repeat the option for several.
        threshold: Probability from which a pixel counts as non-ROI. A higher threshold makes the ROI larger. Stored in
            the card.
        half: Store the weights in half precision, in half the bytes. The network computes in single precision.
        roi_odds: Multiply the odds of ROI by this. A loss that weighs missed ROI more than needless ROI makes the
            network expect too much ROI; a factor below 1 corrects that. It moves the border of the class map at even
            odds; --threshold has to be chosen anew.
        credit: Source and licence of the weights that the training started from, for the card.
        force: Overwrite existing files.
    """
    from ..training.evaluate import five_digits
    from ..training.export import export_onnx, load_checkpoint

    card = card or out.with_suffix(".json")
    if not 0 < threshold <= 1:
        raise SacValueError(f"threshold {threshold} is outside of (0, 1]", "export")
    if not 0 < roi_odds < math.inf:
        raise SacValueError(f"roi_odds {roi_odds} must be above 0", "export")
    sets = list(test or ())
    # Checked before the export, which takes minutes.
    for ref in map(DatasetRef.parse, sets):
        find_samples(ref.kind, ref.root, ref.split)
    check_outputs({"out": out, "card": card}, {"checkpoint": checkpoint}, force=force, func="export")
    note = Console(stderr=True, highlight=False)
    with workspace(out, force=force, func="export") as work:
        model, stored = load_checkpoint(checkpoint)
        note.print("exporting and comparing with torch ...", markup=False)
        export_onnx(checkpoint, work.result, half=half, roi_odds=roi_odds)
        figures = {}
        for text in sets:
            note.print(f"testing on {text} ...", markup=False)
            figures[text] = _figures(work.result, text)
        content = {
            "name": out.stem,
            **_describe(work.result, sum(p.numel() for p in model.parameters())),
            "threshold": threshold,
            **({"classes": list(FINE_CLASSES)} if model.spec.fine else {}),
            **({"credit": credit} if credit else {}),
            "training": {
                "settings": stored["settings"],
                "checkpoint": {key: five_digits(value) for key, value in stored["row"].items()},
            },
            "figures": figures,
            "versions": _versions(),
            "command": _export_command(checkpoint, out, threshold, sets, half=half, roi_odds=roi_odds, credit=credit),
        }
        with workspace(card, force=force, func="export") as card_work:
            card_work.result.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(out)
    print(card)


def _export_command(
    checkpoint: Path, out: Path, threshold: float, sets: list[str], *, half: bool, roi_odds: float, credit: str | None
) -> str:
    """The command line that made an export, for its card."""
    words = ["vs-sac", "export", str(checkpoint), str(out), "--threshold", f"{threshold:g}"]
    words += [part for text in sets for part in ("--test", text)] + ["--half"] * half
    words += ["--roi-odds", f"{roi_odds:g}"] if roi_odds != 1 else []
    return shlex.join(words + (["--credit", credit] if credit else []))


def quantize(model: Path, out: Path, /, *, data: Sets, images: int = 32, force: Switch = False) -> None:
    """Quantize the convolutions of an exported network to 8 bits. They then run about 1.5 times as fast on a CPU.

    The card next to the model is copied without its figures. "vs-sac test-model OUT ... --card" writes new ones.

    Needs the extra "train": pip install 'vs-sac[train]'.

    Example: vs-sac quantize lite.onnx lite-int8.onnx --data camvid:camvid:train

    Args:
        model: ONNX file written by "vs-sac export", or a shipped name.
        out: The ONNX file to write.
        data: Labelled sets, KIND:ROOT[:SPLIT] as for "vs-sac train", whose images determine the ranges of activations;
            repeat the option for several. Do not use sets on which the model will be tested.
        images: Number of images from each set, evenly spread.
        force: Overwrite existing files.
    """
    from ..training.quantize import quantize_onnx

    if images < 1:
        raise SacValueError(f"--images {images}; accepted: from 1", "quantize")
    found = find_model(model)
    card = out.with_suffix(".json")
    check_outputs({"out": out, "card": card}, {"model": found.path, "card of model": found.path.with_suffix(".json")},
                  force=force, func="quantize")  # fmt: skip
    shown: list[Path] = []
    for ref in map(DatasetRef.parse, data):
        every = [sample.image for sample in find_samples(ref.kind, ref.root, ref.split)]
        shown += [every[len(every) * n // min(images, len(every))] for n in range(min(images, len(every)))]
    content = read_card(found.path)
    for stale in ("figures", "scores", "costs", "operating_points"):
        content.pop(stale, None)
    with workspace(out, force=force, func="quantize") as work:
        quantize_onnx(found.path, work.result, shown, area=found.working_area)
        content |= {
            "name": out.stem,
            **_describe(work.result, content.get("parameters", 0)),
            "working_area": found.working_area,
            "quantized": {
                "from": found.name,
                "sha256": hashlib.sha256(found.path.read_bytes()).hexdigest(),
                "images": len(shown),
            },
            "versions": _versions(),
            "command": shlex.join(["vs-sac", "quantize", str(model), str(out), "--images", str(images),
                                   *(word for text in data for word in ("--data", text))]),
        }  # fmt: skip
        with workspace(card, force=force, func="quantize") as card_work:
            card_work.result.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(out)
    print(card)


def _describe(path: Path, parameters: int) -> dict[str, Any]:
    from ..training.export import INPUT, OUTPUT

    content = path.read_bytes()
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "parameters": parameters,
        "input": {
            "name": INPUT,
            "shape": [1, 3, "height", "width"],
            "type": "float32",
            "range": [0, 1],
            "channels": ["R", "G", "B"],
            "multiple_of": STRIDE,
            "smallest": 2 * STRIDE,
        },
        "output": {
            "name": OUTPUT,
            "shape": [1, 3, "height", "width"],
            "type": "float32",
            "range": [0, 1],
            "channels": list(CLASS_NAMES[1:]),
            "meaning": "probabilities; what their sum lacks to 1 is the probability of ROI",
        },
        "working_area": WORKING_AREA,
    }


def _figures(model: Path, text: str) -> dict[str, Any]:
    from ..training.evaluate import evaluate_onnx, five_digits

    ref = DatasetRef.parse(text)
    scores = evaluate_onnx(model, [text])
    return {
        "images": len(find_samples(ref.kind, ref.root, ref.split)),
        "miou": five_digits(scores["miou"]),
        "roi_iou": five_digits(scores["roi"]),
        "iou": {name: five_digits(scores[name]) for name in CLASS_NAMES},
    }


def _versions() -> dict[str, str]:
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnxruntime": load_onnxruntime("export").__version__,
        "platform": f"{sys.platform} {platform.machine()}",
    }
