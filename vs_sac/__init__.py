"""Semantic-aware video compression for driving cameras."""

from .container import open_sac
from .errors import SacError
from .masks import grey_tones, macroblock_mask, roi_mask
from .pipeline import decode, encode, encode_uniform
from .segment import segment
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
    "open_clip",
    "open_sac",
    "overlay",
    "roi_mask",
    "segment",
    "soften",
    "split",
]
