"""Masks as files: opening masks as the block grid of a clip, and writing the class maps of the network."""

import logging
from fractions import Fraction
from pathlib import Path

import vapoursynth as vs

from ..container.reader import is_sac, open_mask_grid, probe
from ..core.choices import Codec
from ..core.errors import SacFormatError, SacValueError
from ..core.labels import LabelSet
from ..core.macroblocks import grid_size
from ..core.outputs import check_output, workspace
from ..core.processes import ProcessGroup, run
from ..core.progress import Progress
from ..encoders.base import EncoderSettings, PictureFormat
from ..encoders.ffmpeg import ffv1_command
from ..encoders.registry import find_encoder, find_ffmpeg
from ..masks.class_maps import grey_tones, roi_mask
from ..masks.grid import block_grid
from ..segmentation.label_images import open_labels
from ..segmentation.network import segment
from ..segmentation.registry import DEFAULT_MODEL
from ..segmentation.runtimes import Backend
from ..source.opening import open_clip, open_raw, parse_fps
from ..source.pipe import Pipe, is_pipe, open_pipe
from ..source.video import report_damage
from ..streams.overlays import overlay
from .feeding import feed

__all__ = ["open_masks", "write_masks"]

_OVERLAY_CRF = 20.0

_log = logging.getLogger(__name__)


def open_masks(
    masks: str | Path | vs.VideoNode,
    clip: vs.VideoNode,
    *,
    labels: LabelSet | str | None = None,
    sequential: bool = False,
    any_length: bool = False,
) -> vs.VideoNode:
    """Open existing masks as the block grid of a clip.

    Args:
        masks: Mask video (grey, 255 = ROI) of the clip's size or of the size of its block grid, a SAC file, a sequence
            of label images, or a GRAY8 clip.
        clip: The clip that the masks belong to.
        labels: Label encoding, required for label images.
        sequential: See `source.open_clip`.
        any_length: Whether the number of masks may differ from that of the frames, for a clip of unknown length.

    Returns:
        Grid clip of the same length as `clip`, unless `any_length` is set.

    Raises:
        SacFileError: The masks cannot be read.
        SacFormatError: The masks do not match the clip.
    """
    if isinstance(masks, vs.VideoNode):
        mask = masks
    elif labels is not None:
        mask = roi_mask(open_labels(masks, labels, fps=clip.fps))
    elif Path(masks).is_file() and is_sac(Path(masks)):
        mask = open_mask_grid(probe(masks), sequential=sequential)
    else:
        raw = vs.core.std.ShufflePlanes(open_raw(masks, sequential=sequential), 0, vs.GRAY)
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
    if grid.num_frames != clip.num_frames and not any_length:
        raise SacFormatError(f"there are {grid.num_frames} masks for {clip.num_frames} frames", "open_masks")
    return grid.std.AssumeFPS(fpsnum=clip.fps_num, fpsden=clip.fps_den)


def write_masks(
    source: str | Path | vs.VideoNode,
    out: str | Path,
    *,
    overlay_out: str | Path | None = None,
    model: str | Path = DEFAULT_MODEL,
    threshold: float | None = None,
    backend: Backend | str = Backend.AUTO,
    fps: Fraction | str | None = None,
    strict: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> int:
    """Segment a video and write its class map in the paper's four grey tones, lossless (ROI is 255).

    Args:
        source: Video file, folder of images, printf pattern, VapourSynth script, pipe (``-`` or a FIFO), or clip.
        out: Matroska file (FFV1). `encode` and the command ``evaluate`` accept it as `masks`.
        overlay_out: Also write the video with the classes tinted over it (H.264).
        model: Network, by name or path.
        threshold: See `segment`.
        backend: See `segment`.
        fps: Frame rate of an image sequence.
        strict: Refuse a damaged source; otherwise what can be decoded is segmented, with a `SacDamageWarning`.
        force: Overwrite the outputs.
        progress: Called after each frame.

    Returns:
        Number of frames.

    Raises:
        SacError: The input cannot be read, an output cannot be written, or a plugin or program is missing.
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
    clip, pipe = _opened(source, fps, strict)
    classes = segment(clip, model=model, threshold=threshold, backend=backend)
    _log.info("source   %s: %dx%d at %s fps", source, clip.width, clip.height, clip.fps)
    _log.info(
        "masks    %s, threshold %s, backend %s", model, "of the model" if threshold is None else threshold, backend
    )
    with workspace(out, force=force, func="segment") as work:
        clips, commands = [grey_tones(classes)], [ffv1_command(ffmpeg, work.result)]
        tinted = work.folder / "overlay.mkv"
        if picture_out is not None:
            encoder = find_encoder(Codec.X264)
            settings = EncoderSettings(codec=Codec.X264, preset="veryfast")
            clips.append(overlay(clip, classes))
            commands.append(encoder.command(PictureFormat.of(clip), settings, _OVERLAY_CRF, tinted))
        with ProcessGroup() as group:
            sinks = [group.start("segment", command) for command in commands]
            feed(clips, sinks, progress, pipe=pipe)
            group.finish()
        if picture_out is not None:
            with workspace(picture_out, force=force, func="segment") as beside:
                run("segment", [ffmpeg, "-v", "error", "-nostdin", "-y", "-i", f"file:{tinted}", "-c", "copy",
                                "-movflags", "+faststart", f"file:{beside.result}"])  # fmt: skip
    if pipe is None:
        report_damage(clip)
        return int(clip.num_frames)
    pipe.report_damage()
    return pipe.length() or 0


def _opened(
    source: str | Path | vs.VideoNode, fps: Fraction | str | None, strict: bool
) -> tuple[vs.VideoNode, Pipe | None]:
    """A source as a clip, and as a pipe if it is one."""
    if is_pipe(source):
        pipe = open_pipe(source, fps=None if fps is None else parse_fps(fps), strict=strict)
        return pipe.clip, pipe
    if isinstance(source, vs.VideoNode):
        return source, None
    return open_clip(source, fps=fps, sequential=True, strict=strict), None
