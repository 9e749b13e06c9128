"""The Python package onnxruntime, on the CPU or with CUDA."""

import threading
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import vapoursynth as vs

from ...core.clips import pin_cache
from ...core.errors import SacFileError
from ...core.inference import open_session
from ..class_output import open_with_classes
from ..registry import Model
from ..requirements import check_session
from .base import CLASSES_PROPERTY, KEPT_FRAMES, unusable

__all__ = ["CPU", "CUDA", "PythonRuntime"]

#: How far values may be outside of the range of probabilities.
_ROUNDING = 0.01


class PythonRuntime:
    """The Python package onnxruntime with one of its execution providers.

    Args:
        provider: Name of the execution provider.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider

    def check(self) -> None:
        """Do nothing, because loading the package takes long; `probabilities` reports a missing package."""

    def is_installed(self) -> bool:
        """See `Runtime.is_installed`; the execution provider is not checked."""
        return find_spec("onnxruntime") is not None

    def preload(self, model: Model, *, classes: bool = False) -> None:
        """See `Runtime.preload`."""
        self._session(model, classes)

    def probabilities(self, rgb: vs.VideoNode, model: Model, *, classes: bool = False) -> vs.VideoNode:
        """See `Runtime.probabilities`."""
        session = self._session(model, classes)
        failed: list[Exception] = []
        checked: list[bool] = []

        def infer(frame: vs.VideoFrame) -> list[np.ndarray[Any, Any]]:
            planes = np.stack([np.asarray(frame[p]) for p in range(3)])[None]
            outputs = session.run(None, {session.get_inputs()[0].name: planes})
            got = outputs[0]
            if got.shape != planes.shape:
                raise SacFileError(f"model {model.path} gives {got.shape}; accepted: {planes.shape}", "segment")
            # Interpolation and rounding leave the range a little.
            if not checked and not (got.min() >= -_ROUNDING and got.max() <= 1 + _ROUNDING):
                raise SacFileError(
                    f"model {model.path} gives values from {got.min():.3g} to {got.max():.3g}; accepted: probabilities,"
                    " from 0 to 1; prepare the network with vs-sac add-model", "segment",
                )  # fmt: skip
            checked[:] = [True]
            return [output[0] for output in outputs]

        def probabilities(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
            del n
            source, target = f[0], f[1].copy()
            try:
                planes, *own = infer(source)
            except Exception as error:  # onnxruntime has no common base for its errors
                failed.append(error)
                raise
            for p in range(3):
                np.copyto(np.asarray(target[p]), planes[p])
            if own:
                target.props[CLASSES_PROPERTY] = _stacked(own[0])
            return target

        blank = vs.core.std.BlankClip(rgb, keep=True)
        made = blank.std.ModifyFrame([rgb, blank], probabilities)
        pin_cache(made, KEPT_FRAMES)
        try:
            # Rendering one frame makes a wrong model fail while the graph is built. The frame stays in the cache.
            made.get_frame(0).close()
        except vs.Error:
            if not failed:
                raise
            if isinstance(failed[0], SacFileError | MemoryError):
                raise failed[0] from None
            raise unusable(model, str(failed[0])) from None
        return made

    def _session(self, model: Model, classes: bool) -> Any:
        # A second caller waits for the session of the first instead of loading another one.
        with _loading:
            session = _loaded(model, model.file_stamp(), self._provider, vs.core.num_threads, classes)
        if not classes:
            check_session(session, model)
        return session


_loading = threading.Lock()


@cache
def _loaded(model: Model, stamp: tuple[int, int], provider: str, threads: int, classes: bool) -> Any:
    """Load a model into an onnxruntime session. `stamp` tells a file that was written anew from the loaded one."""
    del stamp
    if classes:
        return open_with_classes(model, "segment", provider=provider, threads=threads)
    # Threads that spin while they wait for the next frame would add half of the network's own processor time.
    config = {"session.intra_op.allow_spinning": "0"}
    return open_session(model.path, "segment", provider=provider, threads=threads, config=config)


def _stacked(classes: np.ndarray[Any, Any]) -> vs.VideoFrame:
    """Class probabilities, (K, h, w), as a grey frame of width w and height K·h."""
    count, height, width = classes.shape
    frame = vs.core.create_video_frame(vs.GRAYS, width, count * height)
    np.copyto(np.asarray(frame[0]), classes.reshape(count * height, width))
    return frame


CPU = PythonRuntime("CPUExecutionProvider")
CUDA = PythonRuntime("CUDAExecutionProvider")
