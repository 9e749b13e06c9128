"""Semantic-aware quality: SA-PSNR and SA-SSIM (paper eqs. 11-14) in two conventions.

``paper``
    The convention of the published tables. The figures of a region are computed on *masked frames over the whole frame
    area*, so the blacked-out part counts as perfect. The weights follow from the CRFs of the two streams.
``fair``
    The error is pooled over the region's own pixels. The weights are fixed and declared in advance.

The conventions differ for two reasons. First, dividing a region's error by the area of the frame adds 10·log10(1 /
share) dB, which is 2.1 dB for a ROI of 62 %. A method that is scored by regions gets this bonus, a method that is
scored on whole frames does not. Second, weights computed from CRFs change with the setting under test. Raising only the
non-ROI CRF raises the weight of the ROI, so the score can rise although every pixel gets worse or stays the same. See
docs/paper-metrics.md.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from ..core.errors import SacValueError
from .quality import psnr_from_mse

__all__ = ["FAIR_WEIGHTS", "Convention", "Weights", "area_bonus", "paper_psnr", "sa_psnr", "sa_ssim"]


class Convention(StrEnum):
    """How the figures of the regions and their weights are computed."""

    PAPER = "paper"
    FAIR = "fair"


@dataclass(frozen=True)
class Weights:
    """Weights of the two regions. Their sum is 1.

    Attributes:
        roi: Weight of the ROI's figure, in [0, 1].
        non_roi: Weight of the non-ROI's figure, in [0, 1].
    """

    roi: float
    non_roi: float

    def __post_init__(self) -> None:
        """Reject weights outside [0, 1] and weights that do not sum to 1."""
        if not (0 <= self.roi <= 1 and 0 <= self.non_roi <= 1 and math.isclose(self.roi + self.non_roi, 1)):
            raise SacValueError(f"weights must be in [0, 1] and sum to 1, got {self.roi} and {self.non_roi}", "Weights")

    @classmethod
    def from_crf(cls, crf_roi: float, crf_non_roi: float) -> Self:
        """The paper's compression ratio indexes (eqs. 11 and 12), assigned to the regions as in eqs. 13 and 14.

        The weight of the ROI is r_non = C_non / (C_non + C_roi), that of the non-ROI is r_roi = C_roi / (C_non +
        C_roi).

        Raises:
            SacValueError: A CRF is negative, or both are 0.

        Example:
            >>> Weights.from_crf(20, 30)
            Weights(roi=0.6, non_roi=0.4)
        """
        if not (crf_roi >= 0 and crf_non_roi >= 0 and 0 < crf_roi + crf_non_roi < math.inf):
            raise SacValueError(f"CRFs must be at least 0, and one above 0; got {crf_roi}, {crf_non_roi}", "Weights")
        total = crf_non_roi + crf_roi
        return cls(roi=crf_non_roi / total, non_roi=crf_roi / total)

    @property
    def r_roi(self) -> float:
        """r_roi of eq. 11, the weight of the non-ROI figure."""
        return self.non_roi

    @property
    def r_non(self) -> float:
        """r_non of eq. 12, the weight of the ROI figure."""
        return self.roi

    def combine(self, roi: float, non_roi: float) -> float:
        """Weighted mean of two figures (eqs. 13 and 14).

        A figure with weight 0 is ignored, even if it is infinite or NaN. Otherwise NaN gives NaN and infinity gives
        infinity.
        """
        terms = ((self.roi, roi), (self.non_roi, non_roi))
        return sum(weight * figure for weight, figure in terms if weight)


#: Default weights of the fair convention.
FAIR_WEIGHTS = Weights(0.6, 0.4)


def area_bonus(share: float) -> float:
    """What the paper's convention adds to the PSNR of a region with this share of the frame: 10·log10(1 / share) dB.

    Raises:
        SacValueError: `share` is not in (0, 1].

    Example:
        >>> round(area_bonus(0.5), 2)
        3.01
    """
    if not 0 < share <= 1:
        raise SacValueError(f"share must be above 0 and at most 1, got {share}", "area_bonus")
    return -10 * math.log10(share)


def paper_psnr(squared_error: float, frame_pixels: int, peak: float = 255) -> float:
    """PSNR of a masked frame over the area of the whole frame, as in the paper's tables.

    Args:
        squared_error: Sum of squared errors inside the region.
        frame_pixels: Number of pixels of the whole frame. If the error is summed over several frames, the pixels of all
            of them.
        peak: Peak of the signal.

    Returns:
        dB. Infinite if the region has no error. This includes an empty region, because its masked frames are all black.

    Raises:
        SacValueError: There are no pixels, the error is negative, or the peak is not positive.
    """
    if frame_pixels < 1:
        raise SacValueError(f"frame_pixels must be at least 1, got {frame_pixels}", "paper_psnr")
    return psnr_from_mse(squared_error / frame_pixels, peak)


def sa_psnr(
    roi: float,
    non_roi: float,
    *,
    convention: Convention | str = Convention.FAIR,
    weights: Weights | None = None,
    crf: tuple[float, float] | None = None,
) -> float:
    """Semantic-aware PSNR (eq. 14).

    Args:
        roi: P_i in dB. Fair convention: pooled over the pixels of the ROI. Paper: `paper_psnr`.
        non_roi: P_n in dB, computed in the same way.
        convention: How the weights are chosen.
        weights: Fair convention only: the declared weights, 0.6 and 0.4 by default.
        crf: (C_roi, C_non). Required in the paper's convention, not accepted in the fair one.

    Returns:
        dB; infinite if a weighted figure is infinite, NaN if a weighted region is empty.

    Raises:
        SacValueError: The convention is unknown, or an argument that it needs is missing.
    """
    return _weights(convention, weights, crf, "sa_psnr").combine(roi, non_roi)


def sa_ssim(
    roi: float,
    non_roi: float,
    *,
    convention: Convention | str = Convention.FAIR,
    weights: Weights | None = None,
    crf: tuple[float, float] | None = None,
) -> float:
    """Semantic-aware SSIM (eq. 13).

    Args:
        roi: S_i. Fair convention: mean of the SSIM map over the ROI. Paper: SSIM of the frames with all but the ROI
            black.
        non_roi: S_n, computed in the same way.
        convention: How the weights are chosen.
        weights: Fair convention only: the declared weights, 0.6 and 0.4 by default.
        crf: (C_roi, C_non). Required in the paper's convention, not accepted in the fair one.

    Returns:
        In [-1, 1]; NaN if a weighted region is empty.

    Raises:
        SacValueError: The convention is unknown, or an argument that it needs is missing.
    """
    return _weights(convention, weights, crf, "sa_ssim").combine(roi, non_roi)


def _weights(
    convention: Convention | str, weights: Weights | None, crf: tuple[float, float] | None, func: str
) -> Weights:
    try:
        convention = Convention(convention)
    except ValueError:
        raise SacValueError(f"unknown convention {convention!r}; known: {', '.join(Convention)}", func) from None
    if convention is Convention.FAIR:
        if crf is not None:
            raise SacValueError("the fair convention takes weights, no CRFs", func)
        return weights or FAIR_WEIGHTS
    if crf is None or weights is not None:
        raise SacValueError("the paper convention makes its weights of crf=(C_roi, C_non)", func)
    return Weights.from_crf(*crf)
