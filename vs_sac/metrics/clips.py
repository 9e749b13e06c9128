"""Quality of a clip against its reference, in one pass and with memory that does not grow with its length."""

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
from ..source.sequential import samples
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
    """PSNR and SSIM sums per frame, plane and region.

    Frames come from the graph, or straight from the decoder where the graph would only copy them; compiled code
    measures as many of them at a time as there are processors. The sums of squared errors are exact integers, so the
    regions' sums add up to the frame's.

    Args:
        reference: YUV or GRAY, integer of 8 to 16 bits, constant format.
        distorted: Same format, size and length.
        mask: GRAY8, as long as the clips: a grid of ceil(W / block) x ceil(H / block) or full-size; samples of 128
            and above are ROI. None: only `Region.ALL` has figures.
        ssim: Whether to measure SSIM as well.
        block: Edge of a grid's block in pixels.
        ring_radius: Pixels on each side of a mask edge that belong to the ring.
        progress: Called with (frames done, frames in all) after each frame.
        planes: Indices of the planes; None for all of them.

    Returns:
        The sums and their pooling. Planes below 11x11 have no SSIM.

    Raises:
        SacFormatError: Clips or mask of a kind that is not taken, or that do not fit each other.
        SacValueError: A bad argument.
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
    """`measure`, and in the same pass the luma SSIM of masked frames, which the paper's convention asks for.

    Returns:
        The sums; and the SSIM, over the whole frame and the whole sequence, of the frames with all but the ROI
        black, and of those with the ROI black. NaN where no window fits the frame.

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
    """`measure`; and where `masked` is set what `measure_masked` adds, else NaN."""
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
    """Refuse a pair of clips that cannot be compared sample by sample.

    Raises:
        SacFormatError: Variable, RGB or float clips, or a difference in format, size, length or range.
        SacTypeError: One is no clip.
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
    """One frame: reference and distorted of every plane, each of shape (H, W), and the mask as it came."""

    planes: list[tuple[Samples, Samples]]
    mask: BoolArray | None


@dataclass(frozen=True)
class _Sums:
    """One frame of one plane: four regions each; and SSIM of the frame with the ROI alone, and with the rest."""

    sse: tuple[float, ...]
    pixels: tuple[float, ...]
    ssim: tuple[float, ...]
    ssim_pixels: tuple[float, ...]
    masked: tuple[float, float] = (math.nan, math.nan)


@dataclass(frozen=True)
class _Geometry:
    """How a mask frame becomes masks of square cells.

    A cell is the largest square that a block and the ring are made of, 8 pixels as a rule, so that sums are taken
    over cells once and every region is a choice of cells. Masks of pixels are the case of a cell of one.
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
        # Chroma splits a cell by up to four.
        cell = cell if cell % 4 == 0 else 1
        return cls(cell, 1 if full else block, radius, clip.height, clip.width)

    def masks(self, grid: BoolArray | None) -> tuple[BoolArray, BoolArray] | None:
        """ROI and ring of the luma plane in cells."""
        if grid is None or self.block is None:
            return None
        columns, rows = grid_size(self.width, self.height, self.cell)
        roi = expand_grid_array(grid, columns, rows, self.block // self.cell)
        return roi, ring(roi, self.radius // self.cell)


@dataclass(frozen=True)
class _Meter:
    """What measures one plane."""

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
        """Sums of one frame; `masks` are the ROI and the ring in luma cells."""
        # Here, as numba takes 0.3 s to import, which most commands do not need.
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
    """The clips' frames in step: files that are read in order past the graph, the others from it."""
    read = [samples(clip, indices) for clip in (reference, distorted)]
    rest = [clip for clip, past in zip((reference, distorted), read, strict=True) if past is None]
    if mask is not None:
        rest.append(mask)
    with contextlib.ExitStack() as stack:
        for past in read:
            if past is not None:
                stack.enter_context(contextlib.closing(past))
        for carried in _carried(rest, len(reference)):
            # Not closed here: the arrays keep a frame alive until it has been measured.
            left = iter(carried)
            pair = [_planes(next(left), indices) if past is None else next(past) for past in read]
            grid = np.asarray(next(left)[0]) >= _MASK_THRESHOLD if mask is not None else None
            yield _Frame(list(zip(*pair, strict=True)), grid)


def _planes(frame: vs.VideoFrame, indices: Sequence[int]) -> list[Any]:
    return [np.asarray(frame[index]) for index in indices]


def _carried(clips: Sequence[vs.VideoNode], length: int) -> Iterator[list[vs.VideoFrame]]:
    """The frames of clips in step.

    All ride on one node as frame properties: several frame iterators would each run ahead by themselves and evaluate
    what the nodes share more than once.
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
    """`map` on as many threads as there are processors, in order, with few items under way."""
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[Made]] = deque()
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
