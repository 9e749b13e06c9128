"""Class map → ROI mask → macroblock grid (paper Sec. III.C)."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .class_maps import grey_tones, roi_mask
    from .grid import (
        BLOCK,
        blank_grid,
        block_grid,
        block_grid_array,
        expand_grid,
        expand_grid_array,
        grid_size,
        macroblock_mask,
    )
    from .morphology import morphological_closing, temporal_dilation
    from .propagation import default_every, propagate_mask

__all__ = [
    "BLOCK",
    "blank_grid",
    "block_grid",
    "block_grid_array",
    "default_every",
    "expand_grid",
    "expand_grid_array",
    "grey_tones",
    "grid_size",
    "macroblock_mask",
    "morphological_closing",
    "propagate_mask",
    "roi_mask",
    "temporal_dilation",
]

_HOMES = {
    **dict.fromkeys(("grey_tones", "roi_mask"), "class_maps"),
    **dict.fromkeys(
        ("BLOCK", "blank_grid", "block_grid", "block_grid_array", "expand_grid", "expand_grid_array", "grid_size",
         "macroblock_mask"), "grid",
    ),
    **dict.fromkeys(("morphological_closing", "temporal_dilation"), "morphology"),
    **dict.fromkeys(("default_every", "propagate_mask"), "propagation"),
}  # fmt: skip

__getattr__ = lazy_names(
    __name__,
    _HOMES,
    renamed={
        "carry_grid": "propagation:propagate_mask",
        "close_gaps": "morphology:morphological_closing",
        "hold_roi": "morphology:temporal_dilation",
    },
)
