"""Training losses (paper Sec. IV.B).

Eq. (9) as printed, ``1 - 2(s∩p) + 1/(s∪p) + 1``, is not zero for a perfect prediction. The paper's text ("the smooth
index 1 is added to avoid the extreme case s = p = 0") describes the smoothed Dice loss, ``1 - (2·|s∩p| + 1) / (|s| +
|p| + 1)``. This module implements the smoothed Dice loss.
"""

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own idiom)
from torch import Tensor

from ..core.labels import SCORE_VOID, SemanticClass, group_fine

__all__ = ["bce_dice", "block_bce", "ce_dice", "dice", "fine_ce", "roughness", "semantic_logits"]

_CLASSES = len(SemanticClass)


def _one_hot(target: Tensor) -> tuple[Tensor, Tensor]:
    """Turn a target (N, H, W) with void into one-hot (N, K, H, W) and valid (N, 1, H, W), both float."""
    valid = target != SCORE_VOID
    one_hot = F.one_hot(torch.where(valid, target, 0), _CLASSES).movedim(-1, 1).float()
    valid = valid.unsqueeze(1).float()
    return one_hot * valid, valid


def dice(probabilities: Tensor, one_hot: Tensor, smooth: float = 1.0) -> Tensor:
    """Smoothed Dice loss, averaged over classes (paper eq. 9; see the module's docstring).

    Args:
        probabilities: Shape (N, K, H, W), in [0, 1]; zero where the target is void.
        one_hot: Shape (N, K, H, W).
        smooth: Added to numerator and denominator.

    Returns:
        Scalar in [0, 1].
    """
    overlap = (probabilities * one_hot).sum((0, 2, 3))
    total = probabilities.sum((0, 2, 3)) + one_hot.sum((0, 2, 3))
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()


def bce_dice(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy over the class planes plus Dice loss (paper eqs. 8 and 10).

    Args:
        logits: Shape (N, 4, H, W).
        target: Classes, int64 of shape (N, H, W); `SCORE_VOID` is ignored.
        weights: Weight per class, shape (4,).

    Returns:
        Scalar loss.
    """
    logits = logits.float()
    one_hot, valid = _one_hot(target)
    weight = valid if weights is None else valid * weights.view(1, -1, 1, 1)
    bce = F.binary_cross_entropy_with_logits(logits, one_hot, weight.expand_as(logits), reduction="sum")
    bce = bce / (valid.sum() * _CLASSES).clamp(min=1)
    return bce + dice(logits.softmax(1) * valid, one_hot)


def ce_dice(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Categorical cross-entropy plus Dice loss. Arguments and result are those of `bce_dice`."""
    logits = logits.float()
    one_hot, valid = _one_hot(target)
    ce = F.cross_entropy(logits, target, weights, ignore_index=SCORE_VOID, reduction="sum") / valid.sum().clamp(min=1)
    return ce + dice(logits.softmax(1) * valid, one_hot)


def semantic_logits(logits: Tensor) -> Tensor:
    """Sum the probabilities of fine classes to those of the four semantic classes.

    Args:
        logits: Shape (N, 19, H, W) in the order of `core.labels.FINE_CLASSES`, or (N, 4, H, W).

    Returns:
        Logits of shape (N, 4, H, W) whose softmax is the sum of the fine probabilities; four channels are returned as
        they are.
    """
    if logits.shape[1] == _CLASSES:
        return logits
    grouped = torch.as_tensor(group_fine(), device=logits.device)
    parts = [logits[:, grouped == cls].logsumexp(1) for cls in range(_CLASSES)]
    return torch.stack(parts, 1)


def fine_ce(logits: Tensor, target: Tensor, sets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of labels that stand for sets of classes: minus the logarithm of the probability of the set.

    CamVid labels traffic lights as signs. The loss accepts both there, and still learns from Cityscapes to tell them
    apart.

    Args:
        logits: Shape (N, K, H, W).
        target: Rows of `sets`, int64 of shape (N, H, W); `SCORE_VOID` is ignored.
        sets: Which of the K classes every row stands for, bool of shape (R, K).
        weights: Weight per row, shape (R,).

    Returns:
        Scalar loss: the weighted mean over the pixels that are not void.
    """
    valid = target != SCORE_VOID
    row = torch.where(valid, target, 0)
    member = sets[row].movedim(-1, 1)
    likely = logits.float().log_softmax(1)
    loss = -torch.where(member, likely, float("-inf")).logsumexp(1)
    weight = valid.float() if weights is None else valid * weights[row]
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def _roi_odds(logits: Tensor) -> Tensor:
    """Logarithm of the odds of ROI, (N, H, W), from the logits of the four classes."""
    return logits[:, SemanticClass.ROI] - logits[:, SemanticClass.ROI + 1 :].logsumexp(1)


def block_bce(logits: Tensor, target: Tensor, block: int, recall: float = 1.0) -> Tensor:
    """Binary cross-entropy on macroblocks: a block is ROI if any of its pixels is.

    Losses on pixels are hardly affected by a pole that is two pixels wide, and even less by a missed block of it. In
    this loss every block counts equally. A block is judged by the mean odds of its pixels, which the most probable
    pixels dominate. If the maximum alone counted, only one pixel of a doubtful block would be raised, and the class
    map would be dithered. The rule is that of paper Sec. III.C; a loss on blocks is our addition.

    Args:
        logits: Shape (N, 4, H, W).
        target: Classes, int64 of shape (N, H·s, W·s) with an integer s. Blocks that contain `SCORE_VOID` but no ROI are
            ignored.
        block: Side of a block in pixels of the target, a multiple of s.
        recall: Weight of ROI blocks relative to the other blocks. Above 1, doubtful blocks tend to be predicted as ROI.

    Returns:
        Scalar loss.
    """
    odds = _roi_odds(logits.float())
    cells = block // (target.shape[1] // logits.shape[2])
    # The largest value is taken out of the exponential, so that it cannot overflow.
    top = F.max_pool2d(odds, cells)
    spread = (odds - F.interpolate(top.unsqueeze(1), scale_factor=cells, mode="nearest").squeeze(1)).exp()
    score = top + F.avg_pool2d(spread, cells).log()
    roi, void = (F.max_pool2d((target == value).float(), block) for value in (SemanticClass.ROI, SCORE_VOID))
    valid = (1 - void) + void * roi
    weight = valid * (1 + (recall - 1) * roi)
    loss = F.binary_cross_entropy_with_logits(score, roi, weight, reduction="sum")
    return loss / valid.sum().clamp(min=1)


def roughness(logits: Tensor, target: Tensor) -> Tensor:
    """Mean difference of the ROI probability between neighbouring pixels of one class: total variation inside segments.

    A probability that varies from pixel to pixel around the threshold gives a dithered mask.

    Args:
        logits: Shape (N, 4, H, W).
        target: Classes, int64 of shape (N, H, W). Pairs with different labels or with `SCORE_VOID` are not counted.

    Returns:
        Scalar in [0, 1].
    """
    probability = _roi_odds(logits.float()).sigmoid()
    total, count = logits.new_zeros((), dtype=torch.float32), logits.new_zeros((), dtype=torch.float32)
    for axis in (1, 2):
        size = target.shape[axis] - 1
        here, there = target.narrow(axis, 0, size), target.narrow(axis, 1, size)
        same = ((here == there) & (here != SCORE_VOID)).float()
        step = (probability.narrow(axis, 0, size) - probability.narrow(axis, 1, size)).abs()
        total, count = total + (step * same).sum(), count + same.sum()
    return total / count.clamp(min=1)
