"""Detector of the flash artefact (paper Fig. 7): gross errors at mask edges in one frame or channel only.

The paper's reconstruction adds the two decoded streams as 8-bit integers (its eq. 7). Near an edge neither stream is
exactly black where the other one is not, so that sums exceed 255 and wrap to nearly 0: single channels lose nearly the
whole range, which shows as violet and blue pixels. A codec errs by less than half the range, for more than a frame,
and rarely in one channel alone; hence the test.
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

#: Share of the sample range above which an error is gross.
FLASH_THRESHOLD = 0.5


@dataclass(frozen=True)
class FlashCount:
    """Flash pixels of a clip.

    Attributes:
        per_frame: Flash pixels of each frame.
        ring_pixels: Pixels near a mask edge in all frames, among which they were sought.
    """

    per_frame: tuple[int, ...]
    ring_pixels: int

    @property
    def total(self) -> int:
        """Flash pixels of the clip."""
        return sum(self.per_frame)

    @property
    def share(self) -> float:
        """Flash pixels among those near an edge; 0 without an edge."""
        return self.total / self.ring_pixels if self.ring_pixels else 0.0


def flash_pixels(
    gross: BoolArray, before: BoolArray | None = None, after: BoolArray | None = None, near: BoolArray | None = None
) -> BoolArray:
    """Which pixels flash.

    Args:
        gross: Where the error is gross, shape (C, H, W), one plane per channel.
        before: The same in the frame before; None if there is none.
        after: The same in the frame after.
        near: Pixels near a mask edge, shape (H, W); None for all.

    Returns:
        Shape (H, W): near an edge, grossly wrong in some channel, and either not so in every channel or not so in
        that channel in the frames beside it.

    Raises:
        SacFormatError: Shapes that do not fit.
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
    """Count flash pixels near the edges of a mask.

    Args:
        reference: Integer GRAY, YUV or RGB of 8 to 16 bits.
        distorted: Same format, size and length.
        mask: GRAY8 block grid or full-size mask, 255 = ROI.
        threshold: Share of the sample range above which an error is gross, in (0, 1).
        block: Edge of a grid's block in pixels.
        radius: Pixels on each side of a mask edge that are near it.

    Raises:
        SacFormatError: Clips or mask that do not fit each other.
        SacValueError: A bad threshold.
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
    """Per frame: gross errors by channel at full size, and the pixels near an edge."""
    limit = threshold * ((1 << reference.format.bits_per_sample) - 1)
    subsampling = (reference.format.subsampling_h, reference.format.subsampling_w)
    # One node carries all three, so that what they share is evaluated once.
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
