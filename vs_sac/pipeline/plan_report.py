"""An `EncodePlan` as plain values, for ``--dry-run``, and the key that decides whether chunks can be reused."""

import json
import shlex
from pathlib import Path
from typing import Any

import vapoursynth as vs

from .. import __version__
from ..container.info import MASK_TRACK
from ..core.choices import BlockMap, Mode
from ..core.errors import SacValueError
from ..encoders.ffmpeg import ffv1_command
from ..encoders.registry import find_ffmpeg
from ..encoders.roi import RoiEncoder
from ..masks.predictors import predictor_path
from ..segmentation import Model
from .chunks import identity
from .coded_streams import coded_streams
from .feeding import Stream
from .planning import EncodePlan

__all__ = ["WITHOUT_INFLUENCE", "describe", "plan_lines", "resume_key"]

#: Options that do not change the bytes of a chunk. Audio is added after the chunks are joined, and `resume` only looks
#: for existing chunks.
WITHOUT_INFLUENCE = frozenset({"audio", "resume"})


def describe(plan: EncodePlan) -> dict[str, Any]:
    """The plan as plain values, for people and for JSON.

    Returns:
        ``source`` (as understood), ``coded_size`` (width and height), ``masks``, ``rate``, ``mode``, ``codec``,
        ``fill``, ``non_roi_scale``, ``streams`` (one entry per track, with size and command line) and ``run``.
    """
    picture, masks, rate = plan.picture, plan.masks, plan.options.rate
    streams = coded_streams(plan, plan.grid, plan.crfs)
    search = None
    if rate.searched:
        search = f"the size of a uniform encode at CRF {rate.match_crf:g}" if rate.match_crf is not None else (
            f"{rate.target_kbps:g} kbit/s")  # fmt: skip
    return {
        "source": {
            "path": str(plan.source) if plan.source else "clip",
            "frames": None if plan.pipe and plan.pipe.length() is None else plan.frames,
            "width": plan.source_size[0], "height": plan.source_size[1], "fps": str(picture.fps), "bits": picture.bits,
            "chroma": picture.chroma, "range": "full" if picture.full_range else "limited", "matrix": picture.matrix,
            "primaries": picture.primaries, "transfer": picture.transfer,
        },
        "coded_size": [picture.width, picture.height],
        "masks": {
            "source": masks.name, "model": str(masks.model.path) if masks.model else None,
            "threshold": masks.threshold, "backend": masks.backend, "every": masks.every, "roi_hold": masks.roi_hold,
            "roi_close": masks.roi_close,
            "map": masks.map, "tiers": dict(masks.tiers) if masks.tiers else None, "map_strength": masks.map_strength,
        },
        "rate": {"crf_roi": plan.crfs[0], "crf_non_roi": plan.crfs[1], "searched_for": search},
        "mode": plan.mode, "codec": plan.codec, "fill": plan.fill if plan.mode is Mode.TWO_STREAM else None,
        "non_roi_scale": plan.non_roi_scale,
        "streams": [*map(_describe_stream, streams), _describe_mask_track(plan)],
        "run": {"threads": plan.options.run.threads, "jobs": plan.options.run.jobs,
                "chunk_frames": plan.chunk_frames, "queue_depth": plan.queue_depth},
    }  # fmt: skip


def _describe_stream(stream: Stream) -> dict[str, Any]:
    name = Path(f"{stream.track.lower()}{stream.encoder.suffix}")
    mapped = isinstance(stream.encoder, RoiEncoder) and stream.encoder.map
    return {
        "track": stream.track, "width": stream.clip.width, "height": stream.clip.height, "crf": stream.crf,
        **({"offset_side": stream.encoder.offset_side(stream.settings)} if mapped else {}),  # type: ignore[attr-defined]
        "encoder": stream.encoder.name, "command": shlex.join(stream.command(name)),
    }  # fmt: skip


def _describe_mask_track(plan: EncodePlan) -> dict[str, Any]:
    return {
        "track": MASK_TRACK, "width": plan.grid.width, "height": plan.grid.height, "encoder": "ffv1",
        "command": shlex.join(ffv1_command(find_ffmpeg(), Path("mask.mkv"))),
    }  # fmt: skip


def plan_lines(described: dict[str, Any]) -> list[str]:
    """A plan in words, one line for each part.

    Args:
        described: Result of `describe`.
    """
    source, masks, rate, work = (described[name] for name in ("source", "masks", "rate", "run"))
    size = f"{source['width']}x{source['height']}"
    frames = "an unknown number of frames" if source["frames"] is None else f"{source['frames']} frames"
    wanted = f", where the search for {rate['searched_for']} begins" if rate["searched_for"] else ""
    network = ""
    if masks["model"]:
        threshold = "" if masks["threshold"] is None else f", threshold {masks['threshold']:g}"
        network = (f" ({masks['model']}){threshold}, backend {masks['backend']},"
                   f" one frame in {masks['every']} segmented")  # fmt: skip
    mapped = f", QP offsets by {masks['map']}" if masks["map"] != BlockMap.ROI else ""
    mapped += f" of strength {masks['map_strength']:g}" if masks["map_strength"] is not None else ""
    coded = described["coded_size"]
    scaled = "" if coded == [source["width"], source["height"]] else f", coded at {coded[0]}x{coded[1]}"
    streams = f", fill {described['fill']}, non-ROI sides divided by {described['non_roi_scale']}"
    lines = [
        f"source   {source['path']}: {frames} of {size} at {source['fps']} fps, {source['bits']} bits,"
        f" {source['chroma']}, {source['range']} range, matrix {source['matrix']}, primaries {source['primaries']},"
        f" transfer {source['transfer']}{scaled}",
        f"masks    {masks['source']}{network}, hold {masks['roi_hold']} frames, close {masks['roi_close']} macroblocks"
        + mapped,
        f"rate     CRF {rate['crf_roi']:g} for the ROI, {rate['crf_non_roi']:g} for the non-ROI{wanted}",
        f"mode     {described['mode']}, {described['codec']}{streams if described['fill'] else ''}",
        f"run      {work['threads'] or 'all'} threads, {work['jobs']} jobs, {work['queue_depth']} frames queued"
        + (f", chunks of {work['chunk_frames']} frames" if work["chunk_frames"] else ""),
    ]
    for stream in described["streams"]:
        side = stream.get("offset_side")
        offsets = f", one QP offset for {side}x{side} pixels" if side else ""
        lines.append(f"track    {stream['track']}: {stream['width']}x{stream['height']}, {stream['encoder']}{offsets}")
        lines.append(f"         {stream['command']}")
    return lines


def resume_key(plan: EncodePlan) -> dict[str, Any]:
    """Everything that decides the bytes of a chunk, by name.

    Raises:
        SacValueError: The source or the masks are a clip. A clip cannot be identified in a later run.
    """
    given = plan.options.masks.masks
    clips = {"source": plan.source is None, "masks": isinstance(given, vs.VideoNode),
             "map": isinstance(plan.options.masks.map, vs.VideoNode)}  # fmt: skip
    for name, clip in clips.items():
        if clip:
            raise SacValueError(f"chunks can be kept for files only; {name} is a clip", "encode")
    masks, described, origin = plan.masks, describe(plan), plan.options.source
    assert plan.source is not None
    parts = {
        "version": __version__,
        "source": identity(plan.source),
        "picture": {**described["source"], "path": None},
        # Two parts of a recording can have the same length. Without `strict`, chunks may have frames in place of
        # damaged ones.
        "start": origin.start or 0,
        **{name: getattr(origin, name) for name in ("track", "end", "frames", "strict")},
        "model": _network(masks.model) if masks.model else None,
        "masks": identity(Path(str(given))) if given is not None else None,
        "labels": plan.options.masks.labels,
        **{
            name: described["masks"][name]
            for name in ("threshold", "backend", "every", "roi_hold", "roi_close", "map", "tiers", "map_strength")
        },
        "importance": identity(predictor_path(masks.model, plan.options.masks.importance))
        if masks.model and masks.map == BlockMap.TASK
        else None,
        **{name: described[name] for name in ("mode", "fill", "non_roi_scale", "coded_size")},
        "non_roi_filter": plan.options.streams.non_roi_filter,
        "rate": described["rate"],
        "chunk": plan.chunk_frames,
        "encoders": [
            [stream.encoder.name, stream.encoder.needs_grid, *_program(stream)]
            for stream in coded_streams(plan, plan.grid, plan.crfs)
        ],
    }
    return dict(json.loads(json.dumps(parts, default=str)))


def _network(model: Model) -> list[object]:
    """The identity of a network's file, and what its card says of the input; the threshold is a setting of its own."""
    return [*identity(model.path), model.working_area, model.multiple_of, model.input_size, model.decision]


def _program(stream: Stream) -> list[object]:
    """The command line of a stream, and the identity of its program, which shows whether the program has changed."""
    command = stream.command(Path("out"))
    return [command, identity(Path(command[0]))]
