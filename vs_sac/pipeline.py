"""The whole job: video → SAC file. Wires source, segmentation, masks, encoders and container together."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from shutil import rmtree

import vapoursynth as vs

from . import container, metrics, muxer
from .chunks import DEFAULT_SECONDS, identity, open_store
from .coding import Progress, code
from .decoding import decode
from .encoders import DEFAULT_CRF, EncoderSettings, PictureFormat, RoiEncoder, find_ffmpeg, pace_args, parse_args
from .errors import SacFormatError, SacValueError
from .graph import limited_threads, pin_cache
from .jobs import SHARED_GRID, Job, at_crfs, choose_fill, choose_scale, closed_gaps, in_chunks, to_size, uniform_stream
from .labels import LabelSet
from .mask_files import open_masks, write_masks
from .masks import BLOCK, blank_grid, close_gaps, hold_roi, roi_mask
from .motion import carry_grid
from .outputs import check_output, workspace
from .process import QUEUE_DEPTH, started_ahead
from .rates import OnTrial, RateChoice, RateTrial
from .segmentation import DEFAULT_MODEL, Backend, find_model, preload, segment
from .source import open_clip
from .types import Codec, Fill, Mode, parse_choice

__all__ = ["EncodeResult", "Progress", "RateTrial", "UniformResult", "byte_count", "decode", "encode",
           "encode_uniform", "open_masks", "write_masks"]  # fmt: skip

#: Frames that the source keeps for the streams that share it: more than are ever in flight.
_SHARED_SOURCE = 10


@dataclass(frozen=True)
class EncodeResult:
    """What `encode` did.

    Attributes:
        info: What the file says about itself.
        bytes: Bytes by track, of audio, and of the file.
        roi_share: Share of macroblocks that are ROI, 0–1.
        encoder: Which encoder ran.
        trials: The encodes made to reach a size, in order; the file is the closest. Empty where CRFs were given.
    """

    info: container.SacInfo
    bytes: dict[str, int]
    roi_share: float
    encoder: str
    trials: tuple[RateTrial, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """The result as plain values, for JSON."""
        tags = {key.removeprefix("SAC_").lower(): value for key, value in self.info.tags().items()}
        rate = self.bytes["file"] * 8 * float(self.info.fps) / self.info.frames / 1000
        trials = {"trials": [asdict(trial) for trial in self.trials]} if self.trials else {}
        return {"output": str(self.info.path), **tags, "encoder": self.encoder, "roi_share": self.roi_share,
                "bytes": self.bytes, "bitrate_kbps": rate, **trials}  # fmt: skip


@dataclass(frozen=True)
class UniformResult:
    """What `encode_uniform` did.

    Attributes:
        path: The file.
        crf: CRF of all of it.
        frames: Its length.
        bytes: What the file weighs.
        encoder: Which encoder ran.
    """

    path: Path
    crf: float
    frames: int
    bytes: int
    encoder: str


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
    preset: str = "medium",
    fill: Fill | str | None = None,
    non_roi_filter: float = 0.0,
    non_roi_scale: int | None = None,
    roi_hold: int = 0,
    roi_close: int | None = None,
    masks: str | Path | vs.VideoNode | None = None,
    labels: LabelSet | str | None = None,
    model: str | Path = DEFAULT_MODEL,
    threshold: float | None = None,
    backend: Backend | str = Backend.AUTO,
    every: int | None = None,
    encoder_args: str | Sequence[str] = "",
    encoder_args_roi: str | Sequence[str] = "",
    encoder_args_non_roi: str | Sequence[str] = "",
    fps: Fraction | str | None = None,
    audio: bool = True,
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

    The graph is evaluated once per frame; ROI, non-ROI and mask go to three encoder processes that run at the
    same time, or in the mode single-stream the video and the mask to two.

    With `match_crf` or `target_kbps` a CRF is found instead of given, by at most `matching.MOST_TRIALS` encodes, so
    that the file without its audio weighs what is wanted within `matching.TOLERANCE`: that of the non-ROI where
    `crf_roi` is given, that of the ROI where `crf_non_roi` is given, else both, which then keep their distance. Masks
    are computed once, and of two streams only the one that changed is coded again. Where the encodes are used up the
    closest is kept; its distance is in the result.

    Args:
        source: Video file, folder of images, printf pattern, or a clip as `open_clip` gives it.
        out: The Matroska file to write.
        codec: Encoder of the video.
        mode: ``two-stream``: ROI and non-ROI in streams of their own. ``single-stream``: one stream whose macroblocks
            are quantized by the region they belong to.
        crf_roi: CRF of the ROI, 0–51; default 18 (x264) or 23 (x265), the paper's.
        crf_non_roi: CRF of the non-ROI; default 27 or 32.
        crf_gap: Instead of one of the CRFs, its distance: the non-ROI's less the ROI's; default 9.
        match_crf: Weigh as much as a uniform encode at this CRF by the same encoder in its preset's settings.
        target_kbps: Weigh as much as this bitrate makes, in kbit/s.
        preset: Encoder preset.
        fill: What stands in the masked-out part of each of two streams; default coarse where that works (x264 with
            adaptive quantization and CRF), else grey.
        non_roi_filter: Strength of a low-pass on the non-ROI before it is coded, see `streams.soften`.
        non_roi_scale: What the sides of the non-ROI are divided by before it is coded, 1 or 2, of two streams; see
            `half_size`. Default: 2 where that measured better, for large pictures at high CRFs without further options
            for the encoders' quantizers, else 1.
        roi_hold: For how many frames a block stays ROI after it has left it, see `masks.hold_roi`.
        roi_close: By how many blocks gaps in the ROI are closed from either side, see `masks.close_gaps`. Default:
            `jobs.closed_gaps` for the network's masks in two streams; 0 for masks that are given, for a single stream,
            and with the paper's fill.
        masks: Masks to use instead of the network: a mask video (255 = ROI), a SAC file, or with `labels` a
            sequence of label images; or a mask clip.
        labels: Encoding of label images given as `masks`.
        model: Network, by name or path.
        threshold: Probability from which a pixel is non-ROI; see `segment`.
        backend: How the network runs; see `segment`.
        every: Run the network on every n-th frame, and let motion carry the masks between; see `motion.carry_grid`.
            Default: the frames of 0.3 s.
        encoder_args: Further options in the encoder's own form, for every stream.
        encoder_args_roi: The same for the ROI stream only.
        encoder_args_non_roi: The same for the non-ROI stream only.
        fps: Frame rate of an image sequence.
        audio: Carry over the source's audio.
        chunk: Code in chunks of that many seconds, which stay in a folder beside `out` until all are done.
        resume: Go on with the chunks that an encode left which was stopped; chunks of 10 s by default.
        jobs: Code so many chunks at the same time, each by encoders of its own which share the threads; chunks of 10 s
            by default. The file is the same as with one job whose encoders have as many threads each.
        threads: Processors that the whole job may use: VapourSynth's threads, the decoder's, and the encoders', who
            share them. All by default.
        low_latency: A frame's packet leaves the encoder before the next frame comes (the encoders' tune zerolatency, no
            lookahead), and at most one frame waits for it. Costs bytes.
        force: Overwrite `out`, and chunks that an encode left.
        progress: Called as frames are done, from the start again for every encode.
        on_trial: Called after each encode on the way to a size.

    Returns:
        What was written.

    Raises:
        SacError: Bad arguments, unreadable input, a missing plugin or program, an encoder that failed, or a size that
            no accepted CRF gives. In every case `out` is as it was.
    """
    out = Path(out)
    codec, mode = parse_choice(Codec, codec, "encode"), parse_choice(Mode, mode, "encode")
    single = mode is Mode.SINGLE_STREAM
    for name, value in {"fill": fill, "non_roi_scale": non_roi_scale, "encoder_args_roi": encoder_args_roi,
                        "encoder_args_non_roi": encoder_args_non_roi}.items():  # fmt: skip
        if single and value:
            raise SacValueError(f"{name} has no meaning in the mode single-stream, which has one stream", "encode")
    asked = None if fill is None else parse_choice(Fill, fill, "encode")
    choice = RateChoice(default=DEFAULT_CRF[codec], crf_roi=crf_roi, crf_non_roi=crf_non_roi, gap=crf_gap,
                        match_crf=match_crf, kbps=target_kbps)  # fmt: skip
    common = (*_pace(codec, mode, jobs, threads, low_latency), *parse_args(encoder_args))
    if low_latency and sum(name == "tune" for name, _ in common) > 1:
        raise SacValueError("low latency is a tune of the encoder, which takes one; leave out --tune", "encode")
    roi, non_roi = (
        EncoderSettings(codec=codec, crf=crf, preset=preset, args=common + parse_args(own))
        for crf, own in zip(choice.start, (encoder_args_roi, encoder_args_non_roi), strict=True)
    )
    if out.suffix.lower() != ".mkv":
        raise SacValueError(f"{out} must end in .mkv: a SAC file is Matroska", "encode")
    check_output(out, force=force, func="encode")
    find_ffmpeg()
    # One encoder for each stream and one that is asked what it obeys; two streams have others where the fill is not the
    # encoder's, and x265 is asked only for a single one.
    coarse = codec is Codec.X264 and asked in (None, Fill.COARSE)
    ahead = 2 if single else 3 if coarse else 2 if codec is Codec.X265 else 0
    with started_ahead(RoiEncoder.program(), ahead):
        # A reader in order has let go of what a fill that looks back may ask for again where caches ran full, and it
        # stands at one place, while several chunks need many.
        in_order = asked is not Fill.HOLD and jobs == 1

        def ask_encoder(picture: PictureFormat) -> Fill | None:
            if not single:
                return choose_fill(asked, picture, roi, non_roi)
            if choice.searched or roi.crf != non_roi.crf:
                RoiEncoder(codec, Fraction(1)).check(picture, roi)
            return None

        # The network, whose threads are the core's of now, is loaded while the clip is opened, and the encoder shows
        # whether it obeys offsets while the graph is built.
        with ThreadPoolExecutor(2) as aside, limited_threads(threads):
            if masks is None:
                aside.submit(preload, model, backend)
            clip = _open(source, fps, in_order, jobs)
            picture = PictureFormat.of(clip)
            closed = roi_close
            if closed is None:
                kept = single or masks is not None or asked is Fill.BLACK
                closed = 0 if kept else closed_gaps(picture, codec, choice.start)
            scale = 1 if single else choose_scale(non_roi_scale, asked, picture, non_roi)
            answer = aside.submit(ask_encoder, picture)
            name, grid = _grid(clip, masks, labels, model, threshold, backend, every, in_order)
            grid = close_gaps(hold_roi(grid, roi_hold), closed)
            filled = answer.result()
        job = Job(clip=clip, model=name, mode=mode, fill=filled, roi=roi, non_roi=non_roi,
                  uniform=replace(roi, args=common), non_roi_filter=non_roi_filter, non_roi_scale=scale,
                  depth=1 if low_latency else QUEUE_DEPTH)  # fmt: skip
        file = Path(source) if isinstance(source, str | Path) and Path(source).is_file() else None
        store, length = None, 0
        if chunk is not None or resume or jobs > 1:
            if choice.searched:
                raise SacValueError("chunks are kept of an encode at given CRFs, not of a search for a size", "encode")
            length = round((chunk if chunk is not None else DEFAULT_SECONDS) * clip.fps)
            commands = [s.encoder.command(picture, s.settings, Path("out")) for s in job.streams(grid, choice.start)]
            inputs = {"source": source, "masks": masks, "model": find_model(model).path if masks is None else None}
            how = {"mode": mode, "fill": filled, "filter": non_roi_filter, "scale": scale, "hold": roi_hold,
                   "close": closed, "every": every, "labels": labels, "threshold": threshold, "chunk": length,
                   "encoder": commands, "size": [clip.width, clip.height, clip.num_frames]}  # fmt: skip
            store = open_store(out, {**how, **_identities(inputs)}, resume=resume, force=force)

        def ask_source() -> tuple[Path | None, tuple[int, ...]]:
            """Where the audio is, and when frames are shown where that is not by a constant rate."""
            sound = file if audio and file and container.has_audio(file) else None
            return sound, container.shown_times(file, clip.num_frames, clip.fps) if file and fps is None else ()

        with (
            limited_threads(threads),
            workspace(out, force=force, func="encode") as work,
            ThreadPoolExecutor(1) as aside,
        ):
            heard = aside.submit(ask_source)
            if store is not None:
                coded = in_chunks(job, grid, choice, work.folder, progress, store, length, jobs)
            else:
                way = to_size if choice.searched else at_crfs
                coded = way(job, grid, choice, work.folder, progress, on_trial)
            sound, times = heard.result()
            written = muxer.write(work.result, coded.tracks, replace(coded.info, times=times), work.folder, sound)
            sizes = written.track_bytes()
        if store is not None:
            rmtree(store, ignore_errors=True)
        return EncodeResult(replace(written, path=out), sizes, coded.roi_share, coded.encoder, coded.trials)


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
    fps: Fraction | str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> UniformResult:
    """Encode a video the ordinary way, one quality everywhere, to compare with.

    Encoder, its default options and the multiplexer are those of `encode`, so that nothing but the regions differs.

    Args:
        source: Video file, folder of images, printf pattern, or a clip as `open_clip` gives it.
        out: The Matroska file to write: one video track, no audio.
        codec: Encoder.
        crf: CRF of everything, 0–51.
        mode: Which of `encode`'s modes it is to be compared with; they may use different encoders.
        fill: Which fill it is to be compared with, for the same reason.
        preset: Encoder preset.
        encoder_args: Further options in the encoder's own form.
        fps: Frame rate of an image sequence.
        force: Overwrite `out`.
        progress: Called as frames are done.

    Returns:
        What was written.

    Raises:
        SacError: Bad arguments, unreadable input, a missing program, or an encoder that failed. In every case `out`
            is as it was.
    """
    out = Path(out)
    codec, mode = parse_choice(Codec, codec, "encode_uniform"), parse_choice(Mode, mode, "encode_uniform")
    settings = EncoderSettings(codec=codec, crf=crf, preset=preset, args=parse_args(encoder_args))
    if out.suffix.lower() != ".mkv":
        raise SacValueError(f"{out} must end in .mkv", "encode_uniform")
    check_output(out, force=force, func="encode_uniform")
    clip = _open(source, fps, in_order=True)
    fill = None if mode is Mode.SINGLE_STREAM else choose_fill(fill, PictureFormat.of(clip), settings, settings)
    stream = uniform_stream(clip, mode, settings, fill)
    with workspace(out, force=force, func="encode_uniform") as work:
        # No offset is in use, so any grid will do.
        grid = blank_grid(clip)
        (coded,), _ = code([stream], grid, work.folder, progress=progress)
        muxer.write_video(work.result, muxer.Track(stream.track, coded), clip.fps)
    return UniformResult(out, crf, int(clip.num_frames), out.stat().st_size, stream.encoder.name)


def _pace(
    codec: Codec, mode: Mode, jobs: int, threads: int | None, low_latency: bool
) -> tuple[tuple[str, str | None], ...]:
    """Options of each encoder that keep all of them together within the threads, and within the latency."""
    for name, value in {"threads": threads, "jobs": jobs}.items():
        if value is not None and value < 1:
            raise SacValueError(f"{name} {value}; accepted: from 1", "encode")
    each = threads
    if jobs > 1:
        each = max(1, (threads or vs.core.num_threads) // jobs)
    if each is not None and mode is Mode.TWO_STREAM:
        # One more than its half: regions differ, and what one encoder leaves is the other's.
        each = min(each, each // 2 + 1)
    return pace_args(codec, each, low_latency)


def _open(source: str | Path | vs.VideoNode, fps: Fraction | str | None, in_order: bool, jobs: int = 1) -> vs.VideoNode:
    clip = source if isinstance(source, vs.VideoNode) else open_clip(source, fps=fps, in_order=in_order)
    if min(clip.width, clip.height) < BLOCK:
        raise SacFormatError(f"the video is {clip.width}x{clip.height}; accepted: {BLOCK}x{BLOCK} and up", "encode")
    if not container.SLOWEST <= clip.fps <= container.FASTEST:
        # Some recorders leave the clock of the timestamps where the rate belongs, 90000 for one.
        accepted = f"{container.SLOWEST} to {container.FASTEST}; --fps says what it is"
        raise SacFormatError(f"the video has a frame rate of {clip.fps}; accepted: {accepted}", "encode")
    pin_cache(clip, _SHARED_SOURCE * jobs)
    return clip


def _grid(
    clip: vs.VideoNode,
    masks: str | Path | vs.VideoNode | None,
    labels: LabelSet | str | None,
    model: str | Path,
    threshold: float | None,
    backend: Backend | str,
    every: int | None,
    in_order: bool,
) -> tuple[str, vs.VideoNode]:
    """Name of the model or of the masks' source, and the block grid."""
    if masks is None:
        name = find_model(model).name
        mask = roi_mask(segment(clip, model=model, threshold=threshold, backend=backend))
        grid = carry_grid(clip, mask, every)
    else:
        if every is not None:
            raise SacValueError("every has no meaning where masks are given: each frame has its own", "encode")
        name = "clip" if isinstance(masks, vs.VideoNode) else f"masks:{Path(masks).name}"
        grid = open_masks(masks, clip, labels=labels, in_order=in_order)
    # Held blocks look back at grids of earlier frames.
    pin_cache(grid, SHARED_GRID)
    return name, grid


def _identities(inputs: Mapping[str, object]) -> dict[str, object]:
    """What tells whether inputs are the same when an encode goes on."""
    for name, value in inputs.items():
        if isinstance(value, vs.VideoNode):
            raise SacValueError(f"chunks can be kept for files only; {name} is a clip", "encode")
    return {name: value and identity(Path(str(value))) for name, value in inputs.items()}


def byte_count(sizes: Mapping[str, int]) -> "metrics.ByteCount":
    """What a SAC file weighs, without its audio, from `SacInfo.track_bytes`; what no track holds is the container's.

    A single stream does not say how much of it is ROI.
    """
    total = sizes["file"] - sizes["audio"]
    tracks = sum(size for name, size in sizes.items() if name not in ("file", "audio"))
    return metrics.ByteCount(
        total=total, roi=sizes.get(container.ROI_TRACK), non_roi=sizes.get(container.NON_ROI_TRACK),
        mask=sizes[container.MASK_TRACK], container=total - tracks,
    )  # fmt: skip
