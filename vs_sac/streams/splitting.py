"""Splitting a clip into its ROI and its non-ROI (paper eqs. 2 and 3)."""

import vapoursynth as vs

from ..core.choices import Fill, parse_choice
from ..core.errors import SacValueError
from .fills import black, flat, grey, hold_last_visible
from .planes import plane_mask, select

__all__ = ["split"]


def split(
    clip: vs.VideoNode, mask: vs.VideoNode, *, fill: Fill | str = Fill.BLACK
) -> tuple[vs.VideoNode, vs.VideoNode]:
    """Separate a clip into its ROI and its non-ROI (paper eqs. 2 and 3).

    Args:
        clip: YUV, RGB or grey clip, integer samples.
        mask: GRAY8 mask of the same size and length, above 0 = ROI. In subsampled planes a sample belongs to
            the region of the top-left luma pixel it covers, which is exact for masks of whole macroblocks.
        fill: What stands in the part that belongs to the other stream. Not `Fill.COARSE`, which the encoder makes.

    Returns:
        The ROI clip and the non-ROI clip, both of the input's format.

    Raises:
        SacFormatError: `clip` or `mask` has another format, size or length.
        SacValueError: A `fill` that is not accepted.
    """
    fill = parse_choice(Fill, fill, "split")
    if fill is Fill.COARSE:
        raise SacValueError("fill coarse is made by the encoder; accepted: black, grey, hold", "split")
    planes = plane_mask(clip, mask, "split")
    if fill is Fill.HOLD:
        return hold_last_visible(clip, planes, keep_roi=True), hold_last_visible(clip, planes, keep_roi=False)
    background = flat(clip, black(clip) if fill is Fill.BLACK else grey(clip))
    # Expr takes properties from its first clip, and the flat one has none.
    return select(planes, clip, background), vs.core.std.CopyFrameProps(select(planes, background, clip), clip)
