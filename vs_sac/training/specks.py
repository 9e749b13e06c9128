"""Specks: small components of the ROI that show no labelled object. They make whole macroblocks ROI."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..masks.grid import block_grid_array

__all__ = ["speck_blocks", "speck_limit", "speck_mask"]

#: Components of the ROI with fewer pixels than this in a picture of this area are small, and so are components with
#: fewer than `_SMALLEST` pixels in any picture.
_LIMIT, _AREA, _SMALLEST = 64, 1280 * 720, 4

#: A pixel is connected to its 8 neighbours.
_NEIGHBOURS = np.ones((3, 3), np.bool_)

type BoolArray = npt.NDArray[np.bool_]


def speck_limit(width: int, height: int) -> int:
    """Return the number of pixels below which a component of the ROI is small.

    It is 64 at 1280×720 and in proportion to the area of the picture, at least 4.

    Args:
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
    """
    return max(_SMALLEST, round(_LIMIT * width * height / _AREA))


def speck_mask(roi: BoolArray, labelled: BoolArray) -> BoolArray:
    """Return the pixels of specks: components (8-connectivity) that are small and cover no labelled ROI.

    Args:
        roi: ROI of the class map, (H, W).
        labelled: Pixels that are ROI by the labels, void left out, (H, W).
    """
    components, count = ndimage.label(roi, _NEIGHBOURS)
    small = np.bincount(components.ravel(), minlength=count + 1) < speck_limit(roi.shape[1], roi.shape[0])
    small[components[labelled]] = False
    # Component 0 is the rest of the picture.
    small[0] = False
    specks: BoolArray = small[components]
    return specks


def speck_blocks(roi: BoolArray, labelled: BoolArray) -> BoolArray:
    """Return the macroblocks that are ROI only because of specks, (ceil(H / 16), ceil(W / 16)).

    Args:
        roi: See `speck_mask`.
        labelled: See `speck_mask`.
    """
    return block_grid_array(roi) & ~block_grid_array(roi & ~speck_mask(roi, labelled))
