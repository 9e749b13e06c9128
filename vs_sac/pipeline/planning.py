"""Source and options → `EncodePlan`: all decisions that are possible before the first frame is coded."""

from bisect import bisect_left
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import vapoursynth as vs

from ..container.audio import AudioTrack, plan_audio
from ..container.files import opened
from ..container.info import FASTEST, SLOWEST, VERSION, RateGoal, SacInfo
from ..container.muxer import MATROSKA, Format, format_of
from ..container.writer import carried_metadata
from ..core.arguments import check_source
from ..core.choices import BlockMap, Codec, Fill, Mode
from ..core.clips import check_constant_format, limited_threads, pin_cache
from ..core.errors import SacFormatError, SacValueError
from ..core.macroblocks import BLOCK
from ..core.processes import QUEUE_DEPTH
from ..encoders.base import EncoderSettings, PictureFormat
from ..encoders.registry import find_ffmpeg
from ..encoders.roi import RoiEncoder
from ..encoders.worker_pool import WorkerPool
from ..segmentation.network import preload
from ..segmentation.registry import find_model
from ..source.opening import open_clip, parse_fps
from ..source.pipe import Pipe, is_pipe, open_pipe
from ..source.script import is_script
from ..source.timeline import Timeline, read_timeline
from ..source.video import converted, refuse_damage, timeline_of, trimmed
from ..streams.coded_size import choose_coded_size, scale_down
from .encoder_settings import choose_closing, choose_fill, choose_scale, common_args, stream_settings
from .mask_plan import MaskPlan, plan_masks
from .options import CrfPair, EncodeOptions, SourceOptions

__all__ = ["EncodePlan", "at_coded_size", "open_source", "plan"]

#: Cached frames of the source, for the streams that share it. More than are ever in flight.
_SHARED_SOURCE = 10

#: Default length of a chunk in seconds. It is the encoders' own keyframe interval at 25 frames per second.
_CHUNK_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class EncodePlan:
    """What an encode will do, decided before the first frame. `encoding.run` executes it.

    Attributes:
        source: The video or image sequence; None if the source is a clip.
        options: The options from which the plan was made.
        clip: The video as the encoders receive it, at its coded size.
        source_size: Width and height of the source in pixels; the clip may be smaller (`StreamOptions.coded_size`).
        picture: Format of the clip.
        masks: Source of the masks.
        grid: The macroblock grid, 255 = ROI.
        offsets: The QP offsets of a single stream, a GRAY8 grid of 128 + 2 · offset; None with the map ``roi``.
        crfs: CRF of the ROI and of the non-ROI. For a search for a size, the CRFs with which it starts.
        fill: Fill of two streams; None for a single stream, which has no fill.
        non_roi_scale: Divisor of the non-ROI's sides, 1 or 2.
        roi: Settings of the ROI's encoder, also used for a single stream.
        non_roi: Settings of the non-ROI's encoder.
        uniform: Settings of a uniform encode to compare with.
        queue_depth: Number of frames that may wait for each encoder.
        timeline: When the frames are displayed; None for a clip that is not of a file, which has a constant rate.
        audio: Audio tracks of the source that are carried.
        metadata: Global metadata of the source that is carried.
        chunk_frames: Length of a chunk in frames; None if the video is not encoded in chunks.
        container: Format of the file for which the audio was planned.
        pipe: The pipe from which the video comes; None for other sources. Such a plan can be executed once.
    """

    source: Path | None
    options: EncodeOptions
    clip: vs.VideoNode
    source_size: tuple[int, int]
    picture: PictureFormat
    masks: MaskPlan
    grid: vs.VideoNode
    offsets: vs.VideoNode | None
    crfs: CrfPair
    fill: Fill | None
    non_roi_scale: int
    roi: EncoderSettings
    non_roi: EncoderSettings
    uniform: EncoderSettings
    queue_depth: int
    chunk_frames: int | None
    timeline: Timeline | None
    audio: tuple[AudioTrack, ...]
    metadata: Mapping[str, str]
    container: Format = MATROSKA
    pipe: Pipe | None = None

    @property
    def mode(self) -> Mode:
        """Two streams or a single stream."""
        return self.options.streams.mode

    @property
    def codec(self) -> Codec:
        """Encoder of the video."""
        return self.options.streams.codec

    @property
    def frames(self) -> int:
        """Number of frames of the video. That of a pipe is nominal until its end has been seen."""
        length = self.pipe.length() if self.pipe else None
        return int(self.clip.num_frames) if length is None else length

    def info(self, crfs: CrfPair, goal: RateGoal | None = None) -> SacInfo:
        """The contents of the file's tags. The path is still empty."""
        scaled = self.source_size != (self.picture.width, self.picture.height)
        return SacInfo(
            path=Path(), version=VERSION, mode=self.mode, block=BLOCK, width=self.picture.width,
            height=self.picture.height, codec=self.codec.value, crf_roi=crfs[0], crf_non_roi=crfs[1], fill=self.fill,
            model=self.masks.name, fps=self.clip.fps, frames=self.frames, goal=goal, non_roi_scale=self.non_roi_scale,
            map=None if self.masks.map == BlockMap.ROI else self.masks.map,
            source_size=self.source_size if scaled else None,
        )  # fmt: skip


def plan(
    source: str | Path | vs.VideoNode,
    options: EncodeOptions | None = None,
    *,
    out: str | Path | None = None,
    workers: WorkerPool | None = None,
) -> EncodePlan:
    """Make all decisions about an encode that are possible before its first frame.

    The function opens the source and segments its first frame. If the options need QP offsets, it also probes whether
    the encoder obeys them.

    Args:
        source: Video file, folder of images, printf pattern, VapourSynth script, pipe (``-`` or a FIFO), or a clip from
            `open_clip`.
        options: The options; defaults if not given.
        out: The file that `run` will write, if it is an MP4; MP4 holds other audio than Matroska.
        workers: Pool in which workers are started while the source is opened. The caller closes the pool.

    Returns:
        The plan. `run` executes it, and `describe` returns it as plain values.

    Raises:
        SacError: Bad options, unreadable input, a missing plugin or program, or an encoder that ignores QP offsets.
    """
    check_source(source, "source", "plan")
    options = options or EncodeOptions()
    streams, masks = options.streams, options.masks
    crfs = options.quality.start(streams.codec)
    roi, non_roi = stream_settings(streams, options.run)
    find_ffmpeg()
    if is_pipe(source):
        _check_pipe_options(options)
    if workers:
        workers.prewarm(_workers_needed(options))
    given, container = source, format_of(Path(out or ""))
    if is_script(source):
        # A script changes the working directory while it runs, so nothing else may run at that time.
        given = open_clip(source, fps=options.source.fps)
    # A sequential reader does not suit two cases. The fill `hold` may request earlier frames again when caches are
    # full, and the reader has dropped them. Several chunks at a time need several read positions, and the reader has
    # one.
    sequential = streams.fill is not Fill.HOLD and options.run.jobs == 1

    def probe(picture: PictureFormat) -> Fill | None:
        """The fill of two streams. If it needs QP offsets, the encoder is first probed for them."""
        if not streams.single:
            return choose_fill(streams.fill, picture, (roi, non_roi), workers)
        if options.mapped:
            RoiEncoder(streams.codec, Fraction(0), map=True).check(picture, roi, workers)
        elif options.rate.searched or crfs[0] != crfs[1]:
            RoiEncoder(streams.codec, Fraction(1)).check(picture, roi, workers)
        return None

    # Two things run in parallel: the network is loaded while the clip is opened, and the encoder is probed while the
    # filter graph is built. The network takes its number of threads from VapourSynth's core when it is loaded.
    with ThreadPoolExecutor(3) as aside, limited_threads(options.run.threads):
        if masks.masks is None:
            aside.submit(preload, masks.model, masks.backend, classes=masks.needs_classes)
        file = None if isinstance(given, vs.VideoNode) or not Path(given).is_file() else Path(given)
        heard = aside.submit(plan_audio, file, options.source.audio, container.name) if file else None
        pipe = _opened_pipe(source, options.source)
        whole = open_source(given, options.source, sequential, options.run.jobs, pipe)
        clip = at_coded_size(whole, streams.coded_size, streams.task_model, options.run.jobs)
        picture = PictureFormat.of(clip)
        closing = _closing(options, picture, crfs)
        scale = 1 if streams.single else choose_scale(streams.non_roi_scale, streams.fill, picture, non_roi, crfs[1])
        answer = aside.submit(probe, picture)
        made = plan_masks(clip, options, closing, sequential, pipe, size := (whole.width, whole.height))
        fill = answer.result()
    return EncodePlan(
        source=None if isinstance(source, vs.VideoNode) else Path(source), options=options, clip=clip,
        source_size=size, picture=picture, masks=made.plan, grid=made.grid, offsets=made.offsets, crfs=crfs, fill=fill,
        non_roi_scale=scale, roi=roi, non_roi=non_roi,
        uniform=EncoderSettings(codec=streams.codec, preset=streams.preset, args=common_args(streams, options.run)),
        queue_depth=1 if options.run.low_latency else QUEUE_DEPTH, chunk_frames=_chunk_frames(options, clip.fps),
        timeline=timeline_of(clip) or (_timeline_of_file(file, clip) if file and options.source.fps is None else None),
        audio=heard.result() if heard else (), metadata=carried_metadata(file) if file else {},
        container=container, pipe=pipe,
    )  # fmt: skip


def _check_pipe_options(options: EncodeOptions) -> None:
    """Check that the options can be used with a pipe, before anything is read from it.

    Raises:
        SacValueError: An option needs a source that can be read more than once.
    """
    rate, work = options.rate, options.run
    given = {
        "match_crf": rate.match_crf is not None, "target_kbps": rate.target_kbps is not None,
        "fill hold": options.streams.fill is Fill.HOLD, "chunk": work.chunk is not None, "resume": work.resume,
        "jobs": work.jobs > 1, "track": options.source.track > 0,
    }  # fmt: skip
    for name, used in given.items():
        if used:
            message = f"{name} cannot be used with a pipe, which is read once and has one track; store it in a file"
            raise SacValueError(message, "encode")


def _opened_pipe(source: str | Path | vs.VideoNode, options: SourceOptions) -> Pipe | None:
    """The part of a pipe that is asked for; None if the source is not a pipe."""
    if isinstance(source, vs.VideoNode) or not is_pipe(source):
        return None
    pipe = open_pipe(source, fps=parse_fps(options.fps), strict=options.strict)
    return pipe.part(options.start or 0.0, options.end, options.frames) if options.cuts else pipe


def open_source(
    source: str | Path | vs.VideoNode,
    options: SourceOptions,
    sequential: bool,
    jobs: int = 1,
    pipe: Pipe | None = None,
) -> vs.VideoNode:
    """Open the part of a source that the options name, or check a clip or the part of a pipe that was opened.

    Raises:
        SacFormatError: The size or the frame rate is not accepted, or a clip is in no format that encoders take.
        SacError: See `open_clip`.
    """
    if pipe:
        clip = pipe.clip
    elif isinstance(source, vs.VideoNode):
        _check_encodable(source)
        clip = source
    else:
        clip = open_clip(source, fps=options.fps, track=options.track, sequential=sequential, strict=options.strict)
    if min(clip.width, clip.height) < BLOCK:
        raise SacFormatError(f"the video is {clip.width}x{clip.height}; accepted: {BLOCK}x{BLOCK} and up", "encode")
    if not SLOWEST <= clip.fps <= FASTEST:
        # Some recorders write the clock of the timestamps as the frame rate, such as 90000.
        accepted = f"{SLOWEST} to {FASTEST}; --fps says what it is"
        raise SacFormatError(f"the video has a frame rate of {clip.fps}; accepted: {accepted}", "encode")
    if options.strict:
        refuse_damage(clip, "encode")
    clip = clip if pipe else _trimmed(clip, options)
    pin_cache(clip, _SHARED_SOURCE * jobs)
    return clip


def at_coded_size(
    clip: vs.VideoNode,
    coded_size: str | tuple[int, int] | None,
    task_model: str | Path | None = None,
    jobs: int = 1,
) -> vs.VideoNode:
    """Return a clip at the size in which it is coded; it keeps its times, its damage and the part that it is.

    Args:
        clip: The source.
        coded_size: See `StreamOptions`.
        task_model: See `StreamOptions`.
        jobs: Number of read positions.

    Raises:
        SacError: The size is not accepted, or the network does not exist.
    """
    model = None if task_model is None else find_model(task_model)
    width, height = choose_coded_size(coded_size, clip, model)
    if (width, height) == (clip.width, clip.height):
        return clip
    scaled = converted(clip, scale_down(clip, width, height))
    pin_cache(scaled, _SHARED_SOURCE * jobs)
    return scaled


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


def _trimmed(clip: vs.VideoNode, options: SourceOptions) -> vs.VideoNode:
    """The part of a clip that is asked for.

    Raises:
        SacValueError: There is no frame in it.
    """
    if not options.cuts:
        return clip
    timeline = timeline_of(clip)
    times = timeline.seconds() if timeline else [n / clip.fps for n in range(clip.num_frames)]
    since = [float(time - times[0]) for time in times]
    first = bisect_left(since, options.start or 0.0)
    last = len(since) if options.end is None else bisect_left(since, options.end)
    if options.frames is not None:
        last = min(last, first + options.frames)
    if first >= last:
        message = f"there is no frame from {options.start or 0:g} s to {options.end or since[-1]:g} s"
        raise SacValueError(f"{message}; the video has {len(since)} frames and ends at {since[-1]:.3f} s", "encode")
    return trimmed(clip, first, last)


def _timeline_of_file(path: Path, clip: vs.VideoNode) -> Timeline | None:
    """The times of a file that a source plugin reads; None if it has other frames than the plugin found."""
    with opened(path) as file:
        timeline = read_timeline(file, 0)
    return timeline if timeline and len(timeline.pts) == clip.num_frames else None


def _workers_needed(options: EncodeOptions) -> int:
    """Number of workers of an encode: one for each stream that a ROI worker codes, and one for the probe."""
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


def _chunk_frames(options: EncodeOptions, fps: Fraction) -> int | None:
    if not options.run.chunked:
        return None
    seconds = _CHUNK_SECONDS if options.run.chunk is None else options.run.chunk
    return round(seconds * fps)
