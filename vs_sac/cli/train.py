"""The command ``vs-sac train``."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ..core.errors import SacFileError, SacMissingError, SacValueError
from ..training.settings import MODELS, Augmentation, ModelSpec, TrainSettings
from .console import messages
from .parameters import Switch

__all__ = ["train"]


@dataclass(frozen=True, kw_only=True)
class _Recipe(TrainSettings):
    # The settings as command line options. Negative options, which cyclopts would add, and settings that other options
    # set are left out.
    data: Annotated[tuple[str, ...], Parameter(negative="")]
    validation: Annotated[tuple[str, ...], Parameter(name="--val", negative="")] = ()
    betas: Annotated[tuple[float, float], Parameter(parse=False)] = TrainSettings.betas
    aux_weight: Annotated[float, Parameter(parse=False)] = TrainSettings.aux_weight
    crop: Annotated[tuple[int, int], Parameter(negative="")] = TrainSettings.crop
    class_weights: Annotated[tuple[float, float, float, float] | None, Parameter(negative="")] = None
    bf16: Annotated[bool, Parameter(negative="")] = False
    augmentation: Annotated[Augmentation, Parameter(parse=False)] = field(default_factory=Augmentation)
    model: Annotated[ModelSpec, Parameter(parse=False)] = TrainSettings.model


_Recipe.__doc__ = TrainSettings.__doc__


def train(
    *,
    recipe: Annotated[_Recipe, Parameter(name="*")],
    out: Path,
    model: str = "ccnet-lite",
    zoom: Annotated[tuple[float, float], Parameter(negative="")] = Augmentation.scale,
    paste: float = Augmentation.paste,
    weather: float = Augmentation.weather,
    warp: float = Augmentation.warp,
    resume: Switch = False,
    device: str = "auto",
    tensorboard: Switch = False,
) -> None:
    """Train the segmentation network. The defaults are the paper's recipe (Sec. IV.A).

    The output folder gets last.pt (after every epoch, for --resume), best.pt (the best mIoU on the validation sets;
    without validation sets, the last epoch), log.csv and settings.json. "vs-sac export" turns best.pt into a model for
    "vs-sac encode".

    A data set is named KIND:ROOT[:SPLIT[:WEIGHT]]. KIND is one of camvid (11 indices), camvid-colour (32 colours),
    cityscapes, cityscapes-sequence, kitti-step, train-id-folder (images/ and labels/ with Cityscapes train ids) and
    mapped-folder (images/SPLIT, labels/SPLIT and a mapping.json such as {"0": "sky", "1": "roi", "255": "void"}; the
    classes are roi, construction, nature, sky and void). SPLIT is train by default, and may end with a pattern of image
    names: train/aachen/aachen_00000[67]_*. WEIGHT is the number of times that an epoch uses the set. Examples are
    camvid:/data/camvid:train and cityscapes:/data/cityscapes:train:0.5.

    Needs the extra "train": pip install 'vs-sac[train]'.

    Settings that train well from scratch on a CPU: --schedule one-cycle --learning-rate 2e-3 --weight-decay 0.01 --loss
    ce-dice --ema 0.998 --block-weight 0.5 --block-recall 8 --batch 8 --epochs 150 --bf16.

    Args:
        recipe: Data, optimizer and losses.
        out: Output folder of the run; it is created if it does not exist.
        model: ccnet-lite runs in real time on a CPU; ccnet-resnet101 is the paper's network.
        zoom: Smallest and largest zoom of the training views, relative to the network's input size.
        paste: Probability that poles, lights, signs, people and large vehicles of another picture are pasted into a
            view. A network misses such objects most often.
        weather: Probability that a view is shown at night, in haze or under a white sky.
        warp: Probability that a view is distorted like that of a wide-angle lens.
        resume: Continue after the last finished epoch in this folder. All other settings must be the same as before.
        device: Name of a torch device: cpu, cuda, cuda:1, ... The default, auto, is a GPU where torch sees one.
        tensorboard: Also log for TensorBoard, in the output folder.
    """
    from ..training.loop import train as run_training

    device = _find_device(device)
    if not resume and (out / "last.pt").exists():
        raise SacFileError(f"{out} holds a run; go on with --resume or give another folder", "train")
    if model not in MODELS:
        raise SacValueError(f"unknown network {model!r}; known: {', '.join(MODELS)}", "train")
    settings = replace(
        recipe, model=MODELS[model], augmentation=Augmentation(scale=zoom, paste=paste, weather=weather, warp=warp)
    )
    with _epoch_progress(settings.epochs) as show:
        best = run_training(settings, out, resume=resume, device=device, tensorboard=tensorboard, on_epoch=show)
    print(best)


def _find_device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SacValueError(f"{name!r} is no torch device; use auto, cpu, cuda or cuda:N", "train") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SacMissingError(f"torch sees {torch.cuda.device_count()} CUDA devices, not {name}", "train")
    return name


@contextlib.contextmanager
def _epoch_progress(epochs: int) -> Iterator[Callable[[dict[str, float]], None]]:
    """A progress line on a terminal, otherwise one line per epoch. Both are written to stderr."""
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

    if messages.quiet:
        yield lambda row: None
        return
    if not console.is_terminal:
        yield show
        return
    with bar:
        yield show


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
