import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import distance_transform_cdt
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vs_sac.core.errors import SacFormatError, SacValueError
from vs_sac.metrics import Region, mse, psnr, psnr_from_mse, regions, ring, squared_error, ssim, ssim_map
from vs_sac.metrics.quality import gaussian_window, peak_value, subsample_mask

from .strategies import Array, depths, masked_pairs, pairs, picture, shapes, spoilt


@given(pairs())
def test_identity_is_perfect(pair: tuple[Array, Array, int]) -> None:
    plane, _, bits = pair
    assert psnr(plane, plane, bits=bits) == math.inf
    assert ssim(plane, plane, bits=bits) == pytest.approx(1, abs=1e-12)


@given(pairs())
def test_symmetry(pair: tuple[Array, Array, int]) -> None:
    a, b, bits = pair
    assert psnr(a, b, bits=bits) == psnr(b, a, bits=bits)
    assert ssim(a, b, bits=bits) == pytest.approx(ssim(b, a, bits=bits), abs=1e-12)


@given(masked_pairs())
def test_whole_error_is_the_sum_of_the_regions(pair: tuple[Array, Array, int, Array]) -> None:
    a, b, _, mask = pair
    whole, inside, outside = squared_error(a, b), squared_error(a, b, mask), squared_error(a, b, ~mask)
    assert isinstance(whole, int)
    assert whole == inside + outside
    assert whole == sum((int(p) - int(q)) ** 2 for p, q in zip(a.flat, b.flat, strict=True))


@given(masked_pairs(), st.integers(0, 2**32))
def test_pixels_outside_a_region_do_not_matter(pair: tuple[Array, Array, int, Array], seed: int) -> None:
    a, b, bits, mask = pair
    other = np.where(mask, b, spoilt(np.random.default_rng(seed), b, bits, 30))
    np.testing.assert_equal(psnr(a, other, mask, bits=bits), psnr(a, b, mask, bits=bits))


@given(st.integers(0, 2**32))
def test_ssim_of_a_region_sees_a_window_past_its_edge_and_no_further(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = picture(rng, (40, 60))
    b = spoilt(rng, a)
    mask = np.zeros(a.shape, bool)
    mask[:, :30] = True
    beyond = b.copy()
    beyond[:, 35:] = 255 - beyond[:, 35:]
    assert ssim(a, beyond, mask) == ssim(a, b, mask)
    within = b.copy()
    within[:, 30:35] = 255 - within[:, 30:35]
    assert ssim(a, within, mask) != ssim(a, b, mask)


@given(shapes, st.integers(0, 2**32), st.sampled_from([10, 12]))
def test_greater_depth_leaves_psnr_unchanged(shape: tuple[int, int], seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    a = picture(rng, shape)
    b = spoilt(rng, a)
    factor = 1 << (bits - 8)
    wide = psnr(a.astype(np.uint16) * factor, b.astype(np.uint16) * factor, bits=bits, peak=255 * factor)
    assert wide == pytest.approx(psnr(a, b), abs=1e-9)
    # ffmpeg's peak, 2^bits - 1, is a little above 255·2^(bits-8): the two conventions differ by a constant.
    gap = 20 * math.log10(((1 << bits) - 1) / (255 * factor))
    default = psnr(a.astype(np.uint16) * factor, b.astype(np.uint16) * factor, bits=bits)
    assert default == pytest.approx(psnr(a, b) + gap, abs=1e-9)


@given(pairs())
def test_psnr_equals_scikit_image(pair: tuple[Array, Array, int]) -> None:
    a, b, bits = pair
    if np.array_equal(a, b):
        return
    # scikit-image subtracts in the arrays' own type
    expected = peak_signal_noise_ratio(a.astype(np.float64), b.astype(np.float64), data_range=(1 << bits) - 1)
    assert psnr(a, b, bits=bits) == pytest.approx(expected, abs=1e-9)


@given(masked_pairs())
def test_ssim_equals_scikit_image(pair: tuple[Array, Array, int, Array]) -> None:
    a, b, bits, mask = pair
    expected, full = structural_similarity(
        a.astype(np.float64),
        b.astype(np.float64),
        data_range=(1 << bits) - 1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    assert ssim(a, b, bits=bits) == pytest.approx(expected, abs=1e-7)
    np.testing.assert_allclose(ssim_map(a, b, bits=bits), full[5:-5, 5:-5], atol=1e-6)
    inner = mask[5:-5, 5:-5]
    if inner.any():
        assert ssim(a, b, mask, bits=bits) == pytest.approx(full[5:-5, 5:-5][inner].mean(), abs=1e-7)


def test_float_planes_need_a_peak() -> None:
    a = np.linspace(0, 1, 400).reshape(20, 20)
    assert psnr(a, a + 0.1, peak=1.0) == pytest.approx(20)
    assert ssim(a, a, peak=1.0) == pytest.approx(1)
    with pytest.raises(SacValueError, match="peak"):
        psnr(a, a)
    with pytest.raises(SacValueError, match="peak"):
        ssim(a, a)


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=30)), st.integers(0, 12))
def test_ring_is_the_distance_to_the_other_side(mask: Array, radius: int) -> None:
    expected = np.zeros(mask.shape, bool)
    if mask.any() and not mask.all():
        for side in (mask, ~mask):
            expected |= side & (distance_transform_cdt(side, "chessboard") <= radius)
    np.testing.assert_array_equal(ring(mask, radius), expected)


@given(hnp.arrays(np.bool_, (24, 32)))
def test_regions_part_the_frame(mask: Array) -> None:
    parts = regions(mask, 2)
    assert list(parts) == list(Region)
    assert parts[Region.ALL].all()
    np.testing.assert_array_equal(parts[Region.ROI] ^ parts[Region.NON_ROI], parts[Region.ALL])


@given(hnp.arrays(np.bool_, (8, 12)))
def test_chroma_belongs_to_the_mask_where_any_covered_pixel_does(mask: Array) -> None:
    expected = [[mask[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].any() for x in range(6)] for y in range(4)]
    np.testing.assert_array_equal(subsample_mask(mask, 1, 1), expected)


def test_window_is_that_of_the_paper() -> None:
    taps = gaussian_window()
    assert len(taps) == 11
    assert taps.sum() == pytest.approx(1)
    assert taps[4] / taps[5] == pytest.approx(math.exp(-1 / 4.5))
    np.testing.assert_array_equal(taps, taps[::-1])


def test_empty_regions_have_no_figure() -> None:
    plane = np.zeros((20, 20), np.uint8)
    nothing = np.zeros(plane.shape, bool)
    assert squared_error(plane, plane, nothing) == 0
    assert math.isnan(mse(plane, plane, nothing))
    assert math.isnan(psnr(plane, plane, nothing))
    assert math.isnan(ssim(plane, plane, nothing))


@given(depths)
def test_opposite_extremes(bits: int) -> None:
    peak = peak_value(bits)
    black = np.zeros((12, 12), np.uint8 if bits == 8 else np.uint16)
    white = np.full_like(black, peak)
    assert psnr(black, white, bits=bits) == 0
    assert 0 < ssim(black, white, bits=bits) < 1e-3


@pytest.mark.parametrize(
    ("reference", "distorted", "error"),
    [
        (np.zeros((12, 12), np.uint8), np.zeros((12, 13), np.uint8), SacFormatError),
        (np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint16), SacFormatError),
        (np.zeros((12, 12), np.int32), np.zeros((12, 12), np.int32), SacFormatError),
        (np.zeros((12, 12)), np.full((12, 12), np.nan), SacValueError),
        (np.full((12, 12), np.inf), np.zeros((12, 12)), SacValueError),
    ],
)
def test_what_cannot_be_compared_is_refused(reference: Array, distorted: Array, error: type[Exception]) -> None:
    for metric in (psnr, ssim):
        with pytest.raises(error, match=r"^\((squared_error|ssim)\)"):
            metric(reference, distorted, peak=1.0)


def test_other_refusals() -> None:
    plane = np.zeros((12, 12), np.uint8)
    with pytest.raises(SacFormatError, match="region"):
        psnr(plane, plane, np.ones((12, 12), np.uint8))
    with pytest.raises(SacFormatError, match="11x11"):
        ssim(plane[:10], plane[:10])
    with pytest.raises(SacValueError, match="bits"):
        psnr(plane, plane, bits=7)
    with pytest.raises(SacValueError, match="peak"):
        psnr_from_mse(1, 0)
    with pytest.raises(SacFormatError, match="bool"):
        ring(plane)  # type: ignore[arg-type]
    with pytest.raises(SacValueError, match="radius"):
        ring(plane > 0, -1)
