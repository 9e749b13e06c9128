"""The street: ground, house fronts and clouds as textures, and the positions of all objects.

The street runs along z and repeats every `LENGTH` metres. x points right and y up; x = 0 is the middle of the road.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ...core.labels import SemanticClass
from ._paint import Float, Pad, Sprite, noise, rounded_box
from ._sprites import CAR_LENGTH, car, lamp, person, sign, tree

__all__ = ["CLOUD_CELL", "GROUND_HALF", "GROUND_LENGTH", "LENGTH", "WALL", "WALL_TOP", "Thing", "World", "build_world"]

#: Length in metres after which the street repeats.
LENGTH = 192
#: Length in metres after which the ground and the street trees repeat. Half of the street takes half the time to build.
GROUND_LENGTH = 96
#: Distance of the house fronts from the middle of the road in metres.
WALL = 9.5
#: Height of the house-front textures in metres.
WALL_TOP = 15
#: Half of the width of the ground texture in metres.
GROUND_HALF = 16
#: Metres per texel of the cloud layer.
CLOUD_CELL = 6.0

_ROAD, _KERB = 3.6, 5.8


@dataclass(frozen=True)
class Thing:
    """An upright object that faces the camera.

    Attributes:
        pictures: One picture, or the pictures of a movement.
        x: Position of its middle in metres.
        z: Position at frame 0 in metres.
        speed: Speed along z in metres per second.
        cls: Class of its pixels.
        side: Picture of its side, `depth` metres long.
        depth: Length of the side in metres.
        width: Width in metres; 0 for that of the picture.
        height: Height in metres; 0 for that of the picture.
        ahead: Whether it stays at a distance from the camera instead of having a speed.
    """

    pictures: tuple[Sprite, ...]
    x: float
    z: float
    speed: float = 0.0
    cls: SemanticClass = SemanticClass.ROI
    side: Sprite | None = None
    depth: float = 0.0
    width: float = 0.0
    height: float = 0.0
    ahead: bool = False


@dataclass(frozen=True)
class World:
    """The whole street of one seed.

    Attributes:
        density: Texels per metre of `ground` and `walls`.
        ground: RGB, uint8 of shape (GROUND_LENGTH · density, 2 · GROUND_HALF · density, 3), indexed by z, x.
        walls: Left and right house fronts, premultiplied RGBA, uint8 of shape
            (LENGTH · density, WALL_TOP · density, 4), indexed by z, y.
        wall_classes: Class of each wall along z, shape (LENGTH · density,).
        clouds: Cloud cover in 0..255, uint8 of shape (n, n, 1).
        behind: Objects behind the line of the house fronts.
        front: Objects in the street.
    """

    density: int
    ground: npt.NDArray[np.uint8]
    walls: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
    wall_classes: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
    clouds: npt.NDArray[np.uint8]
    behind: tuple[Thing, ...]
    front: tuple[Thing, ...]


@lru_cache(maxsize=2)
def build_world(seed: int, density: int) -> World:
    """Build the street of a seed; a seed gives the same street at every density.

    Args:
        seed: Any integer from 0.
        density: Texels per metre, a power of two.
    """
    rng = np.random.default_rng((seed, 0))
    kinds = [tree(np.random.default_rng((seed, 12, i)), min(density * 1.5, 40), slim=i == 2) for i in range(4)]
    trees = _street_trees(seed, kinds)
    front = trees + _traffic(seed, density) + _people(seed, density) + _furniture(seed, density)
    behind: list[Thing] = []
    walls, classes = [], []
    for side in (-1, 1):
        wall, cls, things = _wall(np.random.default_rng((seed, 2 + side)), density, side, kinds)
        walls.append(wall)
        classes.append(cls)
        behind += things
    clouds = np.clip((noise(rng, (256, 256), 1.5, 2) + 0.1) * 110, 0, 255).astype(np.uint8)[..., None]
    ground = _ground(np.random.default_rng((seed, 5)), density, trees)
    return World(
        density,
        ground,
        (walls[0], walls[1]),
        (classes[0], classes[1]),
        clouds,
        tuple(behind),
        tuple(front),
    )


def _tiled(field: Float, shape: tuple[int, int]) -> Float:
    repeats = (-(-shape[0] // field.shape[0]), -(-shape[1] // field.shape[1]))
    return np.tile(field, repeats)[: shape[0], : shape[1]]


def _ground(rng: np.random.Generator, density: int, trees: list[Thing]) -> npt.NDArray[np.uint8]:
    shape = (GROUND_LENGTH * density, 2 * GROUND_HALF * density)
    z = ((np.arange(shape[0], dtype=np.float32) + 0.5) / density)[:, None]
    x = ((np.arange(shape[1], dtype=np.float32) + 0.5) / density - GROUND_HALF)[None]
    away = np.abs(x)
    tile = 16 * density
    fine = _tiled(noise(rng, (tile, tile), 0.3), shape)
    broad = _tiled(noise(rng, (tile * 2, tile * 2), 1.4, 3), shape)
    grey = 92 + 5 * fine + 4 * broad
    # Two tracks in every lane are brighter, because tyres polish them.
    grey += 5 * np.exp(-(((away - 1.8) ** 2 - 0.6) ** 2) * 4)
    parking = (away > _ROAD) & (away < _KERB)
    grey = np.where(parking, grey + 9, grey)
    for _ in range(14):
        z0, x0 = rng.uniform(0, GROUND_LENGTH - 8), rng.uniform(-_KERB, _KERB - 1)
        patch = slice(int(z0 * density), int((z0 + rng.uniform(1, 7)) * density))
        columns = slice(int((x0 + GROUND_HALF) * density), int((x0 + rng.uniform(0.6, 1.4) + GROUND_HALF) * density))
        grey[patch, columns] -= rng.uniform(8, 16)
    rgb = grey[..., None] * np.array((0.98, 1.0, 1.02), np.float32)
    worn = np.clip(0.85 + 0.12 * broad + 0.08 * fine, 0, 1)
    dashes = (away < 0.075) & (np.mod(z, 12) < 4)
    edges = (np.abs(away - _ROAD) < 0.06) | (parking & (np.mod(z, 6) < 0.1))
    zebra = (away < _ROAD - 0.3) & (np.abs(np.mod(z, 96) - 40) < 1.6) & (np.mod(x + 0.3, 1.2) < 0.6)
    paint = (dashes | edges | zebra)[..., None] * worn[..., None] * np.float32(0.9)
    rgb += paint * (np.array((222, 222, 214), np.float32) - rgb)
    slab_z, slab_x = np.floor(z / 0.8).astype(int), np.floor(x / 0.8).astype(int)
    tone = rng.uniform(-8, 8, (240, 64)).astype(np.float32)[np.mod(slab_z, 240), np.mod(slab_x, 64)]
    joint = (np.mod(z, 0.8) < 0.05) | (np.mod(x, 0.8) < 0.05)
    slabs = (142 + tone + 5 * fine + 3 * broad - 26 * joint)[..., None] * np.array((1.02, 1.0, 0.96), np.float32)
    rgb = np.where((away > _KERB)[..., None], slabs, rgb)
    kerb = (np.abs(away - _KERB - 0.08) < 0.1)[..., None]
    rgb = np.where(kerb, (168 + 5 * fine)[..., None] * np.ones(3, np.float32), rgb)
    gutter = np.exp(-np.abs(away - _KERB + 0.15) * 6) * (away < _KERB)
    rgb *= (1 - 0.35 * gutter)[..., None]
    grass = np.array((96, 116, 58), np.float32) * (1 + 0.16 * fine + 0.1 * broad)[..., None]
    rgb = np.where((away > WALL)[..., None], grass, rgb)
    for plant in trees:
        # The sun is on the left, so shadows fall to the right of a tree.
        rows = np.arange(int((plant.z - 3.2) * density), int((plant.z + 3.2) * density)) % shape[0]
        first = int((plant.x - 2.2 + GROUND_HALF) * density)
        columns = slice(max(first, 0), min(first + int(8 * density), shape[1]))
        dz = (np.arange(len(rows), dtype=np.float32)[:, None] / density - 3.2) / 2.6
        dx = (x[:, columns] - (plant.x + 1.6)) / 3.0
        dapple = np.clip(1.5 - 2.2 * (dz**2 + dx**2) + 0.5 * broad[rows, columns] + 0.25 * fine[rows, columns], 0, 1)
        rgb[rows, columns] *= (1 - 0.42 * dapple)[..., None]
    return np.clip(rgb, 0, 255).astype(np.uint8)


_PLASTER = (
    (196, 178, 148), (176, 128, 100), (150, 92, 76), (188, 184, 176), (160, 146, 128), (206, 194, 166), (132, 126, 122),
    (178, 152, 122),
)  # fmt: skip


def _wall(
    rng: np.random.Generator, density: int, side: int, kinds: list[Sprite]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], list[Thing]]:
    """Draw the house fronts of one side; returns texture, class along z, and the gables and trees behind the fronts."""
    texture = np.zeros((LENGTH * density, WALL_TOP * density, 4), np.float32)
    classes = np.full(LENGTH * density, SemanticClass.CONSTRUCTION, np.uint8)
    grain = noise(rng, (8 * density, 8 * density), 0.5)
    beyond: list[Thing] = []
    z, house = 0, 0
    while z < LENGTH:
        length = min(int(rng.integers(9, 20)), LENGTH - z)
        rows = slice(z * density, (z + length) * density)
        gap = house % 4 == 3 or length < 6
        if gap:
            length = min(length, 13)
            rows = slice(z * density, (z + length) * density)
            _boundary(texture[rows], classes[rows], rng, density, grain)
            for row in np.arange(z + 2, z + length - 1, 2.5):
                x = side * rng.uniform(12.0, 17.0)
                beyond.append(_plant(kinds[int(rng.integers(4))], x, float(row), rng.uniform(0.75, 1.1)))
        else:
            colour = np.array(_PLASTER[int(rng.integers(len(_PLASTER)))], np.float32)
            height = _house(texture[rows], rng, density, grain, colour)
            beyond.append(_gable(rng, density, colour, height, float(z), side))
        z, house = z + length, house + 1
    # The light comes from the left, so the fronts on the right are lit.
    texture[..., :3] *= 0.7 if side < 0 else 1.04
    np.clip(texture[..., :3], 0, 255, out=texture[..., :3])
    texture[..., :3] *= texture[..., 3:]
    texture[..., 3] *= 255
    return texture.round().astype(np.uint8), classes, beyond


def _house(panel: Float, rng: np.random.Generator, density: int, grain: Float, colour: Float) -> float:
    """Draw a house front into an array of shape (z, y, 4) and return its height in metres."""
    length = panel.shape[0] / density
    storey = float(rng.choice([2.9, 3.1, 3.4]))
    storeys = int(rng.integers(2, 5))
    base = 3.6
    height = base + storey * (storeys - 1) + 0.7
    panel = panel[:, : int(np.ceil(height * density))]
    z = ((np.arange(panel.shape[0], dtype=np.float32) + 0.5) / density)[:, None]
    y = ((np.arange(panel.shape[1], dtype=np.float32) + 0.5) / density)[None]
    rough = _tiled(grain, panel.shape[:2])
    bricks = rng.random() < 0.5
    course = 1 - (0.1 if bricks else 0.0) * ((np.mod(y, 0.25) < 0.06) | (np.mod(z + 0.25 * (y // 0.25), 0.5) < 0.06))
    panel[..., :3] = colour * ((1 + 0.05 * rough) * course)[..., None]
    panel[..., 3] = y < height
    count = max(2, round(length / float(rng.uniform(2.2, 3.2))))
    pitch = length / count
    across, up = np.mod(z, pitch) - pitch / 2, np.mod(y - base, storey)
    wide, tall = pitch * 0.23, storey * 0.56
    upper = (y > base) & (y < height - 0.7)
    cells = ((z // pitch).astype(int), np.clip((y - base) // storey, 0, 7).astype(int))
    dark = rng.uniform(0.55, 1.35, (count + 1, 8)).astype(np.float32)[cells]
    # Window panes reflect the bright sky at the top and show darker rooms at the bottom.
    glass = np.array((70, 84, 98), np.float32) * (dark * (0.75 + 0.6 * (up - 0.6) / tall))[..., None]
    frame = upper & (np.abs(across) < wide + 0.12) & (up > 0.58) & (up < 0.82 + tall)
    panel[frame, :3] = colour * 0.35 + 146
    pane = upper & (np.abs(across) < wide) & (up > 0.7) & (up < 0.7 + tall) & (np.abs(across) > 0.035)
    pane &= np.abs(up - 0.7 - tall * 0.62) > 0.035
    panel[..., :3] = np.where(pane[..., None], glass, panel[..., :3])
    sill = upper & (np.abs(across) < wide + 0.2) & (up > 0.5) & (up < 0.6)
    panel[sill, :3] = 178
    _ground_floor(panel, rng, z, y, length)
    band = ((y > base - 0.35) & (y < base - 0.1)) | ((y > height - 0.55) & (y < height - 0.12))
    panel[..., :3] = np.where(band[..., None], panel[..., :3] * 0.3 + colour * 0.35 + 70, panel[..., :3])
    eaves = (y > height - 0.75) & (y < height - 0.55)
    panel[..., :3] *= np.where(eaves, 0.62, 1.0)[..., None]
    pipe = (z < 0.12)[..., None] & (y < height - 0.7)[..., None]
    panel[..., :3] = np.where(pipe, 74, panel[..., :3])
    panel[..., :3] *= np.clip(0.82 + y / 4, 0, 1)[..., None]
    return height


def _ground_floor(panel: Float, rng: np.random.Generator, z: Float, y: Float, length: float) -> None:
    """Draw shop windows below a sign board, or doors and windows."""
    bays = max(2, round(length / 3.4))
    bay = length / bays
    across = np.mod(z, bay) - bay / 2
    number = (z // bay).astype(int)
    inside = rng.uniform(0.5, 1.5, bays + 1).astype(np.float32)[number]
    if rng.random() < 0.55:
        board = np.array(rng.choice([(140, 38, 36), (36, 74, 66), (40, 52, 92), (186, 150, 60), (64, 60, 60)], axis=0))
        pane = (np.abs(across) < bay * 0.43) & (y > 0.5) & (y < 2.6)
        lit = inside * (0.6 + 0.5 * np.sin(z * 5 + number) ** 2 * (y < 1.5))
        goods = np.array((92, 86, 78), np.float32) * lit[..., None]
        panel[..., :3] = np.where(pane[..., None], goods + 18 * (y > 1.9)[..., None], panel[..., :3])
        sign_board = (y > 2.7) & (y < 3.2) & (np.abs(across) < bay * 0.47)
        letters = (np.sin(z * 9) + np.sin(z * 23 + 1) > 0.4) & (np.abs(y - 2.95) < 0.13) & (np.abs(across) < bay * 0.3)
        panel[..., :3] = np.where(sign_board[..., None], board.astype(np.float32), panel[..., :3])
        panel[..., :3] = np.where(letters[..., None], 224, panel[..., :3])
        return
    door = (number % 3 == 1) & (np.abs(across) < 0.55) & (y < 2.35)
    window = (number % 3 != 1) & (np.abs(across) < bay * 0.22) & (y > 0.95) & (y < 2.5) & (np.abs(across) > 0.04)
    colour = np.array(rng.choice([(92, 48, 36), (40, 62, 54), (50, 56, 80)], axis=0), np.float32)
    panel[..., :3] = np.where(door[..., None], colour * (1 - 0.3 * (np.mod(y, 0.8) < 0.08))[..., None], panel[..., :3])
    dim = np.array((66, 78, 92), np.float32) * (inside * (0.6 + 0.2 * y))[..., None]
    panel[..., :3] = np.where(window[..., None], dim, panel[..., :3])


def _boundary(
    panel: Float, classes: npt.NDArray[np.uint8], rng: np.random.Generator, density: int, grain: Float
) -> None:
    """Draw the edge of a garden: a hedge (nature) or a wall (construction)."""
    z = ((np.arange(panel.shape[0], dtype=np.float32) + 0.5) / density)[:, None]
    y = ((np.arange(panel.shape[1], dtype=np.float32) + 0.5) / density)[None]
    rough = _tiled(grain, panel.shape[:2])
    if rng.random() < 0.6:
        classes[:] = SemanticClass.NATURE
        panel[..., 3] = y < 1.7 + 0.12 * rough
        panel[..., :3] = np.array((66, 88, 42), np.float32) * (0.7 + 0.3 * y + 0.22 * rough)[..., None]
    else:
        panel[..., 3] = y < 1.3
        courses = (np.mod(y, 0.22) < 0.05) | (np.mod(z + 0.2 * (y // 0.22), 0.45) < 0.05)
        panel[..., :3] = np.array((164, 112, 92), np.float32) * (1 + 0.08 * rough - 0.2 * courses)[..., None]
        panel[..., :3] = np.where((y > 1.18)[..., None], 172, panel[..., :3])


def _gable(rng: np.random.Generator, density: int, colour: Float, height: float, z: float, side: int) -> Thing:
    depth = 9.0
    pad = Pad(depth, height, max(4, density // 4))
    rough = noise(rng, (pad.rgba.shape[0], pad.rgba.shape[1]), 0.7)
    wall = colour * 0.78 * (1 + 0.05 * rough)[..., None]
    pad.rgba[..., :3], pad.rgba[..., 3] = wall, 1
    for x in (-1.8, 1.8):
        for y in np.arange(1.2, height - 2, 3.1):
            pad.fill(rounded_box(pad.x, pad.y, (x - 0.45, float(y), x + 0.45, float(y) + 1.5)), (66, 76, 88))
    return Thing((pad.sprite(),), side * (WALL + depth / 2), z, cls=SemanticClass.CONSTRUCTION)


def _street_trees(seed: int, kinds: list[Sprite]) -> list[Thing]:
    rng = np.random.default_rng((seed, 11))
    things = []
    for side in (-1, 1):
        for row in np.arange(6, GROUND_LENGTH, 20.0):
            if rng.random() < 0.75:
                x, z = side * rng.uniform(6.7, 7.1), row + rng.uniform(-4, 4)
                # Each tree is placed in every repetition of the ground, because the ground contains its shadow.
                for start in range(0, LENGTH, GROUND_LENGTH):
                    things.append(_plant(kinds[int(rng.integers(4))], x, z + start, rng.uniform(0.75, 1.0)))
    return things


def _plant(picture: Sprite, x: float, z: float, scale: float) -> Thing:
    return Thing(
        (picture,), x, z % LENGTH, cls=SemanticClass.NATURE, width=picture.width * scale, height=picture.height * scale
    )


_PAINTS = ((176, 30, 32), (44, 66, 118), (206, 208, 210), (52, 54, 58), (134, 140, 146), (210, 196, 160), (40, 92, 84))


def _traffic(seed: int, density: int) -> list[Thing]:
    rng = np.random.default_rng((seed, 21))
    texels = min(density * 2, 64)
    rears = [car(paint, texels, front=False) for paint in _PAINTS]
    fronts = [car(paint, texels, front=True) for paint in _PAINTS]

    def place(pictures: tuple[Sprite, Sprite], x: float, z: float, speed: float = 0.0, ahead: bool = False) -> Thing:
        end, side = pictures
        return Thing((end,), x, z, speed, side=side, depth=CAR_LENGTH, ahead=ahead)

    things = [place(rears[int(rng.integers(len(rears)))], 1.9, 17.0, ahead=True)]
    for z in np.arange(30, LENGTH, 48.0):
        things.append(place(fronts[int(rng.integers(len(fronts)))], -1.8, z + rng.uniform(-8, 8), speed=-9.0))
    for side, kinds in ((-1, fronts), (1, rears)):
        for z in np.arange(0, LENGTH, 6.0):
            if rng.random() < 0.42:
                things.append(place(kinds[int(rng.integers(len(kinds)))], side * 4.75, z + rng.uniform(0.5, 1.2)))
    return things


def _people(seed: int, density: int) -> list[Thing]:
    rng = np.random.default_rng((seed, 31))
    kinds = [person(np.random.default_rng((seed, 32, i)), min(density * 2, 64)) for i in range(5)]
    things = []
    for side in (-1, 1):
        for z in np.arange(4, LENGTH, 13.0):
            if rng.random() < 0.7:
                x, speed = side * rng.uniform(6.2, 8.7), rng.choice([-1, 1]) * rng.uniform(1.0, 1.6)
                things.append(Thing(kinds[int(rng.integers(5))], x, float(z + rng.uniform(0, 9)), float(speed)))
    return things


def _furniture(seed: int, density: int) -> list[Thing]:
    rng = np.random.default_rng((seed, 41))
    texels = min(density * 2, 48)
    post, signs = lamp(texels), [sign(texels, warning=w) for w in (False, True)]
    things = [Thing((post,), 5.2, float(z)) for z in np.arange(18, LENGTH, 32.0)]
    things += [Thing((signs[i % 2],), 6.2, float(z + rng.uniform(0, 12))) for i, z in enumerate(range(8, LENGTH, 37))]
    return things
