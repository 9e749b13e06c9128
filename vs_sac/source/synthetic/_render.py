"""Rendering of the street as seen from a car.

Camera and street are aligned. Every image row therefore shows the ground at one distance, and every image column shows
a house front at one distance. The texels that a pixel needs depend only on the distance driven, and a frame costs two
lookups per pixel and layer.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ...core.labels import SemanticClass
from ._paint import Float, Sprite, noise
from ._world import CLOUD_CELL, GROUND_HALF, LENGTH, WALL, WALL_TOP, Thing, World, build_world

__all__ = ["FRAME_RATE", "render"]

#: Frames per second at which the speeds of the scene have their nominal values.
FRAME_RATE = 25
_SPEED = 10.0
_EYE = 1.45
_EYE_X = 1.8
_FAR = 170.0
_NEAR = 1.6
_CLOUD_HEIGHT = 300.0
type _Index = npt.NDArray[np.intp]
_HAZE = np.array((196, 208, 220), np.float32)


def _fog(distance: npt.ArrayLike) -> Float:
    return (1 - np.exp(-np.asarray(distance, np.float32) / 260)).astype(np.float32)


class _Plane:
    """Samples a texture, whose first axis is depth, on image lines of constant depth.

    Args:
        texture: Texture of shape (Z, S, C), uint8, periodic in depth.
        density: Texels per metre.
        depth: Depth of every image line in metres, shape (L,).
        focal: Focal length in pixels; together with `offset` it gives the distance between lines and pixels at a depth.
        offset: Distance of the plane from the camera in metres.
        line: Image line of every pixel, int of shape (P,).
        across: Position of every pixel along the texture's second axis in metres, shape (P,).
        haze: Whether the texture fades into haze with the distance.
    """

    def __init__(
        self,
        texture: npt.NDArray[np.uint8],
        density: float,
        depth: Float,
        focal: float,
        offset: float,
        line: npt.NDArray[np.int64],
        across: Float,
        haze: bool = True,
    ) -> None:
        channels = texture.shape[2]
        # Size of one pixel in texels along the line and in depth, as log2.
        narrow = np.floor(np.log2(np.maximum(depth / focal * density, 1)) + 0.3).astype(int)
        deep = np.floor(np.log2(np.maximum(depth**2 / (focal * offset) * density, 1)) + 0.3).astype(int)
        narrow = np.minimum(narrow, int(np.log2(texture.shape[1])) - 2)
        deep = np.minimum(deep, int(np.log2(texture.shape[0] & -texture.shape[0])))
        fog = _fog(depth) if haze else np.zeros_like(depth)
        self._groups: list[tuple[slice, npt.NDArray[np.uint8], Float, float, Float]] = []
        start = np.zeros(len(depth), np.int64)
        size = np.zeros(len(depth), np.int64)
        filled = 0
        for kz, ks in sorted({(int(a), int(b)) for a, b in zip(deep, narrow, strict=True)}):
            members = np.flatnonzero((deep == kz) & (narrow == ks))
            level = _halved(texture, kz, ks)
            width = level.shape[1]
            start[members] = filled + np.arange(len(members)) * width
            size[members] = width
            span = slice(filled, filled + len(members) * width)
            self._groups.append((span, level, depth[members], density / 2**kz, fog[members]))
            filled = span.stop
        self._lines = np.empty((channels, filled), np.float32)
        scale = (density / 2.0**narrow).astype(np.float32)
        position = across * scale[line] - 0.5
        low = np.floor(position).astype(np.int64)
        last = size[line] - 1
        self._low = (start[line] + np.clip(low, 0, last)).astype(np.intp)
        self._high = (start[line] + np.clip(low + 1, 0, last)).astype(np.intp)
        self._weight = (position - low).astype(np.float32)

    def sample(self, driven: float) -> Float:
        """Return the colours of the plane's pixels, shape (C, P), after `driven` metres."""
        for span, level, depth, density, fog in self._groups:
            position = (depth.astype(np.float64) + driven) * density - 0.5
            low = np.floor(position)
            weight = (position - low).astype(np.float32)[:, None, None]
            rows = level.shape[0]
            first = low.astype(np.int64) % rows
            lines = level[first].astype(np.float32)
            lines += (level[(first + 1) % rows] - lines) * weight
            if fog.any():
                alpha = lines[..., 3:] / 255 if lines.shape[2] == 4 else np.float32(1)
                lines[..., :3] += (_HAZE * alpha - lines[..., :3]) * fog[:, None, None]
            self._lines[:, span] = lines.reshape(-1, lines.shape[2]).T
        # One plane per channel, because arithmetic on interleaved colours is several times slower in numpy.
        out: Float = np.take(self._lines, self._low, 1)
        out += (np.take(self._lines, self._high, 1) - out) * self._weight
        return out


def _halved(texture: npt.NDArray[np.uint8], deep: int, narrow: int) -> npt.NDArray[np.uint8]:
    z, s = 2**deep, 2**narrow
    rows, columns = texture.shape[0] // z, texture.shape[1] // s
    part = texture[: rows * z, : columns * s].reshape(rows, z, columns * s, -1)
    # uint8 sums of up to 2**16 texels stay exact in uint32.
    total = part.sum(1, dtype=np.uint32).reshape(rows, columns, s, -1).sum(2, dtype=np.uint32)
    mean: npt.NDArray[np.uint8] = ((total + z * s // 2) // (z * s)).astype(np.uint8)
    return mean


@dataclass(frozen=True)
class _View:
    """Data that all frames of one world and one size share."""

    focal: float
    horizon: float
    base: Float
    base_classes: npt.NDArray[np.uint8]
    ground: _Plane
    clouds: _Plane
    cloud_gain: Float
    open_sky: npt.NDArray[np.bool_]
    walls: tuple[_Plane, _Plane]
    wall_pixels: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    wall_depth: tuple[Float, Float]
    wall_line: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
    grain: Float


@lru_cache(maxsize=2)
def _view(seed: int, density: int, width: int, height: int) -> _View:
    world = build_world(seed, density)
    focal, horizon = 0.8 * width, 0.47 * height
    u = np.arange(width, dtype=np.float32) + 0.5 - width / 2
    v = np.arange(height, dtype=np.float32) + 0.5 - horizon
    sky_rows = int((v < 0).sum())
    base, classes, open_sky = _backdrop(seed, width, height, sky_rows)

    below, above = np.maximum(v[sky_rows:], 0.3), np.maximum(-v[:sky_rows], 0.3)
    ground_depth = (focal * _EYE / below).astype(np.float32)
    line = np.repeat(np.arange(height - sky_rows), width)
    across = (u[None] * (ground_depth / focal)[:, None] + _EYE_X).astype(np.float32)
    classes[sky_rows:] = np.where(np.abs(across) > WALL, SemanticClass.NATURE, SemanticClass.ROI)
    ground = _Plane(world.ground, density, ground_depth, focal, _EYE, line, across.ravel() + GROUND_HALF)

    cloud_depth = (focal * _CLOUD_HEIGHT / above).astype(np.float32)
    side = (u[None] * (cloud_depth / focal)[:, None]).astype(np.float32)
    period = world.clouds.shape[1] * CLOUD_CELL
    line = np.repeat(np.arange(sky_rows), width)
    clouds = _Plane(
        world.clouds, 1 / CLOUD_CELL, cloud_depth, focal, _CLOUD_HEIGHT, line, np.mod(side, period).ravel(), haze=False
    )
    gain = (np.clip(above / height * 4, 0, 1) * 0.85 / 255).astype(np.float32)

    planes, pixels, depths, lines = [], [], [], []
    for number, sign in enumerate((-1, 1)):
        offset = WALL - sign * _EYE_X
        columns = np.flatnonzero(u * sign > 0)
        depth = (focal * offset / np.maximum(np.abs(u[columns]), 0.3)).astype(np.float32)
        tall = _EYE - v[:, None] * (depth / focal)[None]
        row, column = np.nonzero((tall > 0) & (tall < WALL_TOP))
        planes.append(_Plane(world.walls[number], density, depth, focal, offset, column, tall[row, column]))
        pixels.append(row * width + columns[column])
        depths.append(depth)
        lines.append(column)
    grain = noise(np.random.default_rng((seed, 7)), (height * 2, width * 2), 0.25) * np.float32(0.9)
    return _View(
        focal, horizon, base, classes, ground, clouds, np.repeat(gain, width), open_sky,
        (planes[0], planes[1]), (pixels[0], pixels[1]), (depths[0], depths[1]), (lines[0], lines[1]), grain,
    )  # fmt: skip


def _backdrop(
    seed: int, width: int, height: int, sky_rows: int
) -> tuple[Float, npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Draw sky and wooded hills at infinity.

    Returns:
        Colours, shape (3, H, W); classes, shape (H, W); and for every pixel above the horizon whether it is sky.
    """
    up = 1 - (np.arange(sky_rows, dtype=np.float32) + 0.5) / max(sky_rows, 1)
    base = np.zeros((height, width, 3), np.float32)
    blue = np.array((104, 152, 206), np.float32)
    base[:sky_rows] = (_HAZE + (blue - _HAZE) * (up**0.7)[:, None])[:, None]
    classes = np.full((height, width), SemanticClass.SKY, np.uint8)
    # Drawn from few frequencies, so that the hills have the same outline at every size.
    rng = np.random.default_rng((seed, 6))
    t = (np.arange(width, dtype=np.float32) + 0.5) / width
    outline = sum(rng.uniform(0.3, 1) / k * np.sin(2 * np.pi * (k * t + rng.random())) for k in (1, 2, 3, 5, 8, 13, 29))
    hill = (0.055 + 0.018 * np.asarray(outline, np.float32)) * height
    rise = sky_rows - (np.arange(height, dtype=np.float32)[:, None] + 0.5)
    wood = (rise < hill[None]) & (rise > 0)
    leaf = noise(rng, (height, width), 0.7)[..., None]
    shade = np.array((112, 132, 118), np.float32) * (1 + 0.09 * leaf) * 0.75 + _HAZE * 0.25
    base = np.where(wood[..., None], shade, base)
    classes[wood] = SemanticClass.NATURE
    return np.ascontiguousarray(base.transpose(2, 0, 1)), classes, classes[:sky_rows].ravel() == SemanticClass.SKY


class _Painter:
    """Composes layers into one frame."""

    def __init__(self, view: _View) -> None:
        self.view = view
        self.rgb = view.base.copy()  # (3, H, W)
        self.classes = view.base_classes.copy()

    def blend(self, rows: slice, columns: slice, rgba: Float, cls: SemanticClass, distance: float) -> None:
        alpha = rgba[3]
        area = self.rgb[:, rows, columns]
        fog = _fog(distance)
        # Under a premultiplied colour c at opacity a: area·(1-a) + c·(1-fog) + haze·a·fog.
        area += ((_HAZE * fog)[:, None, None] - area) * alpha
        rgba[:3] *= 1 - fog
        area += rgba[:3]
        # At opacity 0.5, the outline runs through the middle of the pixel.
        self.classes[rows, columns][alpha > 0.5] = cls

    def picture(self, sprite: Sprite, thing: Thing, x: float, z: float) -> None:
        """Draw an upright picture that faces the camera."""
        height, width = self.classes.shape
        scale = self.view.focal / z
        wide, tall = (thing.width or sprite.width) * scale, (thing.height or sprite.height) * scale
        left, bottom = width / 2 + x * scale - wide / 2, self.view.horizon + _EYE * scale
        columns = _span(left, left + wide, width)
        rows = _span(bottom - tall, bottom, height)
        if columns is None or rows is None:
            return
        level = sprite.level(tall / sprite.height)
        across = _lerp(left, wide, columns, level.shape[2])
        down = _lerp(bottom - tall, tall, rows, level.shape[1])
        first, last = int(across[0].min()), int(across[1].max()) + 1
        part = level[:, :, first:last]
        lines = part.take(down[0], 1)
        lines += (part.take(down[1], 1) - lines) * down[2][:, None]
        rgba = lines.take(across[0] - first, 2)
        rgba += (lines.take(across[1] - first, 2) - rgba) * across[2]
        self.blend(rows, columns, rgba, thing.cls, z)

    def flank(self, sprite: Sprite, thing: Thing, x: float, z: float) -> None:
        """Draw an upright picture at `x` that extends `thing.depth` metres along the street."""
        height, width = self.classes.shape
        focal = self.view.focal
        near, far = max(z, _NEAR / 4), z + thing.depth
        edges = sorted((width / 2 + focal * x / near, width / 2 + focal * x / far))
        columns = _span(edges[0], edges[1], width)
        bottom = self.view.horizon + _EYE * focal / near
        rows = _span(bottom - sprite.height * focal / near, bottom, height)
        if columns is None or rows is None:
            return
        u = np.arange(columns.start, columns.stop) + 0.5 - width / 2
        depth = focal * x / np.where(np.abs(u) < 0.1, 0.1 * np.sign(x), u)
        level = sprite.level(focal / near)
        texels_y, texels_x = level.shape[1:]
        position = np.clip((depth - z) / thing.depth * texels_x - 0.5, 0, texels_x - 1)
        low = np.floor(position).astype(np.intp)
        weight = (position - low).astype(np.float32)
        lines = level.take(low, 2) * (1 - weight) + level.take(np.minimum(low + 1, texels_x - 1), 2) * weight
        v = np.arange(rows.start, rows.stop) + 0.5 - self.view.horizon
        tall = _EYE - v[:, None] * (depth / focal)[None]
        down = (1 - tall / sprite.height) * texels_y - 0.5
        row = np.clip(np.floor(down), 0, texels_y - 1).astype(np.intp)
        weight = np.clip(down - row, 0, 1).astype(np.float32)
        column = np.arange(len(u))[None]
        rgba = lines[:, row, column] * (1 - weight) + lines[:, np.minimum(row + 1, texels_y - 1), column] * weight
        rgba *= (down > -0.5) & (down < texels_y - 0.5)
        self.blend(rows, columns, rgba, thing.cls, z)


def _span(low: float, high: float, size: int) -> slice | None:
    """Return the pixels whose centres lie between two positions; None if there are none."""
    first, last = max(0, int(np.ceil(low - 0.5))), min(size, int(np.ceil(high - 0.5)))
    return slice(first, last) if last > first else None


def _lerp(start: float, length: float, pixels: slice, texels: int) -> tuple[_Index, _Index, Float]:
    """Return the two texels of every pixel, and the weight of the second one."""
    position = (np.arange(pixels.start, pixels.stop) + 0.5 - start) / length * texels - 0.5
    low = np.floor(position)
    weight = (position - low).astype(np.float32)
    first = low.astype(np.intp)
    # minimum and maximum, because clip takes several times as long on arrays this short.
    return np.minimum(np.maximum(first, 0), texels - 1), np.minimum(np.maximum(first + 1, 0), texels - 1), weight


def _things(things: tuple[Thing, ...], seconds: float) -> list[tuple[float, Thing]]:
    """Return the objects in sight with their distance in metres, the farthest first."""
    driven = _SPEED * seconds
    seen = []
    for thing in things:
        if thing.ahead:
            away = thing.z + 3.5 * np.sin(seconds * 0.5)
        else:
            away = (thing.z + thing.speed * seconds - driven) % LENGTH
        if thing.depth and away > LENGTH - thing.depth:
            away -= LENGTH
        if away < _FAR and away + thing.depth > _NEAR:
            seen.append((float(away), thing))
    return sorted(seen, key=lambda item: -item[0])


def render(n: int, width: int, height: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Render frame `n`; returns RGB of shape (H, W, 3) and classes of shape (H, W), both uint8."""
    # About one texel per pixel at the distance at which house fronts enter the picture.
    density = int(2 ** np.clip(round(np.log2(max(width, 1) / 20)), 2, 5))
    world = build_world(seed, density)
    view = _view(seed, density, width, height)
    seconds = n / FRAME_RATE
    driven = _SPEED * seconds
    painter = _Painter(view)
    flat, classes = painter.rgb.reshape(3, -1), painter.classes.reshape(-1)

    cover = view.clouds.sample(driven * 0.4)
    above = cover.shape[1]
    cover *= view.cloud_gain * view.open_sky
    flat[:, :above] += (np.array(((246,), (247,), (249,)), np.float32) - flat[:, :above]) * cover
    flat[:, above:] = view.ground.sample(driven)
    for away, thing in _things(world.behind, seconds):
        painter.picture(thing.pictures[0], thing, thing.x - _EYE_X, max(away, _NEAR))
    for number in range(2):
        _front(view, world, number, driven, flat, classes)
    for away, thing in _things(world.front, seconds):
        x = thing.x - _EYE_X
        step = int(seconds * 7 + thing.z * 3) % len(thing.pictures)
        if thing.side is not None and abs(x) > 0.9:
            painter.flank(thing.side, thing, x - np.sign(x) * 0.9, away)
        if away > _NEAR:
            painter.picture(thing.pictures[step], thing, x, away)
    rng = np.random.default_rng((seed, 8, n))
    y, x0 = int(rng.integers(height)), int(rng.integers(width))
    painter.rgb += view.grain[y : y + height, x0 : x0 + width]
    np.clip(painter.rgb, 0, 255, out=painter.rgb)
    painter.rgb += np.float32(0.5)
    return np.ascontiguousarray(painter.rgb.astype(np.uint8).transpose(1, 2, 0)), painter.classes


def _front(view: _View, world: World, number: int, driven: float, flat: Float, classes: npt.NDArray[np.uint8]) -> None:
    """Draw the house fronts of one side over the frame."""
    pixels = view.wall_pixels[number]
    rgba = view.walls[number].sample(driven)
    alpha = rgba[3] * np.float32(1 / 255)
    flat[:, pixels] = flat.take(pixels, 1) * (1 - alpha) + rgba[:3]
    along = world.wall_classes[number]
    column = ((view.wall_depth[number].astype(np.float64) + driven) * world.density).astype(np.int64) % len(along)
    solid = alpha > 0.5
    classes[pixels[solid]] = along[column][view.wall_line[number][solid]]
