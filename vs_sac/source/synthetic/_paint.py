"""Painting tools of the street scene: noise, signed-distance shapes and sprites with mip levels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Float", "Pad", "Sprite", "capsule", "disc", "noise", "rounded_box"]

# All arrays are float32; numpy's own annotations lose the width in arithmetic with Python numbers.
type Float = npt.NDArray[np.floating[Any]]
type Colour = Sequence[float] | npt.NDArray[Any] | np.floating[Any]


def noise(rng: np.random.Generator, shape: tuple[int, int], slope: float = 1.0, low: float = 1.0) -> Float:
    """Return periodic fractal noise with zero mean and unit standard deviation.

    Args:
        rng: Random number generator.
        shape: Rows and columns.
        slope: Exponent by which the amplitude falls with the frequency: 0 gives white noise, 1.5 clouds.
        low: Frequency in periods per tile below which the amplitude is constant.
    """
    # A child generator is used, so that later draws from `rng` do not depend on the shape.
    spectrum = np.fft.rfft2(rng.spawn(1)[0].standard_normal(shape, np.float32))
    fy = np.fft.fftfreq(shape[0], 1 / shape[0])[:, None]
    fx = np.fft.rfftfreq(shape[1], 1 / shape[1])[None]
    spectrum *= np.maximum(np.hypot(fy, fx), low) ** -slope
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, shape)
    unit: Float = (field / max(float(field.std()), 1e-9)).astype(np.float32)
    return unit


def disc(x: Float, y: Float, centre: tuple[float, float], radius: float) -> Float:
    """Return the signed distance to a disc, negative inside."""
    distance: Float = np.hypot(x - np.float32(centre[0]), y - np.float32(centre[1]))
    return distance - np.float32(radius)


def rounded_box(x: Float, y: Float, box: tuple[float, float, float, float], radius: float = 0.0) -> Float:
    """Return the signed distance to the box (left, bottom, right, top) with rounded corners, negative inside."""
    left, bottom, right, top = box
    dx = np.abs(x - np.float32((left + right) / 2)) - np.float32((right - left) / 2 - radius)
    dy = np.abs(y - np.float32((bottom + top) / 2)) - np.float32((top - bottom) / 2 - radius)
    return np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0) - np.float32(radius)


def capsule(x: Float, y: Float, start: tuple[float, float], end: tuple[float, float], radius: float) -> Float:
    """Return the signed distance to a line of the given radius with round ends, negative inside."""
    ax, ay = x - np.float32(start[0]), y - np.float32(start[1])
    bx, by = end[0] - start[0], end[1] - start[1]
    along = np.clip((ax * bx + ay * by) / max(bx * bx + by * by, 1e-9), 0, 1).astype(np.float32)
    return np.hypot(ax - along * np.float32(bx), ay - along * np.float32(by)) - np.float32(radius)


@dataclass(frozen=True)
class Sprite:
    """A flat picture with transparency and its mip levels, each half as large as the one before.

    Attributes:
        levels: Premultiplied RGBA, float32 of shape (4, h, w), RGB in 0..255, alpha in [0, 1], row 0 at the top.
        width: Width in metres.
        height: Height in metres.
    """

    levels: tuple[Float, ...]
    width: float
    height: float

    def level(self, pixels_per_metre: float) -> Float:
        """Return the smallest level that still has about one texel per pixel."""
        density = self.levels[0].shape[1] / self.height
        halvings = int(np.floor(np.log2(max(density / max(pixels_per_metre, 1e-6), 1.0)) + 0.3))
        return self.levels[min(halvings, len(self.levels) - 1)]


class Pad:
    """A drawing area in metres; the origin is the middle of the bottom edge, and y points up."""

    def __init__(self, width: float, height: float, density: float) -> None:
        # Multiples of 16 can be halved without remainder down to the smallest levels.
        columns = max(16, int(np.ceil(width * density / 16)) * 16)
        rows = max(16, int(np.ceil(height * density / 16)) * 16)
        self.width, self.height = width, height
        self.texels = min(columns / width, rows / height)
        self.x = ((np.arange(columns, dtype=np.float32) + 0.5) / columns - 0.5)[None] * np.float32(width)
        self.y = (1 - (np.arange(rows, dtype=np.float32) + 0.5) / rows)[:, None] * np.float32(height)
        self.rgba = np.zeros((rows, columns, 4), np.float32)

    def fill(self, distance: Float, colour: Colour, opacity: float = 1.0) -> None:
        """Paint the area in which a signed distance is negative; `colour` has the shape (3,) or (h, w, 3)."""
        alpha = np.clip(0.5 - distance * np.float32(self.texels), 0, 1)[..., None] * np.float32(opacity)
        self.rgba *= 1 - alpha
        self.rgba[..., :3] += alpha * np.asarray(colour, np.float32)
        self.rgba[..., 3:] += alpha

    def shade(self, factor: Float | float) -> None:
        """Multiply the colour by a factor of shape (h, w) or by a scalar."""
        gain = np.asarray(factor, np.float32)
        self.rgba[..., :3] *= gain[..., None] if gain.ndim else gain

    def sprite(self) -> Sprite:
        """Return the painted picture with its mip levels."""
        alpha = self.rgba[..., 3:]
        self.rgba[..., :3] = np.clip(self.rgba[..., :3], 0, 255 * alpha)
        levels = [self.rgba]
        while min(levels[-1].shape[:2]) >= 4 and not (levels[-1].shape[0] | levels[-1].shape[1]) & 1:
            rows, columns = levels[-1].shape[:2]
            levels.append(levels[-1].reshape(rows // 2, 2, columns // 2, 2, 4).mean((1, 3)))
        planes = tuple(np.ascontiguousarray(level.transpose(2, 0, 1)) for level in levels)
        return Sprite(planes, self.width, self.height)
