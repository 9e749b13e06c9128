"""Importance of macroblocks: targets from the gradients of a perception network, and the predictor fitted to them."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from .. import __version__
from ..core.errors import SacFileError, SacFormatError, SacValueError
from ..core.macroblocks import BLOCK
from ..masks.importance import FEATURES, ImportancePredictor, block_features, block_means, fine_probabilities
from ..segmentation.class_probabilities import ClassNetwork

__all__ = ["CODED_AREA", "ImportanceSample", "block_targets", "correlation", "fisher_importance", "fit_predictor",
           "open_network", "sample_of"]  # fmt: skip

type FloatArray = npt.NDArray[np.float32]

#: Pictures of more than about this many pixels are reduced by a whole factor first, because the macroblock grid belongs
#: to the coded picture, and a network reads no more.
CODED_AREA = 1024 * 512

#: Range of log2 of the importance: a block without a gradient has the smallest.
_LEAST, _MOST = -10.0, 30.0

#: Largest distance of a target from the mean of its picture.
_FARTHEST = 8.0

#: Training: largest learning rate, weight decay, pictures in a step, and the error from which the loss is linear.
_RATE, _DECAY, _BATCH, _LINEAR_FROM = 4e-3, 1e-2, 8, 2.0


@dataclass(frozen=True, eq=False)
class ImportanceSample:
    """A picture with its target.

    Attributes:
        name: Name of the picture.
        features: What `block_features` gives, (28, R, C).
        target: log2 of the importance of every macroblock, (R, C).
    """

    name: str
    features: FloatArray
    target: FloatArray


def fisher_importance(
    network: Callable[[Tensor], Tensor], rgb: Tensor, *, draws: int = 2, cell: int = 8, seed: int = 0
) -> FloatArray:
    """Return log2 of the expected squared gradient of a network's log-likelihood with respect to the pixels.

    The labels are drawn from the network's own output, so the expectation is the diagonal of the Fisher information,
    summed over the channels of a pixel. Each draw takes one backward pass.

    Args:
        network: Maps (1, 3, H, W) to logits of K classes, (1, K, h, w).
        rgb: The input of the network, (1, 3, H, W), as it wants it.
        draws: Number of draws.
        cell: Side of the cells in pixels over which the mean is taken; partial cells are included.
        seed: Seed of the draws.

    Returns:
        Shape (ceil(H / cell), ceil(W / cell)), float32; -inf where there is no gradient.

    Raises:
        SacFormatError: The network fails, or does not give logits.
    """
    random = torch.Generator().manual_seed(seed)
    pixels = rgb.detach().clone().requires_grad_(True)
    logits = _logits(network, pixels)
    likelihood = torch.log_softmax(logits.float(), 1)[0].flatten(1)
    chances = likelihood.detach().exp().T.cpu()
    total = torch.zeros(rgb.shape[2:])
    for number in range(draws):
        labels = torch.multinomial(chances, 1, generator=random).T.to(likelihood.device)
        (gradient,) = torch.autograd.grad(likelihood.gather(0, labels).sum(), pixels, retain_graph=number + 1 < draws)
        total += gradient.detach().float().square().sum(1)[0].cpu()
    squares = (total / draws).numpy()
    height, width = squares.shape
    rows, columns = -(-height // cell), -(-width // cell)
    padded = np.full((rows * cell, columns * cell), np.nan, np.float32)
    padded[:height, :width] = squares
    means = np.nanmean(padded.reshape(rows, cell, columns, cell).swapaxes(1, 2).reshape(rows, columns, -1), 2)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log2(means), np.float32)


def _logits(network: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
    try:
        logits = network(pixels)
    except Exception as error:  # user code
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
        raise SacFormatError(f"the network fails for an input of {tuple(pixels.shape)}: {reason}", "fisher_importance"
                             ) from error  # fmt: skip
    if not isinstance(logits, Tensor) or logits.ndim != 4 or logits.shape[0] != 1 or not logits.requires_grad:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise SacFormatError(
            f"the network gives {given}; accepted: logits (1, K, h, w) that depend on its input", "fisher_importance"
        )
    return logits


def block_targets(cells: FloatArray, width: int, height: int) -> FloatArray:
    """Return log2 of the mean importance of every macroblock of a picture.

    Args:
        cells: log2 of the importance by cells that cover the picture evenly, (h, w).
        width: Width of the coded picture in pixels.
        height: Height of the coded picture in pixels.

    Returns:
        Shape (ceil(height / 16), ceil(width / 16)).
    """
    linear = np.exp2(np.nan_to_num(cells.astype(np.float64), nan=_LEAST, neginf=_LEAST).clip(_LEAST, _MOST))
    return np.asarray(np.log2(block_means(linear.astype(np.float32)[None], width, height)[0]), np.float32)


def sample_of(
    name: str, picture: Image.Image, cells: FloatArray, network: ClassNetwork, area: int = CODED_AREA
) -> ImportanceSample:
    """Make a sample of a picture.

    Args:
        name: Name of the picture.
        picture: The picture, RGB.
        cells: log2 of the importance by cells that cover the picture evenly, (h, w).
        network: The segmentation network whose probabilities the predictor will see.
        area: Area of the coded picture in pixels; larger pictures are reduced by a whole factor.

    Raises:
        SacValueError: `area` is below 256.
    """
    coded = coded_picture(picture, area)
    size = network.model.working_size(coded.width, coded.height)
    planes = np.asarray(coded.resize(size, Image.Resampling.BILINEAR), np.float32).transpose(2, 0, 1)[None] / 255
    probabilities = fine_probabilities(network.run(np.ascontiguousarray(planes))[1], network.classes)
    luma = np.asarray(coded.convert("L"), np.float32)
    return ImportanceSample(name, block_features(probabilities, luma), block_targets(cells, coded.width, coded.height))


def coded_picture(picture: Image.Image, area: int = CODED_AREA) -> Image.Image:
    """Return a picture at the size in which it would be coded for a network; see `CODED_AREA`."""
    if area < BLOCK**2:
        raise SacValueError(f"area is {area}; accepted: from {BLOCK**2}", "coded_picture")
    factor = 1
    # A picture that is a third above the area stays as it is.
    while picture.width * picture.height > 1.33 * area * factor**2:
        factor += 1
    if factor == 1:
        return picture
    sides = (picture.width // factor // 2 * 2, picture.height // factor // 2 * 2)
    return picture.resize(sides, Image.Resampling.BOX)


class _Layers(nn.Module):
    """The layers of `ImportancePredictor`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.into = nn.Conv2d(len(FEATURES), channels, 1)
        self.mix = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="replicate") for _ in range(2)
        )
        self.out = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        hidden = torch.relu(self.into(features))
        for layer in self.mix:
            hidden = hidden + torch.relu(layer(hidden))
        return cast(Tensor, self.out(hidden)[:, 0])


def fit_predictor(
    samples: Sequence[ImportanceSample],
    *,
    steps: int = 1200,
    channels: int = 24,
    seed: int = 0,
    about: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImportancePredictor:
    """Fit a predictor to samples. Only differences within a picture count, because offsets are centred.

    Args:
        samples: The samples; pictures of different sizes are allowed.
        steps: Training steps of 8 pictures of one size.
        channels: Channels of the hidden layers.
        seed: Seed of weights, order and mirroring. The same seed gives the same predictor on the same machine.
        about: What the file says of its origin.
        progress: Called with (steps done, steps in all).

    Raises:
        SacValueError: There are no samples, or `steps` is below 1.
    """
    if not samples or steps < 1:
        raise SacValueError(f"{len(samples)} pictures and {steps} steps; accepted: from 1", "fit_predictor")
    flat = np.concatenate([sample.features.reshape(len(FEATURES), -1) for sample in samples], 1)
    mean, scale = flat.mean(1), flat.std(1) + 1e-4
    groups: dict[tuple[int, ...], list[tuple[FloatArray, FloatArray]]] = {}
    for sample in samples:
        scaled = (sample.features - mean[:, None, None]) / scale[:, None, None]
        groups.setdefault(sample.target.shape, []).append((scaled.astype(np.float32), _centred(sample.target)))
    random = np.random.default_rng(seed)
    sizes = list(groups)
    shares = np.array([len(groups[size]) for size in sizes]) / len(samples)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = _Layers(channels)
    optimizer = torch.optim.AdamW(layers.parameters(), weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, max(steps, 2))
    with _repeatable():
        for step in range(steps):
            group = groups[sizes[random.choice(len(sizes), p=shares)]]
            chosen = [group[n] for n in random.integers(0, len(group), _BATCH)]
            features, target = (torch.tensor(np.stack([pair[n] for pair in chosen])) for n in (0, 1))
            if random.random() < 0.5:
                features, target = features.flip(-1), target.flip(-1)
            predicted = layers(features)
            predicted = predicted - predicted.mean((1, 2), keepdim=True)
            loss = nn.functional.smooth_l1_loss(predicted, target, beta=_LINEAR_FROM)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            if progress:
                progress(step + 1, steps)
    held = {name: value.detach().numpy().astype(np.float32) for name, value in layers.state_dict().items()}
    return ImportancePredictor(
        mean=mean.astype(np.float32), scale=scale.astype(np.float32), into=held["into.weight"][:, :, 0, 0],
        into_bias=held["into.bias"], mix=np.stack([held[f"mix.{n}.weight"] for n in (0, 1)]),
        mix_bias=np.stack([held[f"mix.{n}.bias"] for n in (0, 1)]), out=held["out.weight"][0, :, 0, 0],
        about={"vs_sac": __version__, "pictures": len(samples), "steps": steps, "seed": seed, **(about or {})},
    )  # fmt: skip


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """Operations whose result depends on the machine only; one thread, because in layers so small they only wait."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def correlation(predictor: ImportancePredictor, samples: Sequence[ImportanceSample]) -> float:
    """Mean over pictures of the correlation of predicted and true log2 of the importance.

    Pictures in which one of them is the same everywhere are left out; NaN if no picture remains.
    """
    pairs = [(predictor.predict(sample.features).ravel(), _centred(sample.target).ravel()) for sample in samples]
    each = [np.corrcoef(*pair)[0, 1] for pair in pairs if min(side.std() for side in pair) > 0]
    return float(np.mean(each)) if each else float("nan")


def _centred(target: FloatArray) -> FloatArray:
    return np.asarray((target - target.mean()).clip(-_FARTHEST, _FARTHEST), np.float32)


def open_network(name: str) -> Callable[[Tensor], Tensor]:
    """Open a perception network in torch.

    Args:
        name: A TorchScript file, or ``package.module:function`` for a function without arguments that returns the
            network.

    Raises:
        SacFileError: It cannot be loaded.
    """
    module, colon, function = name.partition(":")
    try:
        if colon and not Path(name).is_file():
            # The program vs-sac, unlike python -m, does not search the folder in which it was started.
            sys.path.append(str(Path.cwd()))
            try:
                network = getattr(import_module(module), function)()
            finally:
                sys.path.remove(str(Path.cwd()))
        else:
            network = torch.jit.load(name, map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:  # user code, and torch has no common base for its errors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SacFileError(
            f"cannot load the network {name}: {reason}; accepted: a TorchScript file, or package.module:function",
            "train-importance",
        ) from error
    if not callable(network):
        raise SacFileError(f"{name} gives a {type(network).__name__}; accepted: a torch module", "train-importance")
    if isinstance(network, nn.Module):
        network = network.eval()
        for weights in network.parameters():
            weights.requires_grad_(False)
    return cast(Callable[[Tensor], Tensor], network)
