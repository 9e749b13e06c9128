"""The command ``vs-sac train``."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import torch
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ..core.errors import SacFileError, SacMissingError, SacValueError
from ..training.augment import Augmentation
from ..training.model import MODELS
from ..training.train import Loss, Schedule, TrainSettings
from ..training.train import train as run_training
from .parameters import Sets, Switch

__all__ = ["train"]


def train(
    *,
    data: Sets,
    val: Sets | None = None,
    out: Path,
    model: str = "ccnet-lite",
    epochs: int = TrainSettings.epochs,
    batch: int = TrainSettings.batch,
    learning_rate: float = TrainSettings.learning_rate,
    weight_decay: float = TrainSettings.weight_decay,
    loss: Loss = TrainSettings.loss,
    schedule: Schedule = TrainSettings.schedule,
    crop: Annotated[tuple[int, int], Parameter(negative="")] = TrainSettings.crop,
    zoom: Annotated[tuple[float, float], Parameter(negative="")] = Augmentation.scale,
    paste: float = Augmentation.paste,
    ema: float = TrainSettings.ema,
    class_weights: Annotated[tuple[float, float, float, float] | None, Parameter(negative="")] = None,
    block_weight: float = TrainSettings.block_weight,
    block_recall: float = TrainSettings.block_recall,
    bf16: Switch = False,
    seed: int = 0,
    start: Path | None = None,
    backbone_weights: Path | None = None,
    resume: Switch = False,
    device: str = "cpu",
    tensorboard: Switch = False,
) -> None:
    """Train the segmentation network. The defaults are the paper's recipe (Sec. IV.A).

    The run's folder gets last.pt (after every epoch, for --resume), best.pt (the best mIoU on the validation
    sets; without any, the last epoch), log.csv and settings.json. Turn best.pt into a model that "vs-sac encode"
    can use with "vs-sac export".

    A data set is named KIND:ROOT[:SPLIT[:WEIGHT]]. KIND is one of camvid (11 indices), camvid-colour (32 colours),
    cityscapes, cityscapes-sequence, kitti-step, train-id-folder (images/ and labels/ with Cityscapes train ids) and
    mapped-folder (images/SPLIT, labels/SPLIT and a mapping.json such as {"0": "sky", "1": "roi", "255": "void"}; the
    classes are roi, construction, nature, sky and void). SPLIT is train unless given, and may end with a pattern of
    image names: train/aachen/aachen_00000[67]_*. WEIGHT is how often an epoch goes through the set. For example
    camvid:/data/camvid:train and cityscapes:/data/cityscapes:train:0.5.

    What trains well from scratch on a CPU: --schedule one-cycle --learning-rate 2e-3 --weight-decay 0.01
    --loss ce-dice --ema 0.998 --block-weight 0.5 --block-recall 8 --batch 8 --epochs 150 --bf16.

    Args:
        data: Training sets; repeat the option for several.
        val: Validation sets, which choose best.pt. Never use them for the figures you report.
        out: The run's folder; made if it is not there.
        model: ccnet-lite runs in real time on a CPU, ccnet-resnet101 is the paper's, ccnet-efficientnet lies between.
        epochs: Passes over the data.
        batch: Images a step.
        learning_rate: Step size; with one-cycle its peak.
        weight_decay: Decoupled weight decay (AdamW).
        loss: bce-dice is the paper's; ce-dice treats the classes as exclusive and converges faster.
        schedule: constant is the paper's; one-cycle warms up, then falls to zero along a cosine.
        crop: Height and width of a training view, multiples of 16 from 64.
        zoom: Views are smaller or larger than the network sees a frame by a factor between these.
        paste: Probability that a view gets the poles, signs and other narrow ROI objects of another picture, which are
            what a network misses most.
        ema: Decay per step of the average of weights that is validated and exported, e.g. 0.998; 0 for none.
        class_weights: Loss weights of ROI, construction, nature and sky. More on ROI makes it wider.
        block_weight: Weight of a second loss that judges macroblocks: one is ROI where any of its pixels is. It finds
            poles and signs that a loss on pixels hardly sees. 0 is the paper's recipe.
        block_recall: How much more a missed ROI block costs in it than a needless one.
        bf16: Compute in bfloat16 where it is safe: faster where the processor has it.
        seed: Seed of weights, order and augmentation; the same seed on the same machine repeats the run.
        start: A best.pt to start from, instead of random weights: to fine-tune on recordings of your own, or to go on
            with other settings.
        backbone_weights: A state dict of a classifier with the network's backbone, trained on ImageNet for example, to
            start that part from.
        resume: Go on after the last finished epoch of this folder; every other setting must be as before.
        device: cpu, cuda, cuda:1, ... as torch names them.
        tensorboard: Also log for TensorBoard, in the run's folder.
    """
    _check_device(device)
    if not resume and (out / "last.pt").exists():
        raise SacFileError(f"{out} holds a run; go on with --resume or give another folder", "train")
    if model not in MODELS:
        raise SacValueError(f"unknown network {model!r}; known: {', '.join(MODELS)}", "train")
    settings = TrainSettings(
        data=tuple(data),
        validation=tuple(val or ()),
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        loss=loss,
        schedule=schedule,
        crop=crop,
        augmentation=Augmentation(scale=zoom, paste=paste),
        ema=ema,
        class_weights=class_weights,
        block_weight=block_weight,
        block_recall=block_recall,
        bf16=bf16,
        seed=seed,
        model=MODELS[model],
        start=None if start is None else str(start),
        backbone_weights=None if backbone_weights is None else str(backbone_weights),
    )
    with _epoch_progress(epochs) as show:
        best = run_training(settings, out, resume=resume, device=device, tensorboard=tensorboard, on_epoch=show)
    print(best)


def _check_device(name: str) -> None:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SacValueError(f"{name!r} is no torch device; use cpu, cuda or cuda:N", "train") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SacMissingError(f"torch sees {torch.cuda.device_count()} CUDA devices, not {name}", "train")


@contextlib.contextmanager
def _epoch_progress(epochs: int) -> Iterator[Callable[[dict[str, float]], None]]:
    """A progress line on a terminal, otherwise a line per epoch; both on stderr."""
    console = Console(stderr=True, highlight=False)
    started, done = time.monotonic(), 0
    bar = Progress(TextColumn("train"), BarColumn(), TextColumn("{task.description}"), console=console)
    task = bar.add_task("reading data and training the first epoch", total=epochs)

    def show(row: dict[str, float]) -> None:
        nonlocal done
        done += 1
        number = int(row["epoch"]) + 1
        left = (time.monotonic() - started) / done * (epochs - number)
        score = f"  mIoU {row['miou']:.3f}" if "miou" in row else ""
        text = f"epoch {number}/{epochs}  loss {row['loss']:.4f}{score}  ETA {_clock(left)}"
        if console.is_terminal:
            bar.update(task, completed=number, description=text)
        else:
            console.print(text, markup=False, soft_wrap=True)

    if not console.is_terminal:
        yield show
        return
    with bar:
        yield show


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
