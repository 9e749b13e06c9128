"""Coded sizes that `tune` tries: those of a clip for a size in words, and which of them make sense for a network."""

from collections.abc import Sequence
from fractions import Fraction

import vapoursynth as vs

from ..segmentation.registry import Model
from ..streams.coded_size import choose_coded_size, parse_coded_size

__all__ = ["SIZES", "coded_area", "coded_sides"]

#: Sizes that are tried without a choice of the user.
SIZES = ("native", "3/4", "1/2", "auto")

#: A fraction is not tried if its picture has less than this share of the pixels that the network reads.
_LEAST_READ = 0.4


def coded_sides(size: str, clip: vs.VideoNode, model: Model) -> tuple[int, int]:
    """Return width and height of the coded picture; those of the source if the size in words is not below them.

    Args:
        size: See `streams.coded_size.parse_coded_size`.
        clip: The source.
        model: The network whose input size ``auto`` means.
    """
    wanted = parse_coded_size(size)
    if isinstance(wanted, tuple):
        wanted = min(wanted[0], clip.width), min(wanted[1], clip.height)
        return choose_coded_size(wanted, clip)
    return choose_coded_size(size, clip, model)


def coded_area(size: str, clips: Sequence[vs.VideoNode], model: Model) -> float | None:
    """Return the share of the clips' pixels that is coded; None if the size makes no sense for the network.

    Args:
        size: See `coded_sides`.
        clips: The clips.
        model: The network.
    """
    shares: list[float] = []
    read: list[float] = []
    for clip in clips:
        across, down = coded_sides(size, clip, model)
        wide, high = model.working_size(clip.width, clip.height)
        shares.append(across * down / (clip.width * clip.height))
        read.append(across * down / (wide * high))
    if isinstance(parse_coded_size(size), Fraction) and max(read) < _LEAST_READ:
        return None
    return sum(shares) / len(shares)
