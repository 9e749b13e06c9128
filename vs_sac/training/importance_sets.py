"""Pictures from which the predictor of importance is fitted, and their targets, which are kept between runs."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import vapoursynth as vs
from PIL import Image
from torch import Tensor

from ..core.errors import SacFileError, SacFormatError, SacValueError
from ..core.outputs import workspace
from ..core.rgb import convertible
from ..segmentation.registry import working_size
from ..source.datasets import DatasetKind, DatasetRef, list_samples
from ..source.images import image_files
from ..source.opening import open_clip
from .data import load_image
from .importance import fisher_importance, open_network

__all__ = ["ImportanceSet", "Picture", "TargetMaker", "find_set", "read_target"]

type FloatArray = npt.NDArray[np.float32]

#: Sides of the network's input are multiples of this, if no size is given.
_MULTIPLE = 32


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of a set.

    Attributes:
        name: Name of the picture: the stem of an image, or that of a video with the number of the frame.
        read: Returns the picture as RGB.
        target: File with the target; None if the target is to be made.
    """

    name: str
    read: Callable[[], Image.Image]
    target: Path | None


@dataclass(frozen=True, eq=False)
class ImportanceSet:
    """Pictures that are fitted or held out together.

    Attributes:
        given: The set as the user gave it.
        name: Name of the folder of targets, else of the folder, video or dataset.
        pictures: The pictures; of those with given targets, the ones that have one.
    """

    given: str
    name: str
    pictures: list[Picture]


def find_set(given: str, every: int) -> ImportanceSet:
    """Find the pictures of a set.

    Args:
        given: ``IMAGES`` or ``IMAGES=TARGETS``. IMAGES is a folder of images, a printf pattern, a video, or a dataset
            (``KIND:ROOT[:SPLIT]``); TARGETS is a folder with NAME.npy for the picture NAME.
        every: Step between the frames of a video.

    Raises:
        SacFileError: There are no pictures, or no targets for them.
        SacValueError: A dataset is not well-formed.
    """
    images, equals, targets = (given, "", "") if Path(given).exists() else given.rpartition("=")
    images, targets = (images, targets) if equals else (given, "")
    if equals and not Path(targets).is_dir():
        raise SacFileError(f"the folder of targets {targets!r} does not exist", "train-importance")
    pictures = list(_pictures(images, every))
    if equals:
        pictures = [Picture(p.name, p.read, Path(targets) / f"{p.name}.npy") for p in pictures]
        wanted = pictures[0].name
        pictures = [p for p in pictures if p.target and p.target.is_file()]
        if not pictures:
            raise SacFileError(
                f"{targets} has no target for an image of {images}, such as {wanted}.npy", "train-importance"
            )
    return ImportanceSet(given, Path(targets or images).name, pictures)


def _pictures(images: str, every: int) -> Iterator[Picture]:
    if images.partition(":")[0] in {str(kind) for kind in DatasetKind} and not Path(images).exists():
        ref = DatasetRef.parse(images)
        files = [sample.image for sample in list_samples(ref.kind, ref.root, ref.split)]
    else:
        files = image_files(Path(images))
    if files:
        yield from (Picture(file.stem, lambda file=file: load_image(file), None) for file in files)  # type: ignore[misc]
        return
    clip = open_clip(images)
    rgb = convertible(clip).resize.Bicubic(format=vs.RGB24)
    for n in range(0, clip.num_frames, every):
        yield Picture(f"{Path(images).stem}-{n:06d}", lambda n=n: _frame(rgb, n), None)  # type: ignore[misc]


def _frame(rgb: vs.VideoNode, number: int) -> Image.Image:
    with rgb.get_frame(number) as frame:
        return Image.fromarray(np.stack([np.asarray(plane) for plane in frame], 2))


class TargetMaker:
    """Makes targets by a perception network, and keeps them in a folder.

    A target is found again only for the same pixels and the same network, normalization, input size and draws. A
    function is known by its name only.
    """

    def __init__(
        self,
        network: str | None,
        folder: Path,
        *,
        mean: tuple[float, ...] = (0.485, 0.456, 0.406),
        std: tuple[float, ...] = (0.229, 0.224, 0.225),
        size: tuple[int, int] | int = 1024 * 512,
        draws: int = 2,
    ) -> None:
        """Check the settings, and open the network.

        Args:
            network: See `open_network`; None if all pictures have targets.
            folder: Folder in which the targets are kept; it is made with the first.
            mean: Mean of the channels that the network expects, for pixels from 0 to 1.
            std: Their standard deviations, above 0.
            size: Width and height of the network's input in pixels, or its area.
            draws: Draws of labels for each picture, from 1.

        Raises:
            SacFileError: The network cannot be loaded.
            SacValueError: A setting is out of its range.
        """
        pixels = size if isinstance(size, int) else size[0] * size[1]
        if not min(std) > 0 or draws < 1 or pixels < _MULTIPLE**2 or (not isinstance(size, int) and min(size) < 1):
            raise SacValueError(
                f"std {std}, draws {draws} and input {size}; accepted: above 0, from 1, from {_MULTIPLE**2} pixels",
                "train-importance",
            )
        self._network = open_network(network) if network else None
        self._mean, self._std, self._size, self._draws = mean, std, size, draws
        self._folder = folder
        which = f"{network}" if network else ""
        if network and Path(network).is_file():
            with Path(network).open("rb") as file:
                which = hashlib.file_digest(file, "sha256").hexdigest()
        self._settings = f"{which} {mean} {std} {draws}"

    def target(self, name: str, picture: Image.Image) -> FloatArray:
        """Return log2 of the importance by cells of 8×8 pixels of the network's input, as half precision holds it.

        Raises:
            SacFileError: A kept target cannot be read or written.
            SacFormatError: The network fails, or gives no logits.
            SacValueError: There is no network.
        """
        if self._network is None:
            raise SacValueError(f"{name} has no target; give --network, or IMAGES=TARGETS", "train-importance")
        size = self._size
        wide, high = working_size(*picture.size, size, _MULTIPLE) if isinstance(size, int) else size
        key = hashlib.sha256(f"{self._settings} {wide}x{high} {picture.size} ".encode() + picture.tobytes()).hexdigest()
        kept = self._folder / f"{name}-{key[:16]}.npy"
        if kept.is_file():
            return read_target(kept)
        made = fisher_importance(self._network, self._input(picture.resize((wide, high))), draws=self._draws)
        half = made.astype(np.float16)
        self._folder.mkdir(parents=True, exist_ok=True)
        with workspace(kept, force=True, func="train-importance") as work, work.result.open("wb") as file:
            np.save(file, half)
        return half.astype(np.float32)

    def _input(self, picture: Image.Image) -> Tensor:
        pixels = np.asarray(picture, np.float32) / 255
        pixels = (pixels - np.array(self._mean, np.float32)) / np.array(self._std, np.float32)
        return torch.tensor(pixels.transpose(2, 0, 1)[None])


def read_target(path: Path) -> FloatArray:
    """Read log2 of the importance by cells that cover the picture evenly.

    Returns:
        Shape (h, w), float32.

    Raises:
        SacFileError: The file cannot be read.
        SacFormatError: It does not hold floating-point numbers of two dimensions.
    """
    try:
        with path.open("rb") as file:
            cells = np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # NumPy's reader raises whatever its parts raise for a damaged header
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SacFileError(f"cannot read {path}: {reason}", "train-importance") from error
    if cells.ndim != 2 or cells.dtype.kind != "f" or not cells.size:
        raise SacFormatError(f"{path} has {cells.dtype} {cells.shape}; accepted: floating point of shape (h, w)",
                             "train-importance")  # fmt: skip
    return np.asarray(cells, np.float32)
