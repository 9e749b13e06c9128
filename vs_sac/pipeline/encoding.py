"""Encoding: `run` executes an `EncodePlan`, `encode` plans and runs, `encode_uniform` uses one CRF everywhere."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from shutil import rmtree

import vapoursynth as vs

from ..container import writer
from ..container.info import MASK_TRACK, RateGoal, SacInfo
from ..container.muxer import MP4, format_of
from ..container.writer import mask_file_of
from ..core.arguments import check_path, check_source
from ..core.choices import AudioMode, BlockMap, Caution, Codec, Fill, Mode, parse_choice
from ..core.clips import limited_threads
from ..core.errors import SacFormatError, SacValueError
from ..core.labels import LabelSet
from ..core.outputs import Workspace, check_outputs, workspace
from ..core.progress import Progress
from ..encoders.base import HIGHEST_CRF, EncoderSettings, PictureFormat, parse_args
from ..encoders.ffmpeg import LosslessEncoder, ffv1_command
from ..encoders.registry import find_ffmpeg
from ..encoders.worker_pool import WorkerPool
from ..masks.grid import blank_grid
from ..segmentation.registry import DEFAULT_MODEL
from ..segmentation.runtimes import Backend
from ..source.images import input_files
from ..source.opening import open_raw
from ..source.video import report_damage, timeline_of
from .chunks import code_chunks, join, open_store
from .coded_streams import coded_streams, uniform_stream
from .encoder_settings import choose_fill
from .feeding import Recoder, Stream, run_encoders
from .options import CrfPair, EncodeOptions, SourceOptions
from .output_checks import check_sac_output, encode_inputs
from .plan_report import describe, plan_lines, resume_key
from .planning import EncodePlan, at_coded_size, open_source, plan
from .rate_control import OnTrial, RateTrial, find_crfs
from .results import EncodeResult, UniformResult

__all__ = ["encode", "encode_uniform", "run"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Coded:
    """The coded tracks, ready to be multiplexed.

    Attributes:
        tracks: The tracks, in order.
        info: Contents of the tags.
        roi_share: Share of the macroblocks that are ROI, in [0, 1].
        encoder: Name of the encoder.
        trials: Encodes that the search for a size made.
    """

    tracks: list[writer.Track]
    info: SacInfo
    roi_share: float
    encoder: str
    trials: tuple[RateTrial, ...] = ()


def encode(
    source: str | Path | vs.VideoNode,
    out: str | Path,
    *,
    codec: Codec | str = Codec.X264,
    mode: Mode | str = Mode.TWO_STREAM,
    crf_roi: float | None = None,
    crf_non_roi: float | None = None,
    crf_gap: float | None = None,
    match_crf: float | None = None,
    target_kbps: float | None = None,
    crf: float | None = None,
    preset: str = "medium",
    fill: Fill | str | None = None,
    non_roi_filter: float = 0.0,
    non_roi_scale: int | None = None,
    coded_size: str | tuple[int, int] | None = None,
    task_model: str | Path | None = None,
    roi_hold: int = 0,
    roi_close: int | None = None,
    map: BlockMap | str | vs.VideoNode = BlockMap.ROI,
    tiers: str | Path | Mapping[str, float] = "driving",
    map_strength: float = 1.0,
    importance: str | Path | None = None,
    masks: str | Path | vs.VideoNode | None = None,
    labels: LabelSet | str | None = None,
    model: str | Path = DEFAULT_MODEL,
    threshold: float | None = None,
    caution: Caution | str | None = None,
    backend: Backend | str = Backend.AUTO,
    every: int | None = None,
    encoder_args: str | Sequence[str] = "",
    encoder_args_roi: str | Sequence[str] = "",
    encoder_args_non_roi: str | Sequence[str] = "",
    track: int = 0,
    start: float | None = None,
    end: float | None = None,
    frames: int | None = None,
    fps: Fraction | str | None = None,
    audio: AudioMode | str | bool = AudioMode.COPY,
    strict: bool = False,
    chunk: float | None = None,
    resume: bool = False,
    jobs: int = 1,
    threads: int | None = None,
    low_latency: bool = False,
    force: bool = False,
    progress: Progress | None = None,
    on_trial: OnTrial | None = None,
) -> EncodeResult:
    """Encode a driving video into a SAC file (paper Fig. 2b).

    This function calls `plan` and `run` with flat keywords. Every frame is rendered once. ROI, non-ROI and mask go to
    three encoder processes that run at the same time. In single-stream mode, video and mask go to two.

    With `match_crf` or `target_kbps`, a search finds the CRFs at which the file without its audio has the wanted size,
    within `crf_search.TOLERANCE`, in at most `crf_search.MOST_TRIALS` encodes; after these the closest one is kept. The
    masks are computed once, and of two streams only the one whose settings changed is coded again.

    Args:
        source: Video file, folder of images, printf pattern, VapourSynth script, pipe (``-`` or a FIFO), or a clip from
            `open_clip`.
        out: The Matroska file to write, or, in single-stream mode, an .mp4 file; see `run`.
        codec: See `StreamOptions`, as for `mode`, `preset`, `fill`, `non_roi_filter`, `non_roi_scale`, `coded_size`,
            `task_model` and `encoder_args`, `encoder_args_roi`, `encoder_args_non_roi`.
        mode: See `StreamOptions`.
        crf_roi: See `RateControl`, as for `crf_non_roi`, `crf_gap`, `match_crf` and `target_kbps`.
        crf_non_roi: See `RateControl`.
        crf_gap: See `RateControl`.
        match_crf: See `RateControl`.
        target_kbps: See `RateControl`.
        crf: See `RateControl`.
        preset: See `StreamOptions`.
        fill: See `StreamOptions`.
        non_roi_filter: See `StreamOptions`.
        non_roi_scale: See `StreamOptions`.
        coded_size: See `StreamOptions`.
        task_model: See `StreamOptions`.
        roi_hold: See `MaskOptions`, as for `roi_close`, `masks`, `labels`, `model`, `threshold`, `backend`, `every`.
        roi_close: See `MaskOptions`.
        map: See `MaskOptions`, as for `tiers`, `map_strength` and `importance`.
        tiers: See `MaskOptions`.
        map_strength: See `MaskOptions`.
        importance: See `MaskOptions`.
        masks: See `MaskOptions`.
        labels: See `MaskOptions`.
        model: See `MaskOptions`.
        threshold: See `MaskOptions`.
        caution: See `MaskOptions`.
        backend: See `MaskOptions`.
        every: See `MaskOptions`.
        encoder_args: See `StreamOptions`.
        encoder_args_roi: See `StreamOptions`.
        encoder_args_non_roi: See `StreamOptions`.
        track: See `SourceOptions`, as for `start`, `end`, `frames`, `fps`, `audio` and `strict`.
        start: See `SourceOptions`.
        end: See `SourceOptions`.
        frames: See `SourceOptions`.
        fps: See `SourceOptions`.
        audio: See `SourceOptions`.
        strict: See `SourceOptions`.
        chunk: See `RunOptions`, as for `resume`, `jobs`, `threads` and `low_latency`.
        resume: See `RunOptions`.
        jobs: See `RunOptions`.
        threads: See `RunOptions`.
        low_latency: See `RunOptions`.
        force: Overwrite `out`, and delete chunks of an earlier encode.
        progress: Called after each frame. The count starts again with every encode of a search.
        on_trial: Called after each encode of a search for a size.

    Returns:
        Properties of the written file.

    Raises:
        SacError: Bad arguments, unreadable input, a missing plugin or program, an encoder that failed, or a size that
            no accepted CRF gives. In every case `out` is unchanged.
    """
    given = locals()
    check_source(source, "source", "encode")
    check_path(out, "out", "encode")
    options = EncodeOptions.from_flat(**{name: given[name] for name in EncodeOptions.flat_defaults()})
    check_sac_output(Path(out), encode_inputs(source, options), force=force, mode=options.streams.mode)
    with WorkerPool() as workers:
        planned = plan(source, options, out=out, workers=workers)
        return run(planned, out, force=force, progress=progress, on_trial=on_trial, workers=workers)


def run(
    plan: EncodePlan,
    out: str | Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
    on_trial: OnTrial | None = None,
    workers: WorkerPool | None = None,
) -> EncodeResult:
    """Execute a plan.

    Args:
        plan: Result of `plan`.
        out: The Matroska file to write, or, in single-stream mode, an .mp4 file. The mask of an MP4 is written to a
            file beside it, such as drive.mask.mkv. An MP4 must have been named to `plan`.
        force: Overwrite the outputs, and delete chunks of an earlier encode.
        progress: Called after each frame. The count starts again with every encode of a search.
        on_trial: Called after each encode of a search for a size.
        workers: Pool that provides prewarmed workers.

    Returns:
        Properties of the written file.

    Raises:
        SacError: An encoder failed, a frame cannot be read, or no accepted CRF gives the size. In every case `out` is
            unchanged.
    """
    check_path(out, "out", "run")
    out = Path(out)
    check_sac_output(out, encode_inputs(plan.source, plan.options), force=force, mode=plan.mode)
    if format_of(out) is not plan.container:
        raise SacValueError(f"the plan is for {plan.container.name}; name {out} to `plan` as its out", "run")
    if _log.isEnabledFor(logging.INFO):
        for line in plan_lines(describe(plan)):
            _log.info("%s", line)
    resume = plan.options.run.resume
    store = None
    if plan.chunk_frames is not None:
        store = open_store(out, resume_key(plan), resume=resume, force=force)
    mask_out = mask_file_of(out)
    with (
        limited_threads(plan.options.run.threads),
        workspace(out, force=force, func="encode") as work,
        workspace(mask_out, force=force, func="encode") if mask_out else nullcontext() as beside,
    ):
        if store is not None:
            coded = _run_in_chunks(plan, work.folder, store, progress, workers)
        elif plan.options.rate.searched:
            coded = _SizeSearch(plan, work, progress, on_trial, workers).run()
        else:
            coded = _run_once(plan, work.folder, progress, workers)
        timeline = plan.timeline
        info = replace(coded.info, times=timeline.milliseconds() if timeline else ())
        times = timeline.seconds() if timeline else None
        audio, metadata, cut = plan.audio, plan.metadata, plan.options.source.cuts
        if beside:
            written, sizes = writer.write_mp4(work.result, beside.result, coded.tracks, info, times=times, audio=audio,
                                              metadata=metadata, cut_audio=cut)  # fmt: skip
        else:
            written = writer.write(work.result, coded.tracks, info, times=times, audio=audio, metadata=metadata,
                                   cut_audio=cut)  # fmt: skip
            sizes = written.track_bytes()
    if store is not None:
        rmtree(store, ignore_errors=True)
    damage = plan.pipe.report_damage() if plan.pipe else report_damage(plan.clip)
    return EncodeResult(
        replace(written, path=out), sizes, coded.roi_share, coded.encoder, coded.trials, damage, mask_out
    )


def _run_once(plan: EncodePlan, folder: Path, progress: Progress | None, workers: WorkerPool | None) -> _Coded:
    """Encode once, at the plan's CRFs."""
    streams, mask = coded_streams(plan, plan.grid, plan.crfs), folder / "mask.mkv"
    paths, share = run_encoders(streams, plan.grid, folder, mask=_mask_command(mask), progress=progress,
                                depth=plan.queue_depth, workers=workers, pipe=plan.pipe)  # fmt: skip
    if plan.pipe and plan.masks.frames not in (None, plan.frames):
        raise SacFormatError(f"there are {plan.masks.frames} masks for {plan.frames} frames", "encode")
    return _Coded(_tracks(streams, paths, mask), plan.info(plan.crfs), share, streams[0].encoder.name)


def _run_in_chunks(
    plan: EncodePlan, folder: Path, store: Path, progress: Progress | None, workers: WorkerPool | None
) -> _Coded:
    """Encode at the plan's CRFs in chunks that `store` keeps; see `chunks`."""
    assert plan.chunk_frames is not None
    streams = coded_streams(plan, plan.grid, plan.crfs)

    def code_part(start: int, stop: int, part: Path, step: Callable[[int], None]) -> tuple[list[Path], float]:
        parts = [
            replace(s, clip=s.clip[start:stop], grid=None if s.grid is None else s.grid[start:stop]) for s in streams
        ]
        mask = part / "mask.mkv"
        paths, share = run_encoders(
            parts, plan.grid[start:stop], part, mask=_mask_command(mask), progress=lambda done, _: step(done),
            depth=plan.queue_depth, workers=workers,
        )  # fmt: skip
        return [*paths, mask], share

    jobs = plan.options.run.jobs
    chunks = code_chunks(store, plan.frames, plan.chunk_frames, code_part, jobs=jobs, progress=progress)
    *paths, mask = (join(store, chunks, n, plan.clip.fps, folder) for n in range(len(streams) + 1))
    share = sum(chunk.share * chunk.frames for chunk in chunks) / plan.frames
    return _Coded(_tracks(streams, paths, mask), plan.info(plan.crfs), share, streams[0].encoder.name)


class _SizeSearch:
    """Encodes a plan at the CRFs that give the wanted size. `run` raises what `find_crfs` raises."""

    def __init__(
        self,
        plan: EncodePlan,
        work: Workspace,
        progress: Progress | None,
        on_trial: OnTrial | None,
        workers: WorkerPool | None,
    ) -> None:
        self._plan, self._folder, self._progress = plan, work.folder, progress
        self._on_trial, self._workers = on_trial, workers
        self._mask, self._trial = work.folder / "mask.mkv", work.folder / f"trial{work.result.suffix}"

    def _offsets_stream(self, offsets: vs.VideoNode) -> Stream:
        """The QP offsets as a file, so that the network does not run again."""
        return Stream("offsets", offsets, LosslessEncoder(find_ffmpeg()), self._plan.uniform, 0.0)

    def run(self) -> _Coded:
        """Write the masks and determine the wanted size, then search."""
        plan = self._plan
        rate, fps = plan.options.rate, plan.clip.fps
        uniform = []
        if rate.match_crf is not None:
            # The uniform encode uses the preset's own settings, because these define what users expect of a CRF.
            uniform = [uniform_stream(plan.clip, plan.mode, plan.uniform, rate.match_crf, plan.fill, plain=True)]
        # The network runs only in this pass. Later passes read the masks from the mask track, and offsets from a file.
        kept = [] if plan.offsets is None else [self._offsets_stream(plan.offsets)]
        paths, share = run_encoders([*uniform, *kept], plan.grid, self._folder, mask=_mask_command(self._mask),
                                    progress=self._progress, workers=self._workers)  # fmt: skip
        if rate.match_crf is not None:
            writer.write_video(self._trial, _track(uniform[0], paths[0]), fps, container=plan.container)
            goal = RateGoal(self._trial.stat().st_size, match_crf=rate.match_crf)
            if self._on_trial:
                self._on_trial(RateTrial(rate.match_crf, None, goal.bytes, 0.0))
        else:
            assert rate.target_kbps is not None
            bytes_wanted = max(1, round(rate.target_kbps * 125 * plan.frames / fps))
            goal = RateGoal(bytes_wanted, kbps=rate.target_kbps)
        recoder = Recoder(open_raw(self._mask, fps=fps), self._folder, self._progress, self._workers)
        offsets = vs.core.std.ShufflePlanes(open_raw(paths[-1], fps=fps), 0, vs.GRAY) if kept else None

        def coded(crfs: CrfPair) -> _Coded:
            streams = coded_streams(plan, recoder.grid, crfs, offsets)
            tracks = _tracks(streams, recoder.encode(streams), self._mask)
            return _Coded(tracks, plan.info(crfs, goal), share, streams[0].encoder.name)

        def encoded_size(crfs: CrfPair) -> int:
            made = coded(crfs)
            if plan.container is MP4:
                _, sizes = writer.write_mp4(self._trial, self._trial.with_suffix(".mask.mkv"), made.tracks, made.info)
                return sizes["file"] + sizes["mask_file"]
            writer.write(self._trial, made.tracks, made.info)
            return self._trial.stat().st_size

        crfs, trials = find_crfs(plan.options.quality, plan.codec, goal.bytes, encoded_size, self._on_trial)
        return replace(coded(crfs), trials=trials)


def _mask_command(out: Path) -> list[str]:
    return ffv1_command(find_ffmpeg(), out)


def _tracks(streams: Sequence[Stream], paths: Sequence[Path], mask: Path) -> list[writer.Track]:
    tracks = [_track(stream, path) for stream, path in zip(streams, paths, strict=True)]
    return [*tracks, writer.Track(MASK_TRACK, mask)]


def _track(stream: Stream, path: Path) -> writer.Track:
    """A coded stream as a track. The stream itself states its colour; many programs look for HDR in the track only."""
    return writer.Track(stream.track, path, stream.picture if stream.picture.hdr else None)


def encode_uniform(
    source: str | Path | vs.VideoNode,
    out: str | Path,
    *,
    codec: Codec | str = Codec.X264,
    crf: float,
    mode: Mode | str = Mode.TWO_STREAM,
    fill: Fill | str | None = None,
    preset: str = "medium",
    encoder_args: str | Sequence[str] = "",
    coded_size: str | tuple[int, int] | None = None,
    fps: Fraction | str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> UniformResult:
    """Encode a video with one CRF for the whole picture, as a reference for comparisons.

    Encoder, default options and multiplexer are those of `encode`, so that only the regions differ.

    Args:
        source: Video file, folder of images, printf pattern, or a clip from `open_clip`.
        out: The Matroska file to write: one video track, no audio.
        codec: Encoder.
        crf: CRF of the whole picture, 0–51.
        mode: The mode of `encode` to compare with. The modes may use different builds of an encoder.
        fill: The fill of `encode` to compare with, for the same reason.
        preset: Encoder preset.
        encoder_args: Further encoder options in the encoder's own syntax.
        coded_size: See `StreamOptions`; a player shows the picture in this size.
        fps: Frame rate of an image sequence.
        force: Overwrite `out`.
        progress: Called after each frame.

    Returns:
        Properties of the written file.

    Raises:
        SacError: Bad arguments, unreadable input, a missing program, or an encoder that failed. In every case `out` is
            unchanged.
    """
    check_source(source, "source", "encode_uniform")
    check_path(out, "out", "encode_uniform")
    out = Path(out)
    codec, mode = parse_choice(Codec, codec, "encode_uniform"), parse_choice(Mode, mode, "encode_uniform")
    if not 0 <= crf <= HIGHEST_CRF:
        raise SacValueError(f"CRF {crf} is outside 0-{HIGHEST_CRF:g}", "encode_uniform")
    settings = EncoderSettings(codec=codec, preset=preset, args=parse_args(encoder_args))
    if out.suffix.lower() != ".mkv":
        raise SacValueError(f"{out} must end in .mkv", "encode_uniform")
    check_outputs({"out": out}, {"source": input_files(source)}, force=force, func="encode_uniform")
    clip = at_coded_size(open_source(source, SourceOptions(fps=fps), sequential=True), coded_size)
    asked = None if fill is None else parse_choice(Fill, fill, "encode_uniform")
    if mode is Mode.TWO_STREAM:
        asked = choose_fill(asked, PictureFormat.of(clip), (settings, settings))
    stream = uniform_stream(clip, mode, settings, crf, asked)
    with workspace(out, force=force, func="encode_uniform") as work:
        # The encoder uses no offsets, so any grid works.
        (coded,), _ = run_encoders([stream], blank_grid(clip), work.folder, progress=progress)
        timeline = timeline_of(clip)
        writer.write_video(work.result, _track(stream, coded), clip.fps,
                           times=timeline.seconds() if timeline else None)  # fmt: skip
    return UniformResult(out, crf, int(clip.num_frames), out.stat().st_size, stream.encoder.name)
