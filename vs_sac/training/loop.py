"""Training: data, schedule, checkpoints and log. Defaults follow the paper (Sec. IV.A)."""

import csv
import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from ..core.errors import SacFileError, SacValueError
from ..segmentation.registry import working_scale
from ..source.datasets import DatasetRef, find_samples
from .augment import Labelled, augment, is_rich
from .data import FINE_SETS, SEMANTIC_OF_SET, load_fine_pair
from .evaluate import evaluate_model
from .export import load_checkpoint
from .losses import bce_dice, block_bce, ce_dice, fine_ce, roughness, semantic_logits
from .model import CcNet, build_model, load_backbone
from .settings import Loss, Schedule, TrainSettings

__all__ = ["Loss", "Schedule", "TrainSettings", "train"]


_LOSSES: dict[Loss, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    Loss.BCE_DICE: bce_dice,
    Loss.CE_DICE: ce_dice,
}


def _load(ref: DatasetRef) -> list[Labelled]:
    """Load a dataset into memory, at no more than twice the working size."""
    loaded = []
    for sample in find_samples(ref.kind, ref.root, ref.split):
        image, label = load_fine_pair(sample)
        # Small pictures are varied around their own size. The network enlarges them, but training on enlarged pictures
        # would add no information.
        scale = min(1.0, working_scale(*image.size))
        if scale < 0.5:
            size = (round(image.width * scale * 2), round(image.height * scale * 2))
            image = image.resize(size, Image.Resampling.BOX)
            label = np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST))
            scale = 0.5
        loaded.append(Labelled(image, label, scale))
    return loaded


def _epoch_order(sizes: list[int], weights: list[float], rng: np.random.Generator) -> list[tuple[int, int]]:
    """(dataset, index) pairs of one epoch, shuffled. Every set occurs as often as its weight says."""
    order: list[tuple[int, int]] = []
    for dataset, (size, weight) in enumerate(zip(sizes, weights, strict=True)):
        count = round(size * weight)
        picks: list[int] = []
        while len(picks) < count:
            picks += rng.permutation(size).tolist()
        order += [(dataset, index) for index in picks[:count]]
    return [order[i] for i in rng.permutation(len(order))]


def _batches(data: list[list[Labelled]], settings: TrainSettings, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one epoch, prepared in advance.

    They depend only on seed and epoch, so a resumed run repeats them.
    """
    weights = [DatasetRef.parse(text).weight for text in settings.data]
    order = _epoch_order([len(d) for d in data], weights, np.random.default_rng((settings.seed, epoch)))

    def picture(position: int) -> Labelled:
        dataset, index = order[position]
        return data[dataset][index]

    rich = [pair for pair in order if is_rich(data[pair[0]][pair[1]].label)] or order

    def donor(rng: np.random.Generator) -> Labelled:
        dataset, index = rich[int(rng.integers(len(rich)))]
        return data[dataset][index]

    def view(position: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        rng = np.random.default_rng((settings.seed, epoch, position))
        return augment(picture(position), settings.crop, rng, settings.augmentation, donor)

    def make(number: int) -> tuple[Tensor, Tensor]:
        views = [view(n) for n in range(number * settings.batch, (number + 1) * settings.batch)]
        images = torch.from_numpy(np.stack([v[0] for v in views])).float().div_(255)
        return images, torch.from_numpy(np.stack([v[1] for v in views])).long()

    count = max(1, len(order) // settings.batch)
    if len(order) < settings.batch:
        order = (order * settings.batch)[: settings.batch]
    with ThreadPoolExecutor(1) as pool:
        pending: list[Future[tuple[Tensor, Tensor]]] = [pool.submit(make, n) for n in range(min(3, count))]
        for number in range(count):
            yield pending.pop(0).result()
            if number + 3 < count:
                pending.append(pool.submit(make, number + 3))


def _rate(settings: TrainSettings, progress: float) -> float:
    """Learning rate at a share of the run: 5 % linear warm-up, then a cosine down to zero."""
    if settings.schedule is Schedule.CONSTANT:
        return settings.learning_rate
    warm = 0.05
    shape = progress / warm if progress < warm else 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm)))
    return settings.learning_rate * max(shape, 1e-3)


def _rarity_weights(data: list[list[Labelled]], settings: TrainSettings) -> Tensor:
    """Weight of every row of `FINE_SETS`: the rarer, the heavier; see `TrainSettings.rarity`."""
    counts = np.zeros(256)
    for labelled, text in zip(data, settings.data, strict=True):
        passes = DatasetRef.parse(text).weight
        for picture in labelled:
            counts += passes * np.bincount(picture.label.ravel(), minlength=256) / picture.label.size
    counts = counts[: len(FINE_SETS)]
    share = np.maximum(counts, 1e-9) / max(counts.sum(), 1e-9)
    typical = 1 / max(1, int((counts > 0).sum()))
    return torch.from_numpy(np.clip((typical / share) ** settings.rarity, 0.5, 5).astype(np.float32))


class _Objective:
    """The loss of a training run.

    Args:
        settings: Settings of the run.
        weights: Weight of every row of `FINE_SETS`.
        device: Torch device.
    """

    def __init__(self, settings: TrainSettings, weights: Tensor, device: str) -> None:
        self._settings, self._pixels = settings, _LOSSES[settings.loss]
        self._classes = torch.tensor(settings.class_weights, device=device) if settings.class_weights else None
        self._weights = weights.to(device)
        self._sets = torch.from_numpy(FINE_SETS).to(device)
        self._semantic = torch.from_numpy(SEMANTIC_OF_SET.astype(np.int64)).to(device)

    def __call__(self, outputs: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            outputs: Logits of the network and of its auxiliary head.
            target: Rows of `FINE_SETS`, int64 of shape (N, H, W).
        """
        settings, down = self._settings, self._settings.model.downscale
        # The logits have a quarter of the size. The loss is computed at half size, which costs a quarter of full size.
        logits = F.interpolate(outputs[0].float(), scale_factor=2, mode="bilinear", align_corners=False)
        loss = self._at_pixels(logits, target[:, :: 2 * down, :: 2 * down])
        if settings.aux_weight:
            # The loss of the auxiliary head is computed at the head's own resolution.
            small = target[:, 8 * down :: 16 * down, 8 * down :: 16 * down]
            loss = loss + settings.aux_weight * self._at_pixels(outputs[1].float(), small)
        coarse, classes = semantic_logits(outputs[0].float()), self._semantic[target]
        if settings.block_weight:
            # A macroblock is 16 pixels wide in a small source, and 8 or fewer in a source that is reduced for the
            # network.
            sizes = [side * down for side in (8, 16)]
            blocks = [block_bce(coarse, classes, side, settings.block_recall) for side in sizes]
            loss = loss + settings.block_weight * sum(blocks) / len(blocks)
        if settings.smooth_weight:
            cells = classes[:, 2 * down :: 4 * down, 2 * down :: 4 * down]
            loss = loss + settings.smooth_weight * roughness(coarse, cells)
        return loss

    def _at_pixels(self, logits: Tensor, target: Tensor) -> Tensor:
        loss = self._pixels(semantic_logits(logits), self._semantic[target], self._classes)
        if self._settings.model.fine and self._settings.fine_weight:
            loss = loss + self._settings.fine_weight * fine_ce(logits, target, self._sets, self._weights)
        return loss


def train(
    settings: TrainSettings,
    out: Path,
    *,
    resume: bool = False,
    device: str = "cpu",
    tensorboard: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> Path:
    """Train a network.

    Args:
        settings: Settings of the run.
        out: Folder for ``last.pt``, ``best.pt``, ``log.csv`` and ``settings.json``.
        resume: Continue from ``last.pt`` if it exists. The result is that of an uninterrupted run.
        device: Torch device.
        tensorboard: Also log for TensorBoard, in the folder ``tensorboard``.
        on_epoch: Called with every row of the log.

    Returns:
        Path of the best checkpoint. Without validation data, this is the last one.

    Raises:
        SacFileError: Data cannot be read.
        SacValueError: A setting is out of range, or the checkpoint was made with other settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    data = [_load(DatasetRef.parse(text)) for text in settings.data]
    torch.manual_seed(settings.seed)
    model = _starting_model(settings).to(device, memory_format=_layout(device))  # type: ignore[call-overload]
    average = torch.optim.swa_utils.AveragedModel(
        model,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(settings.ema),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
    )
    first, best = 0, -1.0
    last = out / "last.pt"
    if resume and last.is_file():
        try:
            state = torch.load(last, map_location=device, weights_only=True)
        except Exception as error:  # torch raises anything from EOFError to UnpicklingError
            raise SacFileError(f"{last} is no checkpoint: {error}", "train") from error
        if state["settings"] != json.dumps(settings.to_dict()):
            raise SacValueError(f"{last} was trained with other settings; start in another folder", "train")
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first, best = state["epoch"] + 1, state["best"]
        _trim_log(out / "log.csv", first)
    objective = _Objective(settings, _rarity_weights(data, settings), device)
    (out / "settings.json").write_text(json.dumps(settings.to_dict(), indent=1) + "\n")
    # A resumed run overwrites everything that was logged after its checkpoint.
    board = SummaryWriter(str(out / "tensorboard"), purge_step=first) if tensorboard else None
    for epoch in range(first, settings.epochs):
        started = time.monotonic()
        torch.manual_seed(settings.seed * 1_000_003 + epoch)
        loss = _run_epoch(model, average, optimizer, data, settings, epoch, device, objective)
        shown = average.module if settings.ema else model
        row = {"epoch": float(epoch), "loss": loss}
        row |= evaluate_model(shown, settings.validation, device) if settings.validation else {}
        row["seconds"] = time.monotonic() - started
        _append(out / "log.csv", row, fresh=epoch == 0)
        score = row.get("miou", float(epoch))
        state = {"settings": json.dumps(settings.to_dict()), "spec": settings.model.to_dict(), "epoch": epoch}
        if score > best:
            best = score
            _save({**state, "weights": shown.state_dict(), "row": row}, out / "best.pt")
        parts = {"model": model.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
        _save({**state, **parts, "best": best}, last)
        if board:
            for name, value in row.items():
                board.add_scalar(name, value, epoch)
            board.flush()
        if on_epoch:
            on_epoch(row)
    return out / "best.pt"


def _layout(device: str) -> torch.memory_format:
    """Memory layout of tensors: channels last, for which convolutions are optimised, where it is safe.

    On a processor with AVX-512 a step takes two thirds of the time in this layout. On one without, torch 2.14 hangs or
    corrupts its memory on narrow layers in it.
    """
    fast = torch.device(device).type == "cuda" or "AVX512" in torch.backends.cpu.get_cpu_capability()
    return torch.channels_last if fast else torch.contiguous_format


def _starting_model(settings: TrainSettings) -> CcNet:
    if settings.start is None:
        model = build_model(settings.model)
        if settings.backbone_weights is not None:
            load_backbone(model, Path(settings.backbone_weights))
        return model
    model, _ = load_checkpoint(Path(settings.start))
    if model.spec != settings.model:
        raise SacValueError(f"{settings.start} holds another network than the one to be trained", "train")
    return model


def _run_epoch(
    model: CcNet,
    average: torch.optim.swa_utils.AveragedModel,
    optimizer: torch.optim.Optimizer,
    data: list[list[Labelled]],
    settings: TrainSettings,
    epoch: int,
    device: str,
    objective: _Objective,
) -> float:
    model.train()
    steps = max(1, round(sum(len(d) * DatasetRef.parse(t).weight for d, t in zip(data, settings.data, strict=True))))
    steps = max(1, steps // settings.batch)
    total, count = 0.0, 0
    for images, target in _batches(data, settings, epoch):
        for group in optimizer.param_groups:
            group["lr"] = _rate(settings, (epoch * steps + count) / (settings.epochs * steps))
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=settings.bf16):
            outputs = model(images.to(device, memory_format=_layout(device)))
        loss = objective(outputs, target.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        if settings.ema:
            average.update_parameters(model)
        total, count = total + loss.item(), count + 1
    return total / count


def _trim_log(path: Path, epochs: int) -> None:
    """Drop the rows of epochs that were logged but not saved before the run was interrupted."""
    if path.is_file():
        path.write_text("".join(path.read_text().splitlines(keepends=True)[: epochs + 1]), newline="")


def _append(path: Path, row: dict[str, float], *, fresh: bool) -> None:
    with path.open("w" if fresh else "a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow({key: f"{value:.5g}" for key, value in row.items()})


def _save(state: dict[str, Any], path: Path) -> None:
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)
