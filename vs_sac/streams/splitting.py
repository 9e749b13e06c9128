"""Splitting a clip into ROI and non-ROI (paper eqs. 2 and 3)."""

import vapoursynth as vs

from ..core.choices import Fill, parse_choice
from ..core.errors import SacValueError
from .fills import black, flat, grey, hold_last_visible
from .planes import plane_mask, select

__all__ = ["split"]


def split(
    clip: vs.VideoNode, mask: vs.VideoNode, *, fill: Fill | str = Fill.BLACK
) -> tuple[vs.VideoNode, vs.VideoNode]:
    """Split a clip into ROI and non-ROI (paper eqs. 2 and 3).

    Args:
        clip: YUV, RGB or grey clip, integer samples.
        mask: GRAY8 mask of the same size and length, above 0 = ROI. In subsampled planes, a sample belongs to the
            region of the top-left luma pixel that it covers; this is exact for masks of whole macroblocks.
        fill: Content of the part that belongs to the other stream: black, grey or hold. `Fill.COARSE` is not accepted,
            because the encoder makes it.

    Returns:
        The ROI clip and the non-ROI clip, both in the input's format.

    Raises:
        SacFormatError: `clip` or `mask` has a format that is not accepted, or their sizes or lengths differ.
        SacValueError: `fill` is not accepted.
    """
    fill = parse_choice(Fill, fill, "split")
    if fill is Fill.COARSE:
        raise SacValueError("fill coarse is made by the encoder; accepted: black, grey, hold", "split")
    planes = plane_mask(clip, mask, "split")
    if fill is Fill.HOLD:
        return hold_last_visible(clip, planes, keep_roi=True), hold_last_visible(clip, planes, keep_roi=False)
    background = flat(clip, black(clip) if fill is Fill.BLACK else grey(clip))
    # Expr copies the frame properties of its first clip, and the flat clip has none.
    return select(planes, clip, background), vs.core.std.CopyFrameProps(select(planes, background, clip), clip)
