"""Class map → ROI mask, and class map → picture in the paper's grey values (paper Sec. III.B)."""

import vapoursynth as vs

from ..core.clips import check_mask
from ..core.labels import GREY_TONES, SemanticClass

__all__ = ["grey_tones", "roi_mask"]

_ROI = 255


def grey_tones(class_map: vs.VideoNode) -> vs.VideoNode:
    """Render a class map in the paper's four grey values: ROI 255, construction 170, nature 85, sky 0 (Sec. III.B).

    Args:
        class_map: GRAY8 clip with values 0–3.

    Returns:
        GRAY8 clip. The value 255 means ROI, so the clip is also a valid mask file.

    Raises:
        SacFormatError: `class_map` is not GRAY8.
    """
    check_mask(class_map, "grey_tones", "class_map")
    return class_map.std.Lut(lut=[*GREY_TONES, *([_ROI] * (256 - len(GREY_TONES)))])


def roi_mask(class_map: vs.VideoNode) -> vs.VideoNode:
    """Return the ROI mask of a class map: everything except construction, nature and sky is ROI.

    Args:
        class_map: GRAY8 clip with values 0–3; any other value counts as ROI.

    Returns:
        GRAY8 mask of the same size, 255 = ROI, 0 = non-ROI.

    Raises:
        SacFormatError: `class_map` is not GRAY8.

    Example:
        >>> sky = vs.core.std.BlankClip(None, 64, 48, vs.GRAY8, color=int(SemanticClass.SKY))
        >>> roi_mask(sky).get_frame(0)[0][0, 0]
        0
    """
    check_mask(class_map, "roi_mask", "class_map")
    non_roi = {int(c) for c in SemanticClass if c is not SemanticClass.ROI}
    return class_map.std.Lut(lut=[0 if value in non_roi else _ROI for value in range(256)])
