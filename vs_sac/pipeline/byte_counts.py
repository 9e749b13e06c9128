"""The sizes of a SAC file in the form that `metrics` takes. Not in `results`, because an encode needs no metrics."""

from collections.abc import Mapping

from ..container.info import MASK_TRACK, NON_ROI_TRACK, ROI_TRACK
from ..metrics.report import ByteCount

__all__ = ["byte_count"]


def byte_count(sizes: Mapping[str, int]) -> ByteCount:
    """Size of a SAC file without its audio.

    Bytes that belong to no track are counted as the container's. For a single stream, the parts of ROI and non-ROI are
    unknown.

    Args:
        sizes: Bytes by name, from `SacInfo.track_bytes`.
    """
    total = sizes["file"] - sizes["audio"]
    tracks = sum(size for name, size in sizes.items() if name not in ("file", "audio"))
    return ByteCount(
        total=total, roi=sizes.get(ROI_TRACK), non_roi=sizes.get(NON_ROI_TRACK),
        mask=sizes[MASK_TRACK], container=total - tracks,
    )  # fmt: skip
