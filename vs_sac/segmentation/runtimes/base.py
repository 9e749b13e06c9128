"""What a runtime does: it adds the network to the VapourSynth graph."""

from typing import Any, Protocol

import vapoursynth as vs

from ...core.clips import plugin
from ...core.errors import SacFileError
from ..registry import Model

__all__ = ["KEPT_FRAMES", "PluginRuntime", "Runtime", "unusable"]

#: Results kept so that the network never runs twice for a frame that several filters request.
KEPT_FRAMES = 8


class Runtime(Protocol):
    """A library that runs ONNX networks."""

    def check(self) -> None:
        """See that the runtime is installed.

        Raises:
            SacMissingError: It is not; the message names the package.
        """

    def is_installed(self) -> bool:
        """Whether `check` would pass."""

    def preload(self, model: Model) -> None:
        """Load what `probabilities` will need, in a thread of its own while other things are made ready."""

    def probabilities(self, rgb: vs.VideoNode, model: Model) -> vs.VideoNode:
        """Run the network on every frame that is requested.

        Args:
            rgb: RGBS clip in [0, 1] of the model's working size.
            model: The network.

        Returns:
            RGBS clip of the same size whose planes are the probabilities of construction, nature and sky.

        Raises:
            SacFileError: The runtime cannot use the model.
            SacMissingError: The runtime is not installed.
        """


class PluginRuntime:
    """A runtime inside a VapourSynth plugin of the vs-mlrt family.

    Args:
        namespace: The plugin's namespace in the core.
        options: Arguments of its function ``Model`` besides the clip and the network.
    """

    def __init__(self, namespace: str, **options: Any) -> None:
        self._namespace, self._options = namespace, options

    def check(self) -> None:
        """See `Runtime.check`."""
        plugin(self._namespace, "segment")

    def is_installed(self) -> bool:
        """See `Runtime.is_installed`."""
        return hasattr(vs.core, self._namespace)

    def preload(self, model: Model) -> None:
        """Nothing: the plugin loads the network when the graph is built."""

    def probabilities(self, rgb: vs.VideoNode, model: Model) -> vs.VideoNode:
        """See `Runtime.probabilities`."""
        try:
            out = plugin(self._namespace, "segment").Model(
                rgb, network_path=str(model.path.resolve()), num_streams=1, **self._options
            )
        except vs.Error as error:
            raise unusable(model, str(error).strip()) from error
        if out.format.id != vs.RGBS or (out.width, out.height) != (rgb.width, rgb.height):
            raise SacFileError(
                f"model {model.path} gives {out.format.name} {out.width}x{out.height} for {rgb.width}x{rgb.height};"
                " accepted: three probability planes of the input's size", "segment",
            )  # fmt: skip
        return out


def unusable(model: Model, reason: str) -> SacFileError:
    """The error for a model that a runtime refuses; of the reason the first line."""
    return SacFileError(f"cannot use model {model.path}: {(reason.splitlines() or [''])[0]}", "segment")
