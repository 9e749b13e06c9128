"""Semantic-aware video compression for driving cameras."""

from typing import TYPE_CHECKING

from .on_demand import names_on_demand

if TYPE_CHECKING:
    from . import metrics
    from .container import open_sac
    from .errors import SacError
    from .masks import grey_tones, macroblock_mask, roi_mask
    from .pipeline import decode, encode, encode_uniform
    from .segmentation import segment
    from .source import open_clip
    from .streams import merge, overlay, soften, split

__version__ = "0.1.0"

__all__ = [
    "SacError",
    "__version__",
    "decode",
    "encode",
    "encode_uniform",
    "grey_tones",
    "macroblock_mask",
    "merge",
    "metrics",
    "open_clip",
    "open_sac",
    "overlay",
    "roi_mask",
    "segment",
    "soften",
    "split",
]

#: Where a public name lives. Names are imported when they are asked for: the command line must be able to say why it
#: ends before VapourSynth and its like are loaded.
_HOMES = {
    "SacError": "errors",
    "decode": "pipeline",
    "encode": "pipeline",
    "encode_uniform": "pipeline",
    "grey_tones": "masks",
    "macroblock_mask": "masks",
    "merge": "streams",
    "metrics": "metrics",
    "open_clip": "source",
    "open_sac": "container",
    "overlay": "streams",
    "roi_mask": "masks",
    "segment": "segmentation",
    "soften": "streams",
    "split": "streams",
}


__getattr__ = names_on_demand(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
