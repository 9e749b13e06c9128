"""Detector of the flash artefact (paper Fig. 7): large errors at mask edges in a single frame or a single channel.

The paper's reconstruction adds the two decoded streams as 8-bit integers (its eq. 7). Near a mask edge, neither stream
is exactly black where the other one has content. Sums there can exceed 255 and wrap around to nearly 0. Single channels
then lose nearly their whole range, which shows as violet and blue pixels. Ordinary coding errors differ in three ways:
they are below half the range, they last longer than one frame, and they rarely hit one channel alone. The detector
tests for these three differences.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..core.arguments import check_clip
from ..core.clips import frames
from ..core.errors import SacFormatError, SacValueError
from ..core.macroblocks import BLOCK, grid_size
from ..masks.grid import expand_grid
from .quality import RING_RADIUS, ring

__all__ = ["FLASH_THRESHOLD", "FlashCount", "flash_pixels", "flashes"]

type BoolArray = npt.NDArray[np.bool_]

#: An error above this share of the sample range counts as gross.
FLASH_THRESHOLD = 0.5


@dataclass(frozen=True)
class FlashCount:
    """Flash pixels of a clip.

    Attributes:
        per_frame: Number of flash pixels in each frame.
        ring_pixels: Number of pixels near a mask edge in all frames together. Only these are tested.
    """

    per_frame: tuple[int, ...]
    ring_pixels: int

    @property
    def total(self) -> int:
        """Number of flash pixels in the whole clip."""
        return sum(self.per_frame)

    @property
    def share(self) -> float:
        """Flash pixels divided by pixels near a mask edge; 0 if there is no edge."""
        return self.total / self.ring_pixels if self.ring_pixels else 0.0


def flash_pixels(
    gross: BoolArray, before: BoolArray | None = None, after: BoolArray | None = None, near: BoolArray | None = None
) -> BoolArray:
    """Find the flash pixels of a frame.

    A pixel flashes if it is near a mask edge and has a gross error in some channel, and if one of two conditions holds:
    the error is not gross in every channel, or the same channel has no gross error there in the frames before and
    after.

    Args:
        gross: True where the error is gross, shape (C, H, W), one plane per channel.
        before: The same for the previous frame; None if there is none.
        after: The same for the next frame; None if there is none.
        near: Pixels near a mask edge, shape (H, W). With None, all pixels are tested.

    Returns:
        Bool array of shape (H, W), true at flash pixels.

    Raises:
        SacFormatError: The shapes do not match.
    """
    if gross.ndim != 3 or any(other is not None and other.shape != gross.shape for other in (before, after)):
        raise SacFormatError(f"needs bool arrays (C, H, W) of one shape, got {gross.shape}", "flash_pixels")
    some = gross.any(0)
    in_one_channel = some & ~gross.all(0) if len(gross) > 1 else np.zeros_like(some)
    passing = gross.copy()
    for other in (before, after):
        if other is not None:
            passing &= ~other
    found = in_one_channel | passing.any(0)
    return found if near is None else found & near


def flashes(
    reference: vs.VideoNode,
    distorted: vs.VideoNode,
    mask: vs.VideoNode,
    *,
    threshold: float = FLASH_THRESHOLD,
    block: int = BLOCK,
    radius: int = RING_RADIUS,
) -> FlashCount:
    """Count the flash pixels near the edges of a mask.

    Args:
        reference: Integer GRAY, YUV or RGB of 8 to 16 bits.
        distorted: Clip of the same format, size and length.
        mask: GRAY8 block grid or full-size mask, 255 = ROI.
        threshold: An error above this share of the sample range is gross; in (0, 1).
        block: Side of a block of the grid, in pixels.
        radius: Pixels up to this distance from a mask edge, on either side, are tested.

    Raises:
        SacFormatError: The clips or the mask do not match.
        SacValueError: `threshold` is out of range.
    """
    _check(reference, distorted, mask, threshold, block)
    size = (reference.width, reference.height)
    full = mask if (mask.width, mask.height) == size else expand_grid(mask, *size, block)
    window: deque[tuple[BoolArray, BoolArray] | None] = deque([None, None], 3)
    counts: list[int] = []
    ring_pixels = 0

    def settle(following: tuple[BoolArray, BoolArray] | None) -> None:
        window.append(following)
        before, current, after = window
        if current is not None:
            pixels = flash_pixels(current[0], before and before[0], after and after[0], current[1])
            counts.append(int(np.count_nonzero(pixels)))

    for gross, near in _gross(reference, distorted, full, threshold, radius):
        ring_pixels += int(np.count_nonzero(near))
        settle((gross, near))
    settle(None)
    return FlashCount(tuple(counts), ring_pixels)


def _gross(
    reference: vs.VideoNode, distorted: vs.VideoNode, mask: vs.VideoNode, threshold: float, radius: int
) -> Iterator[tuple[BoolArray, BoolArray]]:
    """Yield for each frame the gross errors by channel, at full size, and the pixels near an edge."""
    limit = threshold * ((1 << reference.format.bits_per_sample) - 1)
    subsampling = (reference.format.subsampling_h, reference.format.subsampling_w)
    # All three clips are carried by one node, so that VapourSynth evaluates what they share only once.
    carrier = vs.core.std.Expr([reference, distorted], f"x y - abs {limit!r} > {reference.format.bits_per_sample} 0 ?")
    carrier = vs.core.std.ClipToProp(carrier, mask, prop="SacMask")
    for frame in frames(carrier):
        planes = []
        for index in range(len(frame)):
            plane: npt.NDArray[Any] = np.asarray(frame[index]) > 0
            if index:
                plane = plane.repeat(1 << subsampling[0], 0).repeat(1 << subsampling[1], 1)
            planes.append(plane)
        roi = np.asarray(frame.props["SacMask"][0]) > 127
        yield np.stack(planes), ring(roi, radius)


def _check(reference: vs.VideoNode, distorted: vs.VideoNode, mask: vs.VideoNode, threshold: float, block: int) -> None:
    if not 0 < threshold < 1:
        raise SacValueError(f"threshold must be in (0, 1), got {threshold}", "flashes")
    for name, given in (("reference", reference), ("distorted", distorted), ("mask", mask)):
        check_clip(given, name, "flashes")
    shapes = [(clip.format.name, clip.width, clip.height, len(clip)) for clip in (reference, distorted)]
    if shapes[0] != shapes[1] or reference.format.sample_type != vs.INTEGER or reference.format.bits_per_sample > 16:
        raise SacFormatError(f"needs integer clips of 8 to 16 bits that agree, got {shapes[0]}, {shapes[1]}", "flashes")
    grid = grid_size(reference.width, reference.height, block)
    fits = (mask.width, mask.height) in (grid, (reference.width, reference.height))
    if mask.format.id != vs.GRAY8 or not fits or len(mask) != len(reference):
        raise SacFormatError(
            f"mask must be GRAY8 of {grid} blocks or full-size and {len(reference)} frames long, got "
            f"{mask.format.name} of {mask.width}x{mask.height}, {len(mask)} frames",
            "flashes",
        )
