"""YUV → RGB for the network and for pictures, also where VapourSynth cannot convert the colours exactly."""

from typing import Any

import vapoursynth as vs

__all__ = ["convertible"]

#: Matrices that any primaries and transfer function go with.
_SIMPLE = {0, 1, 4, 5, 6, 7, 8, 9}


def convertible(clip: vs.VideoNode) -> vs.VideoNode:
    """Return a YUV clip with colour properties that VapourSynth can convert to RGB.

    Some matrices of ITU-T H.273 have no conversion in VapourSynth, such as Y'D'zD'x (11), and others have one only
    together with certain primaries or transfer functions. Such a clip is taken for BT.2020 if its primaries are those
    of BT.2020, else for BT.709. The colours of the RGB picture are then approximate. The samples of the clip are never
    changed.
    """
    with clip.get_frame(0) as frame:
        props = {name: int(frame.props.get(name, 2)) for name in ("_Matrix", "_Primaries", "_Transfer")}
    if props["_Matrix"] in _SIMPLE or props["_Matrix"] == vs.MATRIX_UNSPECIFIED:
        return clip
    return clip if _converts(clip, props) else clip.std.SetFrameProps(_Matrix=9 if props["_Primaries"] == 9 else 1)


def _converts(clip: vs.VideoNode, props: dict[str, Any]) -> bool:
    """Whether VapourSynth can convert a clip with these frame properties to RGB."""
    sample = vs.core.std.BlankClip(None, 16, 16, clip.format.id, 1).std.SetFrameProps(**props)
    try:
        sample.resize.Bicubic(format=vs.RGBS).get_frame(0).close()
    except vs.Error:
        return False
    return True
