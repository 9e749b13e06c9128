"""The command ``vs-sac train-importance``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Group, Parameter

from ..core.errors import SacFileError, SacFormatError, SacValueError
from ..core.outputs import check_output, workspace
from ..segmentation.class_probabilities import ClassNetwork, open_classes
from ..segmentation.registry import DEFAULT_MODEL, working_size
from ..source.images import image_files
from .console import progress_bar, results, summary
from .parameters import Force, Output

__all__ = ["train_importance"]

_TARGETS = Group("Targets")
_FIT = Group("Predictor")


def train_importance(
    sets: list[str],
    /,
    *,
    output: Output,
    network: Annotated[str | None, Parameter(group=_TARGETS)] = None,
    mean: Annotated[tuple[float, float, float], Parameter(group=_TARGETS, negative="")] = (0.485, 0.456, 0.406),
    std: Annotated[tuple[float, float, float], Parameter(group=_TARGETS, negative="")] = (0.229, 0.224, 0.225),
    input_area: Annotated[int, Parameter(group=_TARGETS)] = 1024 * 512,
    draws: Annotated[int, Parameter(group=_TARGETS)] = 2,
    model: Annotated[str, Parameter(group=_FIT)] = DEFAULT_MODEL,
    coded_area: Annotated[int, Parameter(group=_FIT)] = 1024 * 512,
    steps: Annotated[int, Parameter(group=_FIT)] = 1200,
    hold_out: Annotated[list[str] | None, Parameter(group=_FIT, negative="")] = None,
    force: Force = False,
) -> None:
    """Fit the predictor of importance for "encode --map task" to a perception network.

    The importance of a macroblock is the expected squared gradient of the network's log-likelihood with respect to its
    pixels. The predictor estimates it from the classes of the segmentation network and the luma, in 1 ms a frame.

    Each SET is a folder of images, or IMAGES=TARGETS with a folder of targets: NAME.npy for NAME.png or NAME.jpg, with
    log2 of the importance by cells that cover the picture evenly. Without TARGETS, --network makes them, and they are
    kept in OUTPUT.targets.

    Needs the extra "train": pip install 'vs-sac[train]'.

    Example: vs-sac train-importance drives/front --network net.pt -o front.npz

    Args:
        sets: Folders of images, with or without targets.
        output: The predictor (.npz). "encode --importance FILE" takes it, and NAME.importance.npz beside a network is
            found by itself.
        network: A perception network in torch that gives logits (1, K, h, w) for an RGB picture: a TorchScript file, or
            package.module:function.
        mean: Mean of the channels that the network expects, for pixels from 0 to 1.
        std: Their standard deviations.
        input_area: Pixels of the network's input; pictures are scaled to about this area, with sides that are multiples
            of 32.
        draws: Draws of labels for each picture; each takes one backward pass.
        model: Segmentation network whose classes the predictor sees.
        coded_area: Pixels of the coded picture; larger pictures are reduced by a whole factor first.
        steps: Training steps.
        hold_out: Sets (as given) that are left out of the training; the correlation on them is reported.
        force: Overwrite the output.
    """
    from ..training.importance import correlation, fit_predictor

    if output.suffix != ".npz":
        raise SacValueError(f"{output} must end in .npz", "train-importance")
    check_output(output, force=force, func="train-importance")
    if unknown := set(hold_out or []) - set(sets):
        raise SacValueError(f"--hold-out {', '.join(unknown)} is none of the sets", "train-importance")
    pairs = [(name, *pair) for name in sets for pair in _pictures(name)]
    maker = _Maker(network, mean, std, input_area, draws, output.with_name(f"{output.name}.targets"))
    segmenter = open_classes(model)
    made: dict[str, list[Any]] = {name: [] for name in sets}
    with progress_bar("targets") as show:
        for done, (name, image, target) in enumerate(pairs, 1):
            made[name].append(_sample(image, target, maker, segmenter, coded_area))
            show(done, len(pairs))
    fitted = [sample for name in sets if name not in (hold_out or []) for sample in made[name]]
    about = {"model": segmenter.model.name, "sets": [Path(s.partition("=")[0]).name for s in sets
                                                     if s not in (hold_out or [])], "network": network}  # fmt: skip
    with progress_bar("fit") as show:
        predictor = fit_predictor(fitted, steps=steps, about=about, progress=show)
    with workspace(output, force=force, func="train-importance") as work:
        predictor.save(work.result)
    for name in sets:
        kind = "held out" if name in (hold_out or []) else "fitted"
        score = correlation(predictor, made[name])
        results.print(f"{name}: {len(made[name])} pictures, correlation {score:.3f} ({kind})", markup=False)
    summary(f"{output}: {len(fitted)} pictures, {steps} steps")


def _pictures(name: str) -> Iterator[tuple[Path, Path | None]]:
    """The images of a set with their targets; of images with given targets, those that have one."""
    images, _, targets = name.partition("=")
    files = [*image_files(Path(images))]
    if not files:
        raise SacFileError(f"{images} has no images", "train-importance")
    if not targets:
        yield from ((file, None) for file in files)
        return
    found = [(file, Path(targets) / f"{file.stem}.npy") for file in files]
    found = [pair for pair in found if pair[1].is_file()]
    if not found:
        raise SacFileError(f"{targets} has no target for an image of {images}, such as {files[0].stem}.npy",
                           "train-importance")  # fmt: skip
    yield from found


class _Maker:
    """Makes and keeps targets by a perception network."""

    def __init__(
        self, network: str | None, mean: tuple[float, ...], std: tuple[float, ...], area: int, draws: int, folder: Path
    ) -> None:
        if min(std) <= 0 or draws < 1 or area < 32 * 32:
            raise SacValueError(f"std {std}, draws {draws} and input_area {area}; accepted: above 0, from 1, from 1024",
                                "train-importance")  # fmt: skip
        self._name, self._mean, self._std, self._area, self._draws = network, mean, std, area, draws
        self._folder, self._network = folder, None

    def target(self, image: Path, picture: Any) -> np.ndarray[Any, Any]:
        """log2 of the importance by cells of 8×8 pixels of the network's input."""
        import torch

        from ..training.importance import fisher_importance, open_network

        if self._name is None:
            raise SacValueError(f"{image} has no target; give --network, or IMAGES=TARGETS", "train-importance")
        kept = self._folder / f"{image.parent.name}-{image.stem}.npy"
        if kept.is_file():
            return _read(kept)
        if self._network is None:
            self._network = open_network(self._name)  # type: ignore[assignment]
        size = working_size(picture.width, picture.height, self._area, 32)
        pixels = np.asarray(picture.resize(size), np.float32) / 255
        pixels = (pixels - np.array(self._mean, np.float32)) / np.array(self._std, np.float32)
        assert self._network is not None
        made = fisher_importance(self._network, torch.tensor(pixels.transpose(2, 0, 1)[None]), draws=self._draws)
        self._folder.mkdir(parents=True, exist_ok=True)
        with workspace(kept, force=True, func="train-importance") as work, work.result.open("wb") as file:
            np.save(file, made.astype(np.float16))
        return made


def _sample(image: Path, target: Path | None, maker: _Maker, network: ClassNetwork, area: int) -> Any:
    from PIL import Image

    from ..training.importance import sample_of

    try:
        picture = Image.open(image).convert("RGB")
    except OSError as error:
        raise SacFileError(f"cannot read {image}: {error}", "train-importance") from error
    cells = maker.target(image, picture) if target is None else _read(target)
    return sample_of(image.stem, picture, cells, network, area)


def _read(path: Path) -> np.ndarray[Any, Any]:
    try:
        cells = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SacFileError(f"cannot read {path}: {error}", "train-importance") from error
    if cells.ndim != 2 or cells.dtype.kind != "f":
        raise SacFormatError(f"{path} has {cells.dtype} {cells.shape}; accepted: floating point of shape (h, w)",
                             "train-importance")  # fmt: skip
    return np.asarray(cells, np.float32)
