"""The runtimes that can run the network, one module each, and choosing between them."""

from enum import StrEnum

from ...core.choices import parse_choice
from ...core.errors import SacMissingError
from .base import Runtime
from .ort import ORT
from .ov import OV
from .python import CPU, CUDA

__all__ = ["Backend", "Runtime", "choose_backend", "runtime_of"]


class Backend(StrEnum):
    """How the network runs.

    `PYTHON` is onnxruntime's Python package, `CUDA` the same on an NVIDIA GPU, `ORT` and `OV` are the VapourSynth
    plugins of onnxruntime and OpenVINO. `AUTO` takes the Python package: its threads sleep between frames, while those
    of the plugin `ort` keep a processor busy that the encoders need (docs/performance.md).
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
    """The backend asked for, or for `Backend.AUTO` the first one that is installed.

    Raises:
        SacMissingError: The backend is not installed, or none is.
        SacValueError: There is no such backend.
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
    """The runtime behind a backend other than `Backend.AUTO`."""
    return _RUNTIMES[backend]
