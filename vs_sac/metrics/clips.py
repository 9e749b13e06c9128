"""Quality of a clip against its reference, in one pass and with memory that does not grow with its length."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..errors import SacFormatError, SacValueError
from . import _graph
from ._cells import by_region, cell_counts, cell_sums
from .quality import RING_RADIUS, SSIM_MARGIN, expand_grid, peak_value, ring, subsample_mask
from .series import PlaneSeries, Quality

__all__ = ["check_pair", "measure", "measure_masked"]

type BoolArray = npt.NDArray[np.bool_]

_MASK_THRESHOLD = 128


def measure(
    reference: vs.VideoNode,
    distorted: vs.VideoNode,
    mask: vs.VideoNode | None = None,
    *,
    ssim: bool = True,
    block: int = 16,
    ring_radius: int = RING_RADIUS,
    progress: Callable[[int, int], None] | None = None,
    planes: Sequence[int] | None = (0,),
) -> Quality:
    """PSNR and SSIM sums per frame, plane and region.

    Squared error and the SSIM map are rendered by the graph and pooled by array operations on whole frames; the sums
    of squared errors are exact integers, so the regions' sums add up to the frame's.

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
    return _measure(reference, distorted, mask, ssim, block, ring_radius, progress, planes, {})[0]


def measure_masked(
    reference: vs.VideoNode,
    distorted: vs.VideoNode,
    mask: vs.VideoNode,
    *,
    block: int = 16,
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
    check_pair(reference, distorted, "measure")
    _check_mask(mask, reference, block)
    lumas = [_graph.plane_of(clip, 0) for clip in (reference, distorted)]
    full = _graph.expand_mask(mask, reference.width, reference.height, block)
    structures: dict[str, vs.VideoNode] = {}
    if min(reference.width, reference.height) > 2 * SSIM_MARGIN:
        for name, pick in (("SacRoi", "y 127 > x 0 ?"), ("SacRest", "y 127 > 0 x ?")):
            structures[name] = _graph.ssim_node(*(vs.core.std.Expr([y, full], pick, y.format.id) for y in lumas))
    quality, sums = _measure(reference, distorted, mask, True, block, RING_RADIUS, progress, planes, structures)
    roi, rest = (sums[name] if structures else math.nan for name in ("SacRoi", "SacRest"))
    return quality, (roi, rest)


def _measure(
    reference: vs.VideoNode,
    distorted: vs.VideoNode,
    mask: vs.VideoNode | None,
    ssim: bool,
    block: int,
    ring_radius: int,
    progress: Callable[[int, int], None] | None,
    planes: Sequence[int] | None,
    structures: Mapping[str, vs.VideoNode],
) -> tuple[Quality, dict[str, float]]:
    """`measure`; and the mean over everything of further SSIM maps of the frame's size."""
    check_pair(reference, distorted, "measure")
    if block < 1 or ring_radius < 0:
        raise SacValueError(f"needs block >= 1 and ring_radius >= 0, got {block} and {ring_radius}", "measure")
    if mask is not None:
        _check_mask(mask, reference, block)
    indices = _plane_indices(planes, reference.format.num_planes)
    geometry = _Geometry.of(reference, mask, block, ring_radius)
    meters = [_Meter.of(reference, distorted, index, ssim) for index in indices]
    sums: list[list[_Sums]] = [[] for _ in meters]
    means = dict.fromkeys(structures, 0.0)
    for done, (grid, pictures, maps) in enumerate(_frames(meters, mask, structures), 1):
        masks = geometry.masks(grid)
        for name, values in maps.items():
            inner = values[SSIM_MARGIN:-SSIM_MARGIN, SSIM_MARGIN:-SSIM_MARGIN]
            means[name] += (inner.mean(dtype=np.float64) / _graph.SSIM_SCALE - 1) / len(reference)
        for meter, series, picture in zip(meters, sums, pictures, strict=True):
            series.append(meter.pool(picture, masks, geometry.cell))
        if progress is not None:
            progress(done, len(reference))
    quality = Quality(
        frames=len(reference),
        width=reference.width,
        height=reference.height,
        masked=mask is not None,
        planes=tuple(meter.series(values) for meter, values in zip(meters, sums, strict=True)),
    )
    return quality, means


def check_pair(reference: vs.VideoNode, distorted: vs.VideoNode, func: str) -> None:
    """Refuse a pair of clips that cannot be compared sample by sample.

    Raises:
        SacFormatError: Variable, RGB or float clips, or a difference in format, size, length or range.
    """
    for name, clip in (("reference", reference), ("distorted", distorted)):
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
    grid = (-(-clip.width // block), -(-clip.height // block))
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
class _Picture:
    """One frame of one plane as rendered, both of shape (H, W)."""

    error: npt.NDArray[Any]
    structure: npt.NDArray[Any] | None


@dataclass(frozen=True)
class _Sums:
    """One frame of one plane: four regions each."""

    sse: tuple[int, ...]
    pixels: tuple[int, ...]
    ssim: tuple[float, ...]
    ssim_pixels: tuple[int, ...]


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
        rows, columns = -(-self.height // self.cell), -(-self.width // self.cell)
        roi = expand_grid(grid, rows, columns, self.block // self.cell)
        return roi, ring(roi, self.radius // self.cell)


@dataclass(frozen=True)
class _Meter:
    """What measures one plane: its nodes, and how their frames are pooled."""

    index: int
    peak: int
    subsampling: tuple[int, int]
    error: vs.VideoNode
    structure: vs.VideoNode | None

    @classmethod
    def of(cls, reference: vs.VideoNode, distorted: vs.VideoNode, index: int, ssim: bool) -> "_Meter":
        a, b = (_graph.plane_of(clip, index) for clip in (reference, distorted))
        fits = min(a.width, a.height) > 2 * SSIM_MARGIN
        return cls(
            index=index,
            peak=peak_value(a.format.bits_per_sample),
            subsampling=(reference.format.subsampling_w, reference.format.subsampling_h) if index else (0, 0),
            error=_graph.absolute_error(a, b),
            structure=_graph.ssim_node(a, b) if ssim and fits else None,
        )

    def pool(self, picture: _Picture, masks: tuple[BoolArray, BoolArray] | None, cell: int) -> _Sums:
        """Sums of one frame; `masks` are the ROI and the ring in luma cells."""
        horizontal, vertical = self.subsampling
        if cell == 1 and masks is not None:
            masks = (subsample_mask(masks[0], horizontal, vertical), subsample_mask(masks[1], horizontal, vertical))
        size = (max(1, cell >> vertical), max(1, cell >> horizontal))
        error = picture.error
        if self.peak > 255:
            # The square of a 16-bit difference is below 2^32.
            error = np.multiply(error, error, dtype=np.uint32)
        sse = by_region(cell_sums(error, size), masks)
        pixels = by_region(cell_counts(error.shape, size), masks)
        if picture.structure is None:
            return _Sums(sse, pixels, (), ())
        total = by_region(cell_sums(picture.structure, size, SSIM_MARGIN), masks)
        counts = by_region(cell_counts(picture.structure.shape, size, SSIM_MARGIN), masks)
        mapped = tuple(t / _graph.SSIM_SCALE - n for t, n in zip(total, counts, strict=True))
        return _Sums(sse, pixels, mapped, counts)

    def series(self, sums: list[_Sums]) -> PlaneSeries:
        measured = self.structure is not None
        return PlaneSeries(
            name="yuv"[self.index],
            peak=self.peak,
            sse=np.array([s.sse for s in sums], np.int64),
            pixels=np.array([s.pixels for s in sums], np.int64),
            ssim_sum=np.array([s.ssim for s in sums]) if measured else None,
            ssim_pixels=np.array([s.ssim_pixels for s in sums], np.int64) if measured else None,
        )


def _frames(
    meters: Sequence[_Meter], mask: vs.VideoNode | None, structures: Mapping[str, vs.VideoNode]
) -> Iterator[tuple[BoolArray | None, list[_Picture], dict[str, npt.NDArray[Any]]]]:
    """The nodes' frames in step: the mask's, the planes', and those of further SSIM maps.

    All ride on one node as frame properties: several frame iterators would each run ahead by themselves and evaluate
    what the nodes share more than once.
    """
    first, *others = meters
    riders = {f"SacError{m.index}": m.error for m in others}
    riders |= {f"SacSsim{m.index}": m.structure for m in meters if m.structure is not None}
    riders |= structures
    if mask is not None:
        riders["SacMask"] = mask
    carrier = first.error
    for name, node in riders.items():
        carrier = vs.core.std.ClipToProp(carrier, node, prop=name)
    for frame in carrier.frames(close=True):
        held = {name: np.asarray(frame.props[name][0]) for name in riders}
        held[f"SacError{first.index}"] = np.asarray(frame[0])
        pictures = [_Picture(held[f"SacError{m.index}"], held.get(f"SacSsim{m.index}")) for m in meters]
        grid = held["SacMask"] >= _MASK_THRESHOLD if mask is not None else None
        yield grid, pictures, {name: held[name] for name in structures}
