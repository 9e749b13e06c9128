"""The masks and the QP offsets of a plan: where they come from, and their macroblock grids."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import vapoursynth as vs

from ..core.choices import BlockMap, Mode
from ..core.clips import pin_cache
from ..core.macroblocks import OFFSET_ZERO, grid_size
from ..masks.class_maps import roi_mask
from ..masks.grid import blank_grid
from ..masks.morphology import morphological_closing, temporal_dilation
from ..masks.predictors import find_predictor
from ..masks.propagation import BlockMotion, default_every, propagate_mask, propagate_offsets
from ..masks.qp_offsets import check_offsets, qp_offsets, region_of_offsets, smooth_offsets
from ..masks.tiers import read_tiers
from ..segmentation.network import segment, segment_with_classes
from ..segmentation.registry import Model, find_model
from ..segmentation.runtimes import Backend, choose_backend
from ..source.pipe import Pipe
from .mask_files import open_masks
from .options import EncodeOptions, MaskOptions

__all__ = ["SHARED_GRID", "MaskPlan", "PlannedMasks", "plan_masks"]

#: Cached frames of the macroblock grid, for the streams that share it. More than are ever in flight.
SHARED_GRID = 64


@dataclass(frozen=True, kw_only=True)
class MaskPlan:
    """Source of the masks and of the QP offsets.

    Attributes:
        name: Name of the model or of the masks' source; stored in the tag SAC_MODEL.
        model: The network; None if neither masks nor offsets need one.
        threshold: Probability from which a pixel is non-ROI; None if masks are given.
        backend: Runtime of the network; None without a network.
        every: Every Nth frame is segmented; 1 if each frame has its own mask.
        roi_hold: Frames of temporal dilation.
        roi_close: Macroblocks of morphological closing.
        frames: Number of given masks; None if the network makes them.
        map: Where the QP offsets come from: a `BlockMap`, or ``clip``.
        tiers: QP offset by class; None with the map ``roi`` or a clip.
        map_strength: Factor of the offsets of importance; None without them.
    """

    name: str
    model: Model | None
    threshold: float | None
    backend: Backend | None
    every: int
    roi_hold: int
    roi_close: int
    frames: int | None = None
    map: str = BlockMap.ROI
    tiers: Mapping[str, float] | None = None
    map_strength: float | None = None


@dataclass(frozen=True)
class PlannedMasks:
    """Masks and offsets of a plan.

    Attributes:
        plan: Where they come from.
        grid: The macroblock grid, 255 = ROI.
        offsets: The QP offsets of a single stream; None with the map ``roi`` and for two streams, whose region they
            have decided.
    """

    plan: MaskPlan
    grid: vs.VideoNode
    offsets: vs.VideoNode | None


def plan_masks(
    clip: vs.VideoNode,
    options: EncodeOptions,
    closing: int,
    sequential: bool,
    pipe: Pipe | None,
    source_size: tuple[int, int],
) -> PlannedMasks:
    """Build the macroblock grid and the grid of QP offsets.

    Args:
        clip: The coded picture.
        options: The options.
        closing: Macroblocks of morphological closing.
        sequential: See `source.open_clip`.
        pipe: The pipe from which the clip comes, if it does.
        source_size: Width and height of the source; given masks may have this size.

    Raises:
        SacError: The masks or the map cannot be made of these options.
    """
    masks = options.masks
    drawn = _Drawn(clip, options)
    if masks.masks is None:
        grid, name, count = drawn.grid(), drawn.network.name, None
    else:
        given = masks.masks
        name = "clip" if isinstance(given, vs.VideoNode) else f"masks:{Path(given).name}"
        grid, count = _given_grid(clip, masks, sequential, pipe, source_size)
    offsets = drawn.offsets()
    if offsets is not None and options.streams.mode is Mode.TWO_STREAM:
        grid, offsets = grid if masks.map is BlockMap.NONE else region_of_offsets(offsets), None
    # Temporal dilation requests the grids of earlier frames again.
    pin_cache(grid, SHARED_GRID)
    grid = morphological_closing(temporal_dilation(grid, masks.roi_hold), closing)
    made = MaskPlan(
        name=name, model=drawn.network if drawn.used else None,
        threshold=drawn.threshold if masks.masks is None else None, backend=drawn.backend if drawn.used else None,
        every=drawn.motion.every if drawn.used else 1, roi_hold=masks.roi_hold, roi_close=closing, frames=count,
        map=masks.map if isinstance(masks.map, str) else "clip", tiers=drawn.tiers,
        map_strength=masks.map_strength if masks.map == BlockMap.TASK else None,
    )  # fmt: skip
    return PlannedMasks(made, grid, offsets)


class _Drawn:
    """What the network draws: the mask, and the QP offsets if the map needs classes. It runs once a frame."""

    def __init__(self, clip: vs.VideoNode, options: EncodeOptions) -> None:
        masks = options.masks
        self._clip, self._options = clip, options
        self._classes = masks.needs_classes
        self.used = masks.masks is None or self._classes
        self.tiers: Mapping[str, float] | None = None
        self._given = None if isinstance(masks.map, BlockMap) else masks.map
        if masks.map is BlockMap.NONE:
            self._given = vs.core.std.BlankClip(blank_grid(clip), color=OFFSET_ZERO, keep=True)
        if self._given is not None:
            check_offsets(self._given, *grid_size(clip.width, clip.height), "encode")
        if not self.used:
            return
        self.network = find_model(masks.model)
        self.threshold = self.network.threshold_for(masks.threshold, masks.caution, "encode")
        self.backend = choose_backend(masks.backend)
        self.motion = BlockMotion(clip, masks.every or (default_every(clip.fps) if hasattr(vs.core, "mv") else 1),
                                  "encode")  # fmt: skip
        # The given values, because a threshold is an error for a network whose output is argmax.
        chosen = {"model": self.network, "threshold": masks.threshold, "caution": masks.caution,
                  "backend": self.backend}  # fmt: skip
        if self._classes:
            self.tiers = read_tiers(masks.tiers, "encode")
            self._class_map, self._planes = segment_with_classes(clip, **chosen)  # type: ignore[arg-type]
        else:
            self._class_map = segment(clip, **chosen)  # type: ignore[arg-type]

    def grid(self) -> vs.VideoNode:
        """The macroblock grid of the mask."""
        return propagate_mask(self._clip, roi_mask(self._class_map), motion=self.motion)

    def offsets(self) -> vs.VideoNode | None:
        """The QP offsets, or None."""
        if self._given is not None:
            return self._given
        if not self._classes:
            return None
        masks = self._options.masks
        assert self.tiers is not None
        predictor = find_predictor(self.network, masks.importance) if masks.map is BlockMap.TASK else None
        segmented = qp_offsets(
            self._clip, self._planes, self.network.classes, tiers=self.tiers, predictor=predictor,
            strength=masks.map_strength,
        )  # fmt: skip
        offsets = propagate_offsets(segmented, self.motion)
        # Smoothing waits for four frames to come.
        offsets = offsets if self._options.run.low_latency else smooth_offsets(offsets)
        pin_cache(offsets, SHARED_GRID)
        return offsets


def _given_grid(
    clip: vs.VideoNode, options: MaskOptions, sequential: bool, pipe: Pipe | None, source_size: tuple[int, int]
) -> tuple[vs.VideoNode, int]:
    """The grid of given masks, and their number."""
    assert options.masks is not None
    grid = open_masks(options.masks, clip, labels=options.labels, sequential=sequential, any_length=pipe is not None,
                      source_size=source_size)  # fmt: skip
    count = int(grid.num_frames)
    if pipe:
        # The masks are counted when the length of the pipe is known.
        grid = grid[: clip.num_frames]
        lacking = clip.num_frames - grid.num_frames
        grid = grid + grid[-1] * lacking if lacking else grid
    return grid, count
