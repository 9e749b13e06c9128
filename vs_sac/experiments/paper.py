"""Figures printed in the paper: Tables II to IV and the times of Sec. V."""

from dataclasses import dataclass
from typing import Final

__all__ = ["ROI_SHARE", "TABLE_II", "TABLE_III", "TABLE_IV", "TIMES", "PaperRow"]


@dataclass(frozen=True)
class PaperRow:
    """A row of one of the paper's tables, as printed.

    Attributes:
        method: H.264, SA-X264, H.265 or SA-X265.
        crf_roi: C_roi.
        crf_non_roi: C_non.
        sa_psnr: In dB.
        sa_ssim: Printed with two decimals.
        psnr: In dB; None in Table IV.
        ssim: Printed with two decimals; None in Table IV.
        miou: In per cent; Table IV only.
        roi_iou: Called iIOU in the paper, in per cent; Table IV only.
    """

    method: str
    crf_roi: int
    crf_non_roi: int
    sa_psnr: float
    sa_ssim: float
    psnr: float | None = None
    ssim: float | None = None
    miou: float | None = None
    roi_iou: float | None = None


def _rows(*rows: tuple[str, int, int, float, float, float, float]) -> tuple[PaperRow, ...]:
    """Rows from the printed order of columns: method, CRFs, PSNR, SSIM, SA-PSNR, SA-SSIM."""
    return tuple(
        PaperRow(method, roi, non, sa_psnr, sa_ssim, psnr, ssim)
        for method, roi, non, psnr, ssim, sa_psnr, sa_ssim in rows
    )


#: Cityscapes.
TABLE_II: Final = _rows(
    ("H.264", 18, 18, 46.76, 0.98, 46.76, 0.98),
    ("SA-X264", 18, 23, 45.99, 0.99, 48.79, 0.99),
    ("H.264", 23, 23, 45.18, 0.98, 45.18, 0.98),
    ("SA-X264", 18, 27, 43.94, 0.98, 48.05, 0.99),
    ("H.264", 27, 27, 43.69, 0.98, 43.70, 0.98),
    ("SA-X264", 23, 27, 44.33, 0.98, 47.07, 0.99),
    ("H.265", 23, 23, 45.76, 0.98, 45.76, 0.98),
    ("SA-X265", 23, 28, 43.98, 0.99, 47.76, 0.99),
    ("H.265", 28, 28, 43.80, 0.98, 43.80, 0.98),
    ("SA-X265", 23, 32, 43.77, 0.98, 47.01, 0.99),
    ("H.265", 32, 32, 42.01, 0.97, 42.01, 0.97),
    ("SA-X265", 28, 32, 43.97, 0.98, 45.20, 0.98),
)

#: KITTI-STEP.
TABLE_III: Final = _rows(
    ("H.264", 18, 18, 31.73, 0.89, 31.73, 0.89),
    ("SA-X264", 18, 23, 28.62, 0.86, 33.60, 0.93),
    ("H.264", 23, 23, 29.19, 0.84, 29.19, 0.84),
    ("SA-X264", 18, 27, 27.75, 0.84, 32.98, 0.92),
    ("H.264", 27, 27, 27.57, 0.79, 27.57, 0.79),
    ("SA-X264", 23, 27, 26.91, 0.81, 31.44, 0.90),
    ("H.265", 23, 23, 30.29, 0.86, 30.29, 0.86),
    ("SA-X265", 23, 28, 26.76, 0.80, 32.17, 0.91),
    ("H.265", 28, 28, 27.57, 0.79, 27.57, 0.79),
    ("SA-X265", 23, 32, 25.83, 0.78, 31.31, 0.89),
    ("H.265", 32, 32, 25.82, 0.73, 25.82, 0.73),
    ("SA-X265", 28, 32, 24.95, 0.74, 29.78, 0.87),
)

#: Segmentation of the reconstruction, Cityscapes. The paper prints C_non of the last row as 27, but the row's SA-PSNR
#: and SA-SSIM are those of Table II for 32.
TABLE_IV: Final = (
    PaperRow("H.264", 23, 23, 45.18, 0.98, miou=87.86, roi_iou=92.00),
    PaperRow("SA-X264", 18, 27, 48.05, 0.99, miou=90.56, roi_iou=92.45),
    PaperRow("H.265", 28, 28, 43.80, 0.98, miou=85.71, roi_iou=91.43),
    PaperRow("SA-X265", 23, 32, 47.01, 0.99, miou=87.48, roi_iou=92.04),
)

#: Mean share of the ROI in a frame (Sec. V.B).
ROI_SHARE: Final = 0.62

#: Seconds per frame (Sec. V) on the paper's machine, x265, as (lowest, highest).
TIMES: Final[dict[str, tuple[float, float]]] = {
    "segmentation": (0.081, 0.081),
    "H.265": (0.211, 0.211),
    "SA-X265, both streams coded and decoded": (0.103, 0.177),
    "SA-X265 with segmentation": (0.184, 0.258),
}
