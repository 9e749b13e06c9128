"""The whole job: video → SAC file → video. Wires source, segmentation, masks, encoders and container together."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from shutil import rmtree
from typing import Any, BinaryIO

import numpy as np
import vapoursynth as vs

from . import container, muxer
from .chunks import DEFAULT_SECONDS, code_chunks, identity, join, open_store
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
from .errors import SacDamageError, SacFileError, SacFormatError, SacValueError, SacWarning
from .graph import frames, pin_cache
from .labels import LabelSet
from .masks import BLOCK, block_grid, expand_grid, grey_tones, grid_size, hold_roi, roi_mask
from .metrics import ByteCount
from .outputs import check_output, workspace
from .process import FedProcess, Packet, ProcessGroup, run
from .segmentation import DEFAULT_MODEL, Backend, find_model, open_labels, segment
from .source import open_clip, open_raw
from .streams import overlay, soften, split
from .types import Codec, Fill, Mode, parse_choice
from .y4m import FRAME_HEADER, frame_planes, stream_header

__all__ = ["EncodeResult", "Progress", "byte_count", "decode", "encode", "open_masks", "write_masks"]

#: Called with frames done and frames in all.
Progress = Callable[[int, int], None]

_OVERLAY_CRF = 20.0

#: Frames that the source and the block grid keep for the streams that share them: more than are ever in flight.
_SHARED_SOURCE, _SHARED_GRID = 10, 64


@dataclass(frozen=True)
class EncodeResult:
    """What `encode` did.

    Attributes:
        info: What the file says about itself.
        bytes: Bytes by track, of audio, and of the file.
        roi_share: Share of macroblocks that are ROI, 0–1.
        encoder: Which encoder ran.
    """

    info: container.SacInfo
    bytes: dict[str, int]
    roi_share: float
    encoder: str

    def to_dict(self) -> dict[str, object]:
        """The result as plain values, for JSON."""
        tags = {key.removeprefix("SAC_").lower(): value for key, value in self.info.tags().items()}
        rate = self.bytes["file"] * 8 * float(self.info.fps) / self.info.frames / 1000
        return {"output": str(self.info.path), **tags, "encoder": self.encoder, "roi_share": self.roi_share,
                "bytes": self.bytes, "bitrate_kbps": rate}  # fmt: skip


def encode(
    source: str | Path | vs.VideoNode,
    out: str | Path,
    *,
    codec: Codec | str = Codec.X264,
    mode: Mode | str = Mode.TWO_STREAM,
    crf_roi: float | None = None,
    crf_non_roi: float | None = None,
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
    chunk: float | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> EncodeResult:
    """Encode a driving video into a SAC file (paper Fig. 2b).

    The graph is evaluated once per frame; ROI, non-ROI and mask go to three encoder processes that run at the
    same time, or in the mode single-stream the video and the mask to two.

    Args:
        source: Video file, folder of images, printf pattern, or a clip as `open_clip` gives it.
        out: The Matroska file to write.
        codec: Encoder of the video.
        mode: ``two-stream``: ROI and non-ROI in streams of their own. ``single-stream``: one stream whose macroblocks
            are quantized by the region they belong to.
        crf_roi: CRF of the ROI, 0–51; default 18 (x264) or 23 (x265), the paper's.
        crf_non_roi: CRF of the non-ROI; default 27 or 32.
        preset: Encoder preset.
        fill: What stands in the masked-out part of each of two streams; default black.
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
        chunk: Code in chunks of that many seconds, which stay in a folder beside `out` until all are done.
        resume: Go on with the chunks that an encode left which was stopped; chunks of 10 s by default.
        force: Overwrite `out`, and chunks that an encode left.
        progress: Called as frames are done.

    Returns:
        What was written.

    Raises:
        SacError: Bad arguments, unreadable input, a missing plugin or program, or an encoder that failed. In
            every case `out` is as it was.
    """
    out = Path(out)
    codec, mode = parse_choice(Codec, codec, "encode"), parse_choice(Mode, mode, "encode")
    single = mode is Mode.SINGLE_STREAM
    for name, value in {"fill": fill, "encoder_args_roi": encoder_args_roi,
                        "encoder_args_non_roi": encoder_args_non_roi}.items():  # fmt: skip
        if single and value:
            raise SacValueError(f"{name} has no meaning in the mode single-stream, which has one stream", "encode")
    filled = None if single else parse_choice(Fill, fill or Fill.BLACK, "encode")
    crf = [given if given is not None else default for given, default in
           zip((crf_roi, crf_non_roi), DEFAULT_CRF[codec], strict=True)]  # fmt: skip
    common = parse_args(encoder_args)
    settings = [
        EncoderSettings(codec=codec, crf=value, preset=preset, args=common + parse_args(own))
        for value, own in zip(crf, (encoder_args_roi, encoder_args_non_roi), strict=True)
    ]
    if out.suffix.lower() != ".mkv":
        raise SacValueError(f"{out} must end in .mkv: a SAC file is Matroska", "encode")
    check_output(out, force=force, func="encode")
    if not single:
        find_encoder(codec)
    ffmpeg = find_ffmpeg()
    clip = source if isinstance(source, vs.VideoNode) else open_clip(source, fps=fps)
    if min(clip.width, clip.height) < BLOCK:
        raise SacFormatError(f"the video is {clip.width}x{clip.height}; accepted: {BLOCK}x{BLOCK} and up", "encode")
    picture = PictureFormat.of(clip)
    encoder = _single_encoder(picture, settings) if single else find_encoder(codec, min(clip.width, clip.height))
    if masks is None:
        name = find_model(model).name
        grid = block_grid(roi_mask(segment(clip, model=model, threshold=threshold, backend=backend)))
    else:
        name = "clip" if isinstance(masks, vs.VideoNode) else f"masks:{Path(masks).name}"
        grid = open_masks(masks, clip, labels=labels)
    # Held blocks look back at grids of earlier frames.
    pin_cache(grid, _SHARED_GRID)
    grid = hold_roi(grid, roi_hold)
    mask = expand_grid(grid, clip.width, clip.height)
    coded = soften(clip, mask, non_roi_filter)
    clips = [coded] if filled is None else split(coded, mask, fill=filled)
    pin_cache(clip, _SHARED_SOURCE)
    pin_cache(grid, _SHARED_GRID)
    file = Path(source) if isinstance(source, str | Path) and Path(source).is_file() else None
    store, length = None, 0
    if chunk is not None or resume:
        length = round((chunk if chunk is not None else DEFAULT_SECONDS) * clip.fps)
        commands = [encoder.command(picture, each, Path("out")) for each in settings]
        inputs = {"source": source, "masks": masks, "model": find_model(model).path if masks is None else None}
        how = {"mode": mode, "fill": filled, "filter": non_roi_filter, "hold": roi_hold, "labels": labels,
               "threshold": threshold, "chunk": length, "size": [clip.width, clip.height, clip.num_frames],
               "encoder": commands}  # fmt: skip
        store = open_store(out, {**how, **_identities(inputs)}, resume=resume, force=force)
    with workspace(out, force=force, func="encode") as work:
        names = container.TRACKS[mode]

        def code(start: int, stop: int, folder: Path) -> tuple[list[Path], float]:
            paths = [folder / f"{track.lower()}{encoder.suffix}" for track in names[:-1]]
            # A single stream has the ROI's settings.
            commands = [encoder.command(picture, s, path) for s, path in zip(settings, paths, strict=False)]
            paths.append(folder / "mask.mkv")
            commands.append(ffv1_command(ffmpeg, paths[-1]))
            whole = stop - start == clip.num_frames
            fed = [*clips, grid] if whole else [part[start:stop] for part in (*clips, grid)]
            after = progress and (lambda done, total: progress(start + done, clip.num_frames))
            with ProcessGroup() as group:
                sinks = [group.start(f"{track} encoder", args) for track, args in zip(names, commands, strict=True)]
                share = _feed(fed, sinks, after, grid_along=single)
                group.finish()
            return paths, share

        if store is None:
            paths, share = code(0, clip.num_frames, work.folder)
        else:
            parts = code_chunks(store, clip.num_frames, length, code)
            paths = [join(store, parts, n, clip.fps, work.folder) for n in range(len(names))]
            share = sum(part.share * part.frames for part in parts) / clip.num_frames
        info = container.SacInfo(
            path=work.result, version=container.VERSION, mode=mode, block=BLOCK, width=clip.width,
            height=clip.height, codec=codec.value, crf_roi=crf[0], crf_non_roi=crf[1], fill=filled, model=name,
            fps=clip.fps, frames=clip.num_frames,
            times=container.shown_times(file, clip.num_frames, clip.fps) if file and fps is None else (),
        )  # fmt: skip
        tracks = [muxer.Track(track, path) for track, path in zip(names, paths, strict=True)]
        sound = file if audio and file and container.has_audio(file) else None
        muxer.write(work.result, tracks, info, work.folder, sound)
        written = container.probe(work.result)
        sizes = written.track_bytes()
    if store is not None:
        rmtree(store, ignore_errors=True)
    return EncodeResult(replace(written, path=out), sizes, share, encoder.name)


def _identities(inputs: Mapping[str, object]) -> dict[str, object]:
    """What tells whether inputs are the same when an encode goes on."""
    for name, value in inputs.items():
        if isinstance(value, vs.VideoNode):
            raise SacValueError(f"chunks can be kept for files only; {name} is a clip", "encode")
    return {name: value and identity(Path(str(value))) for name, value in inputs.items()}


def _single_encoder(picture: PictureFormat, settings: Sequence[EncoderSettings]) -> RoiEncoder:
    """The encoder of a single stream, once it has shown that it obeys QP offsets."""
    roi, non_roi = (Fraction(f"{region.crf:g}") for region in settings)
    encoder = RoiEncoder(settings[0].codec, non_roi - roi)
    encoder.check(picture, settings[0])
    return encoder


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
    source: str | Path,
    out: str | Path | BinaryIO,
    *,
    allow_missing: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> int:
    """Decode a SAC file.

    Args:
        source: SAC file.
        out: ``.y4m``, ``.mkv`` (lossless FFV1, with the audio), or a binary stream that gets y4m.
        allow_missing: Go on where one of two coded streams is lost or damaged; see `container.open_sac`.
        force: Overwrite `out`.
        progress: Called as frames are done.

    Returns:
        Number of frames.

    Raises:
        SacDamageError: `source` is damaged; `out` has the frames before that, if there are any.
        SacError: `source` cannot be decoded or `out` not be written; `out` is as it was.
    """
    if isinstance(out, str | Path):
        out = Path(out)
        if out.suffix.lower() not in (".y4m", ".mkv"):
            raise SacValueError(f"{out} must end in .y4m or .mkv (FFV1), or be - for y4m on stdout", "decode")
        check_output(out, force=force, func="decode")
    try:
        clip = container.open_sac(source, allow_missing=allow_missing)
    except SacDamageError as damage:
        if not damage.frames:
            raise
        clip = container.open_sac(source, frames=damage.frames, allow_missing=allow_missing)
        _write_decoded(clip, Path(source), out, force, progress)
        message = f"{damage}; the {damage.frames} frames before were decoded"
        raise SacDamageError(message, frames=damage.frames) from None
    _write_decoded(clip, Path(source), out, force, progress)
    return int(clip.num_frames)


def _write_decoded(
    clip: vs.VideoNode, source: Path, out: Path | BinaryIO, force: bool, progress: Progress | None
) -> None:
    if not isinstance(out, Path):
        _write_y4m(clip, out, progress)
        return
    with workspace(out, force=force, func="decode") as work:
        if out.suffix.lower() == ".y4m":
            try:
                with work.result.open("wb") as file:
                    _write_y4m(clip, file, progress)
            except OSError as error:
                raise SacFileError(f"cannot write {out}: {error.strerror}", "decode") from error
        else:
            info = container.probe(source, allow_missing=True)
            times = info.times[: clip.num_frames]
            _write_ffv1(clip, work.result, work.folder, source if info.audio else None, times, progress)


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
            _feed(clips, sinks, progress)
            group.finish()
        if picture_out is not None:
            with workspace(picture_out, force=force, func="segment") as beside:
                run("segment", [ffmpeg, "-v", "error", "-nostdin", "-y", "-i", f"file:{tinted}", "-c", "copy",
                                "-movflags", "+faststart", f"file:{beside.result}"])  # fmt: skip
    return int(clip.num_frames)


def _feed(
    clips: Sequence[vs.VideoNode],
    sinks: Sequence[FedProcess],
    progress: Progress | None,
    *,
    grid_along: bool = False,
) -> float:
    """Pull the clips in lock-step, so that what they share is computed once, and feed one process each.

    Args:
        clips: What is fed.
        sinks: The processes, in the same order.
        progress: Called as frames are done.
        grid_along: After each frame the first process also gets that of the last clip, one byte per sample.

    Returns:
        Mean share of 255 in the last clip (the ROI share where that is a grid).
    """
    for clip in clips[1:]:
        if clip.num_frames != clips[0].num_frames:
            raise SacFormatError(f"clips of {clips[0].num_frames} and {clip.num_frames} frames", "encode")
    for clip, sink in zip(clips, sinks, strict=True):
        header = stream_header(clip)
        sink.put(Packet(lambda header=header: [header]))  # type: ignore[misc]
    total, share = int(clips[0].num_frames), 0.0
    for done, together in enumerate(zip(*map(frames, clips), strict=True), 1):
        last = _first_plane(together[-1])
        share += float((last == 255).mean())
        behind = [last.tobytes()] if grid_along else []
        for frame, sink in zip(together, sinks, strict=True):
            sink.put(Packet(lambda frame=frame, behind=behind: chain(_chunks(frame), behind), frame.close))  # type: ignore[misc]
            behind = []
        if progress:
            progress(done, total)
    return share / total


def _first_plane(frame: vs.VideoFrame) -> np.ndarray[Any, Any]:
    return np.asarray(frame[0])


def _chunks(frame: vs.VideoFrame) -> Iterator[bytes | memoryview]:
    yield FRAME_HEADER
    yield from frame_planes(frame)


def _write_y4m(clip: vs.VideoNode, file: BinaryIO, progress: Progress | None) -> None:
    file.write(stream_header(clip))
    for done, frame in enumerate(frames(clip), 1):
        with frame:
            for chunk in _chunks(frame):
                file.write(chunk)
        if progress:
            progress(done, clip.num_frames)
    file.flush()


def _write_ffv1(
    clip: vs.VideoNode, out: Path, folder: Path, audio: Path | None, times: Sequence[int], progress: Progress | None
) -> None:
    ffmpeg = find_ffmpeg()
    video = folder / "video.mkv" if audio or times else out
    with ProcessGroup() as group:
        _feed([clip], [group.start("decode", ffv1_command(ffmpeg, video, PictureFormat.of(clip)))], progress)
        group.finish()
    if times:
        timed = folder / "timed.mkv" if audio else out
        if muxer.retime(video, times, timed, folder):
            video = timed
        else:
            warnings.warn("the frame rate varies, which only mkvmerge can write; a constant one is written instead",
                          SacWarning, stacklevel=3)  # fmt: skip
    if audio or (video != out and not out.exists()):
        sound = ["-i", f"file:{audio}", "-map", "0:v", "-map", "1:a"] if audio else []
        run("decode", [ffmpeg, "-v", "error", "-nostdin", "-y", "-i", f"file:{video}", *sound, "-c", "copy",
                       f"file:{out}"])  # fmt: skip
