"""The thresholds of ``--caution low|normal|high``, chosen on data by stated costs.

A macroblock that is ROI and coded as non-ROI is lost; one that has no ROI and is coded as ROI is wasted. The cost of a
threshold is counted in wasted macroblocks: wasted + Σ cost(class) · lost(class). A higher threshold loses less and
wastes more. Each of the three points is the threshold with the smallest cost, at a third of the stated costs, at the
stated costs, and at three times the stated costs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..core.errors import SacValueError
from .block_scores import PictureBlocks, report_blocks
from .evaluate import five_digits

__all__ = ["CANDIDATES", "LOST_COSTS", "OTHER_COST", "SCALES", "OperatingPoint", "Sweep", "cheapest", "choose_points",
           "describe_points", "lost_costs", "sweep"]  # fmt: skip

#: How many wasted macroblocks a lost one costs, by original class, and for the classes of the ROI that are not listed.
LOST_COSTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "traffic light": 25, "person": 25, "rider": 25, "motorcycle": 25, "bicycle": 25,
        "traffic sign": 18, "car": 18, "truck": 18, "bus": 18, "train": 18, "caravan": 18, "trailer": 18,
        "pole": 10, "polegroup": 10,
    }
)  # fmt: skip
OTHER_COST: Final = 7

#: The operating points, and the factor by which each multiplies the costs.
SCALES: Final[Mapping[str, Fraction]] = MappingProxyType(
    {"low": Fraction(1, 3), "normal": Fraction(1), "high": Fraction(3)}
)

#: Thresholds to choose from.
CANDIDATES: Final = tuple(hundredths / 100 for hundredths in range(5, 100))

type IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sweep:
    """Macroblocks at each threshold, summed over pictures.

    Attributes:
        wasted: Wasted macroblocks, shape (T,).
        lost: Lost macroblocks by original class of the ROI, each of shape (T,). A macroblock with several classes is
            lost once for each.
        share_ratio: ROI macroblocks that are coded divided by those of the labels, (T,). With `min_pixels` 1, void
            counts as ROI of the labels; otherwise, it is `BlockReport.large_share_ratio`.
    """

    wasted: IntArray
    lost: dict[str, IntArray]
    share_ratio: npt.NDArray[np.float64]


@dataclass(frozen=True)
class OperatingPoint:
    """A chosen threshold.

    Attributes:
        threshold: Probability of non-ROI from which a pixel is non-ROI.
        cost: Its cost in wasted macroblocks, with the costs of this point.
        bounded: Whether a higher threshold would cost less, but codes more than the largest accepted share.
    """

    threshold: float
    cost: float
    bounded: bool = False


def sweep(pictures: Sequence[PictureBlocks], thresholds: Sequence[float] = CANDIDATES, *, min_pixels: int = 1) -> Sweep:
    """Count wasted and lost macroblocks at several thresholds.

    Args:
        pictures: Macroblocks of the pictures.
        thresholds: T thresholds, in rising order.
        min_pixels: Number of pixels of a class from which a macroblock can be lost.
    """
    limits = np.array(thresholds, np.float32)

    def below(values: Sequence[npt.NDArray[np.float32]]) -> IntArray:
        return np.searchsorted(np.sort(np.concatenate([*values, np.empty(0, np.float32)])), limits).astype(np.int64)

    lost: dict[str, IntArray] = {}
    for name in sorted({name for picture in pictures for name in picture.roi_classes}):
        held = [p.least[p.pixels[name] >= min_pixels] for p in pictures if name in p.roi_classes]
        lost[name] = sum(len(values) for values in held) - below(held)
    if min_pixels > 1:
        true = sum(int((picture.roi_pixels >= min_pixels).sum()) for picture in pictures)
        coded = below([picture.least[picture.labelled_pixels >= min_pixels] for picture in pictures])
    else:
        true = sum(int(picture.true.sum()) for picture in pictures)
        coded = below([picture.least.ravel() for picture in pictures])
    return Sweep(
        wasted=below([picture.least[picture.wasteful] for picture in pictures]),
        lost=lost,
        share_ratio=coded / true if true else np.where(coded > 0, np.inf, 0.0),
    )


def cheapest(
    wasted: npt.ArrayLike, lost: Mapping[str, npt.ArrayLike], costs: Mapping[str, float | Fraction]
) -> tuple[int, Fraction]:
    """Find the cheapest of T thresholds: the one with the smallest wasted + Σ cost(class) · lost(class).

    The lowest of equally cheap ones is taken. Costs are added exactly, so that it does not depend on rounding.
    Because lost macroblocks become fewer from threshold to threshold, higher costs never give a lower threshold.

    Args:
        wasted: Wasted macroblocks, shape (T,).
        lost: Lost macroblocks by class, each of shape (T,).
        costs: Cost of a lost macroblock by class, in wasted macroblocks, 0 or more.

    Returns:
        Index of the threshold, and its cost.
    """
    exact = {name: Fraction(costs[name]) for name in lost}
    # Python's integers, in units in which every cost is whole.
    unit = math.lcm(*(cost.denominator for cost in exact.values()))
    total = np.asarray(wasted).astype(object) * unit
    for name, counts in lost.items():
        total = total + np.asarray(counts).astype(object) * int(exact[name] * unit)
    index = int(total.argmin())
    return index, Fraction(int(total[index]), unit)


def lost_costs(names: Sequence[str]) -> dict[str, int]:
    """Return the stated cost of each class; see `LOST_COSTS`."""
    return {name: LOST_COSTS.get(name, OTHER_COST) for name in names}


def choose_points(
    sets: Mapping[str, Sequence[PictureBlocks]], *, min_pixels: int = 1, max_share: float | None = None
) -> dict[str, OperatingPoint]:
    """Choose the thresholds of the operating points.

    Args:
        sets: Macroblocks of the pictures by data set. Costs are added over all sets.
        min_pixels: See `sweep`.
        max_share: Largest accepted `Sweep.share_ratio`. It holds for every set.

    Returns:
        By name (`SCALES`), with rising thresholds.

    Raises:
        SacValueError: The network gives no probabilities, or no threshold has so small a share.
    """
    every = [picture for pictures in sets.values() for picture in pictures]
    if all(np.isin(picture.least, (0, 1)).all() for picture in every):
        raise SacValueError("the probabilities of the network are all 0 or 1, so every threshold gives the same"
                            " macroblocks; accepted: networks with probabilities", "choose_points")  # fmt: skip
    counted = sweep(every, min_pixels=min_pixels)
    number = len(CANDIDATES)
    if max_share is not None:
        ratios = np.max([sweep(pictures, min_pixels=min_pixels).share_ratio for pictures in sets.values()], 0)
        # Ratios rise with the threshold, so the accepted thresholds are the first ones.
        number = int(np.count_nonzero(ratios <= max_share))
        if not number:
            raise SacValueError(f"no threshold codes at most {max_share:g} of the ROI of the labels on every set; the"
                                f" smallest share is {ratios[0]:.3f}", "choose_points")  # fmt: skip
    points = {}
    for name, scale in SCALES.items():
        costs = {own: scale * cost for own, cost in lost_costs(list(counted.lost)).items()}
        free, _ = cheapest(counted.wasted, counted.lost, costs)
        index, cost = cheapest(counted.wasted[:number], {n: lost[:number] for n, lost in counted.lost.items()}, costs)
        points[name] = OperatingPoint(CANDIDATES[index], float(cost), bounded=free > index)
    return points


def describe_points(
    points: Mapping[str, OperatingPoint], sets: Mapping[str, Sequence[PictureBlocks]], *, min_pixels: int,
    max_share: float | None,
) -> dict[str, Any]:  # fmt: skip
    """Describe chosen points for a model card.

    Returns:
        ``threshold`` (that of the point "normal"), ``caution`` (thresholds by point), ``costs`` (how they were chosen)
        and ``operating_points`` (cost and macroblock scores of each set, by point).
    """
    names = sorted({name for pictures in sets.values() for picture in pictures for name in picture.roi_classes})
    table = {}
    for name, point in points.items():
        reports = {
            text: report_blocks(pictures, point.threshold, min_pixels=min_pixels).to_dict()
            for text, pictures in sets.items()
        }
        for report in reports.values():
            # Of flicker, `test-model --consecutive` reports.
            del report["flicker"], report["true_flicker"]
        table[name] = {
            "threshold": point.threshold, "cost": five_digits(point.cost), "bounded_by_max_share": point.bounded,
            "sets": reports,
        }  # fmt: skip
    return {
        "threshold": points["normal"].threshold,
        "caution": {name: point.threshold for name, point in points.items()},
        "costs": {
            "unit": "wasted macroblocks for one lost macroblock",
            "lost": lost_costs(names),
            "scale": {name: five_digits(float(scale)) for name, scale in SCALES.items()},
            "min_pixels": min_pixels,
            "max_share": max_share,
        },
        "operating_points": table,
    }
