"""Merging two streams: every sample is selected from the stream to which it belongs (paper eq. 7)."""

import vapoursynth as vs

from ..core.clips import check_constant_format, check_same_shape
from ..core.errors import SacFormatError
from .planes import plane_mask, select

__all__ = ["merge"]


def merge(roi: vs.VideoNode, non_roi: vs.VideoNode, mask: vs.VideoNode) -> vs.VideoNode:
    """Merge two streams by selecting every sample from the stream to which it belongs (paper eq. 7).

    The paper adds the streams. Selection cannot overflow, and the coding noise of one stream cannot reach the region of
    the other. ``merge(*split(clip, mask), mask)`` is bit-identical to `clip`.

    Args:
        roi: ROI stream.
        non_roi: Non-ROI stream of the same format, size and length.
        mask: GRAY8 mask, above 0 = ROI; see `split`.

    Returns:
        Clip in the format of the streams, with the frame properties of the ROI stream.

    Raises:
        SacFormatError: Formats, sizes or lengths differ.
    """
    check_constant_format(non_roi, "merge", "non_roi")
    planes = plane_mask(roi, mask, "merge", ("roi", "mask"))
    if roi.format.id != non_roi.format.id:
        raise SacFormatError(f"the ROI is {roi.format.name}, the non-ROI {non_roi.format.name}", "merge")
    check_same_shape(roi, non_roi, "non-ROI", "merge")
    return vs.core.std.CopyFrameProps(select(planes, roi, non_roi), roi)
