import math
import warnings

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator
from scipy.stats import bootstrap as scipy_bootstrap

from vs_sac.core.errors import SacValueError
from vs_sac.metrics import (
    Curve,
    Interpolation,
    bd_quality,
    bd_rate,
    bitrate_kbps,
    bootstrap,
    compression_ratio,
    raw_bytes,
)

from .strategies import curves

Points = tuple[list[float], list[float]]
INTERPOLANTS = {"pchip": PchipInterpolator, "akima": Akima1DInterpolator}


def shared(anchor: Points, test: Points, axis: int) -> tuple[float, float]:
    low, high = max(min(anchor[axis]), min(test[axis])), min(max(anchor[axis]), max(test[axis]))
    assume(high - low > 0.05)
    return low, high


@pytest.mark.parametrize("method", list(Interpolation))
@given(anchor=curves(), test=curves())
def test_equals_scipy(method: Interpolation, anchor: Points, test: Points) -> None:
    low, high = shared(anchor, test, 1)
    areas = [
        float(INTERPOLANTS[method](qualities, np.log(rates)).integrate(low, high))
        for rates, qualities in (anchor, test)
    ]
    expected = math.expm1((areas[1] - areas[0]) / (high - low)) * 100
    assert bd_rate(Curve(*map(tuple, anchor)), Curve(*map(tuple, test)), method=method) == pytest.approx(
        expected, abs=1e-6
    )
    low, high = (math.log(rate) for rate in shared(anchor, test, 0))
    areas = [
        float(INTERPOLANTS[method](np.log(rates), qualities).integrate(low, high))
        for rates, qualities in (anchor, test)
    ]
    expected = (areas[1] - areas[0]) / (high - low)
    assert bd_quality(Curve(*map(tuple, anchor)), Curve(*map(tuple, test)), method=method) == pytest.approx(
        expected, abs=1e-8
    )


@pytest.mark.parametrize("method", list(Interpolation))
@settings(max_examples=30)
@given(anchor=curves(), test=curves())
def test_equals_an_independent_implementation(method: Interpolation, anchor: Points, test: Points) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bjontegaard = pytest.importorskip("bjontegaard", reason="bjontegaard, the second implementation, is missing")
    shared(anchor, test, 0), shared(anchor, test, 1)
    options = {"method": method.value, "require_matching_points": False, "min_overlap": 0}
    ours = Curve(*map(tuple, anchor)), Curve(*map(tuple, test))
    assert bd_rate(*ours, method=method) == pytest.approx(bjontegaard.bd_rate(*anchor, *test, **options), abs=0.01)
    assert bd_quality(*ours, method=method) == pytest.approx(bjontegaard.bd_psnr(*anchor, *test, **options), abs=1e-4)


@given(curves(), st.floats(0.3, 3), st.sampled_from(list(Interpolation)))
def test_a_rate_factor_is_found_exactly(points: Points, factor: float, method: Interpolation) -> None:
    rates, qualities = map(tuple, points)
    scaled = Curve(tuple(rate * factor for rate in rates), qualities)
    assert bd_rate(Curve(rates, qualities), scaled, method=method) == pytest.approx((factor - 1) * 100, abs=1e-6)
    raised = Curve(rates, tuple(quality + factor for quality in qualities))
    assert bd_quality(Curve(rates, qualities), raised, method=method) == pytest.approx(factor)


@given(curves(), curves())
def test_swapping_the_curves_inverts_the_ratio(anchor: Points, test: Points) -> None:
    shared(anchor, test, 1)
    a, b = Curve(*map(tuple, anchor)), Curve(*map(tuple, test))
    assert (1 + bd_rate(a, b) / 100) * (1 + bd_rate(b, a) / 100) == pytest.approx(1)
    assert bd_rate(a, a) == 0


@given(curves(), st.randoms(use_true_random=False))
def test_order_of_the_points_does_not_matter(points: Points, random: object) -> None:
    order = list(range(len(points[0])))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = Curve(tuple(points[0][k] for k in order), tuple(points[1][k] for k in order))
    assert shuffled == Curve(*map(tuple, points))


def test_published_example() -> None:
    # Straight lines in log rate: 12 % less rate at every quality.
    qualities = (30.0, 33.0, 36.0, 39.0)
    rates = tuple(100 * 2**k for k in range(4))
    assert bd_rate(Curve(rates, qualities), Curve(tuple(r * 0.88 for r in rates), qualities)) == pytest.approx(-12)


@pytest.mark.parametrize(
    ("rates", "qualities", "match"),
    [
        ((1, 2, 3), (1, 2, 3), "at least 4"),
        ((1, 2, 3, 4), (1, 2, 3), "at least 4"),
        ((0, 2, 3, 4), (1, 2, 3, 4), "positive"),
        ((1, 2, 3, 4), (1, 2, math.nan, 4), "finite"),
        ((1, 2, 3, 4), (1, 2, 3, math.inf), "finite"),
        ((1, 2, 2, 4), (1, 2, 3, 4), "rates must rise"),
        ((1, 2, 3, 4), (1, 3, 2, 4), "qualities must rise"),
    ],
)
def test_curves_without_a_delta_are_refused(rates: tuple[float, ...], qualities: tuple[float, ...], match: str) -> None:
    with pytest.raises(SacValueError, match=match):
        Curve(rates, qualities)


def test_disjoint_curves_are_refused() -> None:
    low, high = Curve((1, 2, 3, 4), (1, 2, 3, 4)), Curve((5, 6, 7, 8), (5, 6, 7, 8))
    with pytest.raises(SacValueError, match="range of quality"):
        bd_rate(low, high)
    with pytest.raises(SacValueError, match="range of rate"):
        bd_quality(low, high)
    with pytest.raises(SacValueError, match="unknown method"):
        bd_rate(low, low, method="cubic")


def test_bootstrap_against_scipy() -> None:
    figures = np.random.default_rng(3).normal(-12, 4, 25)
    ours = bootstrap(figures.tolist())
    theirs = scipy_bootstrap((figures,), np.mean, method="percentile", n_resamples=10_000, rng=1).confidence_interval
    assert ours.value == pytest.approx(figures.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.1)
    assert ours.high == pytest.approx(theirs.high, abs=0.1)
    assert bootstrap(figures.tolist()) == ours


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=8))
def test_bootstrap_bounds(figures: list[float]) -> None:
    interval = bootstrap(figures, samples=200)
    assert min(figures) - 1e-9 <= interval.low <= interval.high <= max(figures) + 1e-9
    narrow = bootstrap(figures, samples=200, level=0.5)
    assert interval.low <= narrow.low <= narrow.high <= interval.high
    median = bootstrap(figures, samples=50, statistic=lambda drawn: np.median(drawn, 1))
    assert median.value == pytest.approx(np.median(figures))


def test_bootstrap_refusals() -> None:
    for figures in ([], [1.0, math.nan]):
        with pytest.raises(SacValueError, match="finite"):
            bootstrap(figures)
    with pytest.raises(SacValueError, match="level"):
        bootstrap([1.0], level=1)
    with pytest.raises(SacValueError, match="sample"):
        bootstrap([1.0], samples=0)


@pytest.mark.parametrize(
    ("fmt", "bytes_per_pixel"),
    [(vs.GRAY8, 1), (vs.YUV420P8, 1.5), (vs.YUV422P8, 2), (vs.YUV444P8, 3), (vs.RGB24, 3), (vs.YUV420P10, 1.875)],
)
def test_raw_size_in_the_own_format(fmt: int, bytes_per_pixel: float) -> None:
    assert raw_bytes(vs.core.get_video_format(fmt), 64, 48, 10) == 64 * 48 * 10 * bytes_per_pixel


def test_rates() -> None:
    # 25 frames at 25 fps are a second: 125 000 bytes of it are 1000 kbit/s.
    assert bitrate_kbps(125_000, 25, 25) == pytest.approx(1000)
    assert bitrate_kbps(125_000, 50, 25) == pytest.approx(500)
    assert compression_ratio(3000, 30) == 100
    for arguments in ((-1, 25, 25), (1, 0, 25), (1, 25, 0), (1, 25, math.nan)):
        with pytest.raises(SacValueError, match="rate"):
            bitrate_kbps(*arguments)
    with pytest.raises(SacValueError, match="positive"):
        compression_ratio(3000, 0)
    with pytest.raises(SacValueError, match="at least a frame"):
        raw_bytes(vs.core.get_video_format(vs.GRAY8), 64, 48, 0)
