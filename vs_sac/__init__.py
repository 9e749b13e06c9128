"""Semantic-aware video compression for driving cameras."""

import os
from typing import TYPE_CHECKING

from .core.lazy import lazy_names

if TYPE_CHECKING:
    from . import metrics
    from .core.errors import SacError
    from .masks.class_maps import grey_tones, roi_mask
    from .masks.grid import macroblock_mask
    from .pipeline.decoding import decode
    from .pipeline.encoding import encode, encode_uniform, run
    from .pipeline.options import EncodeOptions, MaskOptions, RateControl, RunOptions, SourceOptions, StreamOptions
    from .pipeline.planning import EncodePlan, plan
    from .pipeline.profile import read_profile
    from .pipeline.reconstruction import open_sac
    from .segmentation.network import segment
    from .source.opening import open_clip
    from .streams.filtering import low_pass
    from .streams.filtering import low_pass as soften
    from .streams.merging import merge
    from .streams.overlays import overlay
    from .streams.splitting import split

__version__ = "0.1.0"

# onnxruntime reads this once, when it is loaded. Here, so that no module or worker of this package can load it before;
# always, because this package promises that it opens no connection.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = [
    "EncodeOptions",
    "EncodePlan",
    "MaskOptions",
    "RateControl",
    "RunOptions",
    "SacError",
    "SourceOptions",
    "StreamOptions",
    "__version__",
    "decode",
    "encode",
    "encode_uniform",
    "grey_tones",
    "low_pass",
    "macroblock_mask",
    "merge",
    "metrics",
    "open_clip",
    "open_sac",
    "overlay",
    "plan",
    "read_profile",
    "roi_mask",
    "run",
    "segment",
    "soften",
    "split",
]

_OPTIONS = ("EncodeOptions", "MaskOptions", "RateControl", "RunOptions", "SourceOptions", "StreamOptions")

# Names are imported on first use, because the command line must be able to report errors before VapourSynth and other
# large modules are loaded.
__getattr__ = lazy_names(
    __name__,
    {
        "SacError": "core.errors",
        **dict.fromkeys(("grey_tones", "roi_mask"), "masks.class_maps"),
        "macroblock_mask": "masks.grid",
        "metrics": "metrics",
        "decode": "pipeline.decoding",
        **dict.fromkeys(("encode", "encode_uniform", "run"), "pipeline.encoding"),
        **dict.fromkeys(_OPTIONS, "pipeline.options"),
        **dict.fromkeys(("EncodePlan", "plan"), "pipeline.planning"),
        "read_profile": "pipeline.profile",
        "open_sac": "pipeline.reconstruction",
        "segment": "segmentation.network",
        "open_clip": "source.opening",
        "low_pass": "streams.filtering",
        "soften": "streams",
        "merge": "streams.merging",
        "overlay": "streams.overlays",
        "split": "streams.splitting",
    },
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
