"""The native part of measuring: VapourSynth nodes that render squared error and the SSIM map.

VapourSynth's own filters do: no plugin is needed.
"""

from typing import Final

import vapoursynth as vs

from .quality import gaussian_window, ssim_constants

__all__ = ["SSIM_SCALE", "absolute_error", "expand_mask", "plane_of", "ssim_node"]

#: The SSIM map is rendered as round((ssim + 1) · SSIM_SCALE), so that a sum of it is exact and 1 stays 1; the
#: rounding is at most 1.6e-5 for a pixel and vanishes in a mean.
SSIM_SCALE: Final = 32767.5

# SSIM is taken on a scale of 0 to 255 whatever the depth, less 128: without the offset single precision would lose
# up to 1e-2 of a variance to the square of the mean, beside a C2 of 58.
_PEAK: Final = 255
_OFFSET: Final = 128


def plane_of(clip: vs.VideoNode, index: int) -> vs.VideoNode:
    """One plane as a grey clip."""
    if clip.format.color_family == vs.GRAY:
        return clip
    return vs.core.std.ShufflePlanes(clip, index, vs.GRAY)


def absolute_error(reference: vs.VideoNode, distorted: vs.VideoNode) -> vs.VideoNode:
    """The error of two grey clips, exact: its square in 16 bits for 8-bit clips, else its absolute value."""
    square = reference.format.bits_per_sample == 8
    return vs.core.std.Expr([reference, distorted], "x y - dup *" if square else "x y - abs", vs.GRAY16)


def expand_mask(mask: vs.VideoNode, width: int, height: int, block: int) -> vs.VideoNode:
    """A block grid, or a mask of full size, as a mask of full size."""
    if (mask.width, mask.height) == (width, height):
        return mask
    full = vs.core.resize.Point(mask, mask.width * block, mask.height * block)
    return vs.core.std.Crop(full, right=full.width - width, bottom=full.height - height)


def ssim_node(reference: vs.VideoNode, distorted: vs.VideoNode) -> vs.VideoNode:
    """The SSIM map of two grey clips.

    With d = x - y: var(x) + var(y) = var(d) + 2·cov(x, y), so that four blurred quantities do: x, y, x·y and d².

    Args:
        reference: Integer, 8 to 16 bits.
        distorted: Same.

    Returns:
        GRAY16 of the same size, to be read with `SSIM_SCALE`; the outer 5 rows and columns, where the window leaves
        the frame, hold no meaning.
    """
    core = vs.core
    scale = _PEAK / ((1 << reference.format.bits_per_sample) - 1)
    pair = [reference, distorted]
    x, y = f"x {scale!r} * {_OFFSET} -", f"y {scale!r} * {_OFFSET} -"
    quantities = [
        core.std.Expr(reference, x, vs.GRAYS),
        core.std.Expr(distorted, x, vs.GRAYS),
        core.std.Expr(pair, f"{x} {y} *", vs.GRAYS),
        core.std.Expr(pair, f"x y - {scale!r} * dup *", vs.GRAYS),
    ]
    taps = gaussian_window().tolist()
    # Without a divisor the filter would normalise by the taps' sum once more, in single precision.
    blurred = [core.std.Convolution(node, taps, mode="hv", divisor=1) for node in quantities]
    c1, c2 = ssim_constants(_PEAK)
    covariance = f"z x y * - 2 * {c2!r} +"
    means = f"x {_OFFSET} + y {_OFFSET} + * 2 * {c1!r} +"
    squared_gap = "x y - dup *"
    expression = (
        f"{covariance} {means} * {covariance} a + {squared_gap} - {means} {squared_gap} + * / 1 + {SSIM_SCALE} *"
    )
    return core.std.Expr(blurred, expression, vs.GRAY16)
