"""The command ``vs-sac train-importance``."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from ..core.errors import SacValueError
from ..core.outputs import check_output, workspace
from ..segmentation.class_probabilities import open_classes
from ..segmentation.registry import DEFAULT_MODEL
from .console import progress_bar, results, summary
from .parameters import Force, Output

if TYPE_CHECKING:
    from ..training.importance import ImportanceSample
    from ..training.importance_sets import ImportanceSet

__all__ = ["train_importance"]

_TARGETS = Group("Targets")
_FIT = Group("Predictor")

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})|(\d{1,9})")


@dataclass(frozen=True, kw_only=True)
class _Targets:
    """How targets are made.

    Attributes:
        network: A perception network in torch that gives logits (1, K, h, w) for an RGB picture: a TorchScript file, or
            package.module:function.
        mean: Mean of the channels that the network expects, for pixels from 0 to 1.
        std: Their standard deviations.
        input: Size of the network's input: WxH, or a number of pixels. Pictures are scaled to about this number, with
            sides that are multiples of 32.
        draws: Draws of labels for each picture; each takes one backward pass.
        every: Use every Nth frame of a video.
    """

    network: Annotated[str | None, Parameter(group=_TARGETS)] = None
    mean: Annotated[tuple[float, float, float], Parameter(group=_TARGETS, negative="")] = (0.485, 0.456, 0.406)
    std: Annotated[tuple[float, float, float], Parameter(group=_TARGETS, negative="")] = (0.229, 0.224, 0.225)
    input: Annotated[str, Parameter(group=_TARGETS)] = "524288"
    draws: Annotated[int, Parameter(group=_TARGETS)] = 2
    every: Annotated[int, Parameter(group=_TARGETS)] = 25


def train_importance(
    sets: list[str],
    /,
    *,
    output: Output,
    targets: Annotated[_Targets, Parameter(name="*")] = _Targets(),
    model: Annotated[str, Parameter(group=_FIT)] = DEFAULT_MODEL,
    coded_area: Annotated[int, Parameter(group=_FIT)] = 1024 * 512,
    steps: Annotated[int, Parameter(group=_FIT)] = 1200,
    hold_out: Annotated[list[str] | None, Parameter(group=_FIT, negative="")] = None,
    force: Force = False,
) -> None:
    """Fit the predictor of importance for "encode --map task" to a perception network.

    The importance of a macroblock is the expected squared gradient of the network's log-likelihood with respect to its
    pixels. The predictor estimates it from the classes of the segmentation network and the luma, in 1 ms a frame.

    Each SET is a folder of images, a video, or a dataset (KIND:ROOT[:SPLIT], as for "train"). IMAGES=TARGETS adds a
    folder of targets: NAME.npy for NAME.png or NAME.jpg, with log2 of the importance by cells that cover the picture
    evenly. Without TARGETS, --network makes them, and they are kept in OUTPUT.targets.

    Needs the extra "train": pip install 'vs-sac[train]'.

    Example: vs-sac train-importance drives/front --network net.pt -o front.npz

    Args:
        sets: Folders of images, videos or datasets, with or without targets.
        output: The predictor (.npz). "encode --importance FILE" takes it, and NAME.importance.npz beside a network is
            found by itself.
        targets: How targets are made.
        model: Segmentation network whose classes the predictor sees.
        coded_area: Pixels of the coded picture, from 256; pictures of a third more are reduced by a whole factor first.
        steps: Training steps, from 1.
        hold_out: Sets (as given, or the name of the folder) that are left out of the training; the correlation on them
            is reported.
        force: Overwrite the output.
    """
    from ..training.importance import correlation, fit_predictor, sample_of
    from ..training.importance_sets import TargetMaker, find_set, read_target

    _check(output, coded_area, steps, targets.every, force=force)
    found = [find_set(given, targets.every) for given in sets]
    held = _held_out(found, hold_out or [])
    maker = TargetMaker(
        targets.network, output.with_name(f"{output.name}.targets"), mean=targets.mean, std=targets.std,
        size=_size(targets.input), draws=targets.draws,
    )  # fmt: skip
    segmenter = open_classes(model)
    made: list[list[ImportanceSample]] = [[] for _ in found]
    total = sum(len(each.pictures) for each in found)
    with progress_bar("targets") as show:
        for each, samples in zip(found, made, strict=True):
            for picture in each.pictures:
                image = picture.read()
                cells = read_target(picture.target) if picture.target else maker.target(picture.name, image)
                samples.append(sample_of(picture.name, image, cells, segmenter, coded_area))
                show(sum(map(len, made)), total)
    fitted = [sample for each, samples in zip(found, made, strict=True) if each not in held for sample in samples]
    with progress_bar("fit") as show:
        predictor = fit_predictor(fitted, steps=steps, progress=show)
    scores = [correlation(predictor, samples) for samples in made]
    about = {"model": segmenter.model.name, "network": targets.network, "sets": [
        {"name": each.name, "pictures": len(each.pictures), "held_out": each in held,
         "correlation": round(score, 4) if score == score else None}
        for each, score in zip(found, scores, strict=True)
    ]}  # fmt: skip
    with workspace(output, force=force, func="train-importance") as work:
        replace(predictor, about=predictor.about | about).save(work.result)
    for each, score in zip(found, scores, strict=True):
        kind = "held out" if each in held else "fitted"
        results.print(f"{each.given}: {len(each.pictures)} pictures, correlation {score:.3f} ({kind})", markup=False)
    summary(f"{output}: {len(fitted)} pictures, {steps} steps")


def _check(output: Path, coded_area: int, steps: int, every: int, *, force: bool) -> None:
    """Refuse what would fail only after hours of targets."""
    if output.suffix != ".npz":
        raise SacValueError(f"{output} must end in .npz", "train-importance")
    check_output(output, force=force, func="train-importance")
    for name, value, least in (("coded-area", coded_area, 256), ("steps", steps, 1), ("every", every, 1)):
        if value < least:
            raise SacValueError(f"--{name} is {value}; accepted: from {least}", "train-importance")


def _held_out(found: list["ImportanceSet"], asked: list[str]) -> list["ImportanceSet"]:
    """The sets that are asked for; at least one must be left to fit."""
    if unknown := [name for name in asked if not any(name in (each.given, each.name) for each in found)]:
        raise SacValueError(f"--hold-out {', '.join(unknown)} is none of the sets", "train-importance")
    held = [each for each in found if each.given in asked or each.name in asked]
    if len(held) == len(found):
        raise SacValueError("--hold-out names all sets; leave one to fit", "train-importance")
    return held


def _size(text: str) -> tuple[int, int] | int:
    """Size or number of pixels of the network's input."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise SacValueError(f"--input is {text!r}; accepted: WxH such as 1024x512, or a number of pixels",
                            "train-importance")  # fmt: skip
    return int(match[3]) if match[3] else (int(match[1]), int(match[2]))
