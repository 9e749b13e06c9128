"""The whole job: video → SAC file → video. Wires source, segmentation, masks, encoders and container together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import vapoursynth as vs

from . import container
from .coding import Progress, code, feed, frame_chunks
from .encoders import (
    DEFAULT_CRF,
    EncoderSettings,
    PictureFormat,
    RoiEncoder,
    ffv1_command,
    find_encoder,
    find_ffmpeg,
    parse_args,
)
from .errors import SacFileError, SacFormatError, SacValueError
from .graph import pin_cache
from .jobs import SHARED_GRID, Job, at_crfs, choose_fill, to_size, uniform_stream
from .labels import LabelSet
from .masks import BLOCK, block_grid, grey_tones, grid_size, hold_roi, roi_mask
from .metrics import ByteCount
from .outputs import check_output, workspace
from .process import ProcessGroup, run
from .rates import OnTrial, RateChoice, RateTrial
from .segment import DEFAULT_MODEL, Backend, find_model, open_labels, segment
from .source import open_clip, open_raw
from .streams import overlay
from .types import Codec, Fill, Mode, parse_choice
from .y4m import stream_header

__all__ = ["EncodeResult", "Progress", "RateTrial", "UniformResult", "byte_count", "decode", "encode", "encode_uniform",
           "open_masks", "write_masks"]  # fmt: skip

_OVERLAY_CRF = 20.0

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
    roi_hold: int = 0,
    masks: str | Path | vs.VideoNode | None = None,
    labels: LabelSet | str | None = None,
    model: str | Path = DEFAULT_MODEL,
    threshold: float | None = None,
    backend: Backend | str = Backend.AUTO,
    encoder_args: str | Sequence[str] = "",
    encoder_args_roi: str | Sequence[str] = "",
    encoder_args_non_roi: str | Sequence[str] = "",
    fps: Fraction | str | None = None,
    audio: bool = True,
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
        match_crf: Weigh as much as a uniform encode at this CRF by the same encoder.
        target_kbps: Weigh as much as this bitrate makes, in kbit/s.
        preset: Encoder preset.
        fill: What stands in the masked-out part of each of two streams; default coarse where that works (x264 with
            adaptive quantization and CRF), else grey.
        non_roi_filter: Strength of a low-pass on the non-ROI before it is coded, see `streams.soften`.
        roi_hold: For how many frames a block stays ROI after it has left it, see `masks.hold_roi`.
        masks: Masks to use instead of the network: a mask video (255 = ROI), a SAC file, or with `labels` a
            sequence of label images; or a mask clip.
        labels: Encoding of label images given as `masks`.
        model: Network, by name or path.
        threshold: Probability from which a pixel is non-ROI; see `segment`.
        backend: How the network runs; see `segment`.
        encoder_args: Further options in the encoder's own form, for every stream.
        encoder_args_roi: The same for the ROI stream only.
        encoder_args_non_roi: The same for the non-ROI stream only.
        fps: Frame rate of an image sequence.
        audio: Carry over the source's audio.
        force: Overwrite `out`.
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
    for name, value in {"fill": fill, "encoder_args_roi": encoder_args_roi,
                        "encoder_args_non_roi": encoder_args_non_roi}.items():  # fmt: skip
        if single and value:
            raise SacValueError(f"{name} has no meaning in the mode single-stream, which has one stream", "encode")
    asked = None if fill is None else parse_choice(Fill, fill, "encode")
    choice = RateChoice(default=DEFAULT_CRF[codec], crf_roi=crf_roi, crf_non_roi=crf_non_roi, gap=crf_gap,
                        match_crf=match_crf, kbps=target_kbps)  # fmt: skip
    common = parse_args(encoder_args)
    roi, non_roi = (
        EncoderSettings(codec=codec, crf=crf, preset=preset, args=common + parse_args(own))
        for crf, own in zip(choice.start, (encoder_args_roi, encoder_args_non_roi), strict=True)
    )
    if out.suffix.lower() != ".mkv":
        raise SacValueError(f"{out} must end in .mkv: a SAC file is Matroska", "encode")
    check_output(out, force=force, func="encode")
    find_ffmpeg()
    clip = _open(source, fps)
    picture = PictureFormat.of(clip)
    if single:
        filled = None
        if choice.searched or roi.crf != non_roi.crf:
            RoiEncoder(codec, Fraction(1)).check(picture, roi)
    else:
        filled = choose_fill(asked, picture, roi, non_roi)
    name, grid = _grid(clip, masks, labels, model, threshold, backend, roi_hold)
    job = Job(clip=clip, model=name, mode=mode, fill=filled, roi=roi, non_roi=non_roi,
              uniform=replace(roi, args=common), non_roi_filter=non_roi_filter)  # fmt: skip
    file = Path(source) if isinstance(source, str | Path) and Path(source).is_file() else None
    with workspace(out, force=force, func="encode") as work:
        way = to_size if choice.searched else at_crfs
        coded = way(job, grid, choice, work.folder, progress, on_trial)
        sound = file if audio and file and container.has_audio(file) else None
        container.write(work.result, coded.tracks, coded.info, work.folder, sound)
        written = container.probe(work.result)
        sizes = written.track_bytes()
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
    clip = _open(source, fps)
    fill = None if mode is Mode.SINGLE_STREAM else choose_fill(fill, PictureFormat.of(clip), settings, settings)
    stream = uniform_stream(clip, mode, settings, fill)
    with workspace(out, force=force, func="encode_uniform") as work:
        # No offset is in use, so any grid will do.
        grid = vs.core.std.BlankClip(clip, *grid_size(clip.width, clip.height), vs.GRAY8, keep=True)
        (coded,), _ = code([stream], grid, work.folder, progress=progress)
        container.write_video(work.result, container.Track(stream.track, coded), clip.fps, work.folder)
    return UniformResult(out, crf, int(clip.num_frames), out.stat().st_size, stream.encoder.name)


def _open(source: str | Path | vs.VideoNode, fps: Fraction | str | None) -> vs.VideoNode:
    clip = source if isinstance(source, vs.VideoNode) else open_clip(source, fps=fps)
    if min(clip.width, clip.height) < BLOCK:
        raise SacFormatError(f"the video is {clip.width}x{clip.height}; accepted: {BLOCK}x{BLOCK} and up", "encode")
    pin_cache(clip, _SHARED_SOURCE)
    return clip


def _grid(
    clip: vs.VideoNode,
    masks: str | Path | vs.VideoNode | None,
    labels: LabelSet | str | None,
    model: str | Path,
    threshold: float | None,
    backend: Backend | str,
    roi_hold: int,
) -> tuple[str, vs.VideoNode]:
    """Name of the model or of the masks' source, and the block grid."""
    if masks is None:
        name = find_model(model).name
        grid = block_grid(roi_mask(segment(clip, model=model, threshold=threshold, backend=backend)))
    else:
        name = "clip" if isinstance(masks, vs.VideoNode) else f"masks:{Path(masks).name}"
        grid = open_masks(masks, clip, labels=labels)
    # Held blocks look back at grids of earlier frames.
    pin_cache(grid, SHARED_GRID)
    return name, hold_roi(grid, roi_hold)


def byte_count(sizes: Mapping[str, int]) -> ByteCount:
    """What a SAC file weighs, without its audio, from `SacInfo.track_bytes`; what no track holds is the container's.

    A single stream does not say how much of it is ROI.
    """
    total = sizes["file"] - sizes["audio"]
    tracks = sum(size for name, size in sizes.items() if name not in ("file", "audio"))
    return ByteCount(total=total, roi=sizes.get(container.ROI_TRACK), non_roi=sizes.get(container.NON_ROI_TRACK),
                     mask=sizes[container.MASK_TRACK], container=total - tracks)  # fmt: skip


def open_masks(
    masks: str | Path | vs.VideoNode, clip: vs.VideoNode, *, labels: LabelSet | str | None = None
) -> vs.VideoNode:
    """Open masks made earlier as the block grid of a clip.

    Args:
        masks: Mask video (grey, 255 = ROI) of the clip's size or of its block grid, a SAC file, a sequence of
            label images, or a GRAY8 clip.
        clip: The clip they belong to.
        labels: Encoding of label images.

    Returns:
        Grid clip of the clip's length.

    Raises:
        SacFileError: Unreadable.
        SacFormatError: They do not fit the clip.
    """
    if isinstance(masks, vs.VideoNode):
        mask = masks
    elif labels is not None:
        mask = roi_mask(open_labels(masks, labels, fps=clip.fps))
    elif Path(masks).is_file() and container.is_sac(Path(masks)):
        mask = container.open_mask_grid(container.probe(masks))
    else:
        raw = vs.core.std.ShufflePlanes(open_raw(masks), 0, vs.GRAY)
        if raw.format.id != vs.GRAY8:
            raise SacFormatError(f"the masks {masks} are {raw.format.name}; accepted: 8-bit", "open_masks")
        mask = raw.std.Lut(lut=[0] * 255 + [255])
    size = grid_size(clip.width, clip.height)
    grid = mask if (mask.width, mask.height) == size else None
    if grid is None:
        if (mask.width, mask.height) != (clip.width, clip.height):
            raise SacFormatError(
                f"the masks are {mask.width}x{mask.height}; the video needs {clip.width}x{clip.height}, or its"
                f" block grid {size[0]}x{size[1]}", "open_masks",
            )  # fmt: skip
        grid = block_grid(mask)
    if grid.num_frames != clip.num_frames:
        raise SacFormatError(f"there are {grid.num_frames} masks for {clip.num_frames} frames", "open_masks")
    return grid.std.AssumeFPS(fpsnum=clip.fps_num, fpsden=clip.fps_den)


def decode(
    source: str | Path, out: str | Path | BinaryIO, *, force: bool = False, progress: Progress | None = None
) -> int:
    """Decode a SAC file.

    Args:
        source: SAC file.
        out: ``.y4m``, ``.mkv`` (lossless FFV1, with the audio), or a binary stream that gets y4m.
        force: Overwrite `out`.
        progress: Called as frames are done.

    Returns:
        Number of frames.

    Raises:
        SacError: `source` cannot be decoded or `out` not be written; `out` is as it was.
    """
    if isinstance(out, str | Path):
        out = Path(out)
        if out.suffix.lower() not in (".y4m", ".mkv"):
            raise SacValueError(f"{out} must end in .y4m or .mkv (FFV1), or be - for y4m on stdout", "decode")
        check_output(out, force=force, func="decode")
    clip = container.open_sac(source)
    if not isinstance(out, Path):
        _write_y4m(clip, out, progress)
        return int(clip.num_frames)
    with workspace(out, force=force, func="decode") as work:
        if out.suffix.lower() == ".y4m":
            try:
                with work.result.open("wb") as file:
                    _write_y4m(clip, file, progress)
            except OSError as error:
                raise SacFileError(f"cannot write {out}: {error.strerror}", "decode") from error
        else:
            sound = Path(source) if container.probe(source).audio else None
            _write_ffv1(clip, work.result, work.folder, sound, progress)
    return int(clip.num_frames)


def write_masks(
    source: str | Path | vs.VideoNode,
    out: str | Path,
    *,
    overlay_out: str | Path | None = None,
    model: str | Path = DEFAULT_MODEL,
    threshold: float | None = None,
    backend: Backend | str = Backend.AUTO,
    fps: Fraction | str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> int:
    """Segment a video and write the class map in the paper's four greys, lossless (ROI is 255).

    Args:
        source: Video file, folder of images, printf pattern, or clip.
        out: Matroska file (FFV1); `encode` and `evaluate` take it as `masks`.
        overlay_out: Also write the video with the classes tinted over it (H.264).
        model: Network, by name or path.
        threshold: See `segment`.
        backend: See `segment`.
        fps: Frame rate of an image sequence.
        force: Overwrite the outputs.
        progress: Called as frames are done.

    Returns:
        Number of frames.

    Raises:
        SacError: Unreadable input, unwritable output, or a missing plugin or program.
    """
    out = Path(out)
    if out.suffix.lower() != ".mkv":
        raise SacValueError(f"{out} must end in .mkv (FFV1)", "segment")
    picture_out = Path(overlay_out) if overlay_out is not None else None
    if picture_out is not None:
        if picture_out.suffix.lower() not in (".mp4", ".mkv"):
            raise SacValueError(f"{picture_out} must end in .mp4 or .mkv", "segment")
        check_output(picture_out, force=force, func="segment")
    check_output(out, force=force, func="segment")
    ffmpeg = find_ffmpeg()
    clip = source if isinstance(source, vs.VideoNode) else open_clip(source, fps=fps)
    classes = segment(clip, model=model, threshold=threshold, backend=backend)
    with workspace(out, force=force, func="segment") as work:
        clips, commands = [grey_tones(classes)], [ffv1_command(ffmpeg, work.result)]
        tinted = work.folder / "overlay.mkv"
        if picture_out is not None:
            encoder = find_encoder(Codec.X264)
            settings = EncoderSettings(codec=Codec.X264, crf=_OVERLAY_CRF, preset="veryfast")
            clips.append(overlay(clip, classes))
            commands.append(encoder.command(PictureFormat.of(clip), settings, tinted))
        with ProcessGroup() as group:
            sinks = [group.start("segment", command) for command in commands]
            feed(clips, sinks, progress)
            group.finish()
        if picture_out is not None:
            with workspace(picture_out, force=force, func="segment") as beside:
                run("segment", [ffmpeg, "-v", "error", "-nostdin", "-y", "-i", f"file:{tinted}", "-c", "copy",
                                "-movflags", "+faststart", f"file:{beside.result}"])  # fmt: skip
    return int(clip.num_frames)


def _write_y4m(clip: vs.VideoNode, file: BinaryIO, progress: Progress | None) -> None:
    file.write(stream_header(clip))
    for done, frame in enumerate(clip.frames(close=True), 1):
        for chunk in frame_chunks(frame):
            file.write(chunk)
        if progress:
            progress(done, clip.num_frames)
    file.flush()


def _write_ffv1(clip: vs.VideoNode, out: Path, folder: Path, audio: Path | None, progress: Progress | None) -> None:
    ffmpeg = find_ffmpeg()
    video = folder / "video.mkv" if audio else out
    with ProcessGroup() as group:
        feed([clip], [group.start("decode", ffv1_command(ffmpeg, video, PictureFormat.of(clip)))], progress)
        group.finish()
    if audio:
        run("decode", [ffmpeg, "-v", "error", "-nostdin", "-y", "-i", f"file:{video}", "-i", f"file:{audio}",
                       "-map", "0:v", "-map", "1:a", "-c", "copy", f"file:{out}"])  # fmt: skip
