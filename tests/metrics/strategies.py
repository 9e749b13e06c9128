"""Hypothesis strategies for pictures, masks and curves."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

Array = np.ndarray[Any, Any]

shapes = st.tuples(st.integers(11, 40), st.integers(11, 40))
depths = st.sampled_from([8, 10, 12, 16])


def dtype_of(bits: int) -> Any:
    return np.uint8 if bits == 8 else np.uint16


def picture(rng: np.random.Generator, shape: tuple[int, int], bits: int = 8) -> Array:
    """Something between a flat plane and noise: smooth parts are where precision is lost first."""
    peak = (1 << bits) - 1
    rows, columns = np.indices(shape)
    waves = np.sin(rows / rng.uniform(2, 20)) * np.cos(columns / rng.uniform(2, 20))
    values = rng.uniform(0, peak) + rng.uniform(0, peak / 2) * waves + rng.normal(0, rng.choice([0, 1, 9]), shape)
    return np.clip(np.round(values), 0, peak).astype(dtype_of(bits))


def spoilt(rng: np.random.Generator, plane: Array, bits: int = 8, sigma: float = 5) -> Array:
    noise = rng.normal(0, sigma * (1 << (bits - 8)), plane.shape)
    return np.clip(np.round(plane + noise), 0, (1 << bits) - 1).astype(plane.dtype)


@st.composite
def pairs(draw: st.DrawFn, bits: st.SearchStrategy[int] = depths) -> tuple[Array, Array, int]:
    """Reference, distorted, bits."""
    depth = draw(bits)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    plane = picture(rng, draw(shapes), depth)
    return plane, spoilt(rng, plane, depth, draw(st.sampled_from([0.6, 3, 20]))), depth


@st.composite
def masked_pairs(draw: st.DrawFn) -> tuple[Array, Array, int, Array]:
    """Reference, distorted, bits, mask."""
    a, b, bits = draw(pairs())
    return a, b, bits, draw(hnp.arrays(np.bool_, a.shape))


@st.composite
def curves(draw: st.DrawFn, points: st.SearchStrategy[int] | None = None) -> tuple[list[float], list[float]]:
    """Rates and qualities of a codec that gains with rate, at a slope that may change steeply from point to point."""
    count = draw(points or st.integers(4, 7))
    steps = draw(st.lists(st.floats(0.15, 0.6), min_size=count, max_size=count))
    gains = draw(st.lists(st.floats(1, 12), min_size=count, max_size=count))
    rates = draw(st.floats(50, 80)) * np.exp(np.cumsum(steps))
    qualities = draw(st.floats(30, 31)) + np.cumsum(np.multiply(steps, gains))
    return rates.tolist(), qualities.tolist()
