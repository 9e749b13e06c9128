"""Losses against a second implementation in plain numpy."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch (extra 'train') is not installed")

from vs_sac.core.labels import SCORE_VOID, group_fine  # noqa: E402
from vs_sac.training.losses import (  # noqa: E402
    bce_dice,
    block_bce,
    ce_dice,
    dice,
    fine_ce,
    roughness,
    semantic_logits,
)

LOSSES = [bce_dice, ce_dice]
Array = npt.NDArray[np.float64]


def case(seed: int, void: float = 0.2) -> tuple[Array, npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 4, (2, 5, 6))
    target[rng.random(target.shape) < void] = SCORE_VOID
    return rng.normal(0, 2, (2, 4, 5, 6)), target


def _softmax(logits: Array) -> Array:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def numpy_loss(name: str, logits: Array, target: npt.NDArray[np.int64], weights: Array | None = None) -> float:
    """Pixel by pixel, as eqs. (8) to (10) read."""
    weight = np.ones(4) if weights is None else weights
    pixels = [(n, y, x) for n, y, x in np.ndindex(target.shape) if target[n, y, x] != SCORE_VOID]
    pixel_loss = 0.0
    overlap, size = np.zeros(4), np.zeros(4)
    probabilities = _softmax(logits)
    for n, y, x in pixels:
        truth = target[n, y, x]
        p = probabilities[n, :, y, x]
        if name == "bce_dice":
            for k in range(4):
                q = 1 / (1 + np.exp(-logits[n, k, y, x]))
                pixel_loss -= weight[k] * (np.log(q) if k == truth else np.log(1 - q)) / 4
        else:
            pixel_loss -= weight[truth] * np.log(p[truth])
        overlap[truth] += p[truth]
        size += p
        size[truth] += 1
    return pixel_loss / max(len(pixels), 1) + float(np.mean(1 - (2 * overlap + 1) / (size + 1)))


def run(function, logits: Array, target: npt.NDArray[np.int64], weights: Array | None = None) -> float:
    given = None if weights is None else torch.tensor(weights, dtype=torch.float32)
    return function(torch.tensor(logits, dtype=torch.float32), torch.tensor(target), given).item()


@pytest.mark.parametrize("function", LOSSES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weights", [None, np.array([3.0, 1.0, 0.5, 0.25])])
def test_equals_numpy(function, seed: int, weights: Array | None) -> None:
    logits, target = case(seed)
    assert run(function, logits, target, weights) == pytest.approx(
        numpy_loss(function.__name__, logits, target, weights), rel=1e-4
    )


@pytest.mark.parametrize("function", LOSSES)
def test_void_pixels_change_nothing(function) -> None:
    logits, target = case(0)
    changed = logits + np.where((target == SCORE_VOID)[:, None], 50.0, 0.0) * np.array([1, -1, 2, 0])[:, None, None]
    assert not np.array_equal(changed, logits)
    assert run(function, changed, target) == pytest.approx(run(function, logits, target), rel=1e-6)


@pytest.mark.parametrize("function", LOSSES)
def test_void_pixels_get_no_gradient(function) -> None:
    logits, target = case(1)
    x = torch.tensor(logits, dtype=torch.float32, requires_grad=True)
    function(x, torch.tensor(target)).backward()
    strength = x.grad.abs().sum(1).numpy()
    assert (strength[target == SCORE_VOID] == 0).all()
    assert (strength[target != SCORE_VOID] > 0).all()


@pytest.mark.parametrize("function", LOSSES)
def test_perfect_prediction_tends_to_zero_and_wrong_does_not(function) -> None:
    _, target = case(2)
    one_hot = np.moveaxis(np.eye(4)[np.where(target == SCORE_VOID, 0, target)], -1, 1)
    losses = [run(function, (2 * one_hot - 1) * scale, target) for scale in (1, 4, 16, 40)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 1e-5
    assert run(function, (1 - 2 * one_hot) * 40, target) > 10


@pytest.mark.parametrize("function", LOSSES)
def test_only_void_is_finite_and_free(function) -> None:
    logits, target = case(0)
    target[:] = SCORE_VOID
    assert run(function, logits, target) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("function", LOSSES)
def test_low_precision_logits_are_widened(function) -> None:
    logits, target = case(0)
    half = function(torch.tensor(logits, dtype=torch.bfloat16), torch.tensor(target))
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(run(function, logits, target), rel=0.03)


def test_dice_of_disjoint_and_equal_sets() -> None:
    truth = torch.zeros(1, 4, 2, 2)
    truth[0, 0] = 1
    assert dice(truth, truth).item() == pytest.approx(0, abs=1e-6)
    # Class 0: overlap 0, sizes 0 + 4; class 1: 4 + 0; the others are empty on both sides, which is perfect.
    assert dice(truth.roll(1, 1), truth).item() == pytest.approx(2 / 4 * (1 - 1 / 5))


def test_dice_smoothing_is_the_one_of_the_paper() -> None:
    p, t = torch.full((1, 1, 1, 2), 0.5), torch.ones(1, 1, 1, 2)
    assert dice(p, t).item() == pytest.approx(1 - (2 * 1 + 1) / (1 + 2 + 1))
    assert dice(p, t, smooth=0.0).item() == pytest.approx(1 - 2 / 3)


def test_weight_on_a_class_scales_its_part_of_the_pixel_loss() -> None:
    logits, target = case(3)
    plain, double = (run(ce_dice, logits, target, np.full(4, w)) for w in (1.0, 2.0))
    pixels = numpy_loss("ce_dice", logits, target) - run(ce_dice, logits, target, np.zeros(4))
    assert double - plain == pytest.approx(pixels, rel=1e-4)


def numpy_block_loss(logits: Array, target: npt.NDArray[np.int64], block: int, recall: float) -> float:
    """Block by block."""
    scale = target.shape[1] // logits.shape[2]
    total, count = 0.0, 0
    for n in range(len(target)):
        for top in range(0, target.shape[1], block):
            for left in range(0, target.shape[2], block):
                truth = target[n, top : top + block, left : left + block]
                if not (truth == 0).any() and (truth == SCORE_VOID).any():
                    continue
                cells = [side // scale for side in (top, left, block)]
                part = logits[n, :, cells[0] : cells[0] + cells[2], cells[1] : cells[1] + cells[2]]
                odds = np.exp(part[0]) / np.exp(part[1:]).sum(0)
                p = odds.mean() / (1 + odds.mean())
                total -= recall * np.log(p) if (truth == 0).any() else np.log(1 - p)
                count += 1
    return total / max(count, 1)


@pytest.mark.parametrize(("block", "recall"), [(4, 1.0), (4, 8.0), (8, 3.0)])
@pytest.mark.parametrize("void", [0.0, 0.1, 1.0])
def test_block_loss_block_by_block(block: int, recall: float, void: float) -> None:
    rng = np.random.default_rng(block)
    # Few blocks of ROI, so that there are all kinds.
    target = rng.choice([0, 1, 2, 3], (2, 16, 24), p=[0.04, 0.3, 0.3, 0.36])
    target[rng.random(target.shape) < void] = SCORE_VOID
    logits = rng.normal(0, 2, (2, 4, 8, 12))
    got = block_bce(torch.from_numpy(logits), torch.from_numpy(target), block, recall)
    assert float(got) == pytest.approx(numpy_block_loss(logits, target, block, recall), rel=1e-5)


def test_block_loss_asks_for_some_pixels_of_a_block() -> None:
    """Confident pixels in an ROI block cost next to nothing; in another block they cost a lot."""
    target = torch.ones((1, 8, 16), dtype=torch.int64)
    target[0, 3, 3] = 0
    logits = torch.zeros((1, 4, 8, 16))
    logits[:, 1] = 20
    missed = block_bce(logits, target, 8)
    logits[0, 0, 5, 5] = 45
    found = block_bce(logits, target, 8)
    logits[0, 0, 5, 12] = 45
    needless = block_bce(logits, target, 8)
    assert found < 1e-6
    assert missed > 5
    assert needless > 5


def test_block_loss_raises_all_pixels_of_a_doubtful_block() -> None:
    """Not one of them, which would dither the class map."""
    logits = torch.zeros((1, 4, 4, 4), requires_grad=True)
    block_bce(logits, torch.zeros((1, 16, 16), dtype=torch.int64), 16).backward()
    pulls = logits.grad[0, 0]
    assert (pulls < 0).all()
    assert torch.allclose(pulls, pulls[0, 0].expand_as(pulls))


@given(st.integers(0, 2**31), st.booleans())
def test_fine_loss_is_minus_the_logarithm_of_the_sets_probability(seed: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    sets = rng.random((5, 7)) < 0.4
    sets[:, 0] |= ~sets.any(1)
    logits, target = rng.normal(0, 3, (2, 7, 3, 4)), rng.integers(0, 5, (2, 3, 4))
    target[rng.random(target.shape) < 0.3] = SCORE_VOID
    weights = rng.uniform(0.5, 5, 5) if weighted else np.ones(5)
    total = mass = 0.0
    for n, y, x in zip(*np.nonzero(target != SCORE_VOID), strict=True):
        row = target[n, y, x]
        total -= weights[row] * np.log(_softmax(logits)[n, sets[row], y, x].sum())
        mass += weights[row]
    given_weights = torch.tensor(weights, dtype=torch.float32) if weighted else None
    got = fine_ce(torch.tensor(logits), torch.tensor(target), torch.tensor(sets), given_weights)
    assert got.item() == pytest.approx(total / max(mass, 1), rel=1e-4, abs=1e-6)


def test_fine_loss_of_void_only_has_no_gradient() -> None:
    logits = torch.randn(1, 19, 2, 2, requires_grad=True)
    fine_ce(logits, torch.full((1, 2, 2), SCORE_VOID), torch.ones(3, 19, dtype=torch.bool)).backward()
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@given(st.integers(0, 2**31))
def test_semantic_logits_sum_probabilities(seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 4, (2, 19, 3, 2))
    coarse = semantic_logits(torch.tensor(logits)).softmax(1).numpy()
    fine = _softmax(logits)
    for cls in range(4):
        assert np.allclose(coarse[:, cls], fine[:, group_fine() == cls].sum(1))


@given(st.integers(0, 2**31))
def test_roughness_counts_steps_inside_one_class(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, target = rng.normal(0, 2, (1, 4, 5, 6)), rng.choice([0, 1, SCORE_VOID], (1, 5, 6))
    roi = _softmax(logits)[0, 0]
    steps = [
        abs(roi[y, x] - roi[y + dy, x + dx])
        for dy, dx in ((0, 1), (1, 0))
        for y in range(5 - dy)
        for x in range(6 - dx)
        if target[0, y, x] == target[0, y + dy, x + dx] != SCORE_VOID
    ]
    got = roughness(torch.tensor(logits), torch.tensor(target)).item()
    assert got == pytest.approx(sum(steps) / max(len(steps), 1), rel=1e-4, abs=1e-7)
