"""Source and options → `EncodePlan`: everything that can be decided before the first frame is coded."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import vapoursynth as vs

from ..container.info import FASTEST, SLOWEST, VERSION, RateGoal, SacInfo
from ..core.arguments import check_source
from ..core.choices import Codec, Fill, Mode
from ..core.clips import check_constant_format, limited_threads, pin_cache
from ..core.errors import SacFormatError
from ..core.macroblocks import BLOCK
from ..core.processes import QUEUE_DEPTH
from ..encoders.base import EncoderSettings, PictureFormat
from ..encoders.registry import find_ffmpeg
from ..encoders.roi import RoiEncoder
from ..encoders.worker_pool import WorkerPool
from ..masks.class_maps import roi_mask
from ..masks.morphology import morphological_closing, temporal_dilation
from ..masks.propagation import default_every, propagate_mask
from ..segmentation.network import preload, segment
from ..segmentation.registry import Model, find_model
from ..segmentation.runtimes import Backend, choose_backend
from ..source.opening import open_clip
from .encoder_settings import choose_closing, choose_fill, choose_scale, common_args, stream_settings
from .mask_files import open_masks
from .options import CrfPair, EncodeOptions, MaskOptions

__all__ = ["SHARED_GRID", "EncodePlan", "MaskPlan", "open_source", "plan"]

#: Frames that the macroblock grid keeps for the streams that share it: more than are ever in flight.
SHARED_GRID = 64

#: Frames that the source keeps for the streams that share it: more than are ever in flight.
_SHARED_SOURCE = 10

#: Length of a chunk in seconds by default: the encoders' own distance of keyframes at 25 frames a second.
_CHUNK_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class MaskPlan:
    """Where the masks come from.

    Attributes:
        name: Name of the model, or of the masks' source; the tag SAC_MODEL.
        model: The network; None for masks that are given.
        threshold: Probability from which a pixel is not ROI; None for masks that are given.
        backend: The runtime of the network; None for masks that are given.
        every: Every so many frames one is segmented; 1 where each frame has its own mask.
        roi_hold: Frames of temporal dilation.
        roi_close: Macroblocks of morphological closing.
    """

    name: str
    model: Model | None
    threshold: float | None
    backend: Backend | None
    every: int
    roi_hold: int
    roi_close: int


@dataclass(frozen=True, kw_only=True)
class EncodePlan:
    """What an encode will do, decided before the first frame. `encoding.run` does it.

    Attributes:
        source: The video or image sequence; None where a clip was given.
        options: The options it was made from.
        clip: The video as the encoders get it.
        picture: Format of the clip.
        masks: Where the masks come from.
        grid: The macroblock grid, 255 = ROI.
        crfs: CRF of the ROI and of the non-ROI, or where a search for a size begins.
        fill: Fill of two streams; None for a single stream, which has no fill.
        non_roi_scale: Divisor of the non-ROI's sides, 1 or 2.
        roi: Settings of the ROI's encoder, and of a single stream's.
        non_roi: Settings of the non-ROI's encoder.
        uniform: Settings of a uniform encode to compare with.
        queue_depth: Frames that may wait for each encoder.
        chunk_frames: Length of a chunk in frames; None where nothing is kept for a resume.
    """

    source: Path | None
    options: EncodeOptions
    clip: vs.VideoNode
    picture: PictureFormat
    masks: MaskPlan
    grid: vs.VideoNode
    crfs: CrfPair
    fill: Fill | None
    non_roi_scale: int
    roi: EncoderSettings
    non_roi: EncoderSettings
    uniform: EncoderSettings
    queue_depth: int
    chunk_frames: int | None

    @property
    def mode(self) -> Mode:
        """Two streams or one."""
        return self.options.streams.mode

    @property
    def codec(self) -> Codec:
        """Encoder of the video."""
        return self.options.streams.codec

    @property
    def frames(self) -> int:
        """Length of the video in frames."""
        return int(self.clip.num_frames)

    def info(self, crfs: CrfPair, goal: RateGoal | None = None) -> SacInfo:
        """What the file will say about itself; its path is not known yet."""
        return SacInfo(
            path=Path(), version=VERSION, mode=self.mode, block=BLOCK, width=self.picture.width,
            height=self.picture.height, codec=self.codec.value, crf_roi=crfs[0], crf_non_roi=crfs[1], fill=self.fill,
            model=self.masks.name, fps=self.clip.fps, frames=self.frames, goal=goal, non_roi_scale=self.non_roi_scale,
        )  # fmt: skip


def plan(
    source: str | Path | vs.VideoNode, options: EncodeOptions | None = None, *, workers: WorkerPool | None = None
) -> EncodePlan:
    """Decide everything about an encode that can be decided before its first frame.

    The source is opened, its first frame is segmented, and an encoder that is to obey QP offsets is probed.

    Args:
        source: Video file, folder of images, printf pattern, or a clip as `open_clip` gives it.
        options: The options; the defaults if not given.
        workers: Workers that are started while the source is opened; the caller closes the pool.

    Returns:
        The plan, for `run`; `describe` prints it.

    Raises:
        SacError: Bad options, unreadable input, a missing plugin or program, or an encoder that ignores QP offsets.
    """
    check_source(source, "source", "plan")
    options = options or EncodeOptions()
    streams, masks = options.streams, options.masks
    crfs = options.rate.start(streams.codec)
    roi, non_roi = stream_settings(streams, options.run)
    find_ffmpeg()
    if workers:
        workers.prewarm(_workers_needed(options))
    # A sequential reader has dropped the earlier frames that the fill `hold` may request again when caches run full,
    # and it reads at one position, while several chunks need several.
    sequential = streams.fill is not Fill.HOLD and options.run.jobs == 1

    def probe(picture: PictureFormat) -> Fill | None:
        """The fill of two streams, once the encoder has been seen to obey offsets if that is needed."""
        if not streams.single:
            return choose_fill(streams.fill, picture, (roi, non_roi), workers)
        if options.rate.searched or crfs[0] != crfs[1]:
            RoiEncoder(streams.codec, Fraction(1)).check(picture, roi, workers)
        return None

    # The network, whose threads are the core's of now, is loaded while the clip is opened, and the encoder is probed
    # while the graph is built.
    with ThreadPoolExecutor(2) as aside, limited_threads(options.run.threads):
        if masks.masks is None:
            aside.submit(preload, masks.model, masks.backend)
        clip = open_source(source, options.source.fps, sequential, options.run.jobs)
        picture = PictureFormat.of(clip)
        closing = _closing(options, picture, crfs)
        scale = 1 if streams.single else choose_scale(streams.non_roi_scale, streams.fill, picture, non_roi, crfs[1])
        answer = aside.submit(probe, picture)
        mask_plan, grid = _masks(clip, masks, closing, sequential)
        fill = answer.result()
    return EncodePlan(
        source=None if isinstance(source, vs.VideoNode) else Path(source), options=options, clip=clip, picture=picture,
        masks=mask_plan, grid=grid, crfs=crfs, fill=fill, non_roi_scale=scale, roi=roi, non_roi=non_roi,
        uniform=EncoderSettings(codec=streams.codec, preset=streams.preset, args=common_args(streams, options.run)),
        queue_depth=1 if options.run.low_latency else QUEUE_DEPTH, chunk_frames=_chunk_frames(options, clip.fps),
    )  # fmt: skip


def open_source(
    source: str | Path | vs.VideoNode, fps: Fraction | str | None, sequential: bool, jobs: int = 1
) -> vs.VideoNode:
    """Open a source, or check a clip.

    Raises:
        SacFormatError: The size or the frame rate is not accepted, or a clip is in no format that encoders take.
        SacError: See `open_clip`.
    """
    if isinstance(source, vs.VideoNode):
        _check_encodable(source)
    clip = source if isinstance(source, vs.VideoNode) else open_clip(source, fps=fps, sequential=sequential)
    if min(clip.width, clip.height) < BLOCK:
        raise SacFormatError(f"the video is {clip.width}x{clip.height}; accepted: {BLOCK}x{BLOCK} and up", "encode")
    if not SLOWEST <= clip.fps <= FASTEST:
        # Some recorders write the clock of the timestamps as the rate, such as 90000.
        accepted = f"{SLOWEST} to {FASTEST}; --fps says what it is"
        raise SacFormatError(f"the video has a frame rate of {clip.fps}; accepted: {accepted}", "encode")
    pin_cache(clip, _SHARED_SOURCE * jobs)
    return clip


def _check_encodable(clip: vs.VideoNode) -> None:
    check_constant_format(clip, "encode", "source")
    fmt = clip.format
    if (
        fmt.color_family != vs.YUV or fmt.sample_type != vs.INTEGER or fmt.bits_per_sample not in (8, 10)
        or (fmt.subsampling_w, fmt.subsampling_h) not in ((1, 1), (1, 0), (0, 0))
    ):  # fmt: skip
        raise SacFormatError(
            f"the clip given as source is {fmt.name}; accepted: integer YUV of 8 or 10 bits in 4:2:0, 4:2:2 or 4:4:4,"
            " to which vs_sac.source.to_encodable converts integer clips, and clip.resize all others", "encode",
        )  # fmt: skip


def _workers_needed(options: EncodeOptions) -> int:
    """Workers of an encode: one for each stream that the ROI worker codes, and one that is probed."""
    streams = options.streams
    if streams.single:
        return 2
    coarse = streams.codec is Codec.X264 and streams.fill in (None, Fill.COARSE)
    return 3 if coarse else 2 if streams.codec is Codec.X265 else 0


def _closing(options: EncodeOptions, picture: PictureFormat, crfs: CrfPair) -> int:
    asked, streams = options.masks.roi_close, options.streams
    if asked is not None:
        return asked
    kept = streams.single or options.masks.masks is not None or streams.fill is Fill.BLACK
    return 0 if kept else choose_closing(picture, streams.codec, crfs)


def _masks(clip: vs.VideoNode, options: MaskOptions, closing: int, sequential: bool) -> tuple[MaskPlan, vs.VideoNode]:
    """Where the masks come from, and the macroblock grid."""
    if options.masks is None:
        model = find_model(options.model)
        threshold = model.threshold if options.threshold is None else options.threshold
        backend = choose_backend(options.backend)
        every = options.every or (default_every(clip.fps) if hasattr(vs.core, "mv") else 1)
        name = model.name
        mask = roi_mask(segment(clip, model=model, threshold=threshold, backend=backend))
        grid = propagate_mask(clip, mask, every)
    else:
        model, threshold, backend, every = None, None, None, 1
        given = options.masks
        name = "clip" if isinstance(given, vs.VideoNode) else f"masks:{Path(given).name}"
        grid = open_masks(given, clip, labels=options.labels, sequential=sequential)
    # Temporal dilation looks back at grids of earlier frames.
    pin_cache(grid, SHARED_GRID)
    grid = morphological_closing(temporal_dilation(grid, options.roi_hold), closing)
    return MaskPlan(name=name, model=model, threshold=threshold, backend=backend, every=every,
                    roi_hold=options.roi_hold, roi_close=closing), grid  # fmt: skip


def _chunk_frames(options: EncodeOptions, fps: Fraction) -> int | None:
    if not options.run.chunked:
        return None
    seconds = _CHUNK_SECONDS if options.run.chunk is None else options.run.chunk
    return round(seconds * fps)
