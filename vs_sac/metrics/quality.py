"""PSNR and SSIM on arrays, over the whole frame and over regions.

Definitions:
    * PSNR = 10·log10(peak² / MSE), with peak = 2^bits - 1 by default, as in ffmpeg.
    * SSIM is that of Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural
      similarity", IEEE TIP 13(4), 2004: an 11×11 Gaussian window with sigma 1.5, K1 = 0.01, K2 = 0.03, population
      variances, and only windows that lie entirely inside the frame.
    * The figure of a region pools the squared error, or the SSIM map, over the region's own pixels only.
    * An empty region has no figure: the value is NaN here and ``null`` in JSON.
"""

import math
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..core.errors import SacFormatError, SacValueError

__all__ = [
    "RING_RADIUS",
    "SSIM_MARGIN",
    "Region",
    "gaussian_window",
    "mse",
    "peak_value",
    "psnr",
    "psnr_from_mse",
    "regions",
    "ring",
    "squared_error",
    "ssim",
    "ssim_map",
    "subsample_mask",
]

#: Pixels up to this distance from a mask edge, on either side, belong to the ring.
RING_RADIUS: Final = 8

#: Rows and columns at each border where no complete SSIM window fits.
SSIM_MARGIN: Final = 5

_SIGMA: Final = 1.5
_K1: Final = 0.01
_K2: Final = 0.03

type BoolArray = npt.NDArray[np.bool_]
type FloatArray = npt.NDArray[np.float64]


class Region(StrEnum):
    """Parts of a frame that have their own figures."""

    ALL = "all"
    ROI = "roi"
    NON_ROI = "non_roi"
    RING = "ring"


def peak_value(bits: int) -> int:
    """Largest sample value of an integer format with `bits` bits.

    Raises:
        SacValueError: `bits` is outside 8 to 16.

    Example:
        >>> peak_value(10)
        1023
    """
    if not 8 <= bits <= 16:
        raise SacValueError(f"bits must be 8 to 16, got {bits}", "peak_value")
    return (1 << bits) - 1


def squared_error(
    reference: npt.NDArray[Any], distorted: npt.NDArray[Any], region: BoolArray | None = None
) -> int | float:
    """Sum the squared differences.

    Args:
        reference: Any shape; unsigned integers of up to 16 bits, or finite floats.
        distorted: Same shape and type.
        region: Pixels to count, bool of the same shape; None counts all.

    Returns:
        An exact int for integer arrays, a float for float arrays; 0 over an empty region.

    Raises:
        SacFormatError: Shapes or types differ or are not accepted.
        SacValueError: A float array contains NaN or infinity.
    """
    _check(reference, distorted, region, "squared_error")
    if region is not None:
        reference, distorted = reference[region], distorted[region]
    if reference.dtype.kind == "f":
        return float(np.square(reference.astype(np.float64) - distorted.astype(np.float64)).sum())
    # The squared difference of two 16-bit samples is below 2^32, so int64 holds the sum of 2^31 of them.
    return int(np.square(reference.astype(np.int64) - distorted.astype(np.int64)).sum())


def mse(reference: npt.NDArray[Any], distorted: npt.NDArray[Any], region: BoolArray | None = None) -> float:
    """Mean squared error over a region; NaN if the region is empty.

    Arguments and errors are those of `squared_error`.
    """
    total = squared_error(reference, distorted, region)
    count = reference.size if region is None else int(np.count_nonzero(region))
    return total / count if count else math.nan


def psnr_from_mse(error: float, peak: float) -> float:
    """PSNR in dB of a mean squared error. It is infinite for 0 and NaN for NaN.

    Raises:
        SacValueError: The error is negative, or the peak is not positive.

    Example:
        >>> round(psnr_from_mse(1, peak=255), 2)
        48.13
    """
    if error < 0 or not peak > 0:
        raise SacValueError(f"needs an error of at least 0 and a positive peak, got {error} and {peak}", "psnr")
    return math.inf if error == 0 else 10 * math.log10(peak * peak / error)


def psnr(
    reference: npt.NDArray[Any],
    distorted: npt.NDArray[Any],
    region: BoolArray | None = None,
    *,
    bits: int = 8,
    peak: float | None = None,
) -> float:
    """Peak signal-to-noise ratio over a region.

    Args:
        reference: Any shape; unsigned integers of up to 16 bits, or finite floats.
        distorted: Same shape and type.
        region: Pixels to count, bool of the same shape; None counts all.
        bits: Bit depth of the samples.
        peak: Peak of the signal, 2^bits - 1 by default. JVET's convention is 255·2^(bits-8): shifting both signals to a
            greater bit depth then changes nothing. Required for floats (1.0 for samples in [0, 1]).

    Returns:
        dB; infinite for identical pixels, NaN for an empty region.

    Raises:
        SacFormatError: Shapes or types differ or are not accepted.
        SacValueError: An array contains NaN, or the bit depth or the peak is out of range.

    Example:
        >>> frame = np.full((48, 64), 100, np.uint8)
        >>> round(psnr(frame, frame + 2), 2)
        42.11
    """
    if peak is None:
        if reference.dtype.kind == "f":
            raise SacValueError("float samples need an explicit peak", "psnr")
        peak = peak_value(bits)
    return psnr_from_mse(mse(reference, distorted, region), peak)


def gaussian_window() -> FloatArray:
    """The 11 taps of the SSIM window along one axis. Their sum is 1."""
    offsets = np.arange(-SSIM_MARGIN, SSIM_MARGIN + 1)
    taps = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    return np.asarray(taps / taps.sum(), np.float64)


def ssim_constants(peak: float) -> tuple[float, float]:
    """C1 and C2 of Wang et al. 2004, eqs. (6) and (9)."""
    return (_K1 * peak) ** 2, (_K2 * peak) ** 2


def ssim_map(
    reference: npt.NDArray[Any], distorted: npt.NDArray[Any], *, bits: int = 8, peak: float | None = None
) -> FloatArray:
    """SSIM at every pixel around which a complete window fits (Wang et al. 2004, eq. 13).

    Args:
        reference: Shape (H, W), both at least 11; unsigned integers of up to 16 bits, or finite floats.
        distorted: Same shape and type.
        bits: Bit depth of the samples.
        peak: Peak of the signal, 2^bits - 1 by default; required for floats.

    Returns:
        Shape (H - 10, W - 10), in [-1, 1]; element (i, j) belongs to pixel (i + 5, j + 5).

    Raises:
        SacFormatError: The arrays are not two planes of one shape and type, or are smaller than a window.
        SacValueError: An array contains NaN, or the bit depth or the peak is out of range.
    """
    _check(reference, distorted, None, "ssim_map")
    if reference.ndim != 2 or min(reference.shape) < 2 * SSIM_MARGIN + 1:
        raise SacFormatError(f"needs a plane of at least 11x11, got shape {reference.shape}", "ssim_map")
    if peak is None:
        if reference.dtype.kind == "f":
            raise SacValueError("float samples need an explicit peak", "ssim_map")
        peak = peak_value(bits)
    x, y = reference.astype(np.float64), distorted.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    covariance = _blur(x * y) - mean_x * mean_y
    variances = _blur(x * x + y * y) - mean_x**2 - mean_y**2
    c1, c2 = ssim_constants(peak)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    # Rounding can raise the SSIM of identical signals to one ulp above 1.
    return np.clip(luminance * (2 * covariance + c2) / (variances + c2), -1.0, 1.0)


def ssim(
    reference: npt.NDArray[Any],
    distorted: npt.NDArray[Any],
    region: BoolArray | None = None,
    *,
    bits: int = 8,
    peak: float | None = None,
) -> float:
    """Mean SSIM over the pixels of a region around which a complete window fits.

    The window of a pixel at the region's edge reaches 5 pixels beyond the edge. Pixels farther outside have no
    influence.

    Args:
        reference: Shape (H, W), both at least 11.
        distorted: Same shape and type.
        region: Pixels to count, bool of shape (H, W); None counts all.
        bits: Bit depth of the samples.
        peak: Peak of the signal, 2^bits - 1 by default; required for floats.

    Returns:
        In [-1, 1]; NaN if the region has no pixel with a complete window.

    Raises:
        SacFormatError: The arrays are not two planes of one shape and type, or are smaller than a window.
        SacValueError: An array contains NaN, or the bit depth or the peak is out of range.
    """
    _check(reference, distorted, region, "ssim")
    values = ssim_map(reference, distorted, bits=bits, peak=peak)
    if region is not None:
        values = values[region[SSIM_MARGIN:-SSIM_MARGIN, SSIM_MARGIN:-SSIM_MARGIN]]
    return float(values.mean()) if values.size else math.nan


def ring(mask: BoolArray, radius: int = RING_RADIUS) -> BoolArray:
    """Pixels near a mask edge: those with a pixel of the other region within `radius` rows and columns.

    The ring covers `radius` pixels on both sides of every edge. The border of the frame is not an edge.

    Args:
        mask: Bool, shape (H, W).
        radius: Chebyshev distance in pixels, at least 0.

    Raises:
        SacFormatError: The mask is not a bool plane.
        SacValueError: The radius is negative.

    Example:
        >>> ring(np.array([[True, True, True, False, False]]), radius=1).astype(int)
        array([[0, 0, 1, 1, 0]])
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise SacFormatError(f"mask must be a bool plane, got {mask.dtype} of shape {mask.shape}", "ring")
    if radius < 0:
        raise SacValueError(f"radius must be at least 0, got {radius}", "ring")
    return _dilate(mask, radius) & _dilate(~mask, radius)


def regions(mask: BoolArray, radius: int = RING_RADIUS) -> dict[Region, BoolArray]:
    """Every region of a frame as a bool plane of shape (H, W).

    Args:
        mask: Bool, shape (H, W), true in the ROI.
        radius: Pixels up to this distance from a mask edge, on either side, belong to the ring.

    Raises:
        SacFormatError: The mask is not a bool plane.
    """
    return {
        Region.ALL: np.ones_like(mask),
        Region.ROI: mask,
        Region.NON_ROI: ~mask,
        Region.RING: ring(mask, radius),
    }


def subsample_mask(mask: BoolArray, horizontal: int, vertical: int) -> BoolArray:
    """The mask of a subsampled plane. A chroma sample is in the mask if any pixel that it covers is.

    Args:
        mask: Shape (H, W), both multiples of the factors.
        horizontal: log2 of the horizontal factor, 1 for 4:2:0 and 4:2:2.
        vertical: log2 of the vertical factor, 1 for 4:2:0.
    """
    rows, columns = mask.shape[0] >> vertical, mask.shape[1] >> horizontal
    return np.asarray(mask.reshape(rows, 1 << vertical, columns, 1 << horizontal).any((1, 3)), np.bool_)


def _dilate(mask: BoolArray, radius: int) -> BoolArray:
    for axis in (0, 1):
        grown = mask.copy()
        # The reach doubles with every pass, so log2(radius) passes are enough.
        done = 0
        while done < radius:
            step = min(max(1, done), radius - done)
            head = [slice(None)] * 2
            tail = [slice(None)] * 2
            head[axis], tail[axis] = slice(None, -step), slice(step, None)
            wider = grown.copy()
            wider[tuple(head)] |= grown[tuple(tail)]
            wider[tuple(tail)] |= grown[tuple(head)]
            grown, done = wider, done + step
        mask = grown
    return mask


def _blur(plane: FloatArray) -> FloatArray:
    taps = gaussian_window()
    rows, columns = plane.shape[0] - len(taps) + 1, plane.shape[1] - len(taps) + 1
    vertical = sum((tap * plane[k : k + rows] for k, tap in enumerate(taps)), np.zeros(()))
    return sum((tap * vertical[:, k : k + columns] for k, tap in enumerate(taps)), np.zeros(()))


def _check(
    reference: npt.NDArray[Any], distorted: npt.NDArray[Any], region: npt.NDArray[Any] | None, func: str
) -> None:
    if reference.shape != distorted.shape or reference.dtype != distorted.dtype:
        raise SacFormatError(
            f"reference is {reference.dtype} of shape {reference.shape}, "
            f"distorted {distorted.dtype} of shape {distorted.shape}; they must agree",
            func,
        )
    if reference.dtype.kind == "f":
        if not (np.isfinite(reference).all() and np.isfinite(distorted).all()):
            raise SacValueError("samples must be finite; found NaN or infinity", func)
    elif reference.dtype not in (np.uint8, np.uint16):
        raise SacFormatError(f"samples must be uint8, uint16 or float, got {reference.dtype}", func)
    if region is not None and (region.shape != reference.shape or region.dtype != np.bool_):
        raise SacFormatError(
            f"region must be bool of shape {reference.shape}, got {region.dtype} of shape {region.shape}", func
        )
