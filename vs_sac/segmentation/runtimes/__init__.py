"""The runtimes of the network, one module each, and the choice between them."""

from enum import StrEnum

from ...core.choices import parse_choice
from ...core.errors import SacMissingError
from .base import Runtime
from .ort import ORT
from .ov import OV
from .python import CPU, CUDA

__all__ = ["Backend", "Runtime", "choose_backend", "runtime_of"]


class Backend(StrEnum):
    """Runtimes of the network.

    Attributes:
        AUTO: The first installed one of `PYTHON`, `ORT` and `OV`. The Python package comes first because its threads
            sleep between frames; those of the plugin ``ort`` keep a processor busy that the encoders need
            (docs/performance.md).
        PYTHON: The Python package onnxruntime.
        CUDA: The Python package onnxruntime on an NVIDIA GPU.
        ORT: The VapourSynth plugin of onnxruntime.
        OV: The VapourSynth plugin of OpenVINO.
    """

    AUTO = "auto"
    PYTHON = "python"
    CUDA = "cuda"
    ORT = "ort"
    OV = "ov"


_RUNTIMES: dict[Backend, Runtime] = {Backend.PYTHON: CPU, Backend.CUDA: CUDA, Backend.ORT: ORT, Backend.OV: OV}

#: Backends that `Backend.AUTO` tries, in order.
_AUTOMATIC = (Backend.PYTHON, Backend.ORT, Backend.OV)


def choose_backend(backend: Backend | str) -> Backend:
    """Return the given backend, or the first installed one for `Backend.AUTO`.

    Raises:
        SacMissingError: The given backend is not installed, or no backend is installed.
        SacValueError: The backend is unknown.
    """
    backend = parse_choice(Backend, backend, "segment")
    if backend is not Backend.AUTO:
        runtime_of(backend).check()
        return backend
    for candidate in _AUTOMATIC:
        if runtime_of(candidate).is_installed():
            return candidate
    raise SacMissingError("no runtime for the network is installed: pip install onnxruntime", "segment")


def runtime_of(backend: Backend) -> Runtime:
    """Return the runtime of a backend other than `Backend.AUTO`."""
    return _RUNTIMES[backend]
