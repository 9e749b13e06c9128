"""Training losses (paper Sec. IV.B).

Eq. (9) as printed, ``1 - 2(s∩p) + 1/(s∪p) + 1``, does not vanish for a perfect prediction; its text ("the
smooth index 1 is added to avoid the extreme case s = p = 0") describes the smoothed Dice loss,
``1 - (2·|s∩p| + 1) / (|s| + |p| + 1)``, which is what stands here.
"""

import torch
import torch.nn.functional as F  # noqa: N812  (torch's own idiom)
from torch import Tensor

from ..core.labels import SCORE_VOID, SemanticClass

__all__ = ["bce_dice", "block_bce", "ce_dice", "dice"]

_CLASSES = len(SemanticClass)


def _one_hot(target: Tensor) -> tuple[Tensor, Tensor]:
    """Target (N, H, W) with void → one-hot (N, K, H, W) and valid (N, 1, H, W), both float."""
    valid = target != SCORE_VOID
    one_hot = F.one_hot(torch.where(valid, target, 0), _CLASSES).movedim(-1, 1).float()
    valid = valid.unsqueeze(1).float()
    return one_hot * valid, valid


def dice(probabilities: Tensor, one_hot: Tensor, smooth: float = 1.0) -> Tensor:
    """Smoothed Dice loss, the mean over classes (paper eq. 9, see the module's text).

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
    """Binary cross-entropy over the class planes plus Dice (paper eqs. 8 and 10).

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
    """Categorical cross-entropy plus Dice; takes and returns what `bce_dice` does."""
    logits = logits.float()
    one_hot, valid = _one_hot(target)
    ce = F.cross_entropy(logits, target, weights, ignore_index=SCORE_VOID, reduction="sum") / valid.sum().clamp(min=1)
    return ce + dice(logits.softmax(1) * valid, one_hot)


def block_bce(logits: Tensor, target: Tensor, block: int, recall: float = 1.0) -> Tensor:
    """Binary cross-entropy of what the coder does with the classes: a block is ROI where any of its pixels is.

    Pixel losses hardly see a pole two pixels wide; a missed block of it they see even less. Here every block
    counts alike, judged by its likeliest ROI pixel (paper Sec. III.C is the rule; a loss on it is ours).

    Args:
        logits: Shape (N, 4, H, W).
        target: Classes, int64 of shape (N, H·s, W·s) with a whole s. A block without ROI but with `SCORE_VOID`
            is ignored.
        block: Side of a block in the target's pixels, a multiple of s.
        recall: Weight of ROI blocks against the others'; above 1 a doubtful block is rather called ROI.

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
