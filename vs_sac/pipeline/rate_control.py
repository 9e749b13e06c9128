"""Search for the CRFs at which a file has a given size."""

from collections.abc import Callable
from dataclasses import dataclass

from ..core.choices import Codec
from ..core.errors import SacValueError
from ..encoders.base import HIGHEST_CRF
from .crf_search import TOLERANCE, search_crf
from .options import CrfPair, RateControl

__all__ = ["OnTrial", "RateTrial", "find_crfs"]


@dataclass(frozen=True)
class RateTrial:
    """One encode of a search for a size.

    Attributes:
        crf_roi: CRF of the ROI. For the uniform encode whose size is matched, CRF of the whole picture.
        crf_non_roi: CRF of the non-ROI; None for a uniform encode.
        bytes: Size of the file without its audio.
        error: Difference from the wanted size, as a share of it.
    """

    crf_roi: float
    crf_non_roi: float | None
    bytes: int
    error: float


#: Called after each encode of a search for a size.
type OnTrial = Callable[[RateTrial], None]


def find_crfs(
    rate: RateControl,
    codec: Codec,
    target: int,
    encoded_size: Callable[[CrfPair], int],
    on_trial: OnTrial | None = None,
) -> tuple[CrfPair, tuple[RateTrial, ...]]:
    """Find the CRFs at which a file has `target` bytes.

    Args:
        rate: Defines which CRF may change, and where the search starts.
        codec: Encoder, which defines the default CRFs.
        target: Wanted number of bytes.
        encoded_size: Function CRFs → bytes of a file made with them.
        on_trial: Called after every trial.

    Returns:
        The CRFs of the closest trial, and all trials. The closest trial may differ from the target by more than
        `crf_search.TOLERANCE` if all encodes were used up or the bytes do not fall evenly.

    Raises:
        SacValueError: No accepted CRF gives the size.
    """
    trials: list[RateTrial] = []

    def tried(crf: float) -> int:
        pair = rate.pair(crf, codec)
        size = encoded_size(pair)
        trials.append(RateTrial(*pair, size, size / target - 1))
        if on_trial:
            on_trial(trials[-1])
        return size

    found = search_crf(tried, target, start=rate.start(codec)[1 if rate.crf_roi is not None else 0])
    if abs(found.error) > TOLERANCE:
        for end, edge, side in ((HIGHEST_CRF, "smallest", 1), (0.0, "largest", -1)):
            if found.crf == end and found.error * side > 0:
                raise SacValueError(
                    f"{target:,} bytes are wanted, and {_constraint(rate)} the {edge} file has {found.bytes:,}; give"
                    " another crf_roi or crf_non_roi, or neither so that both move", "encode",
                )  # fmt: skip
    return rate.pair(found.crf, codec), tuple(trials)


def _constraint(rate: RateControl) -> str:
    """The option that a search keeps constant, as words for messages."""
    for name in ("crf_roi", "crf_non_roi"):
        if (fixed := getattr(rate, name)) is not None:
            return f"with {name} {fixed:g}"
    return "with this gap of the CRFs"
