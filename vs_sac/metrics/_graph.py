"""The native part of measuring: VapourSynth nodes that render squared error and the SSIM map."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import vapoursynth as vs

from ..errors import SacMissingError
from .quality import SSIM_MARGIN, gaussian_window, ssim_constants

__all__ = ["SSIM_SCALE", "PairNodes", "expand_mask", "pair_nodes", "plane_of"]

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


def expand_mask(mask: vs.VideoNode, width: int, height: int, block: int) -> vs.VideoNode:
    """A block grid, or a mask of full size, as a mask of full size."""
    if (mask.width, mask.height) == (width, height):
        return mask
    full = vs.core.resize.Point(mask, mask.width * block, mask.height * block)
    return vs.core.std.Crop(full, right=full.width - width, bottom=full.height - height)


@dataclass(frozen=True)
class PairNodes:
    """What a pair of grey clips is rendered to.

    Attributes:
        errors: One clip per row phase, all GRAY16: rows congruent to its index modulo the number of phases.
        squared: Whether these hold squared errors (8-bit clips) or absolute ones, both exact.
        structure: The SSIM map in every row of phase 0, GRAY16; `SSIM_SCALE` says how to read it. The outer 5 rows
            and columns of the full height hold no meaning. None if not asked for.
    """

    errors: tuple[vs.VideoNode, ...]
    squared: bool
    structure: vs.VideoNode | None


def pair_nodes(reference: vs.VideoNode, distorted: vs.VideoNode, *, ssim: bool, step: int = 1) -> PairNodes:
    """Nodes of squared error and SSIM of two grey clips of one format.

    Args:
        reference: Integer, 8 to 16 bits.
        distorted: Same.
        ssim: Whether to render the SSIM map.
        step: 1, 2 or 4: take the map in every step-th row only; the height must be a multiple.

    Raises:
        SacMissingError: akarin, which SSIM needs, is not there.
    """
    core = vs.core
    bits = reference.format.bits_per_sample
    squared = bits == 8
    error = "x y - dup *" if squared else "x y - abs"
    if not ssim:
        return PairNodes((core.std.Expr([reference, distorted], error, vs.GRAY16),), squared, None)
    if not hasattr(core, "akarin"):
        raise SacMissingError("SSIM needs the plugin akarin: pip install vapoursynth-akarin", "ssim")
    rows = list(zip(_row_phases(reference, step), _row_phases(distorted, step), strict=True))
    errors = tuple(core.std.Expr(pair, error, vs.GRAY16) for pair in rows)
    if squared:
        # Products of 8-bit samples are exact in 16 bits, which spares the passes below a multiplication per tap; the
        # squares are those that PSNR needs anyway.
        expression = f"x {_OFFSET} - y {_OFFSET} - * {_PRODUCT_OFFSET} +"
        products = [core.akarin.Expr(pair, expression, vs.GRAY16) for pair in rows]
        squares = list(errors)
        offsets = (_OFFSET, _OFFSET, _PRODUCT_OFFSET, 0)
    else:
        scale = _PEAK / ((1 << bits) - 1)
        rows = [_scaled(a, scale, b) for a, b in rows]
        products = [core.akarin.Expr(pair, "x y *", vs.GRAYS) for pair in rows]
        squares = [core.akarin.Expr(pair, "x y - dup *", vs.GRAYS) for pair in rows]
        offsets = (0, 0, 0, 0)
    terms = ([a for a, _ in rows], [b for _, b in rows], products, squares)
    blurred = [_blur_rows(phases, offset) for phases, offset in zip(terms, offsets, strict=True)]
    return PairNodes(errors, squared, core.akarin.Expr(blurred, _map_expression(), vs.GRAY16))


def _scaled(a: vs.VideoNode, scale: float, b: vs.VideoNode) -> tuple[vs.VideoNode, vs.VideoNode]:
    expression = f"x {scale!r} * {_OFFSET} -"
    return vs.core.akarin.Expr(a, expression, vs.GRAYS), vs.core.akarin.Expr(b, expression, vs.GRAYS)


def _blur_rows(phases: list[vs.VideoNode], offset: int) -> vs.VideoNode:
    """Vertical pass of the window at the rows of phase 0, less an offset."""
    step = len(phases)

    def tap(k: int) -> str:
        # Row step·r + k is row r + k // step of phase k mod step.
        return f"{'xyza'[k % step]}[0,{k // step}]"

    expression = _weighted(tap)
    return vs.core.akarin.Expr(phases, f"{expression} {offset} -" if offset else expression, vs.GRAYS)


def _map_expression() -> str:
    """Horizontal pass over the four vertical ones, and the formula.

    With d = x - y: var(x) + var(y) = var(d) + 2·cov(x, y), so that four blurred quantities do: x, y, x·y and d².
    """
    c1, c2 = ssim_constants(_PEAK)

    def blurred(letter: str) -> str:
        return _weighted(lambda k: f"{letter}[{k},0]")

    x, y, product, square = (blurred(letter) for letter in "xyza")
    return (
        f"{x} X! {y} Y! X@ Y@ - D! "
        f"{product} X@ Y@ * - 2 * {c2!r} + C! {square} D@ D@ * - V! "
        f"X@ {_OFFSET} + Y@ {_OFFSET} + * 2 * {c1!r} + L! "
        f"L@ C@ * L@ D@ D@ * + V@ C@ + * / 1 + {SSIM_SCALE} *"
    )


def _weighted(tap: Callable[[int], str]) -> str:
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
