"""Macroblock scores from a few numbers a block, against counting pixel by pixel."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

from vs_sac.core.labels import CITYSCAPES_TRAIN_ID, SCORE_VOID, LabelSet, label_table
from vs_sac.masks.grid import block_grid_array
from vs_sac.training.block_scores import PictureBlocks, block_counts, coded_grids, report_blocks
from vs_sac.training.evaluate import decide

GROUPS = label_table(LabelSet.CITYSCAPES_TRAIN, scoring=True)
CAR, SKY, ROAD, VOID = 13, 10, 0, 255


def picture(seed, height=40, width=56):
    """Labels in patches with some single pixels, and probabilities of their classes, which are sometimes wrong."""
    rng = np.random.default_rng(seed)
    raw = np.kron(rng.choice([*range(19), VOID], (height // 8, width // 8)), np.ones((8, 8))).astype(np.uint8)
    raw[rng.random(raw.shape) < 0.01] = CAR
    probabilities = rng.random((3, height, width), np.float32) * 0.1
    sure = np.kron(rng.random((3, height // 8, width // 8)) ** 3, np.ones((8, 8))).astype(np.float32)
    for cls in (1, 2, 3):
        probabilities[cls - 1][GROUPS[raw] == cls] += sure[cls - 1][GROUPS[raw] == cls] * 0.7
    return raw, probabilities


def reduced(raw, probabilities):
    return PictureBlocks.of(probabilities, raw, CITYSCAPES_TRAIN_ID, GROUPS)


def squares(plane):
    """All macroblocks of a plane."""
    height, width = plane.shape
    return [plane[y : y + 16, x : x + 16] for y in range(0, height, 16) for x in range(0, width, 16)]


def share(pairs):
    pairs = list(pairs)
    return sum(coded for coded in pairs) / len(pairs) if pairs else None


@given(st.integers(0, 2**16), st.sampled_from([0.05, 0.3, 0.5, 0.8, 1.0]), st.sampled_from([1, 16, 64, 256]))
def test_the_report_equals_counting_by_hand(seed, threshold, least):
    pictures = [picture(seed), picture(seed + 1)]
    report = report_blocks([reduced(*p) for p in pictures], threshold, min_pixels=least)
    blocks = []
    for raw, probabilities in pictures:
        roi = decide(probabilities, threshold) == 0
        blocks += [(own, GROUPS[own], bool(own_roi.any())) for own, own_roi in
                   zip(squares(raw), squares(roi), strict=True)]  # fmt: skip
    roi_blocks = [coded for _, groups, coded in blocks if (groups == 0).any()]
    assert report.blocks.recall == pytest.approx(share(roi_blocks))
    large = [coded for _, groups, coded in blocks if (groups == 0).sum() >= least]
    assert report.large.true_roi + report.large.missed_roi == len(large)
    assert report.large.true_roi == sum(large)
    pure = [coded for _, groups, coded in blocks if not ((groups == 0) | (groups == SCORE_VOID)).any()]
    assert report.blocks.false_roi == report.large.false_roi == sum(pure)
    assert report.blocks.true_rest == report.large.true_rest == len(pure) - sum(pure)
    assert report.coded_share == pytest.approx(share(coded for _, _, coded in blocks))
    true = [((groups == 0) | (groups == SCORE_VOID)).any() for _, groups, _ in blocks]
    assert report.true_share == pytest.approx(share(true))
    for value, name in CITYSCAPES_TRAIN_ID.items():
        assert report.classes.get(name) == share(coded for own, _, coded in blocks if (own == value).any())
        if GROUPS[value] == 0:
            expected = share(coded for own, _, coded in blocks if (own == value).sum() >= least)
            assert report.large_classes.get(name) == expected
        else:
            assert name not in report.large_classes
    for cls, name in ((1, "construction"), (2, "nature"), (3, "sky")):
        assert report.waste.get(name) == share(coded for _, groups, coded in blocks if (groups == cls).all())
    labelled = [coded for _, groups, coded in blocks if (groups != SCORE_VOID).sum() >= least]
    if large:
        assert report.large_share_ratio == pytest.approx(sum(labelled) / len(large))
    else:
        assert math.isnan(report.large_share_ratio)


@given(st.integers(0, 2**16), st.floats(0.01, 1))
def test_the_grid_is_that_of_the_class_map(seed, threshold):
    raw, probabilities = picture(seed)
    (grid,) = coded_grids([reduced(raw, probabilities)], threshold)
    assert np.array_equal(grid, block_grid_array(decide(probabilities, threshold) == 0))


def test_held_blocks_stay_for_some_pictures():
    seen = []
    for number in range(4):
        probabilities = np.zeros((3, 16, 32), np.float32)
        # The left block is ROI in the first picture only.
        probabilities[2, :, : 16 if number else 0] = 1
        probabilities[2, :, 16:] = 1
        seen.append(PictureBlocks.of(probabilities, np.full((16, 32), SKY, np.uint8), CITYSCAPES_TRAIN_ID, GROUPS))
    assert [grid[0].tolist() for grid in coded_grids(seen, 0.5, hold=2)] == [
        [True, False], [True, False], [True, False], [False, False],
    ]  # fmt: skip
    assert report_blocks(seen, 0.5, hold=2).waste == {"sky": 3 / 8}
    assert report_blocks(seen, 0.5).waste == {"sky": 1 / 8}


def test_pixels_are_counted_in_partial_blocks():
    mask = np.ones((20, 40), bool)
    assert block_counts(mask).tolist() == [[256, 256, 128], [64, 64, 32]]
