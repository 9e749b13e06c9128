"""A prepared network on a frame, as `segment` uses it."""

from dataclasses import dataclass

import numpy as np
import vapoursynth as vs

from ...core.errors import SacError, SacFileError
from ...core.labels import CLASS_NAMES
from ..network import segment
from ..registry import Model
from ..runtimes import Backend, runtime_of
from .prepare import OUTPUT
from .trials import quiet_session, run_on

__all__ = ["Check", "check_model"]

_FUNC = "add_model"

#: Share of one class from which a result is implausible.
_ALMOST_ALL = 0.97

#: Share of pixels whose class may depend on the runtime.
_ROUNDING = 0.01


@dataclass(frozen=True)
class Check:
    """The result of a network on a frame.

    Attributes:
        shares: Shares of ROI, construction, nature and sky in the pixels of the frame.
        backends: Backends that run the network.
        warnings: What is implausible, and which backends do not run the network.
    """

    shares: dict[str, float]
    backends: tuple[str, ...]
    warnings: tuple[str, ...]


def check_model(model: Model, clip: vs.VideoNode) -> Check:
    """Segment the first frame of a clip with every runtime that is installed.

    Args:
        model: A prepared network.
        clip: YUV clip.

    Raises:
        SacFileError: The network does not run through onnxruntime, or gives values that are no probabilities.
    """
    session = quiet_session(model.path)
    trial = run_on(session, clip, model.working_size(clip.width, clip.height))
    if not np.isfinite(trial.outputs[OUTPUT]).all():
        raise SacFileError("the prepared network gives values that are no numbers (NaN or infinite)", _FUNC)
    first = clip[0]
    classes = _classes(first, model, Backend.PYTHON)
    shares = {name: float((classes == value).mean()) for value, name in enumerate(CLASS_NAMES)}
    warnings = [f"{share:.0%} of the frame is {name}: check mean, std, channels and the order of the classes"
                for name, share in shares.items() if share > _ALMOST_ALL]  # fmt: skip
    backends: list[str] = [Backend.PYTHON]
    for backend in (Backend.ORT, Backend.OV):
        if not runtime_of(backend).is_installed():
            continue
        try:
            differing = float((_classes(first, model, backend) != classes).mean())
        except (SacError, vs.Error) as error:
            # The file is not at its place yet.
            reason = (str(error).splitlines() or [""])[0].partition(f"{model.path}: ")[2] or str(error)
            warnings.append(f"the backend {backend} does not run the network: {reason}")
            continue
        backends.append(backend)
        if differing > _ROUNDING:
            warnings.append(f"the backend {backend} gives {differing:.0%} of the pixels another class")
    return Check(shares, tuple(backends), tuple(warnings))


def _classes(clip: vs.VideoNode, model: Model, backend: Backend) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with segment(clip, model=model, backend=backend).get_frame(0) as frame:
        return np.asarray(frame[0]).copy()
