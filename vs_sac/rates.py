"""What CRFs a file has: given, or found so that it weighs a given number of bytes. Knows no encoder."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from .errors import SacValueError
from .matching import HIGHEST_CRF, TOLERANCE, match_bytes

__all__ = ["CrfPair", "OnTrial", "RateChoice", "RateTrial", "find_crfs"]

#: CRF of the ROI and of the non-ROI.
type CrfPair = tuple[float, float]

#: By how much of their distance the ROI's CRF lies below that of a uniform encode as heavy as both regions together:
#: on street scenes the ROI takes some 60 to 70 % of the bits.
_ROI_ADVANTAGE = 0.3


@dataclass(frozen=True)
class RateTrial:
    """An encode on the way to a size.

    Attributes:
        crf_roi: CRF of the ROI; of the whole picture where it is the uniform encode to be matched.
        crf_non_roi: CRF of the non-ROI; None for a uniform encode.
        bytes: What the file weighs, its audio left out.
        error: Distance from the bytes wanted, as a share of them.
    """

    crf_roi: float
    crf_non_roi: float | None
    bytes: int
    error: float


#: Called after each encode on the way to a size.
type OnTrial = Callable[[RateTrial], None]


@dataclass(frozen=True, kw_only=True)
class RateChoice:
    """CRFs or a size, as a caller gives them.

    Attributes:
        default: CRFs where nothing is given.
        crf_roi: CRF of the ROI.
        crf_non_roi: CRF of the non-ROI.
        gap: Instead of one of them, the non-ROI's CRF less the ROI's.
        match_crf: Weigh what a uniform encode at this CRF weighs.
        kbps: Weigh what this bitrate makes, in kbit/s.

    Raises:
        SacValueError: They contradict each other, or are out of range.
    """

    default: CrfPair
    crf_roi: float | None = None
    crf_non_roi: float | None = None
    gap: float | None = None
    match_crf: float | None = None
    kbps: float | None = None

    def __post_init__(self) -> None:
        for name, crf in (("crf_roi", self.crf_roi), ("crf_non_roi", self.crf_non_roi), ("match_crf", self.match_crf)):
            if crf is not None and not 0 <= crf <= HIGHEST_CRF:
                raise SacValueError(f"{name} {crf} is outside 0-{HIGHEST_CRF:g}", "encode")
        if self.gap is not None and not -HIGHEST_CRF <= self.gap <= HIGHEST_CRF:
            raise SacValueError(f"crf_gap {self.gap} is outside ±{HIGHEST_CRF:g}", "encode")
        if self.kbps is not None and not 0 < self.kbps < math.inf:
            raise SacValueError(f"target_kbps {self.kbps} must be above 0", "encode")
        given = sum(crf is not None for crf in (self.crf_roi, self.crf_non_roi))
        if self.match_crf is not None and self.kbps is not None:
            raise SacValueError("match_crf and target_kbps each set the size; give one of them", "encode")
        if self.gap is not None and given == 2:
            raise SacValueError("crf_gap is the distance of both CRFs; with it give at most one of them", "encode")
        if self.searched and given + (self.gap is not None) > 1:
            raise SacValueError(
                "match_crf and target_kbps find a CRF; give at most one of crf_roi, crf_non_roi and crf_gap", "encode"
            )

    @property
    def searched(self) -> bool:
        """Whether a CRF is to be found."""
        return self.match_crf is not None or self.kbps is not None

    @property
    def start(self) -> CrfPair:
        """The CRFs, or the pair that a search begins with."""
        roi, non_roi = self.default
        if self.searched and self.crf_roi is self.crf_non_roi is None:
            if self.match_crf is not None:
                roi = self.match_crf - max(_ROI_ADVANTAGE * self._gap, 0)
            return self._shifted(roi)
        if self.gap is None:
            roi = roi if self.crf_roi is None else self.crf_roi
            return roi, non_roi if self.crf_non_roi is None else self.crf_non_roi
        if self.crf_non_roi is not None:
            return _clamped(self.crf_non_roi - self.gap), self.crf_non_roi
        return self._shifted(roi if self.crf_roi is None else self.crf_roi)

    def pair(self, crf: float) -> CrfPair:
        """The CRFs at a point of the search: one region's moves, or both do and keep their distance."""
        if self.crf_roi is not None:
            return self.crf_roi, crf
        if self.crf_non_roi is not None:
            return crf, self.crf_non_roi
        return self._shifted(crf)

    @property
    def _gap(self) -> float:
        return self.default[1] - self.default[0] if self.gap is None else self.gap

    def _shifted(self, roi: float) -> CrfPair:
        roi = _clamped(roi)
        return roi, _clamped(roi + self._gap)

    @property
    def moved(self) -> str:
        """What a search changes, for messages."""
        fixed = "crf_roi" if self.crf_roi is not None else "crf_non_roi" if self.crf_non_roi is not None else None
        return f"with {fixed} {getattr(self, fixed):g}" if fixed else "with this distance of the CRFs"


def find_crfs(
    choice: RateChoice,
    target: int,
    weigh: Callable[[CrfPair], int],
    on_trial: OnTrial | None = None,
) -> tuple[CrfPair, tuple[RateTrial, ...]]:
    """Find the CRFs at which a file weighs `target` bytes.

    Args:
        choice: What may move, and where to start.
        target: Bytes wanted.
        weigh: CRFs → bytes of a file made with them.
        on_trial: Called after every trial.

    Returns:
        The CRFs of the closest trial, and all trials. The closest may be further than `matching.TOLERANCE` away
        where the encodes were used up or bytes do not fall evenly.

    Raises:
        SacValueError: No accepted CRF gets there.
    """
    trials: list[RateTrial] = []

    def tried(crf: float) -> int:
        pair = choice.pair(crf)
        size = weigh(pair)
        trials.append(RateTrial(*pair, size, size / target - 1))
        if on_trial:
            on_trial(trials[-1])
        return size

    found = match_bytes(tried, target, start=choice.start[1 if choice.crf_roi is not None else 0])
    if abs(found.error) > TOLERANCE:
        for end, edge, side in ((HIGHEST_CRF, "smallest", 1), (0.0, "largest", -1)):
            if found.crf == end and found.error * side > 0:
                raise SacValueError(
                    f"{target:,} bytes are wanted, and {choice.moved} the {edge} file has {found.bytes:,}; give another"
                    " crf_roi or crf_non_roi, or neither so that both move", "encode",
                )  # fmt: skip
    return choice.pair(found.crf), tuple(trials)


def _clamped(crf: float) -> float:
    # Rounded, since sums of decimals are not decimals.
    return round(min(max(crf, 0.0), HIGHEST_CRF), 6)
