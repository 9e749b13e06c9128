"""Importance of a macroblock for a perception network, and the QP offset that follows from it.

The importance w is the expected squared gradient of a perception network's log-likelihood with respect to the pixels of
a block, with labels drawn from the network's own output (Fisher information). An encoder cannot afford the backward
pass that gives it, so it is predicted from what is known anyway: the class probabilities of the segmentation network
and the luma. `training.importance` fits the predictor.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from ..core.errors import SacFileError, SacFormatError
from ..core.labels import FINE_CLASSES
from ..core.macroblocks import BLOCK, grid_size

__all__ = ["FEATURES", "LARGEST_OFFSET", "ImportancePredictor", "block_features", "block_means", "fine_probabilities",
           "offset_map"]  # fmt: skip

type FloatArray = npt.NDArray[np.float32]

#: Names of the features of a block, in order: mean probability of each fine class; margin between the two likeliest
#: classes, entropy in bits, and class boundaries, each as mean over the pixels of the network; mean luma, log2 of its
#: deviation, of its mean absolute differences and of its Laplacian; and the position from top (0) to bottom (1).
FEATURES: Final = (*FINE_CLASSES, "margin", "entropy", "boundaries", "luma", "deviation", "across", "down",
                   "laplacian", "row")  # fmt: skip

#: QP per octave of importance at strength 1, and limit of this part of the offset.
_QP_PER_OCTAVE, _LARGEST_PART = 1.5, 6.0

#: Multiplications of a matrix product for which OpenBLAS uses one thread.
_WITHOUT_THREADS = 1 << 17

#: Rows of macroblocks whose luma is looked at together.
_STRIP = 2

#: Weights of a predictor are smaller.
_LARGEST_WEIGHT = 1e5

#: Limit of the whole offset.
LARGEST_OFFSET = 10.0


def fine_probabilities(probabilities: FloatArray, classes: Sequence[str]) -> FloatArray:
    """Bring a network's own classes into the order of the fine classes.

    Args:
        probabilities: Shape (K, h, w).
        classes: Names of the K classes. Classes without the name of a fine class are left out.

    Returns:
        Shape (19, h, w).
    """
    if tuple(classes) == FINE_CLASSES:
        return probabilities
    ordered = np.zeros((len(FINE_CLASSES), *probabilities.shape[1:]), np.float32)
    for name, plane in zip(classes, probabilities, strict=True):
        if name in FINE_CLASSES:
            ordered[FINE_CLASSES.index(name)] += plane
    return ordered


def block_means(planes: FloatArray, width: int, height: int) -> FloatArray:
    """Return the mean of planes over each macroblock of a picture; the planes may have another size than the picture.

    Args:
        planes: Shape (N, h, w). Each sample covers an equal part of the picture.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.

    Returns:
        Shape (N, ceil(height / 16), ceil(width / 16)).
    """
    count, rows, columns = planes.shape
    sums = np.zeros((count, rows + 1, columns + 1), np.float64)
    np.cumsum(planes.cumsum(1, np.float64), 2, out=sums[:, 1:, 1:])
    tall = _at_bounds(sums, 1, height)
    full = _at_bounds(tall, 2, width)
    areas = np.diff(_bounds(rows, height))[:, None] * np.diff(_bounds(columns, width))
    return np.asarray(np.diff(np.diff(full, axis=1), axis=2) / areas, np.float32)


def _bounds(samples: int, side: int) -> npt.NDArray[np.float64]:
    """Edges of the macroblocks along a side of the picture, in samples of a plane."""
    return np.minimum(np.arange(-(-side // BLOCK) + 1) * BLOCK, side) * samples / side


def _at_bounds(sums: npt.NDArray[np.float64], axis: int, side: int) -> npt.NDArray[np.float64]:
    """Sums up to the edges of the macroblocks, from sums up to the samples."""
    bounds = _bounds(sums.shape[axis] - 1, side)
    before = np.minimum(bounds.astype(np.intp), sums.shape[axis] - 2)
    share = (bounds - before).reshape(-1, 1) if axis == 1 else bounds - before
    return np.asarray(sums.take(before, axis) * (1 - share) + sums.take(before + 1, axis) * share)


def block_features(probabilities: FloatArray, luma: FloatArray) -> FloatArray:
    """Return the features of every macroblock, from which its importance is predicted.

    Args:
        probabilities: Probabilities of the fine classes, (19, h, w).
        luma: Luma of the coded picture, (H, W), 0 (black) to 255 (white).

    Returns:
        Shape (28, ceil(H / 16), ceil(W / 16)), in the order of `FEATURES`.
    """
    height, width = luma.shape
    best = probabilities.argmax(0)[None]
    others = probabilities.copy()
    np.put_along_axis(others, best, -1, 0)
    margin = np.take_along_axis(probabilities, best, 0)[0] - others.max(0)
    entropy = -(probabilities * np.log2(probabilities + np.float32(1e-6))).sum(0)
    best = best[0]
    boundaries = np.zeros(best.shape, np.float32)
    boundaries[:, 1:] += best[:, 1:] != best[:, :-1]
    boundaries[1:] += best[1:] != best[:-1]
    of_classes = block_means(np.concatenate([probabilities, np.stack([margin, entropy, boundaries])]), width, height)
    columns, rows = grid_size(width, height)
    row = np.broadcast_to((np.arange(rows, dtype=np.float32) / rows)[:, None], (rows, columns))
    made: FloatArray = np.concatenate([of_classes, _luma_features(luma), row[None]])
    return made


def _luma_features(luma: FloatArray) -> FloatArray:
    """Mean luma, and the logarithms of deviation, differences and Laplacian, (5, rows, columns)."""
    height, width = luma.shape
    columns, rows = grid_size(width, height)
    # One pixel around the picture, so that the differences at its edges are those inside a partial block.
    framed = np.pad(luma, ((1, rows * BLOCK - height + 1), (1, columns * BLOCK - width + 1)), mode="edge")
    sums = np.empty((5, rows, columns), np.float32)
    # A few rows at a time, which stay in the processor's cache.
    for start in range(0, rows, _STRIP):
        stop = min(start + _STRIP, rows)
        part = framed[start * BLOCK : stop * BLOCK + 2]
        middle, right, below = part[1:-1, 1:-1], part[1:-1, 2:], part[2:, 1:-1]
        across, down = right - middle, below - middle
        curved = across + down
        curved += part[1:-1, :-2] - middle
        curved += part[:-2, 1:-1] - middle
        for row, plane in zip(
            sums, (middle, middle * middle, np.abs(across), np.abs(down), np.abs(curved)), strict=True
        ):
            row[start:stop] = _sums(plane)
    sums /= BLOCK**2
    mean, square, across, down, curved = sums
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    made: FloatArray = np.stack(
        [mean / 255, np.log2(deviation + 1), np.log2(across + 0.5), np.log2(down + 0.5), np.log2(curved + 0.5)]
    )
    return made


def _sums(plane: FloatArray) -> FloatArray:
    """Sum over each macroblock; the sides are multiples of 16."""
    rows, columns = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    summed: FloatArray = plane.reshape(rows, BLOCK, -1).sum(1).reshape(rows, columns, BLOCK).sum(2)
    return summed


def _product(weights: FloatArray, values: FloatArray) -> FloatArray:
    """Matrix product, some columns at a time.

    OpenBLAS uses threads from 2¹⁸ multiplications on. While encoders keep the processors busy, these threads wait for
    each other up to a hundred times as long as the product takes.
    """
    made = np.empty((len(weights), values.shape[1]), np.float32)
    step = max(1, _WITHOUT_THREADS // weights.size)
    for start in range(0, values.shape[1], step):
        np.matmul(weights, values[:, start : start + step], out=made[:, start : start + step])
    return made


@dataclass(frozen=True, eq=False)
class ImportancePredictor:
    """A small convolutional network on the macroblock grid: features → log2 of the importance.

    Attributes:
        mean: Means of the features, (28,).
        scale: Their deviations, (28,).
        into: Weights of the first layer, one value per block and channel, (C, 28).
        into_bias: Shape (C,).
        mix: Weights of the two 3×3 layers, (2, C, C, 3, 3). Each adds its output, after a ReLU, to its input.
        mix_bias: Shape (2, C).
        out: Weights of the last layer, (C,).
        about: Where it comes from, for people: JSON's types.
    """

    mean: FloatArray
    scale: FloatArray
    into: FloatArray
    into_bias: FloatArray
    mix: FloatArray
    mix_bias: FloatArray
    out: FloatArray
    about: dict[str, Any]

    def predict(self, features: FloatArray) -> FloatArray:
        """Return log2 of the importance of every macroblock, up to a constant of the picture.

        Args:
            features: What `block_features` gives, (28, R, C).

        Returns:
            Shape (R, C), float32.
        """
        count, rows, columns = features.shape
        flat = (features.reshape(count, -1) - self.mean[:, None]) / self.scale[:, None]
        hidden = np.maximum(_product(self.into, flat) + self.into_bias[:, None], 0)
        for weights, bias in zip(self.mix, self.mix_bias, strict=True):
            framed = np.pad(hidden.reshape(-1, rows, columns), ((0, 0), (1, 1), (1, 1)), mode="edge")
            mixed = np.repeat(bias[:, None], rows * columns, 1)
            for y in range(3):
                for x in range(3):
                    shifted = framed[:, y : y + rows, x : x + columns].reshape(len(hidden), -1)
                    mixed += _product(weights[:, :, y, x], shifted)
            hidden = hidden + np.maximum(mixed, 0)
        predicted: FloatArray = _product(self.out[None], hidden).reshape(rows, columns)
        return predicted

    def save(self, path: Path) -> None:
        """Write the predictor, in half precision, as an .npz file."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "about"}
        about = np.frombuffer(json.dumps(self.about, sort_keys=True).encode(), np.uint8)
        halves = {name: array.astype(np.float16) for name, array in arrays.items()}
        # The deviations of rare classes are too small for half precision.
        halves |= {name: arrays[name].astype(np.float32) for name in ("mean", "scale")}
        with path.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, about=about, **halves)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a predictor.

        Raises:
            SacFileError: The file cannot be read, or is no predictor of this release.
        """
        try:
            # Opened here, because NumPy leaves a file open that is no archive.
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as content:
                about = json.loads(content["about"].tobytes())
                arrays = {field.name: content[field.name] for field in fields(cls) if field.name != "about"}
        except FileNotFoundError:
            raise SacFileError(f"importance predictor {path} does not exist", "ImportancePredictor") from None
        except Exception as error:  # readers of archives raise whatever their parts raise for a damaged file
            raise SacFileError(f"cannot read importance predictor {path}: {error}", "ImportancePredictor") from error
        if not isinstance(about, dict):
            raise SacFileError(f"about of importance predictor {path} is no table", "ImportancePredictor")
        channels = arrays["into_bias"].size
        expected = {"mean": (len(FEATURES),), "scale": (len(FEATURES),), "into": (channels, len(FEATURES)),
                    "into_bias": (channels,), "mix": (2, channels, channels, 3, 3), "mix_bias": (2, channels),
                    "out": (channels,)}  # fmt: skip
        for name, shape in expected.items():
            array = arrays[name]
            if array.shape != shape or array.dtype.kind != "f" or not _all_small(array):
                raise SacFileError(
                    f"{name} of importance predictor {path} is {array.dtype} {array.shape}; accepted: finite floating"
                    f" point of shape {shape}", "ImportancePredictor",
                )  # fmt: skip
        if not (arrays["scale"] > 0).all():
            raise SacFileError(f"scale of importance predictor {path} has {arrays['scale'].min():g}; accepted: above 0",
                               "ImportancePredictor")  # fmt: skip
        return cls(**{name: array.astype(np.float32) for name, array in arrays.items()}, about=about)


def _all_small(array: npt.NDArray[Any]) -> bool:
    """Whether all values are finite, and no larger than half precision holds them (65504)."""
    with np.errstate(over="ignore"):
        return bool((np.abs(array.astype(np.float64)) < _LARGEST_WEIGHT).all())


def offset_map(
    log_importance: FloatArray | None, tiers: FloatArray | None, strength: float = 1.0
) -> npt.NDArray[np.float32]:
    """Return the QP offset of every macroblock.

    The offset is clip(-1.5 · strength · log2(w / geometric mean of w), ±6) + tier, where the tier of a block is the
    mean over its pixels; it is centred to mean zero, limited to ±10 and rounded to half QPs. Importance is smoothed
    over 3×3 blocks.

    Args:
        log_importance: log2 of w, (R, C); None for tiers alone.
        tiers: Mean tier of the pixels of each block, (R, C); None for importance alone.
        strength: Factor of the part of importance.

    Returns:
        Shape (R, C), multiples of 0.5.

    Raises:
        SacFormatError: Both are None, or their shapes differ.
    """
    given = [part for part in (log_importance, tiers) if part is not None]
    if not given or any(part.shape != given[0].shape for part in given):
        raise SacFormatError(f"parts of shapes {[part.shape for part in given]}; accepted: one or two of one shape",
                             "offset_map")  # fmt: skip
    offsets = np.zeros(given[0].shape, np.float32)
    if log_importance is not None:
        smooth = _box(log_importance)
        offsets += np.clip(-_QP_PER_OCTAVE * strength * (smooth - smooth.mean()), -_LARGEST_PART, _LARGEST_PART)
    if tiers is not None:
        offsets += tiers
    offsets -= offsets.mean()
    return np.asarray(np.rint(2 * np.clip(offsets, -LARGEST_OFFSET, LARGEST_OFFSET)) / 2, np.float32)


def _box(plane: FloatArray) -> FloatArray:
    """Mean over 3×3 blocks; beyond the edge the plane is continued."""
    rows, columns = plane.shape
    framed = np.pad(plane, 1, mode="edge")
    tall = framed[:-2] + framed[1:-1] + framed[2:]
    smooth: FloatArray = (tall[:, :-2] + tall[:, 1:-1] + tall[:, 2:]) / 9
    assert smooth.shape == (rows, columns)
    return smooth
