"""The compiled sums against plain numpy and scikit-image, cell by cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from vs_sac.metrics import _kernel
from vs_sac.metrics._cells import cell_counts

from .strategies import Array

MARGIN = 5


def pair(height: int, width: int, bits: int, seed: int, noise: float = 9.0) -> tuple[Array, Array]:
    """A picture with flat parts, edges and texture, and the same with coding noise; rows padded as frames have them."""
    rng = np.random.default_rng(seed)
    kind = np.uint8 if bits == 8 else np.uint16
    top = (1 << bits) - 1
    picture = np.kron(rng.random((-(-height // 7), -(-width // 9))), np.ones((7, 9)))[:height, :width] * 255
    picture[:, width // 2 :] += rng.normal(0, 20, (height, width - width // 2))
    padded = np.zeros((2, height, width + 13), kind)
    for plane, shown in zip(padded, (picture, picture + rng.normal(0, noise, picture.shape)), strict=True):
        plane[:, :width] = np.clip(shown * top / 255, 0, top)
    return padded[0, :, :width], padded[1, :, :width]


def expected_map(x: Array, y: Array, bits: int) -> Array:
    """scikit-image's SSIM map, 0 where no window fits."""
    _, full = structural_similarity(
        x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=(1 << bits) - 1, full=True
    )
    inner = np.zeros_like(full, np.float64)
    inner[MARGIN:-MARGIN, MARGIN:-MARGIN] = full[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return inner


def over_cells(plane: Array, size: tuple[int, int]) -> Array:
    columns = np.add.reduceat(plane, np.arange(0, plane.shape[1], size[1]), 1)
    return np.add.reduceat(columns, np.arange(0, plane.shape[0], size[0]), 0)


# Beyond 138 rows and columns there is more than one tile.
shapes = st.tuples(st.sampled_from([11, 12, 40, 75, 160]), st.sampled_from([11, 13, 64, 267, 300]))
depths = st.sampled_from([8, 10, 12, 16])
cells = st.tuples(st.sampled_from([1, 3, 4, 8, 16, 300]), st.sampled_from([1, 4, 5, 8, 16, 300]))


@settings(max_examples=40)
@given(shape=shapes, bits=depths, size=cells, seed=st.integers(0, 99))
def test_sums_over_cells(shape: tuple[int, int], bits: int, size: tuple[int, int], seed: int) -> None:
    x, y = pair(*shape, bits, seed)
    squares = (x.astype(np.int64) - y) ** 2
    np.testing.assert_array_equal(_kernel.squared_errors(x, y, size), over_cells(squares, size))
    tolerance = 2e-5 * np.maximum(cell_counts(shape, size, MARGIN), 1)
    assert (np.abs(_kernel.structure(x, y, bits, size) - over_cells(expected_map(x, y, bits), size)) <= tolerance).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_largest_errors_do_not_overflow(bits: int) -> None:
    top = (1 << bits) - 1
    x = np.zeros((300, 40), np.uint8 if bits == 8 else np.uint16)
    assert _kernel.squared_errors(x, np.full_like(x, top), (300, 40)).tolist() == [[top * top * x.size]]


@settings(max_examples=40)
@given(
    shape=shapes,
    bits=depths,
    cell=st.sampled_from([1, 4, 8, 12, 16]),
    share=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_masked_frames(shape: tuple[int, int], bits: int, cell: int, share: float, seed: int) -> None:
    x, y = pair(*shape, bits, seed)
    roi = np.random.default_rng(seed).random((-(-shape[0] // cell), -(-shape[1] // cell))) < share
    size = (cell, cell)
    got = _kernel.masked_structure(
        x, y, bits, roi, cell, _kernel.structure(x, y, bits, size), cell_counts(shape, size, MARGIN)
    )
    shown = roi.repeat(cell, 0).repeat(cell, 1)[: shape[0], : shape[1]]
    windows = (shape[0] - 2 * MARGIN) * (shape[1] - 2 * MARGIN)
    for value, mask in zip(got, (shown, ~shown), strict=True):
        assert value / windows == pytest.approx(expected_map(x * mask, y * mask, bits).sum() / windows, abs=2e-5)


def test_equal_planes_are_exactly_one() -> None:
    x, _ = pair(80, 270, 8, 1)
    np.testing.assert_array_equal(_kernel.structure(x, x, 8, (8, 8)), cell_counts(x.shape, (8, 8), MARGIN))
