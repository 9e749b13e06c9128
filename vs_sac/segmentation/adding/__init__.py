"""A foreign segmentation network → a prepared one with a card (extra ``models``).

The steps: `loading` reads the file, `inspection`, `trials` and `outputs` find out what the network expects and gives,
`prepare` changes its graph, and `checking` runs the result as `segment` does.
"""

from ...core.errors import SacMissingError

try:
    import onnx  # noqa: F401
except ImportError:
    raise SacMissingError("onnx is not installed: pip install 'vs-sac[models]'", "add_model") from None

from ..network_facts import Channels, Finding, Layout, NetworkOptions, Origin, OutputKind
from .adding import Added, add_model, place_of
from .classes import ClassList, read_classes

__all__ = ["Added", "Channels", "ClassList", "Finding", "Layout", "NetworkOptions", "Origin", "OutputKind", "add_model",
           "place_of", "read_classes"]  # fmt: skip
