"""The objects in the street: trees, cars, people, lamps and signs, drawn from simple shapes."""

from collections.abc import Sequence

import numpy as np

from ._paint import Pad, Sprite, capsule, disc, noise, rounded_box

__all__ = ["CAR_LENGTH", "STEPS", "car", "lamp", "person", "sign", "tree"]

#: Number of pictures of one walking cycle.
STEPS = 8
CAR_LENGTH = 4.2

_GLASS = (38, 46, 56)
_TYRE = (22, 22, 24)


def tree(rng: np.random.Generator, density: float, *, slim: bool = False) -> Sprite:
    """Draw a street tree: a trunk, and a crown of leaf clumps with light from the upper left."""
    width, height = (3.4, 7.5) if slim else (5.6, 7.0)
    pad = Pad(width, height, density)
    rows, columns = pad.rgba.shape[:2]
    grain = noise(rng, (rows, columns), 0.4)
    clumpy = noise(rng, (rows, columns), 0.9, 6)
    bark = np.array((86, 70, 56), np.float32) * (1 + 0.15 * grain[..., None])
    pad.fill(capsule(pad.x, pad.y, (0.0, 0.0), (0.06, height * 0.55), 0.15), bark)
    for _ in range(4):
        tip = (rng.uniform(-0.28, 0.28) * width, height * rng.uniform(0.5, 0.68))
        pad.fill(capsule(pad.x, pad.y, (0.03, height * 0.34), tip, 0.06), bark)
    green = np.array(rng.choice([(74, 98, 44), (88, 104, 48), (62, 90, 46), (100, 104, 52)], axis=0), np.float32)
    centre, rx, ry = height * 0.62, width * 0.36, height * 0.29
    clumps = []
    for _ in range(60):
        angle, radius = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1))
        clumps.append((rx * radius * np.cos(angle), centre + ry * radius * np.sin(angle), rng.uniform(0.3, 0.62)))
    # Dark and low clumps are drawn first, because the lit ones lie in front and on top.
    clumps.sort(key=lambda c: c[1] - 0.6 * c[0] + rng.uniform(-1.2, 1.2))
    for x, y, radius in clumps:
        light = 0.62 + 0.42 * (y - centre + ry) / (2 * ry) - 0.12 * x / rx + rng.uniform(-0.08, 0.08)
        inner = 1 + 0.25 * np.clip((pad.y - np.float32(y)) - (pad.x - np.float32(x)) * 0.5, -0.7, 0.7)
        leaf = green * np.float32(light) * (inner * (1 + 0.2 * grain + 0.1 * clumpy))[..., None]
        edge = disc(pad.x, pad.y, (x, y), radius) + np.float32(0.13) * clumpy + np.float32(0.05) * grain
        pad.fill(edge, leaf)
    return pad.sprite()


def car(colour: Sequence[float], density: float, *, front: bool) -> tuple[Sprite, Sprite]:
    """Draw a hatchback, seen along the street and from the side.

    Args:
        colour: Colour of the paint, RGB.
        density: Texels per metre.
        front: Whether to show the front (oncoming car) instead of the rear.

    Returns:
        End view and side view; the left edge of the side view is the end nearer to the camera.
    """
    return _car_end(np.asarray(colour, np.float32), density, front), _car_side(
        np.asarray(colour, np.float32), density, front
    )


def _car_end(paint: np.ndarray, density: float, front: bool) -> Sprite:
    pad = Pad(2.1, 1.62, density)
    x, y = pad.x, pad.y
    pad.fill(rounded_box(x, y, (-1.0, 0.0, 1.0, 0.12), 0.05), (10, 10, 12), 0.55)
    for side in (-1, 1):
        pad.fill(rounded_box(x, y, (side * 0.76 - 0.11, 0.02, side * 0.76 + 0.11, 0.5), 0.05), _TYRE)
    cabin = np.maximum(rounded_box(x, y, (-0.88, 0.5, 0.88, 1.48), 0.16), np.abs(x) - (1.07 - 0.16 * y))
    body = paint * (0.66 + 0.34 * np.clip(y / 1.3, 0, 1))[..., None] * (1 - 0.12 * np.abs(x))[..., None]
    pad.fill(cabin, body)
    glass = np.maximum(rounded_box(x, y, (-0.76, 0.9, 0.76, 1.36), 0.1), np.abs(x) - (0.96 - 0.16 * y))
    shine = np.asarray(_GLASS, np.float32) * (1 + 1.4 * np.clip((y - 0.9) * 1.6 + 0.25 * x, 0, 1))[..., None]
    pad.fill(glass, shine)
    pad.fill(rounded_box(x, y, (-0.9, 0.24, 0.9, 0.95), 0.16), body)
    pad.fill(rounded_box(x, y, (-0.86, 0.24, 0.86, 0.42), 0.06), paint * 0.42 + 14)
    for side in (-1, 1):
        lamp_box = (side * 0.7 - 0.16, 0.62, side * 0.7 + 0.16, 0.8)
        pad.fill(rounded_box(x, y, lamp_box, 0.06), (238, 238, 224) if front else (168, 22, 20))
        pad.fill(rounded_box(x, y, (side * 0.98 - 0.09, 0.88, side * 0.98 + 0.09, 1.0), 0.04), paint * 0.7)
    if front:
        pad.fill(rounded_box(x, y, (-0.45, 0.46, 0.45, 0.66), 0.05), (24, 25, 27))
    else:
        pad.fill(rounded_box(x, y, (-0.82, 0.83, 0.82, 0.86)), paint * 0.5)
    pad.fill(rounded_box(x, y, (-0.26, 0.46, 0.26, 0.57), 0.01), (226, 222, 190) if not front else (230, 230, 230))
    return pad.sprite()


def _car_side(paint: np.ndarray, density: float, front: bool) -> Sprite:
    pad = Pad(CAR_LENGTH, 1.62, density)
    y = pad.y
    # The bonnet is at the far end, unless the car comes towards the camera.
    x = -pad.x if front else pad.x
    pad.fill(rounded_box(x, y, (-2.05, 0.0, 2.05, 0.1), 0.05), (10, 10, 12), 0.5)
    body = paint * (0.6 + 0.36 * np.clip(y / 1.3, 0, 1))[..., None] * np.ones_like(x)[..., None]
    slopes = np.maximum(x - (2.2 - 0.92 * y), -x - (2.42 - 0.3 * y))
    pad.fill(np.maximum(rounded_box(x, y, (-2.06, 0.5, 1.7, 1.48), 0.22), slopes), body)
    glass = np.maximum(rounded_box(x, y, (-1.75, 0.92, 1.2, 1.36), 0.06), slopes + 0.14)
    pad.fill(glass, np.asarray(_GLASS, np.float32) * (1 + 1.2 * np.clip((y - 0.9) * 1.6, 0, 1))[..., None])
    for pillar in (-1.15, 0.05):
        pad.fill(rounded_box(x, y, (pillar - 0.05, 0.9, pillar + 0.05, 1.4)), paint * 0.55)
    pad.fill(rounded_box(x, y, (-2.06, 0.26, 2.06, 0.95), 0.2), body)
    for seam in (-1.1, 0.05, 1.05):
        pad.fill(rounded_box(x, y, (seam - 0.012, 0.35, seam + 0.012, 0.92)), paint * 0.5)
    for wheel in (-1.28, 1.28):
        pad.fill(disc(x, y, (wheel, 0.34), 0.38), (16, 16, 18))
        pad.fill(disc(x, y, (wheel, 0.32), 0.31), _TYRE)
        pad.fill(disc(x, y, (wheel, 0.32), 0.19), (132, 134, 138))
    return pad.sprite()


def person(rng: np.random.Generator, density: float) -> tuple[Sprite, ...]:
    """Draw a walking person in the `STEPS` pictures of one cycle."""
    coat = rng.choice([(150, 46, 44), (48, 70, 118), (60, 62, 68), (170, 140, 84), (70, 96, 76)], axis=0)
    trousers = rng.choice([(38, 42, 58), (60, 54, 48), (30, 30, 34)], axis=0)
    skin, hair = np.array((196, 150, 122)), np.array((58, 44, 34))
    pictures = []
    for step in range(STEPS):
        swing = float(np.sin(2 * np.pi * step / STEPS))
        pad = Pad(1.1, 1.85, density)
        x, y = pad.x, pad.y
        pad.fill(rounded_box(x, y, (-0.34, 0.0, 0.34, 0.07), 0.03), (10, 10, 12), 0.45)
        for side, tone in ((-1, 0.75), (1, 1.0)):
            knee, foot = (side * swing * 0.14 + 0.03, 0.46), (side * swing * 0.32, 0.06 + 0.05 * max(0, -side * swing))
            pad.fill(capsule(x, y, (0.0, 0.88), knee, 0.09), trousers * tone)
            pad.fill(capsule(x, y, knee, foot, 0.07), trousers * tone)
            pad.fill(capsule(x, y, foot, (foot[0] + 0.12, foot[1]), 0.055), (34, 28, 26))
        pad.fill(capsule(x, y, (0.0, 1.36), (swing * 0.26, 0.92), 0.06), coat * 0.72)
        light = (1.05 - 0.3 * (x + 0.2))[..., None] * np.ones_like(y)[..., None]
        pad.fill(rounded_box(x, y, (-0.2, 0.8, 0.2, 1.5), 0.14), coat * light)
        pad.fill(capsule(x, y, (0.02, 1.36), (-swing * 0.26, 0.92), 0.06), coat * 0.9)
        pad.fill(disc(x, y, (-swing * 0.26, 0.88), 0.055), skin)
        pad.fill(disc(x, y, (0.02, 1.64), 0.125), skin * light)
        pad.fill(np.maximum(disc(x, y, (0.0, 1.67), 0.135), 0.06 * x + 1.655 - y), hair)
        pictures.append(pad.sprite())
    return tuple(pictures)


def lamp(density: float) -> Sprite:
    """Draw a lamp post whose arm reaches over the road (to the left)."""
    pad = Pad(2.6, 6.4, density)
    steel = np.asarray((96, 100, 102), np.float32) * (1 - 0.3 * np.clip(pad.x * 6 - 6.6, -1, 1))[..., None]
    pad.fill(capsule(pad.x, pad.y, (1.1, 0.0), (1.1, 6.1), 0.06), steel * np.ones_like(pad.y)[..., None])
    pad.fill(capsule(pad.x, pad.y, (1.1, 0.0), (1.1, 0.9), 0.1), (84, 88, 90))
    pad.fill(capsule(pad.x, pad.y, (1.1, 6.05), (-0.7, 6.25), 0.045), (96, 100, 102))
    pad.fill(rounded_box(pad.x, pad.y, (-1.2, 6.16, -0.5, 6.32), 0.06), (120, 124, 126))
    return pad.sprite()


def sign(density: float, *, warning: bool = False) -> Sprite:
    """Draw a traffic sign on a pole: a speed limit, or a warning sign."""
    pad = Pad(0.9, 2.9, density)
    x, y = pad.x, pad.y
    pad.fill(capsule(x, y, (0.0, 0.0), (0.0, 2.7), 0.035), (128, 130, 132))
    if warning:
        for size, colour in ((0.0, (186, 24, 28)), (0.1, (240, 238, 230))):
            slope = np.maximum(np.abs(x) * 0.866 + (y - 2.45) * 0.5 - (0.2 - size * 0.7), 2.08 + size * 0.6 - y)
            pad.fill(slope, colour)
        pad.fill(rounded_box(x, y, (-0.03, 2.22, 0.03, 2.42)), (20, 20, 20))
    else:
        for radius, colour in ((0.34, (186, 24, 28)), (0.26, (240, 238, 230))):
            pad.fill(disc(x, y, (0.0, 2.4), radius), colour)
        pad.fill(np.abs(rounded_box(x, y, (-0.15, 2.3, -0.03, 2.5), 0.03)) - 0.02, (24, 24, 26))
        pad.fill(np.abs(rounded_box(x, y, (0.03, 2.3, 0.15, 2.5), 0.03)) - 0.02, (24, 24, 26))
    return pad.sprite()
