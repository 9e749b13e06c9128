"""The non-ROI at half its size: shrunk before it is coded, enlarged after. Coarse pictures cost fewer bits so."""

import vapoursynth as vs

from ..core.clips import check_constant_format, check_mask
from ..core.errors import SacFormatError
from ..core.macroblocks import grid_size
from ..masks.grid import block_grid, expand_grid
from .merging import merge

__all__ = ["SCALES", "coded_crf", "enlarge", "half_size", "shrink", "shrink_grid"]

#: What the sides of the non-ROI may be divided by.
SCALES = (1, 2)

#: How much lower the CRF is at half size. A step of the quantizer spreads over four times the area, and with it the
#: PSNR is that of the CRF at full size where either is worth it (docs/rate.md).
_FINER = 6


def coded_crf(crf: float, scale: int) -> float:
    """The CRF that the encoder gets, so that the enlarged picture is as good as at `crf` and full size."""
    return crf if scale == 1 else max(0.0, crf - _FINER)


def half_size(width: int, height: int, subsampling: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    """Width and height of the halved picture: rounded up, and to whole samples of chroma (log2 of its subsampling)."""
    halves = (-(-side // 2) for side in (width, height))
    across, down = (-(-half >> log) << log for half, log in zip(halves, subsampling, strict=True))
    return across, down


def shrink(clip: vs.VideoNode) -> vs.VideoNode:
    """A picture at half its size: two by two samples lie exactly under one, also where a side is odd.

    Args:
        clip: YUV or grey clip, integer samples.

    Raises:
        SacFormatError: It changes format or size.
    """
    check_constant_format(clip, "shrink")
    width, height = half_size(clip.width, clip.height, (clip.format.subsampling_w, clip.format.subsampling_h))
    # Beyond its edges the picture is mirrored.
    return clip.resize.Spline36(width, height, src_width=2 * width, src_height=2 * height)


def shrink_grid(grid: vs.VideoNode) -> vs.VideoNode:
    """The block grid of the halved picture: its blocks show whatever non-ROI they cover, and are ROI only without any.

    Args:
        grid: Block grid, values 0 and 255.

    Raises:
        SacFormatError: It is not GRAY8.
    """
    check_mask(grid, "shrink_grid", "grid")
    # Non-ROI wherever any of it is, as `block_grid` is of ROI.
    return block_grid(grid.std.Invert(), 2).std.Invert()


def enlarge(half: vs.VideoNode, roi: vs.VideoNode, grid: vs.VideoNode) -> vs.VideoNode:
    """The non-ROI at full size; what it does not show is taken from the ROI first, or its edge would take in the fill.

    Args:
        half: What was shrunk, coded and decoded.
        roi: The ROI's stream, of the picture's size and the same format.
        grid: Block grid of the picture.

    Returns:
        Clip of the ROI's size; only its non-ROI means something.

    Raises:
        SacFormatError: Sizes, formats or the grid do not fit together.
    """
    size = half_size(roi.width, roi.height, (half.format.subsampling_w, half.format.subsampling_h))
    if (half.width, half.height) != size:
        raise SacFormatError(f"the non-ROI is {half.width}x{half.height}; half of the ROI is {size[0]}x{size[1]}",
                             "enlarge")  # fmt: skip
    if (grid.width, grid.height) != grid_size(roi.width, roi.height):
        raise SacFormatError(f"the grid is {grid.width}x{grid.height}, not that of the ROI", "enlarge")
    shown = expand_grid(shrink_grid(grid), half.width, half.height)
    inside = roi.resize.Point(half.width, half.height, src_width=2 * half.width, src_height=2 * half.height)
    return merge(inside, half, shown).resize.Spline36(
        roi.width, roi.height, src_width=roi.width / 2, src_height=roi.height / 2
    )
