"""Opening videos, image sequences and rendered scenes as clips, and finding the files of labelled datasets."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

if TYPE_CHECKING:
    from .conversion import to_encodable
    from .images import image_files
    from .opening import SourcePlugin, open_clip, open_raw

__all__ = ["SourcePlugin", "image_files", "open_clip", "open_raw", "to_encodable"]

_HOMES = {
    "SourcePlugin": "opening",
    "image_files": "images",
    "open_clip": "opening",
    "open_raw": "opening",
    "to_encodable": "conversion",
}

__getattr__ = lazy_names(__name__, _HOMES)
