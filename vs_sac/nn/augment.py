"""Training views: random geometry and light of one labelled image, reproducible from a seed."""

import io
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ..labels import SCORE_VOID

__all__ = ["Augmentation", "augment"]

_GREY = (104, 106, 105)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Strength of the augmentation.

    Attributes:
        scale: Range of the zoom around the working size.
        stretch: Largest change of the aspect ratio.
        rotate: Largest rotation in degrees.
        photometric: Whether to change light, colour, noise, blur and compression.
    """

    scale: tuple[float, float] = (0.6, 1.9)
    stretch: float = 0.15
    rotate: float = 4.0
    photometric: bool = True


def augment(
    image: Image.Image,
    label: npt.NDArray[np.uint8],
    crop: tuple[int, int],
    base_scale: float,
    rng: np.random.Generator,
    settings: Augmentation,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """One random view.

    Args:
        image: RGB image.
        label: Classes (H, W).
        crop: Height and width of the view.
        base_scale: Zoom that brings the image to the network's working size.
        rng: Source of all randomness.
        settings: Strength.

    Returns:
        The view, uint8 of shape (3, h, w), and its classes (h, w), void outside of the image.
    """
    low, high = settings.scale
    zoom = base_scale * math.exp(rng.uniform(math.log(low), math.log(high)))
    stretch = math.exp(rng.uniform(-settings.stretch, settings.stretch) / 2)
    angle = math.radians(rng.uniform(-settings.rotate, settings.rotate))
    flip = rng.random() < 0.5
    height, width = crop
    # PIL maps output pixels to input pixels: output centre → a random point such that the view stays
    # inside where it can.
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
    classes = Image.fromarray(label).transform(
        size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=SCORE_VOID
    )
    if settings.photometric:
        view = _relight(view, rng)
    return np.ascontiguousarray(np.asarray(view).transpose(2, 0, 1)), np.asarray(classes)


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
        # Light that differs over the frame: low sun, shadow, street lamps.
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
