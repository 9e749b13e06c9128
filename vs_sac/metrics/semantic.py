"""Semantic-aware quality: SA-PSNR and SA-SSIM (paper eqs. 11-14) in two conventions.

``paper``
    What the published tables hold. The regions' figures are taken on *masked frames over the whole frame area*, so
    that the blacked-out part counts as perfect, and the weights follow from the CRF of the two streams.
``fair``
    Error pooled over the region's own pixels, with weights that are fixed and declared beforehand.

They differ for two reasons. Dividing a region's error by the area of the frame adds 10·log10(1 / share) dB, 2.1 dB for
a ROI of 62 %, to the method that is scored in regions and nothing to the one that is scored whole. And weights made of
CRFs change with the setting under test: raising the non-ROI CRF alone raises the weight of the ROI, so the score can
rise while every pixel gets worse or stays as it is. See docs/paper-metrics.md.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from ..core.errors import SacValueError
from .quality import psnr_from_mse

__all__ = ["FAIR_WEIGHTS", "Convention", "Weights", "area_bonus", "paper_psnr", "sa_psnr", "sa_ssim"]


class Convention(StrEnum):
    """How region figures and weights are made."""

    PAPER = "paper"
    FAIR = "fair"


@dataclass(frozen=True)
class Weights:
    """Weights of the two regions; they sum to 1.

    Attributes:
        roi: Weight of the ROI's figure, in [0, 1].
        non_roi: Weight of the rest's figure, in [0, 1].
    """

    roi: float
    non_roi: float

    def __post_init__(self) -> None:
        """Refuse weights that are no weights."""
        if not (0 <= self.roi <= 1 and 0 <= self.non_roi <= 1 and math.isclose(self.roi + self.non_roi, 1)):
            raise SacValueError(f"weights must be in [0, 1] and sum to 1, got {self.roi} and {self.non_roi}", "Weights")

    @classmethod
    def from_crf(cls, crf_roi: float, crf_non_roi: float) -> Self:
        """The paper's compression ratio indexes (eqs. 11 and 12) in the places where eqs. 13 and 14 put them.

        The ROI is weighted with r_non = C_non / (C_non + C_roi), the rest with r_roi = C_roi / (C_non + C_roi).

        Raises:
            SacValueError: A negative CRF, or both 0.
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

        A weight of 0 drops its figure, be it infinite or undefined; otherwise NaN stays NaN and infinity stays.
        """
        terms = ((self.roi, roi), (self.non_roi, non_roi))
        return sum(weight * figure for weight, figure in terms if weight)


#: The weights of the fair convention, unless others are declared.
FAIR_WEIGHTS = Weights(0.6, 0.4)


def area_bonus(share: float) -> float:
    """What the paper convention adds to the PSNR of a region with this share of the frame: 10·log10(1 / share) dB.

    Raises:
        SacValueError: `share` is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise SacValueError(f"share must be above 0 and at most 1, got {share}", "area_bonus")
    return -10 * math.log10(share)


def paper_psnr(squared_error: float, frame_pixels: int, peak: float = 255) -> float:
    """PSNR of a masked frame over the whole frame's area, as the paper's tables have it.

    Args:
        squared_error: Sum of squared errors inside the region.
        frame_pixels: Pixels of the whole frame, or of all frames where the error is of all of them.
        peak: The signal's peak.

    Returns:
        dB; infinite where the region has no error, an empty region included: a black frame equals itself.

    Raises:
        SacValueError: No pixels, a negative error or a bad peak.
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
        roi: P_i in dB. Fair: pooled over the ROI's pixels. Paper: `paper_psnr`.
        non_roi: P_n in dB, in the same way.
        convention: Where the weights come from.
        weights: Fair only: the declared weights, 0.6 / 0.4 if None.
        crf: Paper only, and needed there: (C_roi, C_non).

    Returns:
        dB; infinite where a weighted figure is, NaN where a weighted region is empty.

    Raises:
        SacValueError: An unknown convention, or one without what it needs.
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
        roi: S_i. Fair: mean of the SSIM map over the ROI. Paper: SSIM of the frames with all but the ROI black.
        non_roi: S_n, in the same way.
        convention: Where the weights come from.
        weights: Fair only: the declared weights, 0.6 / 0.4 if None.
        crf: Paper only, and needed there: (C_roi, C_non).

    Returns:
        In [-1, 1]; NaN where a weighted region is empty.

    Raises:
        SacValueError: An unknown convention, or one without what it needs.
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
