"""The native part of measuring: VapourSynth nodes that render squared error and the SSIM map."""

from typing import Any, Final

import vapoursynth as vs

from ..errors import SacMissingError
from .quality import SSIM_MARGIN, gaussian_window, ssim_constants

__all__ = ["SSIM_SCALE", "absolute_error", "expand_mask", "plane_of", "ssim_node"]

#: The SSIM map is rendered as round((ssim + 1) · SSIM_SCALE), so that a sum of it is exact and 1 stays 1; the
#: rounding is at most 1.6e-5 for a pixel and vanishes in a mean.
SSIM_SCALE: Final = 32767.5

# SSIM is taken on a scale of 0 to 255 whatever the depth, less 128: without the offset single precision would lose
# up to 1e-2 of a variance to the square of the mean, beside a C2 of 58.
_PEAK: Final = 255
_OFFSET: Final = 128
_PRODUCT_OFFSET: Final = 16384


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


def ssim_node(reference: vs.VideoNode, distorted: vs.VideoNode, step: int = 1) -> vs.VideoNode:
    """The SSIM map of two grey clips in 16 bits.

    Args:
        reference: Integer, 8 to 16 bits.
        distorted: Same.
        step: 1, 2 or 4: take the map in every step-th row only; the height must be a multiple.

    Returns:
        GRAY16 of the same width and height / step, `SSIM_SCALE` says how to read it; the outer 5 rows and columns
        (of the full height) hold no meaning.

    Raises:
        SacMissingError: akarin is not there.
    """
    core = vs.core
    if not hasattr(core, "akarin"):
        raise SacMissingError("SSIM needs the plugin akarin: pip install vapoursynth-akarin", "ssim")
    bits = reference.format.bits_per_sample
    if bits == 8:
        pair = [reference, distorted]
        # Products are exact in 16 bits, which spares the passes below a multiplication per tap.
        product = core.akarin.Expr(pair, f"x {_OFFSET} - y {_OFFSET} - * {_PRODUCT_OFFSET} +", vs.GRAY16)
        square = core.akarin.Expr(pair, "x y - dup *", vs.GRAY16)
        offsets = (_OFFSET, _OFFSET, _PRODUCT_OFFSET, 0)
    else:
        scale = _PEAK / ((1 << bits) - 1)
        pair = [core.akarin.Expr(c, f"x {scale!r} * {_OFFSET} -", vs.GRAYS) for c in (reference, distorted)]
        product = core.akarin.Expr(pair, "x y *", vs.GRAYS)
        square = core.akarin.Expr(pair, "x y - dup *", vs.GRAYS)
        offsets = (0, 0, 0, 0)
    blurred = [_blur_rows(node, step, offset) for node, offset in zip((*pair, product, square), offsets, strict=True)]
    return core.akarin.Expr(blurred, _map_expression(), vs.GRAY16)


def _blur_rows(node: vs.VideoNode, step: int, offset: int) -> vs.VideoNode:
    """Vertical pass of the window, less an offset, in every step-th row."""
    phases = _row_phases(node, step)

    def tap(k: int) -> str:
        # Row step·r + k is row r + k // step of phase k mod step.
        return f"{_letter(k % step)}[0,{k // step}]"

    expression = _weighted(tap)
    return vs.core.akarin.Expr(phases, f"{expression} {offset} -" if offset else expression, vs.GRAYS)


def _map_expression() -> str:
    """Horizontal pass over the four vertical ones, and the formula.

    With d = x - y: var(x) + var(y) = var(d) + 2·cov(x, y), so that four blurred quantities do: x, y, x·y and d².
    """
    c1, c2 = ssim_constants(_PEAK)
    x, y, product, square = (
        _weighted(lambda k, letter=letter: f"{letter}[{k},0]")  # type: ignore[misc]
        for letter in ("x", "y", "z", "a")
    )
    return (
        f"{x} X! {y} Y! X@ Y@ - D! "
        f"{product} X@ Y@ * - 2 * {c2!r} + C! {square} D@ D@ * - V! "
        f"X@ {_OFFSET} + Y@ {_OFFSET} + * 2 * {c1!r} + L! "
        f"L@ C@ * L@ D@ D@ * + V@ C@ + * / 1 + {SSIM_SCALE} *"
    )


def _weighted(tap: Any) -> str:
    """Sum of the window's taps in postfix; symmetric ones share a multiplication."""
    weights = gaussian_window()[SSIM_MARGIN:]
    terms = [f"{tap(0)} {weights[0]:.9g} *"]
    terms += [f"{tap(-k)} {tap(k)} + {weights[k]:.9g} * +" for k in range(1, SSIM_MARGIN + 1)]
    return " ".join(terms)


def _row_phases(node: vs.VideoNode, step: int) -> list[vs.VideoNode]:
    """Clips of the rows congruent to 0, 1, ... modulo a power of two."""
    if step == 1:
        return [node]
    # A frame that says which field comes first would override the argument.
    fields = vs.core.std.RemoveFrameProps(node, ["_FieldBased", "_Field"]).std.SeparateFields(tff=True)
    even, odd = (_row_phases(fields[start::2], step // 2) for start in (0, 1))
    return [phase for pair in zip(even, odd, strict=True) for phase in pair]


def _letter(index: int) -> str:
    return "xyza"[index]
