"""Quality of a clip compared with its reference, in one pass. Memory use does not grow with the length of the clip."""

import contextlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..core.arguments import check_clip
from ..core.clips import frames
from ..core.errors import SacFormatError, SacValueError
from ..core.macroblocks import BLOCK, grid_size
from ..masks.grid import expand_grid_array
from ..source.video import samples
from ._cells import by_region, cell_counts
from .quality import RING_RADIUS, SSIM_MARGIN, peak_value, ring, subsample_mask
from .series import PlaneSeries, Quality

__all__ = ["check_pair", "measure", "measure_masked"]

type BoolArray = npt.NDArray[np.bool_]
type Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_MASK_THRESHOLD = 128


def measure(
    reference: vs.VideoNode,
    distorted: vs.VideoNode,
    mask: vs.VideoNode | None = None,
    *,
    ssim: bool = True,
    block: int = BLOCK,
    ring_radius: int = RING_RADIUS,
    progress: Callable[[int, int], None] | None = None,
    planes: Sequence[int] | None = (0,),
) -> Quality:
    """Sum squared errors and SSIM per frame, plane and region.

    If a clip is a file that can be read in order and the VapourSynth graph would only copy its frames, the frames come
    straight from the decoder; otherwise they come from the graph. Compiled code measures one frame per processor in
    parallel. The sums of squared errors are exact integers, so the sums of the regions add up to the sum of the frame.

    Args:
        reference: YUV or GRAY, integer samples of 8 to 16 bits, constant format.
        distorted: Clip of the same format, size and length.
        mask: GRAY8 clip of the same length: a grid of ceil(W / block) × ceil(H / block) blocks, or full-size. Samples
            from 128 on are ROI. Without a mask, only `Region.ALL` has figures.
        ssim: Also measure SSIM.
        block: Side of a block of the grid, in pixels.
        ring_radius: Pixels up to this distance from a mask edge, on either side, belong to the ring.
        progress: Called with (frames done, frames in all) after each frame.
        planes: Indices of the planes to measure; None measures all.

    Returns:
        The sums, with methods that pool them over time. Planes smaller than 11×11 have no SSIM.

    Raises:
        SacFormatError: The format of a clip or of the mask is not accepted, or the clips do not match.
        SacValueError: An argument is out of range.
    """
    return _measure(reference, distorted, mask, ssim, block, ring_radius, progress, planes, masked=False)[0]


def measure_masked(
    reference: vs.VideoNode,
    distorted: vs.VideoNode,
    mask: vs.VideoNode,
    *,
    block: int = BLOCK,
    progress: Callable[[int, int], None] | None = None,
    planes: Sequence[int] | None = (0,),
) -> tuple[Quality, tuple[float, float]]:
    """Do what `measure` does and, in the same pass, measure the luma SSIM of masked frames for the paper's convention.

    Returns:
        The sums, and two SSIM values over the whole frame and the whole sequence: of the frames in which everything but
        the ROI is black, and of the frames in which the ROI is black. Both are NaN if the frame is smaller than the
        SSIM window.

    Raises:
        SacFormatError: See `measure`.
        SacValueError: See `measure`.
    """
    return _measure(reference, distorted, mask, True, block, RING_RADIUS, progress, planes, masked=True)


def _measure(
    reference: vs.VideoNode,
    distorted: vs.VideoNode,
    mask: vs.VideoNode | None,
    ssim: bool,
    block: int,
    ring_radius: int,
    progress: Callable[[int, int], None] | None,
    planes: Sequence[int] | None,
    *,
    masked: bool,
) -> tuple[Quality, tuple[float, float]]:
    """The sums of `measure` and, if `masked` is set, the two SSIM values of `measure_masked`; otherwise NaN."""
    check_pair(reference, distorted, "measure")
    if block < 1 or ring_radius < 0:
        raise SacValueError(f"needs block >= 1 and ring_radius >= 0, got {block} and {ring_radius}", "measure")
    if mask is not None:
        _check_mask(mask, reference, block)
    indices = _plane_indices(planes, reference.format.num_planes)
    geometry = _Geometry.of(reference, mask, block, ring_radius)
    meters = [_Meter.of(reference, index, ssim, masked=masked and index == 0) for index in indices]

    def pool(frame: _Frame) -> list[_Sums]:
        masks = geometry.masks(frame.mask)
        return [meter.pool(*pair, masks, geometry.cell) for meter, pair in zip(meters, frame.planes, strict=True)]

    series: list[list[_Sums]] = []
    for sums in _parallel(pool, _frames(reference, distorted, mask, indices)):
        series.append(sums)
        if progress is not None:
            progress(len(series), len(reference))
    by_plane = list(zip(*series, strict=True))
    quality = Quality(
        frames=len(reference),
        width=reference.width,
        height=reference.height,
        masked=mask is not None,
        planes=tuple(meter.series(sums) for meter, sums in zip(meters, by_plane, strict=True)),
    )
    blackened = np.array([s.masked for s in by_plane[0]]).sum(0)
    windows = sum(s.ssim_pixels[0] for s in by_plane[0]) if masked and meters[0].measured else math.nan
    return quality, (float(blackened[0] / windows), float(blackened[1] / windows))


def check_pair(reference: vs.VideoNode, distorted: vs.VideoNode, func: str) -> None:
    """Check that two clips can be compared sample by sample.

    Raises:
        SacFormatError: A clip has a variable format, RGB or float samples, or the clips differ in format, size, length
            or range.
        SacTypeError: An argument is not a clip.
    """
    for name, clip in (("reference", reference), ("distorted", distorted)):
        check_clip(clip, name, func)
        if clip.format.color_family == vs.UNDEFINED or 0 in (clip.width, clip.height):
            raise SacFormatError(f"{name} changes format or size within the clip", func)
        if clip.format.color_family not in (vs.GRAY, vs.YUV) or clip.format.sample_type != vs.INTEGER:
            raise SacFormatError(f"{name} is {clip.format.name}; takes integer GRAY or YUV of 8 to 16 bits", func)
        if clip.format.bits_per_sample > 16:
            raise SacFormatError(f"{name} has {clip.format.bits_per_sample} bits; takes 8 to 16", func)
    for what, a, b in (
        ("formats", reference.format.name, distorted.format.name),
        ("sizes", f"{reference.width}x{reference.height}", f"{distorted.width}x{distorted.height}"),
        ("lengths", f"{len(reference)} frames", f"{len(distorted)} frames"),
    ):
        if a != b:
            raise SacFormatError(f"{what} differ: reference {a}, distorted {b}", func)
    ranges = [_range(clip) for clip in (reference, distorted)]
    if None not in ranges and ranges[0] != ranges[1]:
        raise SacFormatError("reference and distorted differ in range, one is full and one limited", func)


def _range(clip: vs.VideoNode) -> Any:
    with clip.get_frame(0) as frame:
        return frame.props.get("_Range", None)


def _check_mask(mask: vs.VideoNode, clip: vs.VideoNode, block: int) -> None:
    check_clip(mask, "mask", "measure")
    grid = grid_size(clip.width, clip.height, block)
    if mask.format.id != vs.GRAY8:
        raise SacFormatError(f"mask must be GRAY8, got {mask.format.name}", "measure")
    if (mask.width, mask.height) not in (grid, (clip.width, clip.height)):
        raise SacFormatError(
            f"mask must be {grid[0]}x{grid[1]} blocks or {clip.width}x{clip.height} pixels, "
            f"got {mask.width}x{mask.height}",
            "measure",
        )
    if len(mask) != len(clip):
        raise SacFormatError(f"lengths differ: clips {len(clip)} frames, mask {len(mask)}", "measure")


def _plane_indices(planes: Sequence[int] | None, count: int) -> list[int]:
    indices = list(range(count)) if planes is None else sorted(set(planes))
    if not indices or not 0 <= indices[0] <= indices[-1] < count:
        raise SacValueError(f"planes must be among 0 to {count - 1}, got {planes}", "measure")
    return indices


@dataclass(frozen=True)
class _Frame:
    """One frame: reference and distorted of every plane, each of shape (H, W), and the mask if there is one."""

    planes: list[tuple[Samples, Samples]]
    mask: BoolArray | None


@dataclass(frozen=True)
class _Sums:
    """Sums of one plane in one frame.

    `sse`, `pixels`, `ssim` and `ssim_pixels` have one value per `Region`. `masked` holds the SSIM sums of the frame
    with only the ROI and of the frame with only the non-ROI.
    """

    sse: tuple[float, ...]
    pixels: tuple[float, ...]
    ssim: tuple[float, ...]
    ssim_pixels: tuple[float, ...]
    masked: tuple[float, float] = (math.nan, math.nan)


@dataclass(frozen=True)
class _Geometry:
    """Turns a mask frame into masks of square cells.

    A cell is the largest square that divides both a block and the ring, usually 8×8 pixels. Sums are computed once per
    cell, and every region is a selection of cells. For full-size masks a cell is one pixel.
    """

    cell: int
    block: int | None
    radius: int
    height: int
    width: int

    @classmethod
    def of(cls, clip: vs.VideoNode, mask: vs.VideoNode | None, block: int, radius: int) -> "_Geometry":
        if mask is None:
            return cls(8, None, 0, clip.height, clip.width)
        full = (mask.width, mask.height) == (clip.width, clip.height)
        cell = 1 if full else math.gcd(block, radius)
        # Subsampled chroma divides the side of a cell by up to four.
        cell = cell if cell % 4 == 0 else 1
        return cls(cell, 1 if full else block, radius, clip.height, clip.width)

    def masks(self, grid: BoolArray | None) -> tuple[BoolArray, BoolArray] | None:
        """ROI and ring of the luma plane, one value per cell."""
        if grid is None or self.block is None:
            return None
        columns, rows = grid_size(self.width, self.height, self.cell)
        roi = expand_grid_array(grid, columns, rows, self.block // self.cell)
        return roi, ring(roi, self.radius // self.cell)


@dataclass(frozen=True)
class _Meter:
    """Measures one plane."""

    index: int
    bits: int
    subsampling: tuple[int, int]
    measured: bool
    masked: bool

    @classmethod
    def of(cls, clip: vs.VideoNode, index: int, ssim: bool, *, masked: bool) -> "_Meter":
        subsampling = (clip.format.subsampling_w, clip.format.subsampling_h) if index else (0, 0)
        smaller = min(clip.width >> subsampling[0], clip.height >> subsampling[1])
        return cls(index, clip.format.bits_per_sample, subsampling, ssim and smaller > 2 * SSIM_MARGIN, masked)

    def pool(self, x: Samples, y: Samples, masks: tuple[BoolArray, BoolArray] | None, cell: int) -> _Sums:
        """Sum one frame. `masks` are the ROI and the ring in luma cells."""
        # Imported here because numba takes 0.3 s to import and most commands do not need it.
        from . import _kernel

        horizontal, vertical = self.subsampling
        if cell == 1 and masks is not None:
            masks = (subsample_mask(masks[0], horizontal, vertical), subsample_mask(masks[1], horizontal, vertical))
        size = (max(1, cell >> vertical), max(1, cell >> horizontal))
        sse = by_region(_kernel.squared_errors(x, y, size), masks)
        pixels = by_region(cell_counts(x.shape, size), masks)
        if not self.measured:
            return _Sums(sse, pixels, (), ())
        structure, counts = _kernel.structure(x, y, self.bits, size), cell_counts(x.shape, size, SSIM_MARGIN)
        ssim, windows = by_region(structure, masks), by_region(counts, masks)
        if not self.masked or masks is None:
            return _Sums(sse, pixels, ssim, windows)
        masked = _kernel.masked_structure(x, y, self.bits, masks[0], cell, structure, counts)
        return _Sums(sse, pixels, ssim, windows, masked)

    def series(self, sums: Sequence[_Sums]) -> PlaneSeries:
        return PlaneSeries(
            name="yuv"[self.index],
            peak=peak_value(self.bits),
            sse=np.array([s.sse for s in sums], np.int64),
            pixels=np.array([s.pixels for s in sums], np.int64),
            ssim_sum=np.array([s.ssim for s in sums]) if self.measured else None,
            ssim_pixels=np.array([s.ssim_pixels for s in sums], np.int64) if self.measured else None,
        )


def _frames(
    reference: vs.VideoNode, distorted: vs.VideoNode, mask: vs.VideoNode | None, indices: Sequence[int]
) -> Iterator[_Frame]:
    """Yield the frames of both clips and of the mask together.

    Files that are read in order are read directly, without the graph; all other clips are rendered by it.
    """
    read = [samples(clip, indices) for clip in (reference, distorted)]
    rest = [clip for clip, past in zip((reference, distorted), read, strict=True) if past is None]
    if mask is not None:
        rest.append(mask)
    with contextlib.ExitStack() as stack:
        for past in read:
            if past is not None:
                stack.enter_context(contextlib.closing(past))
        for carried in _carried(rest, len(reference)):
            # Frames are not closed here: the arrays keep a frame alive until it has been measured.
            left = iter(carried)
            pair = [_planes(next(left), indices) if past is None else next(past) for past in read]
            grid = np.asarray(next(left)[0]) >= _MASK_THRESHOLD if mask is not None else None
            yield _Frame(list(zip(*pair, strict=True)), grid)


def _planes(frame: vs.VideoFrame, indices: Sequence[int]) -> list[Any]:
    return [np.asarray(frame[index]) for index in indices]


def _carried(clips: Sequence[vs.VideoNode], length: int) -> Iterator[list[vs.VideoFrame]]:
    """Yield the frames of several clips together.

    All clips are carried by one node as frame properties. With one frame iterator per clip, every iterator would
    request frames ahead on its own, and shared nodes would be evaluated more than once.
    """
    if not clips:
        yield from ([] for _ in range(length))
        return
    carrier, *others = clips
    for number, other in enumerate(others):
        carrier = vs.core.std.ClipToProp(carrier, other, prop=f"SacClip{number}")
    for frame in frames(carrier):
        yield [frame, *(frame.props[f"SacClip{number}"] for number in range(len(others)))]


def _parallel[Given, Made](work: Callable[[Given], Made], items: Iterator[Given]) -> Iterator[Made]:
    """Like `map`, with one thread per processor. Results come in order, and few items are in memory at a time."""
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[Made]] = deque()
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
