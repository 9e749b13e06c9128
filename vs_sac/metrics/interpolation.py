"""Piecewise cubic interpolation without overshoot (PCHIP), for rate-quality curves."""

import numpy as np
import numpy.typing as npt

__all__ = ["Pchip", "pchip_slopes"]

type FloatArray = npt.NDArray[np.float64]


def pchip_slopes(widths: FloatArray, secants: FloatArray) -> FloatArray:
    """Return the derivatives at the knots of a curve that does not fall, after Fritsch and Butland (1984).

    Args:
        widths: Distances of the n + 1 knots, (n,), n at least 2, positive.
        secants: Slopes between the knots, (n,), not negative.

    Returns:
        Shape (n + 1,). The interpolant has no overshoot between knots.
    """
    left, right = secants[:-1], secants[1:]
    a, b = 2 * widths[1:] + widths[:-1], widths[1:] + 2 * widths[:-1]
    rising = (left > 0) & (right > 0)
    inner = np.where(rising, (a + b) / (a / np.where(rising, left, 1) + b / np.where(rising, right, 1)), 0)
    ends = []
    for h0, h1, d0, d1 in (
        (widths[0], widths[1], secants[0], secants[1]),
        (widths[-1], widths[-2], secants[-1], secants[-2]),
    ):
        # The three-point formula can give a negative slope although the curve rises.
        ends.append(max(0.0, float(((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1))))
    return np.array([ends[0], *inner, ends[1]])


class Pchip:
    """Piecewise cubic interpolant of a curve that does not fall.

    Args:
        x: Abscissae of at least three knots, rising.
        y: Ordinates, not falling.
    """

    def __init__(self, x: FloatArray, y: FloatArray) -> None:
        self.x, self.y = x, y
        widths = np.diff(x)
        secants = np.diff(y) / widths
        slopes = pchip_slopes(widths, secants)
        #: Coefficients of the cubic from each knot on, by rising power, (4, knots - 1).
        self._powers = np.stack(
            [y[:-1], slopes[:-1], (3 * secants - 2 * slopes[:-1] - slopes[1:]) / widths,
             (slopes[:-1] + slopes[1:] - 2 * secants) / widths**2]
        )  # fmt: skip
        areas = (self._powers * np.stack([widths, widths**2 / 2, widths**3 / 3, widths**4 / 4])).sum(0)
        self._before = np.concatenate(([0.0], np.cumsum(areas)))

    def __call__(self, points: FloatArray) -> FloatArray:
        """Return the values at points inside the range of the knots."""
        piece, t = self._place(points)
        a, b, c, d = self._powers[:, piece]
        return np.asarray(a + t * (b + t * (c + t * d)))

    def integral(self, low: float, high: float) -> float:
        """Return the integral between two points inside the range of the knots, exactly."""
        piece, t = self._place(np.array([low, high]))
        a, b, c, d = self._powers[:, piece]
        ends = self._before[piece] + t * (a + t * (b / 2 + t * (c / 3 + t * d / 4)))
        return float(ends[1] - ends[0])

    def _place(self, points: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """The piece in which each point lies, and its distance from the first knot of that piece."""
        piece = np.clip(np.searchsorted(self.x, points, "right") - 1, 0, len(self.x) - 2)
        return piece, points - self.x[piece]
