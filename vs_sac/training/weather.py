"""Weather and light that labelled sets rarely show: night with street lamps, haze, and an overexposed sky."""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["change_weather"]

type Pixels = npt.NDArray[np.float32]


def change_weather(view: Image.Image, sky: npt.NDArray[np.bool_], rng: np.random.Generator) -> Image.Image:
    """Show a view at night, in haze or under a white sky; one of them at random.

    Args:
        view: RGB image.
        sky: Pixels of the sky, shape (H, W).
        rng: Source of all randomness.
    """
    pixels = np.asarray(view, np.float32) / np.float32(255)
    change = (_night, _haze, _white_sky)[int(rng.integers(3))]
    return Image.fromarray((np.clip(change(pixels, sky, rng), 0, 1) * 255).astype(np.uint8))


def _night(pixels: Pixels, sky: npt.NDArray[np.bool_], rng: np.random.Generator) -> Pixels:
    """Little light, the orange of sodium lamps, and lamps and headlights that flare."""
    height, width = sky.shape
    dark = pixels ** np.float32(rng.uniform(1.2, 2.4)) * np.float32(rng.uniform(0.25, 0.7))
    dark[sky] *= np.float32(rng.uniform(0.05, 0.6))
    warm = np.array([1.15, 0.95, 0.6], np.float32)
    dark *= 1 + (warm - 1) * np.float32(rng.uniform(0, 1))
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for _ in range(int(rng.integers(0, 9))):
        y, x = rng.uniform(0.1, 0.8) * height, rng.uniform(0, 1) * width
        radius = math.exp(rng.uniform(math.log(2), math.log(28)))
        glow = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / np.float32(2 * radius**2))
        colour = np.array([1.0, rng.uniform(0.75, 1), rng.uniform(0.4, 1)], np.float32)
        dark += glow[..., None] * colour * np.float32(rng.uniform(0.3, 1.1))
    return dark


def _haze(pixels: Pixels, sky: npt.NDArray[np.bool_], rng: np.random.Generator) -> Pixels:
    """Fog that is denser towards the top of the frame, where things are farther away."""
    height = sky.shape[0]
    depth = np.linspace(1, rng.uniform(0, 0.5), height, dtype=np.float32)[:, None, None]
    density = np.float32(rng.uniform(0.2, 0.85)) * depth
    light = np.float32(rng.uniform(0.5, 0.95)) + rng.normal(0, 0.02, 3).astype(np.float32)
    return pixels * (1 - density) + light * density


def _white_sky(pixels: Pixels, sky: npt.NDArray[np.bool_], rng: np.random.Generator) -> Pixels:
    """An overcast or overexposed sky without colour, whose light spills over the edges of what is in front of it."""
    soft = Image.fromarray((sky * 255).astype(np.uint8)).resize((max(1, sky.shape[1] // 4), max(1, sky.shape[0] // 4)))
    spill = np.asarray(soft.resize((sky.shape[1], sky.shape[0]), Image.Resampling.BILINEAR), np.float32) / 255
    cover = np.maximum(spill * np.float32(0.6), sky) * np.float32(rng.uniform(0.4, 1))
    light = np.float32(rng.uniform(0.7, 1.0))
    return pixels * (1 - cover[..., None]) + light * cover[..., None]
