"""Clip → class map: the network, the registry of models, the runtimes, and label images."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .class_probabilities import open_classes, segment_classes
    from .label_images import open_label_values, open_labels
    from .network import preload, segment
    from .registry import DEFAULT_MODEL, Model, find_model, list_models
    from .runtimes import Backend

__all__ = ["DEFAULT_MODEL", "Backend", "Model", "find_model", "list_models", "open_classes", "open_label_values",
           "open_labels", "preload", "segment", "segment_classes"]  # fmt: skip

_HOMES = {
    **dict.fromkeys(("open_classes", "segment_classes"), "class_probabilities"),
    **dict.fromkeys(("open_label_values", "open_labels"), "label_images"),
    **dict.fromkeys(("preload", "segment"), "network"),
    **dict.fromkeys(("DEFAULT_MODEL", "Model", "find_model", "list_models"), "registry"),
    "Backend": "runtimes",
}

__getattr__ = lazy_names(__name__, _HOMES)
