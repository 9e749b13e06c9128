"""Class probabilities and luma → a grid of QP offsets, as part of the VapourSynth graph."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import vapoursynth as vs

from ..core.clips import check_constant_format, check_mask
from ..core.errors import SacFormatError
from ..core.macroblocks import OFFSET_ZERO, grid_size
from .importance import ImportancePredictor, block_features, block_means, fine_probabilities, offset_map
from .tiers import tier_offsets

__all__ = ["check_offsets", "qp_offsets", "region_of_offsets", "smooth_offsets"]

#: Frames before and after a frame over which its offsets are averaged.
_SMOOTHED = 4


def qp_offsets(
    clip: vs.VideoNode,
    probabilities: vs.VideoNode,
    classes: Sequence[str],
    *,
    tiers: Mapping[str, float],
    predictor: ImportancePredictor | None = None,
    strength: float = 1.0,
) -> vs.VideoNode:
    """Return the QP offset of every macroblock, by tiers or by tiers and importance.

    Args:
        clip: The coded picture, YUV or grey with integer samples.
        probabilities: Class probabilities of every frame, as `segment_with_classes` gives them.
        classes: Names of the K classes.
        tiers: QP offset by class, see `masks.tiers`.
        predictor: Predictor of importance; None for tiers alone.
        strength: Factor of the offsets of importance.

    Returns:
        GRAY8 grid with the values 128 + 2 · offset; see `offset_map`.

    Raises:
        SacFormatError: The format of the clip varies or is not integer YUV or grey.
        SacValueError: The network has none of the classes of the tiers.
    """
    check_constant_format(clip, "qp_offsets")
    if clip.format.sample_type != vs.INTEGER or clip.format.color_family not in (vs.YUV, vs.GRAY):
        raise SacFormatError(f"the clip is {clip.format.name}; accepted: integer YUV or grey", "qp_offsets")
    by_class = tier_offsets(classes, tiers, "qp_offsets")
    luma = clip.std.ShufflePlanes(0, vs.GRAY)
    columns, rows = grid_size(clip.width, clip.height)
    blank = vs.core.std.BlankClip(clip, columns, rows, vs.GRAY8, color=OFFSET_ZERO, keep=True)

    def offsets(n: int, f: list[vs.VideoFrame]) -> vs.VideoFrame:
        del n
        planes, picture, target = np.asarray(f[0][0]), f[1], f[2].copy()
        own = planes.reshape(len(classes), -1, planes.shape[1])
        tier = block_means(np.einsum("k,khw->hw", by_class, own)[None], clip.width, clip.height)[0]
        importance = None
        if predictor is not None:
            importance = predictor.predict(block_features(fine_probabilities(own, classes), _full_range(picture)))
        values = OFFSET_ZERO + 2 * offset_map(importance, tier, strength)
        np.copyto(np.asarray(target[0]), values.astype(np.uint8))
        return target

    return blank.std.ModifyFrame([probabilities, luma, blank], offsets)


def _full_range(frame: vs.VideoFrame) -> np.ndarray[Any, Any]:
    """The luma of a frame from 0 (black) to 255 (white)."""
    samples = np.asarray(frame[0]).astype(np.float32)
    unit = float(1 << (frame.format.bits_per_sample - 8))
    if int(frame.props.get("_Range", 0)) == 1:
        return samples * np.float32(255 / ((256 * unit) - 1))
    return (samples - np.float32(16 * unit)) * np.float32(255 / (219 * unit))


def smooth_offsets(offsets: vs.VideoNode) -> vs.VideoNode:
    """Average offsets over four frames before and after, so that they do not flicker."""
    return offsets.std.AverageFrames([1] * (2 * _SMOOTHED + 1))


def region_of_offsets(offsets: vs.VideoNode) -> vs.VideoNode:
    """Return the binary region of a grid of offsets: ROI (255) where the offset is at most 0, else 0."""
    check_offsets(offsets, offsets.width, offsets.height, "region_of_offsets")
    return offsets.std.Lut(lut=[255] * (OFFSET_ZERO + 1) + [0] * (255 - OFFSET_ZERO))


def check_offsets(offsets: vs.VideoNode, columns: int, rows: int, func: str) -> None:
    """Check that a clip is a grid of QP offsets.

    Raises:
        SacFormatError: It is not GRAY8, or has another size than `columns` × `rows`.
    """
    check_mask(offsets, func, "map")
    if (offsets.width, offsets.height) != (columns, rows):
        raise SacFormatError(
            f"the map is {offsets.width}x{offsets.height}; the picture's macroblock grid is {columns}x{rows}", func
        )
