"""Encoding and decoding: video → SAC file → reconstruction. Uses all folders below it."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from ..core.progress import Progress
    from .byte_counts import byte_count
    from .decoding import decode
    from .encoding import encode, encode_uniform, run
    from .mask_files import open_masks, write_grey, write_masks
    from .options import EncodeOptions, MaskOptions, RateControl, RunOptions, SourceOptions, StreamOptions
    from .plan_report import describe
    from .planning import EncodePlan, plan
    from .rate_control import RateTrial
    from .reconstruction import open_sac
    from .results import EncodeResult, UniformResult

__all__ = [
    "EncodeOptions",
    "EncodePlan",
    "EncodeResult",
    "MaskOptions",
    "Progress",
    "RateControl",
    "RateTrial",
    "RunOptions",
    "SourceOptions",
    "StreamOptions",
    "UniformResult",
    "byte_count",
    "decode",
    "describe",
    "encode",
    "encode_uniform",
    "open_masks",
    "open_sac",
    "plan",
    "run",
    "write_grey",
    "write_masks",
]

_OPTIONS = ("EncodeOptions", "MaskOptions", "RateControl", "RunOptions", "SourceOptions", "StreamOptions")

__getattr__ = lazy_names(
    __name__,
    {
        "Progress": "..core.progress",
        "byte_count": "byte_counts",
        "decode": "decoding",
        **dict.fromkeys(("encode", "encode_uniform", "run"), "encoding"),
        **dict.fromkeys(("open_masks", "write_grey", "write_masks"), "mask_files"),
        **dict.fromkeys(_OPTIONS, "options"),
        "describe": "plan_report",
        **dict.fromkeys(("EncodePlan", "plan"), "planning"),
        "RateTrial": "rate_control",
        "open_sac": "reconstruction",
        **dict.fromkeys(("EncodeResult", "UniformResult"), "results"),
    },
)
