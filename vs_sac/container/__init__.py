"""The SAC file: a Matroska file with the encoded tracks, the mask, and tags that describe how to merge them."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .files import opened
    from .info import MASK_TRACK, NON_ROI_TRACK, ROI_TRACK, TRACKS, VIDEO_TRACK, RateGoal, SacInfo
    from .reader import (
        TrackState,
        is_sac,
        open_mask_grid,
        probe,
        verify,
    )
    from .writer import Track, write, write_video

__all__ = [
    "MASK_TRACK",
    "NON_ROI_TRACK",
    "ROI_TRACK",
    "TRACKS",
    "VIDEO_TRACK",
    "RateGoal",
    "SacInfo",
    "Track",
    "TrackState",
    "is_sac",
    "open_mask_grid",
    "opened",
    "probe",
    "verify",
    "write",
    "write_video",
]

_INFO = ("MASK_TRACK", "NON_ROI_TRACK", "ROI_TRACK", "TRACKS", "VIDEO_TRACK", "RateGoal", "SacInfo")
_READER = ("TrackState", "is_sac", "open_mask_grid", "probe", "verify")

__getattr__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(_INFO, "info"),
        "opened": "files",
        **dict.fromkeys(_READER, "reader"),
        **dict.fromkeys(("Track", "write", "write_video"), "writer"),
    },
    renamed={"open_sac": "..pipeline.reconstruction:open_sac"},
)
