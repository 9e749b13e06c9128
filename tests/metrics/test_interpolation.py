"""PCHIP against SciPy, and its exact integral against quadrature."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_sac.metrics.interpolation import Pchip


@given(st.integers(0, 2**32 - 1), st.integers(3, 10), st.booleans())
def test_the_interpolant_is_that_of_scipy(seed: int, count: int, flat: bool) -> None:
    interpolate = pytest.importorskip("scipy.interpolate")
    random = np.random.default_rng(seed)
    x = np.cumsum(random.uniform(0.1, 2, count))
    steps = random.uniform(0.01, 3, count)
    if flat:
        steps[random.integers(1, count)] = 0
    y = np.cumsum(steps)
    ours, theirs = Pchip(x, y), interpolate.PchipInterpolator(x, y)
    points = np.linspace(x[0], x[-1], 101)
    np.testing.assert_allclose(ours(points), theirs(points), rtol=1e-9, atol=1e-12)
    low, high = sorted(random.uniform(x[0], x[-1], 2))
    assert ours.integral(low, high) == pytest.approx(float(theirs.integrate(low, high)), rel=1e-9, abs=1e-12)
