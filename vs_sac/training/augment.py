"""Training views: random changes of geometry and light of one labelled image, reproducible from a seed."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ..core.labels import FINE_CLASSES, SCORE_VOID, SemanticClass
from .data import FINE_SETS, SEMANTIC_OF_SET
from .settings import Augmentation
from .weather import change_weather

__all__ = ["Augmentation", "Labelled", "augment", "is_rich", "paste_objects"]

_GREY = (104, 106, 105)

#: Objects narrower than `_NARROW` pixels of the view are pasted into other views. Parts lower than `_LOW` pixels are
#: ragged edges and are left out.
_NARROW, _LOW = 24, 10

#: Objects that are pasted however large they are, and those whose presence makes a picture rich.
_LARGE = frozenset({"truck", "bus", "train"})
_RARE = _LARGE | {"traffic light", "traffic sign", "rider", "motorcycle"}

#: Share of a picture from which rare objects make it rich.
_RICH = 0.002

#: Largest change of a coordinate by `_bulge`, as a share of the half diagonal; cells per side of its mesh.
_BULGE, _MESH = 0.18, 8


def _made_of(names: frozenset[str]) -> npt.NDArray[np.bool_]:
    """Which label values stand for nothing but these fine classes, shape (256,)."""
    table = np.zeros(256, np.bool_)
    others = [number for number, name in enumerate(FINE_CLASSES) if name not in names]
    table[: len(FINE_SETS)] = ~FINE_SETS[:, others].any(1)
    return table


_IS_LARGE, _IS_RARE = _made_of(_LARGE), _made_of(_RARE)
_IS_ROI = SEMANTIC_OF_SET == SemanticClass.ROI


def is_rich(label: npt.NDArray[np.uint8]) -> bool:
    """Whether rare objects (lights, signs, large vehicles, riders) cover a notable part of a picture."""
    return float(_IS_RARE[label].mean()) > _RICH


@dataclass(frozen=True)
class Labelled:
    """A labelled picture for training.

    Attributes:
        image: RGB image.
        label: Rows of `data.FINE_SETS`, uint8 of shape (H, W); void is `SCORE_VOID`.
        scale: Factor that scales the picture to the network's working size.
    """

    image: Image.Image
    label: npt.NDArray[np.uint8]
    scale: float


def augment(
    picture: Labelled,
    crop: tuple[int, int],
    rng: np.random.Generator,
    settings: Augmentation,
    donor: Callable[[np.random.Generator], Labelled] | None = None,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Make one random view.

    Args:
        picture: The picture.
        crop: Height and width of the view.
        rng: Source of all randomness.
        settings: Strength of the augmentation.
        donor: Draws the picture whose objects are pasted.

    Returns:
        The view, uint8 of shape (3, h, w), and its labels, uint8 of shape (h, w); void outside the image.
    """
    view, label = _move(picture, crop, rng, settings)
    if donor and settings.paste and rng.random() < settings.paste:
        view, label = paste_objects(view, label, *_move(donor(rng), crop, rng, settings), rng)
    if settings.warp and rng.random() < settings.warp:
        view, label = _bulge(view, label, rng.uniform(-_BULGE, _BULGE))
    if settings.weather and rng.random() < settings.weather:
        view = change_weather(view, SEMANTIC_OF_SET[label] == SemanticClass.SKY, rng)
    if settings.photometric:
        view = _relight(view, rng)
    return np.ascontiguousarray(np.asarray(view).transpose(2, 0, 1)), label


def _move(
    picture: Labelled, crop: tuple[int, int], rng: np.random.Generator, settings: Augmentation
) -> tuple[Image.Image, npt.NDArray[np.uint8]]:
    """Zoom, stretch, rotate, mirror and crop."""
    image = picture.image
    low, high = settings.scale
    zoom = picture.scale * math.exp(rng.uniform(math.log(low), math.log(high)))
    stretch = math.exp(rng.uniform(-settings.stretch, settings.stretch) / 2)
    angle = math.radians(rng.uniform(-settings.rotate, settings.rotate))
    flip = rng.random() < 0.5
    height, width = crop
    # PIL maps output pixels to input pixels. The centre of the output maps to a random point, chosen so that the view
    # stays inside the image if possible.
    half_w, half_h = width / zoom / stretch / 2, height / zoom * stretch / 2
    centre_x = _place(image.width, half_w, rng)
    centre_y = _place(image.height, half_h, rng)
    sx = (-1 if flip else 1) / (zoom * stretch)
    sy = stretch / zoom
    cos, sin = math.cos(angle), math.sin(angle)
    a, b, d, e = sx * cos, -sx * sin, sy * sin, sy * cos
    matrix = (
        a, b, centre_x - a * width / 2 - b * height / 2,
        d, e, centre_y - d * width / 2 - e * height / 2,
    )  # fmt: skip
    size = (width, height)
    view = image.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=_GREY)
    classes = Image.fromarray(picture.label).transform(
        size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=SCORE_VOID
    )
    return view, np.asarray(classes)


def paste_objects(
    view: Image.Image,
    label: npt.NDArray[np.uint8],
    other: Image.Image,
    other_label: npt.NDArray[np.uint8],
    rng: np.random.Generator,
) -> tuple[Image.Image, npt.NDArray[np.uint8]]:
    """Paste objects of another view into this one: narrow ones (poles, lights, signs, people) and large vehicles.

    A network misses such objects most often, and without pasting it sees each of them in front of one background only.

    Args:
        view: RGB image.
        label: Labels of `view`, shape (H, W); see `Labelled`.
        other: RGB image of the same size.
        other_label: Labels of `other`, shape (H, W).
        rng: Source of all randomness: whether the objects are mirrored, where they go, and their brightness.

    Returns:
        The image and its labels.
    """
    objects = _narrow(_IS_ROI[other_label], _NARROW)
    objects &= ~_narrow(objects.T, _LOW).T
    objects |= _IS_LARGE[other_label]
    pixels = np.asarray(other)
    if rng.random() < 0.5:
        objects, pixels, other_label = objects[:, ::-1], pixels[:, ::-1], other_label[:, ::-1]
    height, width = objects.shape
    # What leaves the view on one side does not come back on the other.
    down, right = int(rng.integers(-height // 6, height // 6 + 1)), int(rng.integers(-width // 2, width // 2 + 1))
    objects, pixels, other_label = (_shift(plane, down, right) for plane in (objects, pixels, other_label))
    gain = math.exp(rng.normal(0, 0.25))
    pasted = np.where(objects[..., None], np.clip(pixels * gain, 0, 255).astype(np.uint8), np.asarray(view))
    return Image.fromarray(pasted), np.where(objects, other_label, label)


def _shift[T: np.generic](plane: npt.NDArray[T], down: int, right: int) -> npt.NDArray[T]:
    """Move a picture; the uncovered part is zero."""
    moved = np.zeros_like(plane)
    height, width = plane.shape[:2]
    target = (slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0)))
    source = (slice(max(-down, 0), height + min(-down, 0)), slice(max(-right, 0), width + min(-right, 0)))
    moved[target] = plane[source]
    return moved


def _bulge(
    view: Image.Image, label: npt.NDArray[np.uint8], strength: float
) -> tuple[Image.Image, npt.NDArray[np.uint8]]:
    """Distort a view like a wide-angle lens: straight lines away from the centre are bent (radial term r²)."""
    width, height = view.size
    centre = np.array([width, height]) / 2
    xs, ys = (np.linspace(0, side, _MESH + 1).round().astype(int) for side in (width, height))
    grid = np.stack(np.meshgrid(xs, ys), -1).astype(np.float64)
    offset = grid - centre
    radius = (offset**2).sum(-1, keepdims=True) / (centre**2).sum()
    # The corners stay where they are, so that no view is enlarged beyond its picture.
    source = np.clip(centre + offset * (1 + strength * (radius - 1)), 0, (width, height))
    mesh = [
        (
            (int(xs[i]), int(ys[j]), int(xs[i + 1]), int(ys[j + 1])),
            tuple(source[[j, j + 1, j + 1, j], [i, i, i + 1, i + 1]].ravel()),
        )
        for j in range(_MESH)
        for i in range(_MESH)
    ]
    bent = view.transform(view.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    labels = Image.fromarray(label).transform(view.size, Image.Transform.MESH, mesh, Image.Resampling.NEAREST)
    return bent, np.asarray(labels)


def _narrow(mask: npt.NDArray[np.bool_], width: int) -> npt.NDArray[np.bool_]:
    """True for pixels in horizontal runs shorter than `width`."""
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    edges = np.diff(padded, axis=1).ravel()
    starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    keep = ends - starts < width
    marks = np.zeros(edges.size, np.int8)
    marks[starts[keep]], marks[ends[keep]] = 1, -1
    return marks.reshape(mask.shape[0], -1).cumsum(1)[:, :-1].astype(bool)


def _place(size: int, half: float, rng: np.random.Generator) -> float:
    return rng.uniform(half, size - half) if size > 2 * half else rng.uniform(size - half, half)


def _relight(view: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Change exposure, gamma, white balance, haze, saturation, noise, sharpness and compression."""
    if rng.random() < 0.25:
        view = view.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    if rng.random() < 0.6:
        grey = view.convert("L").convert("RGB")
        view = Image.blend(grey, view, 0.0 if rng.random() < 0.08 else rng.uniform(0.3, 1.6))
    ramp = np.linspace(0, 1, 256)
    gamma = math.exp(rng.normal(0, 0.35))
    gain = math.exp(rng.normal(0, 0.35))
    haze = rng.uniform(0, 0.5) if rng.random() < 0.15 else rng.uniform(-0.06, 0.06)
    tint = np.exp(rng.normal(0, 0.12, 3))
    curve = np.clip(ramp**gamma * gain, 0, 1.2)
    curve = curve * (1 - abs(haze)) + max(haze, 0) * rng.uniform(0.6, 1) + min(haze, 0) * 0.5
    table = np.clip(np.concatenate([curve * t for t in tint]) * 255, 0, 255).astype(np.uint8)
    view = view.point(table.tolist())
    if rng.random() < 0.3:
        # Light that varies over the frame: low sun, shadow, street lamps.
        field = np.exp(rng.normal(0, 0.4, (3, 4))).astype(np.float32)
        light = Image.fromarray(field).resize(view.size, Image.Resampling.BICUBIC)
        view = Image.fromarray(np.clip(np.asarray(view) * np.asarray(light)[..., None], 0, 255).astype(np.uint8))
    if rng.random() < 0.25:
        noise = rng.standard_normal((view.height, view.width, 3), np.float32) * rng.uniform(2, 14)
        view = Image.fromarray(np.clip(np.asarray(view) + noise, 0, 255).astype(np.uint8))
    if rng.random() < 0.25:
        packed = io.BytesIO()
        view.save(packed, "JPEG", quality=int(rng.integers(15, 75)))
        with Image.open(packed) as again:
            view = again.convert("RGB")
    return view
