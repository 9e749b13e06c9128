"""The non-ROI at half its size: shrunk before encoding, enlarged after decoding. Coarse pictures need fewer bits so."""

import vapoursynth as vs

from ..core.clips import check_constant_format, check_mask
from ..core.errors import SacFormatError
from ..core.macroblocks import grid_size
from ..masks.grid import block_grid, expand_grid
from .merging import merge

__all__ = ["SCALES", "coded_crf", "enlarge", "half_size", "shrink", "shrink_grid"]

#: Accepted divisors of the sides of the non-ROI.
SCALES = (1, 2)

#: Number by which the CRF is lower at half size, because one sample stands for four. In the range of CRFs in which half
#: size pays off, the PSNR is then nearly that of the given CRF at full size (docs/rate.md).
_FINER = 6


def coded_crf(crf: float, scale: int) -> float:
    """Return the CRF for the encoder, so that the enlarged picture is as good as a picture of full size at `crf`."""
    return crf if scale == 1 else max(0.0, crf - _FINER)


def half_size(width: int, height: int, subsampling: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    """Return width and height of the half-size picture, rounded up to whole luma and chroma samples.

    Args:
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        subsampling: Chroma subsampling as log2, horizontal and vertical.

    Example:
        >>> half_size(1280, 720)
        (640, 360)
    """
    halves = (-(-side // 2) for side in (width, height))
    across, down = (-(-half >> log) << log for half, log in zip(halves, subsampling, strict=True))
    return across, down


def shrink(clip: vs.VideoNode) -> vs.VideoNode:
    """Shrink a clip to half its size; each sample covers exactly two by two samples, even if a side is odd.

    Args:
        clip: YUV or grey clip, integer samples.

    Returns:
        Clip of the size of `half_size`.

    Raises:
        SacFormatError: The format or the size of the clip varies.
    """
    check_constant_format(clip, "shrink")
    width, height = half_size(clip.width, clip.height, (clip.format.subsampling_w, clip.format.subsampling_h))
    # The resizer mirrors the picture beyond its edges.
    return clip.resize.Spline36(width, height, src_width=2 * width, src_height=2 * height)


def shrink_grid(grid: vs.VideoNode) -> vs.VideoNode:
    """Return the block grid of the half-size picture: a block is ROI only if all blocks that it covers are ROI.

    All non-ROI is therefore visible in the half-size picture.

    Args:
        grid: Block grid of the picture, values 0 and 255.

    Raises:
        SacFormatError: `grid` is not GRAY8.
    """
    check_mask(grid, "shrink_grid", "grid")
    # `block_grid` gives ROI if any pixel is ROI. On the inverted grid it does the same for non-ROI.
    return block_grid(grid.std.Invert(), 2).std.Invert()


def enlarge(half: vs.VideoNode, roi: vs.VideoNode, grid: vs.VideoNode) -> vs.VideoNode:
    """Enlarge a decoded half-size non-ROI to full size.

    The hidden part is first replaced by the ROI; otherwise the resizer would mix the fill into the edge of the non-ROI.

    Args:
        half: The decoded half-size stream of the non-ROI.
        roi: The decoded stream of the ROI, in the size of the picture and in the same format.
        grid: Block grid of the picture.

    Returns:
        Clip in the size of `roi`. Only its non-ROI is meaningful.

    Raises:
        SacFormatError: Sizes, formats or the grid do not match.
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
