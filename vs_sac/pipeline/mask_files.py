"""Masks as files: opening masks as the block grid of a clip, and writing the class maps of the network."""

import logging
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..container.info import SacInfo
from ..container.reader import is_sac, open_mask_grid, probe
from ..core.arguments import check_path, check_source
from ..core.choices import Caution, Codec
from ..core.clips import check_mask
from ..core.errors import SacFormatError, SacValueError, SacWarning
from ..core.labels import GREY_TONES, LabelSet
from ..core.macroblocks import grid_size
from ..core.outputs import check_outputs, workspace
from ..core.processes import ProcessGroup, run
from ..core.progress import Progress
from ..encoders.base import EncoderSettings, PictureFormat
from ..encoders.ffmpeg import ffv1_command
from ..encoders.registry import find_encoder, find_ffmpeg
from ..encoders.relabelling import relabel
from ..masks.class_maps import grey_tones, roi_mask
from ..masks.grid import block_grid, expand_grid, scaled_block_grid
from ..segmentation.label_images import open_labels
from ..segmentation.network import segment
from ..segmentation.registry import DEFAULT_MODEL, find_model
from ..segmentation.runtimes import Backend
from ..source.images import input_files
from ..source.opening import open_clip, open_raw, parse_fps
from ..source.pipe import Pipe, is_pipe, open_pipe
from ..source.video import like_trimmed, refuse_damage, report_damage
from ..streams.overlays import overlay
from .feeding import feed

__all__ = ["open_masks", "write_grey", "write_masks"]

_OVERLAY_CRF = 20.0

#: A frame is in colour if more than this share of its chroma samples differs from neutral by more than this: lossy
#: coding of a grey frame stays below.
_COLOURED, _NEUTRAL = 0.01, 16

#: Distance in frames between checks of a mask video for colour.
_LOOK_EVERY = 25

#: A frame looks like a mask if this share of its samples is within this distance of the four grey tones, in full or in
#: limited range. Soft edges and lossy coding account for the rest.
_IN_TONES, _NEAR_TONE = 0.75, 10

#: Values above this are nearer to 255 than to the next grey tone; the share of them that may be less than 255.
_NEARLY_WHITE, _LOST = 212, 0.05
_log = logging.getLogger(__name__)


def open_masks(
    masks: str | Path | vs.VideoNode,
    clip: vs.VideoNode,
    *,
    labels: LabelSet | str | None = None,
    sequential: bool = False,
    any_length: bool = False,
    source_size: tuple[int, int] | None = None,
    coded_size: tuple[int, int] | None = None,
) -> vs.VideoNode:
    """Open existing masks as the block grid of a clip.

    The masks of a SAC file with a coded size belong to the coded picture. They are used as they are if the clip has
    this size, and are otherwise enlarged to the size of the file's source.

    Args:
        masks: Mask video (grey, 255 = ROI) of the clip's size or of the size of its block grid, a SAC file, a sequence
            of label images, or a GRAY8 clip.
        clip: The clip that the masks belong to.
        labels: Label encoding, required for label images.
        sequential: See `source.open_clip`.
        any_length: Whether the number of masks may differ from that of the frames, for a clip of unknown length.
        source_size: Width and height in pixels of the picture from which the clip was scaled. Masks may have this size
            too, or that of its block grid. A block of the clip is then ROI if any pixel that it covers is.
        coded_size: Width and height in pixels of a coded picture that was scaled down from the clip. Masks may have the
            size of its block grid too; they are then enlarged to the size of the clip.

    Returns:
        Grid clip of the same length as `clip`, unless `any_length` is set.

    Raises:
        SacFileError: The masks cannot be read.
        SacFormatError: The masks do not match the clip, or are in colour.
        SacValueError: `labels` has no meaning for these masks.
    """
    check_source(masks, "masks", "open_masks")
    info = None
    if isinstance(masks, vs.VideoNode):
        check_mask(masks, "open_masks", "masks")
        mask, kind = masks, "a clip"
    elif Path(masks).is_file() and is_sac(Path(masks)):
        info, kind = probe(masks), "a SAC file"
        mask = open_mask_grid(info, sequential=sequential)
    elif labels is not None:
        mask, kind = roi_mask(open_labels(masks, labels, fps=clip.fps)), ""
    else:
        mask, kind = _open_mask_video(masks, sequential), ""
    if labels is not None and kind:
        raise SacValueError(f"labels has no meaning where masks is {kind}; it is for label images", "open_masks")
    size = clip.width, clip.height
    if coded_size and (mask.width, mask.height) == grid_size(*coded_size) != grid_size(*size):
        mask = expand_grid(mask, *coded_size).resize.Point(*size)
    grid = like_trimmed(clip, _grid_of(mask, size, source_size, info))
    if grid.num_frames != clip.num_frames and not any_length:
        raise SacFormatError(f"there are {grid.num_frames} masks for {clip.num_frames} frames", "open_masks")
    return grid.std.AssumeFPS(fpsnum=clip.fps_num, fpsden=clip.fps_den)


def _grid_of(
    mask: vs.VideoNode, size: tuple[int, int], source_size: tuple[int, int] | None, info: SacInfo | None
) -> vs.VideoNode:
    """The block grid of a picture from a mask or grid of it, or of the source from which the picture was scaled.

    Args:
        mask: The mask or grid.
        size: Width and height of the picture in pixels.
        source_size: The same of its source; None if the picture was not scaled.
        info: Description of the SAC file from which the grid comes.

    Raises:
        SacFormatError: The mask has another size.
    """
    whole = source_size or size
    if info and (info.width, info.height) != size and (info.source_size or whole != size):
        mask = expand_grid(mask, info.width, info.height)
        if info.source_size:
            mask = mask.resize.Point(*info.source_size)
    given = mask.width, mask.height
    if given == grid_size(*size):
        return mask
    if given == size:
        return block_grid(mask)
    if whole != size and given in (whole, grid_size(*whole)):
        return scaled_block_grid(mask if given == whole else expand_grid(mask, *whole), *size)
    accepted = dict.fromkeys((size, whole))
    raise SacFormatError(
        "the masks are {}x{}; the video needs ".format(*given)
        + ", or ".join("{}x{}, or its block grid {}x{}".format(*each, *grid_size(*each)) for each in accepted),
        "open_masks",
    )


def _open_mask_video(masks: str | Path, sequential: bool) -> vs.VideoNode:
    """Open a mask video or a folder of mask images as values 0 and 255.

    Only 255 is ROI. All other values are allowed, so no grey video is refused, but one that looks like an ordinary
    video causes a warning.

    Raises:
        SacFormatError: The masks have more than 8 bits, or are in colour.
    """
    raw = open_raw(masks, sequential=sequential)
    if raw.format.bits_per_sample != 8:
        raise SacFormatError(f"the masks {masks} are {raw.format.name}; accepted: 8-bit", "open_masks")
    with raw.get_frame(0) as frame:
        _refuse_colour(0, frame, masks)
        if doubt := _doubt(np.asarray(frame[0])):
            message = f"{masks} may not be a mask video: {doubt}; only 255 is ROI, as in the output of vs-sac segment"
            warnings.warn(message, SacWarning, stacklevel=4)
    if raw.format.num_planes > 1:
        # An ordinary video may begin with black frames.
        def looked_at(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
            if n % _LOOK_EVERY == 0:
                _refuse_colour(n, f, masks)
            return f

        raw = raw.std.ModifyFrame(raw, looked_at)
    return vs.core.std.ShufflePlanes(raw, 0, vs.GRAY).std.Lut(lut=[0] * 255 + [255])


def _refuse_colour(number: int, frame: vs.VideoFrame, masks: str | Path) -> None:
    planes = [np.asarray(frame[plane]).astype(np.int16) for plane in range(frame.format.num_planes)]
    if frame.format.color_family == vs.RGB:
        away = np.maximum(abs(planes[0] - planes[1]), abs(planes[2] - planes[1])) > 2 * _NEUTRAL
    elif len(planes) > 1:
        away = np.maximum(abs(planes[1] - 128), abs(planes[2] - 128)) > _NEUTRAL
    else:
        return
    if away.mean() > _COLOURED:
        raise SacFormatError(
            f"{masks} is in colour (frame {number}), which masks are not; accepted: grey video or images in which 255"
            " is ROI, a SAC file, or with labels (--labels) label images", "open_masks",
        )  # fmt: skip


def _doubt(values: npt.NDArray[np.uint8]) -> str:
    """Return why a grey frame may not be a mask; an empty string if it may."""
    full = np.array(GREY_TONES)
    shares = [
        float((abs(values[..., None].astype(np.int16) - tones).min(-1) <= _NEAR_TONE).mean())
        for tones in (full, 16 + full * 219 // 255)
    ]
    if max(shares) < _IN_TONES:
        return f"{1 - shares[0]:.0%} of its first frame is far from {', '.join(map(str, sorted(GREY_TONES)))}"
    bright = values[values > _NEARLY_WHITE]
    if bright.size and (lost := float((bright < 255).mean())) > _LOST:
        return f"{lost:.0%} of what is nearly white in its first frame is less than 255 (lossy coding or limited range)"
    top = int(values.max())
    # A mask may begin without ROI. It is then black or has the grey tones of the other classes.
    return f"no sample of its first frame is 255, the largest is {top}" if top and top not in GREY_TONES else ""


def write_masks(
    source: str | Path | vs.VideoNode,
    out: str | Path,
    *,
    overlay_out: str | Path | None = None,
    model: str | Path = DEFAULT_MODEL,
    threshold: float | None = None,
    caution: Caution | str | None = None,
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
        caution: See `segment`.
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
    check_source(source, "source", "segment")
    check_path(out, "out", "segment")
    out = Path(out)
    if out.suffix.lower() != ".mkv":
        raise SacValueError(f"{out} must end in .mkv (FFV1)", "segment")
    picture_out = Path(overlay_out) if overlay_out is not None else None
    if picture_out is not None and picture_out.suffix.lower() not in (".mp4", ".mkv"):
        raise SacValueError(f"{picture_out} must end in .mp4 or .mkv", "segment")
    check_outputs(
        {"output": out, "overlay": picture_out}, {"source": input_files(source), "model": model}, force=force,
        func="segment",
    )  # fmt: skip
    ffmpeg = find_ffmpeg()
    clip, pipe = _opened(source, fps, strict)
    network = find_model(model)
    classes = segment(clip, model=network, threshold=threshold, caution=caution, backend=backend)
    _log.info("source   %s: %dx%d at %s fps", source, clip.width, clip.height, clip.fps)
    used = network.threshold_for(threshold, caution, "segment")
    _log.info("masks    %s, threshold %g, backend %s", model, used, backend)
    with workspace(out, force=force, func="segment") as work:
        clips, commands = [grey_tones(classes)], [ffv1_command(ffmpeg, work.result)]
        tinted, picture = work.folder / "overlay.mkv", PictureFormat.of(clip)
        if picture_out is not None:
            encoder = find_encoder(Codec.X264)
            settings = EncoderSettings(codec=Codec.X264, preset="veryfast")
            clips.append(overlay(clip, classes))
            commands.append(encoder.command(picture, settings, _OVERLAY_CRF, tinted))
        with ProcessGroup() as group:
            sinks = [group.start("segment", command) for command in commands]
            feed(clips, sinks, progress, pipe=pipe)
            group.finish()
        if picture_out is not None:
            relabel(tinted, picture)
            with workspace(picture_out, force=force, func="segment") as beside:
                run("segment", [ffmpeg, "-v", "error", "-nostdin", "-y", "-i", f"file:{tinted}", "-c", "copy",
                                "-movflags", "+faststart", f"file:{beside.result}"])  # fmt: skip
    if pipe is None:
        report_damage(clip)
        return int(clip.num_frames)
    pipe.report_damage()
    return pipe.length() or 0


def write_grey(clip: vs.VideoNode, out: Path, *, progress: Progress | None = None) -> None:
    """Write a GRAY8 clip, lossless.

    Args:
        clip: GRAY8.
        out: Matroska file (FFV1); it is overwritten.
        progress: Called after each frame.

    Raises:
        SacError: The clip is not GRAY8, or the output cannot be written.
    """
    check_mask(clip, "write_grey", "clip")
    with workspace(out, force=True, func="write_grey") as work, ProcessGroup() as group:
        feed([clip], [group.start("write_grey", ffv1_command(find_ffmpeg(), work.result))], progress)
        group.finish()


def _opened(
    source: str | Path | vs.VideoNode, fps: Fraction | str | None, strict: bool
) -> tuple[vs.VideoNode, Pipe | None]:
    """A source as a clip, and as a pipe if it is one."""
    if is_pipe(source):
        pipe = open_pipe(source, fps=parse_fps(fps), strict=strict)
        return pipe.clip, pipe
    if isinstance(source, vs.VideoNode):
        return source, None
    clip = open_clip(source, fps=fps, sequential=True, strict=strict)
    if strict:
        refuse_damage(clip, "segment")
    return clip, None
