"""The interface of a runtime, which adds the network to the VapourSynth graph."""

from typing import Any, Protocol

import vapoursynth as vs

from ...core.clips import plugin
from ...core.errors import SacFileError, SacValueError
from ..registry import Model
from ..requirements import explain

__all__ = ["CLASSES_PROPERTY", "KEPT_FRAMES", "PluginRuntime", "Runtime", "unusable"]

#: Number of results that are kept, so that the network runs only once for a frame that several filters request.
KEPT_FRAMES = 8

#: Frame property with the probabilities of a network's own classes: a GRAYS frame with its K planes below each other.
CLASSES_PROPERTY = "SacClasses"


class Runtime(Protocol):
    """A library that runs ONNX networks."""

    def check(self) -> None:
        """Check that the runtime is installed.

        Raises:
            SacMissingError: The runtime is not installed; the message names the package.
        """

    def is_installed(self) -> bool:
        """Return whether `check` would pass."""

    def preload(self, model: Model, *, classes: bool = False) -> None:
        """Load in advance what `probabilities` needs; called in its own thread while other things are loaded."""

    def probabilities(self, rgb: vs.VideoNode, model: Model, *, classes: bool = False) -> vs.VideoNode:
        """Run the network on every requested frame.

        Args:
            rgb: RGBS clip in [0, 1] with the working size of the model.
            model: The network.
            classes: Whether the frames carry the probabilities of the network's own classes too, in the property
                `CLASSES_PROPERTY`.

        Returns:
            RGBS clip of the same size. Its planes are the probabilities of construction, nature and sky.

        Raises:
            SacFileError: The runtime cannot use the model.
            SacMissingError: The runtime is not installed.
            SacValueError: The runtime cannot give the classes.
        """


class PluginRuntime:
    """A runtime in a VapourSynth plugin of the vs-mlrt family.

    Args:
        namespace: Namespace of the plugin in the VapourSynth core.
        options: Arguments of the plugin's function ``Model`` besides the clip and the network.
    """

    def __init__(self, namespace: str, **options: Any) -> None:
        self._namespace, self._options = namespace, options

    def check(self) -> None:
        """See `Runtime.check`."""
        plugin(self._namespace, "segment")

    def is_installed(self) -> bool:
        """See `Runtime.is_installed`."""
        return hasattr(vs.core, self._namespace)

    def preload(self, model: Model, *, classes: bool = False) -> None:
        """Do nothing, because the plugin loads the network when the graph is built."""

    def probabilities(self, rgb: vs.VideoNode, model: Model, *, classes: bool = False) -> vs.VideoNode:
        """See `Runtime.probabilities`."""
        if classes:
            raise SacValueError(
                f"backend {self._namespace} gives no classes, which the map needs; accepted: auto, python, cuda",
                "segment",
            )
        try:
            out = plugin(self._namespace, "segment").Model(
                rgb, network_path=str(model.path.resolve()), num_streams=1, **self._options
            )
        except vs.Error as error:
            raise explain(model) or unusable(model, str(error).strip()) from error
        if out.format.id != vs.RGBS or (out.width, out.height) != (rgb.width, rgb.height):
            raise explain(model) or SacFileError(
                f"model {model.path} gives {out.format.name} {out.width}x{out.height} for {rgb.width}x{rgb.height};"
                " accepted: three probability planes of the input's size", "segment",
            )  # fmt: skip
        return out


def unusable(model: Model, reason: str) -> SacFileError:
    """Return the error for a model that a runtime refuses; it contains the first line of `reason`."""
    return SacFileError(f"cannot use model {model.path}: {(reason.splitlines() or [''])[0]}", "segment")
