"""Coded sizes that `tune` tries: those of a clip for a size in words, and which of them make sense for a network."""

import re
from collections.abc import Sequence
from fractions import Fraction

import vapoursynth as vs

from ..core.errors import SacValueError
from ..segmentation.registry import Model

__all__ = ["SIZES", "check_size", "coded_area", "coded_sides"]

#: Sizes that are tried without a choice of the user.
SIZES = ("native", "3/4", "1/2", "auto")

#: A fraction is not tried if its picture has less than this share of the pixels that the network reads.
_LEAST_READ = 0.4

_FRACTION, _SIDES = re.compile(r"([1-9]\d?)/([1-9]\d?)"), re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})")


def check_size(size: str) -> None:
    """Check a coded size in words.

    Raises:
        SacValueError: It is none; the message lists the forms that are accepted.
    """
    fraction = _FRACTION.fullmatch(size)
    if size in ("native", "auto") or _SIDES.fullmatch(size) or (fraction and int(fraction[1]) < int(fraction[2])):
        return
    raise SacValueError(f"coded size {size!r}; accepted: native, auto, a fraction such as 1/2, WIDTHxHEIGHT", "tune")


def coded_sides(size: str, width: int, height: int, model: Model) -> tuple[int, int]:
    """Return width and height of the coded picture; those of the source if the size in words is not below them.

    Args:
        size: native, auto (the size in which the network reads), a fraction of both sides, or WxH.
        width: Width of the source in pixels.
        height: Height of the source in pixels.
        model: The network.
    """
    if size == "native":
        return width, height
    if fraction := _FRACTION.fullmatch(size):
        share = Fraction(int(fraction[1]), int(fraction[2]))
        # Whole samples of subsampled chroma.
        across, down = (max(16, 2 * round(side * share / 2)) for side in (width, height))
    elif given := _SIDES.fullmatch(size):
        across, down = int(given[1]), int(given[2])
    else:
        across, down = model.working_size(width, height)
    if across >= width and down >= height:
        return width, height
    return min(across, width), min(down, height)


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
        across, down = coded_sides(size, clip.width, clip.height, model)
        wide, high = model.working_size(clip.width, clip.height)
        shares.append(across * down / (clip.width * clip.height))
        read.append(across * down / (wide * high))
    if _FRACTION.fullmatch(size) and max(read) < _LEAST_READ:
        return None
    return sum(shares) / len(shares)
