"""Putting two streams together again by selecting every sample from the stream it belongs to (paper eq. 7)."""

import vapoursynth as vs

from ..core.clips import check_constant_format, check_same_shape
from ..core.errors import SacFormatError
from .planes import plane_mask, select

__all__ = ["merge"]


def merge(roi: vs.VideoNode, non_roi: vs.VideoNode, mask: vs.VideoNode) -> vs.VideoNode:
    """Put two streams together by selecting every sample from the stream it belongs to (paper eq. 7).

    Selecting, where the paper adds, cannot overflow and takes nothing of one stream's coding noise in the
    other's region. ``merge(*split(clip, mask), mask)`` is `clip`, bit for bit.

    Args:
        roi: ROI stream.
        non_roi: Non-ROI stream of the same format, size and length.
        mask: GRAY8 mask, above 0 = ROI; see `split`.

    Returns:
        Clip of the streams' format with the ROI stream's frame properties.

    Raises:
        SacFormatError: Formats, sizes or lengths differ.
    """
    check_constant_format(non_roi, "merge", "non_roi")
    planes = plane_mask(roi, mask, "merge", ("roi", "mask"))
    if roi.format.id != non_roi.format.id:
        raise SacFormatError(f"the ROI is {roi.format.name}, the non-ROI {non_roi.format.name}", "merge")
    check_same_shape(roi, non_roi, "non-ROI", "merge")
    return vs.core.std.CopyFrameProps(select(planes, roi, non_roi), roi)
