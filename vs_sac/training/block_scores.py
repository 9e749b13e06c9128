"""What the encoder receives, scored by macroblock: recall by original class, waste by non-ROI class, shares.

The macroblocks of a picture are reduced to a few numbers each. From these follow the scores at any threshold, so a
sweep over thresholds runs the network only once.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..core.labels import CLASS_NAMES, SCORE_VOID, SemanticClass
from ..core.macroblocks import BLOCK, grid_size
from ..masks.grid import block_grid_array
from ..metrics.segmentation import BlockScore, block_score
from .evaluate import five_digits

__all__ = ["BlockReport", "PictureBlocks", "block_counts", "coded_grids", "report_blocks"]

type BoolArray = npt.NDArray[np.bool_]
type IntArray = npt.NDArray[np.int64]


def block_counts(mask: BoolArray) -> IntArray:
    """Count the set pixels of every macroblock.

    Args:
        mask: Shape (H, W).

    Returns:
        Shape (ceil(H / 16), ceil(W / 16)), values 0 to 256.
    """
    counts: IntArray = _by_block(mask, False).sum((1, 3), dtype=np.int64)
    return counts


def _by_block[T: np.generic](plane: npt.NDArray[T], outside: float) -> npt.NDArray[T]:
    """The pixels of every macroblock, (rows, 16, columns, 16); `outside` stands for those beyond the picture."""
    height, width = plane.shape
    columns, rows = grid_size(width, height)
    padded = np.full((rows * BLOCK, columns * BLOCK), outside, plane.dtype)
    padded[:height, :width] = plane
    return padded.reshape(rows, BLOCK, columns, BLOCK)


@dataclass(frozen=True, eq=False)
class PictureBlocks:
    """The macroblocks of one labelled picture. All arrays have the shape (ceil(H / 16), ceil(W / 16)).

    Attributes:
        least: Smallest probability of non-ROI of the block's pixels, float32. A block is coded as ROI if it is below
            the threshold.
        pixels: Number of pixels by original class, of those that occur.
        roi_pixels: Number of pixels that are ROI by the labels.
        labelled_pixels: Number of pixels with a class: neither void nor unsure.
        void: Whether the block has a pixel without a class.
        pure: By name of a non-ROI class: whether all pixels of the block belong to it.
        roi_classes: Original classes in `pixels` that belong to the ROI.
    """

    least: npt.NDArray[np.float32]
    pixels: dict[str, IntArray]
    roi_pixels: IntArray
    labelled_pixels: IntArray
    void: BoolArray
    pure: dict[str, BoolArray]
    roi_classes: frozenset[str]

    @classmethod
    def of(
        cls,
        probabilities: npt.NDArray[np.float32],
        raw: npt.NDArray[np.uint8],
        names: Mapping[int, str],
        groups: npt.NDArray[np.int16],
    ) -> Self:
        """Reduce a picture.

        Args:
            probabilities: Probabilities of the three non-ROI classes, (3, H, W), after `evaluate.steady`.
            raw: Original label values, (H, W).
            names: Original classes by label value.
            groups: Shape (256,): the four classes by label value, with void; see `core.labels.label_table`.
        """
        truth = groups[raw]
        pixels: dict[str, IntArray] = {}
        for value in np.unique(raw).tolist():
            if value in names:
                name = names[value]
                pixels[name] = pixels.get(name, 0) + block_counts(raw == value)
        return cls(
            least=_least(probabilities.sum(0)),
            pixels=pixels,
            roi_pixels=block_counts(truth == SemanticClass.ROI),
            labelled_pixels=block_counts(truth != SCORE_VOID),
            void=block_grid_array(truth == SCORE_VOID),
            pure={CLASS_NAMES[c]: ~block_grid_array(truth != c) for c in SemanticClass if c != SemanticClass.ROI},
            roi_classes=frozenset(n for v, n in names.items() if n in pixels and groups[v] == SemanticClass.ROI),
        )

    @property
    def wasteful(self) -> BoolArray:
        """Blocks that need not be coded as ROI: no pixel is ROI or without a class."""
        wasteful: BoolArray = (self.roi_pixels == 0) & ~self.void
        return wasteful

    @property
    def true(self) -> BoolArray:
        """Blocks that are ROI by the labels, those with void included."""
        true: BoolArray = (self.roi_pixels > 0) | self.void
        return true


def _least(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Smallest value of each macroblock."""
    least: npt.NDArray[np.float32] = _by_block(probability, np.inf).min((1, 3))
    return least


def coded_grids(pictures: Sequence[PictureBlocks], threshold: float, hold: int = 0) -> Iterator[BoolArray]:
    """Yield the ROI grid of every picture as it is coded.

    Args:
        pictures: Macroblocks of the pictures, in order.
        threshold: Probability of non-ROI, in (0, 1], from which a pixel is non-ROI.
        hold: Number of pictures for which a block stays ROI after it has left the ROI; see `masks.temporal_dilation`.
    """
    recent: deque[BoolArray] = deque(maxlen=hold + 1)
    for picture in pictures:
        recent.append(picture.least < np.float32(threshold))
        yield np.logical_or.reduce([grid for grid in recent if grid.shape == recent[-1].shape])


@dataclass(frozen=True)
class BlockReport:
    """Macroblock scores of pictures at one threshold.

    Attributes:
        blocks: Macroblocks with a labelled ROI pixel compared with those coded as ROI. Blocks that contain void but no
            ROI are not counted.
        large: The same, where blocks with fewer labelled ROI pixels than `min_pixels` are not counted either.
        coded_share: Share of the macroblocks that are coded as ROI.
        true_share: Share of the macroblocks that are ROI by the labels, void included.
        classes: For each original class that occurs, by name: share of the macroblocks with that class that are coded
            as ROI.
        large_classes: The same for the classes of the ROI, over the macroblocks with at least `min_pixels` of the
            class.
        large_share_ratio: Macroblocks coded as ROI of those with at least `min_pixels` labelled pixels, divided by the
            macroblocks with at least `min_pixels` of ROI by the labels. Unlike `share_ratio`, it does not count void as
            ROI. NaN without such macroblocks.
        waste: For construction, nature and sky, by name: share of the macroblocks that consist of this class only, all
            labelled, that are coded as ROI. Classes without such blocks are left out.
        min_pixels: See `large`.
        flicker: Share of the macroblocks that change between neighbouring pictures although the labels do not.
            Meaningful only if the pictures are consecutive frames.
        true_flicker: Share of the macroblocks that change in the labels.
    """

    blocks: BlockScore
    large: BlockScore
    coded_share: float
    true_share: float
    classes: dict[str, float] = field(repr=False)
    large_classes: dict[str, float] = field(repr=False)
    large_share_ratio: float
    waste: dict[str, float]
    min_pixels: int = 1
    flicker: float = math.nan
    true_flicker: float = math.nan

    @property
    def share_ratio(self) -> float:
        """Coded ROI share divided by the ROI share of the labels; NaN if the labels contain no ROI."""
        return self.coded_share / self.true_share if self.true_share else math.nan

    def to_dict(self) -> dict[str, Any]:
        """The scores in JSON's types, rounded to five digits. Undefined scores are None."""

        def rounded(values: Mapping[str, float]) -> dict[str, float | None]:
            return {name: five_digits(value) for name, value in values.items()}

        return {
            "macroblock_recall": five_digits(self.blocks.recall),
            "macroblock_precision": five_digits(self.blocks.precision),
            "roi_share": five_digits(self.coded_share),
            "roi_share_ratio": five_digits(self.share_ratio),
            "recall_by_class": rounded(self.classes),
            "min_pixels": self.min_pixels,
            "min_pixels_recall": five_digits(self.large.recall),
            "min_pixels_share_ratio": five_digits(self.large_share_ratio),
            "min_pixels_recall_by_class": rounded(self.large_classes),
            "waste_by_class": rounded(self.waste),
            "flicker": five_digits(self.flicker),
            "true_flicker": five_digits(self.true_flicker),
        }


def report_blocks(
    pictures: Sequence[PictureBlocks], threshold: float, *, hold: int = 0, min_pixels: int = 1
) -> BlockReport:
    """Score the macroblocks of pictures.

    Args:
        pictures: Macroblocks of at least one picture, in order.
        threshold: See `coded_grids`.
        hold: See `coded_grids`.
        min_pixels: See `BlockReport`.
    """
    blocks, large = BlockScore(), BlockScore()
    classes, large_classes, waste = dict[str, BlockScore](), dict[str, BlockScore](), dict[str, BlockScore]()
    grids = list(coded_grids(pictures, threshold, hold))
    coded_large = true_large = 0
    for picture, coded in zip(pictures, grids, strict=True):
        roi = picture.roi_pixels > 0
        scored = roi | ~picture.void
        blocks += block_score(roi[scored], coded[scored])
        enough = picture.roi_pixels >= min_pixels
        coded_large += int(coded[picture.labelled_pixels >= min_pixels].sum())
        true_large += int(enough.sum())
        scored = enough | picture.wasteful
        large += block_score(enough[scored], coded[scored])
        for name, pixels in picture.pixels.items():
            _add(classes, name, pixels > 0, coded)
            if name in picture.roi_classes:
                _add(large_classes, name, pixels >= min_pixels, coded)
        for name, pure in picture.pure.items():
            _add(waste, name, pure, coded)
    flicker, true_flicker = _flicker([(c, p.true) for c, p in zip(grids, pictures, strict=True)])
    size = sum(grid.size for grid in grids)
    return BlockReport(
        blocks=blocks,
        large=large,
        coded_share=sum(int(grid.sum()) for grid in grids) / size,
        true_share=sum(int(picture.true.sum()) for picture in pictures) / size,
        classes=_recalls(classes),
        large_classes=_recalls(large_classes),
        large_share_ratio=coded_large / true_large if true_large else math.nan,
        waste=_recalls(waste),
        min_pixels=min_pixels,
        flicker=flicker,
        true_flicker=true_flicker,
    )


def _add(scores: dict[str, BlockScore], name: str, blocks: BoolArray, coded: BoolArray) -> None:
    scores[name] = scores.get(name, BlockScore()) + block_score(blocks, coded)


def _recalls(scores: Mapping[str, BlockScore]) -> dict[str, float]:
    """Share of the blocks that are coded as ROI, by name, without the names that have no blocks."""
    return {name: score.recall for name, score in scores.items() if score.true_roi + score.missed_roi}


def _flicker(grids: list[tuple[BoolArray, BoolArray]]) -> tuple[float, float]:
    """Share of the blocks that change although the truth does not, and share that changes in the truth."""
    ours = theirs = total = 0
    for (coded, truth), (next_coded, next_truth) in pairwise(grids):
        if coded.shape != next_coded.shape:
            continue
        flips = truth != next_truth
        ours += int(((coded != next_coded) & ~flips).sum())
        theirs += int(flips.sum())
        total += coded.size
    return (ours / total, theirs / total) if total else (math.nan, math.nan)
