"""The bytes of a SAC file as `metrics` count them. Apart from `results`, as an encode measures nothing."""

from collections.abc import Mapping

from ..container.info import MASK_TRACK, NON_ROI_TRACK, ROI_TRACK
from ..metrics.report import ByteCount

__all__ = ["byte_count"]


def byte_count(sizes: Mapping[str, int]) -> ByteCount:
    """What a SAC file weighs, without its audio, from `SacInfo.track_bytes`; what no track holds is the container's.

    A single stream does not say how much of it is ROI.
    """
    total = sizes["file"] - sizes["audio"]
    tracks = sum(size for name, size in sizes.items() if name not in ("file", "audio"))
    return ByteCount(
        total=total, roi=sizes.get(ROI_TRACK), non_roi=sizes.get(NON_ROI_TRACK),
        mask=sizes[MASK_TRACK], container=total - tracks,
    )  # fmt: skip
