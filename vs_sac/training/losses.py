"""Training losses (paper Sec. IV.B).

Eq. (9) as printed, ``1 - 2(s∩p) + 1/(s∪p) + 1``, is not zero for a perfect prediction. The paper's text ("the smooth
index 1 is added to avoid the extreme case s = p = 0") describes the smoothed Dice loss, ``1 - (2·|s∩p| + 1) / (|s| +
|p| + 1)``. This module implements the smoothed Dice loss.
"""

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own idiom)
from torch import Tensor

from ..core.labels import SCORE_VOID, SemanticClass

__all__ = ["bce_dice", "block_bce", "ce_dice", "dice"]

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


def block_bce(logits: Tensor, target: Tensor, block: int, recall: float = 1.0) -> Tensor:
    """Binary cross-entropy on macroblocks: a block is ROI if any of its pixels is.

    Losses on pixels are hardly affected by a pole that is two pixels wide, and even less by a missed block of it. In
    this loss every block counts equally. A block is judged by the pixel that is most likely ROI. The rule is that of
    paper Sec. III.C; a loss on blocks is our addition.

    Args:
        logits: Shape (N, 4, H, W).
        target: Classes, int64 of shape (N, H·s, W·s) with an integer s. Blocks that contain `SCORE_VOID` but no ROI are
            ignored.
        block: Side of a block in pixels of the target, a multiple of s.
        recall: Weight of ROI blocks relative to the other blocks. Above 1, doubtful blocks tend to be predicted as ROI.

    Returns:
        Scalar loss.
    """
    logits = logits.float()
    scale = target.shape[1] // logits.shape[2]
    odds = logits[:, SemanticClass.ROI] - logits[:, SemanticClass.ROI + 1 :].logsumexp(1)
    score = F.max_pool2d(odds, block // scale)
    roi, void = (F.max_pool2d((target == value).float(), block) for value in (SemanticClass.ROI, SCORE_VOID))
    valid = (1 - void) + void * roi
    weight = valid * (1 + (recall - 1) * roi)
    loss = F.binary_cross_entropy_with_logits(score, roi, weight, reduction="sum")
    return loss / valid.sum().clamp(min=1)
