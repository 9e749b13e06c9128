"""Reading a video by PyAV, sequentially or at several places at once, without an index.

Source plugins first make an index. For it they decode the whole file, which is as much work as the job itself. Here, a
file is only demuxed in advance (`timeline`), and frames are found by their timestamps. A frame that cannot be decoded
is either an error, or it is replaced by the frame before it and reported at the end (`report_damage`).
"""

import contextlib
import warnings
import weakref
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.logging
import numpy.typing as npt
import vapoursynth as vs

from ..core.errors import SacDamageWarning, SacFileError
from .decoder import PLACES, Reader, decoded_frames, numbered_frames, opened
from .properties import frame_props
from .timeline import Timeline, read_timeline, video_streams

__all__ = [
    "at_rate",
    "converted",
    "damage_of",
    "like_trimmed",
    "open_video",
    "refuse_damage",
    "relabelled",
    "report_damage",
    "samples",
    "timeline_of",
    "trimmed",
]

#: Codecs in which every packet is one frame.
_CODECS = {"ffv1", "h264", "hevc", "mjpeg", "png", "rawvideo"}

#: FFmpeg's pixel format → colour family, bits per sample, chroma subsampling (log2, horizontal and vertical).
_FORMATS = {
    "gray": (vs.GRAY, 8, 0, 0),
    "rgb24": (vs.RGB, 8, 0, 0),
    **{f"yuv{j}{name}p": (vs.YUV, 8, *sub) for j in ("", "j") for name, sub in
       (("420", (1, 1)), ("422", (1, 0)), ("444", (0, 0)))},
    **{f"yuv{name}p{bits}le": (vs.YUV, bits, *sub) for bits in (10, 12) for name, sub in
       (("420", (1, 1)), ("422", (1, 0)), ("444", (0, 0)))},
}  # fmt: skip

#: Demuxers whose keyframes can be found by timestamp. Files of other formats are decoded from their start.
_SEEKABLE = ("mov,", "matroska,", "image2")

#: Rotation in degrees → the filters that turn the picture upright.
_TURNS = {90: ("Transpose", "FlipHorizontal"), 180: ("Turn180",), 270: ("Transpose", "FlipVertical")}


@dataclass
class _Origin:
    """Where a clip comes from.

    Attributes:
        reader: What decodes its file.
        timeline: When its frames are displayed.
        plain: Whether its samples are exactly those of the file, from the first frame on.
    """

    reader: "Reader"
    timeline: Timeline
    plain: bool = True


#: Clips that `trimmed` made → their first frame, and the length of the whole.
_PARTS: "weakref.WeakKeyDictionary[vs.VideoNode, tuple[int, int]]" = weakref.WeakKeyDictionary()

_ORIGINS: "weakref.WeakKeyDictionary[vs.VideoNode, _Origin]" = weakref.WeakKeyDictionary()


def open_video(
    path: Path,
    track: int,
    *,
    sequential: bool,
    strict: bool = True,
    images: Sequence[Path] = (),
    damage: str = "",
) -> vs.VideoNode | None:
    """Open a video track.

    Args:
        path: Video file, or printf pattern of images.
        track: Number of the video track, from 0.
        sequential: Whether the frames will be requested in order. Otherwise several places are decoded at once.
        strict: Whether a frame that cannot be decoded is an error. Otherwise the frame before it takes its place, and
            `report_damage` warns of it.
        images: The images that a pattern stands for. Errors name them, and their orientation is left to the caller.
        damage: What is known to be missing among the images.

    Returns:
        The clip in its own format, with the same samples as a source plugin gives, upright, and with the frame
        properties that `source.open_clip` needs. None if the file needs a source plugin.
    """
    try:
        with opened(path) as file:
            streams = video_streams(file)
            if track >= len(streams):
                return None
            stream = streams[track]
            first = _first_frame(file, stream)
            if first is None or stream.codec_context.name not in _CODECS or first.format.name not in _FORMATS:
                return None
            turn = 0 if images else round(-first.rotation) % 360
            if first.interlaced_frame or (turn and turn not in _TURNS):
                return None
            rate = stream.codec_context.framerate
            # The aspect ratio of the codec overrides that of the container, as in source plugins.
            aspect = stream.codec_context.sample_aspect_ratio or stream.sample_aspect_ratio
            seekable = file.format.name.startswith(_SEEKABLE)
        with opened(path) as file:
            timeline = read_timeline(file, track, rate=Fraction(rate) if rate else None, first=first.pts)
    except (av.FFmpegError, OSError, ValueError):
        return None
    if timeline is None:
        return None
    if images:
        timeline = replace(timeline, damage=damage)
    elif timeline.damage and not strict:
        timeline = _without_lost_end(path, track, timeline, seekable)
    reader = Reader(path, track, first, timeline, places=1 if sequential else PLACES,
                     strict=strict, seek=seekable, images=images)  # fmt: skip
    clip = _node(reader, first, aspect)
    if turn:
        for turned in _TURNS[turn]:
            clip = getattr(clip.std, turned)()
        if aspect and turn != 180:
            clip = clip.std.SetFrameProps(_SARNum=aspect.denominator, _SARDen=aspect.numerator)
    _ORIGINS[clip] = _Origin(reader, timeline, plain=not turn)
    return clip


def _without_lost_end(path: Path, track: int, timeline: Timeline, seekable: bool) -> Timeline:
    """The timeline of a truncated file without the frames at its end that cannot be decoded."""
    start = timeline.keyframe_before(len(timeline.pts) - 1) if seekable else 0
    with contextlib.closing(numbered_frames(path, track, timeline, start, vs.core.num_threads)) as decoded:
        last = max((number for number, _, _ in decoded), default=len(timeline.pts) - 1)
    return timeline.part(0, last + 1)


def _node(reader: "Reader", first: av.VideoFrame, aspect: Fraction | None) -> vs.VideoNode:
    """The frames of a reader as a clip."""
    family, bits, *sub = _FORMATS[first.format.name]
    wanted = vs.core.query_video_format(family, vs.INTEGER, bits, *sub)
    fps = reader.timeline.fps
    blank = vs.core.std.BlankClip(
        width=first.width, height=first.height, format=wanted.id, length=len(reader.timeline.pts), keep=True,
        fpsnum=fps.numerator, fpsden=fps.denominator,
    )  # fmt: skip
    return blank.std.ModifyFrame(blank, reader.frame).std.SetFrameProps(**frame_props(first, aspect))


def _first_frame(file: Any, stream: Any) -> "av.VideoFrame | None":
    """The first frame that the decoder outputs, past packets that it refuses."""
    return next((frame for frame, _ in decoded_frames(file, stream)), None)


def relabelled(clip: vs.VideoNode, by: vs.VideoNode) -> vs.VideoNode:
    """Return `by` with the origin of `clip`; only frame properties may differ from `clip`."""
    if origin := _ORIGINS.get(clip):
        _ORIGINS[by] = origin
    return by


def at_rate(clip: vs.VideoNode, fps: Fraction) -> vs.VideoNode:
    """The clip at a constant frame rate, whatever the times of its frames were."""
    made = clip.std.AssumeFPS(fpsnum=fps.numerator, fpsden=fps.denominator)
    if origin := _ORIGINS.get(clip):
        _ORIGINS[made] = replace(origin, timeline=origin.timeline.at_rate(fps))
    return made


def converted(clip: vs.VideoNode, by: vs.VideoNode) -> vs.VideoNode:
    """Return `by` with the origin of `clip`, of which it has the frames with other samples."""
    if origin := _ORIGINS.get(clip):
        _ORIGINS[by] = replace(origin, plain=False)
    if part := _PARTS.get(clip):
        _PARTS[by] = part
    return by


def trimmed(clip: vs.VideoNode, start: int, stop: int) -> vs.VideoNode:
    """The frames from `start` to before `stop`, which keep their times."""
    part = clip[start:stop]
    _PARTS[part] = (start, clip.num_frames)
    if origin := _ORIGINS.get(clip):
        _ORIGINS[part] = replace(origin, timeline=origin.timeline.part(start, stop), plain=origin.plain and not start)
    return part


def like_trimmed(clip: vs.VideoNode, other: vs.VideoNode) -> vs.VideoNode:
    """The frames of `other` that belong to a clip which `trimmed` made; `other` if it is not as long as the whole."""
    start, whole = _PARTS.get(clip, (0, clip.num_frames))
    return other[start : start + clip.num_frames] if other.num_frames == whole else other


def timeline_of(clip: vs.VideoNode) -> Timeline | None:
    """When the frames of a clip are displayed; None if `open_video` has not made the clip."""
    origin = _ORIGINS.get(clip)
    return origin.timeline if origin else None


def damage_of(clip: vs.VideoNode) -> str:
    """What was found to be damaged in the file of a clip up to now; empty if nothing was."""
    origin = _ORIGINS.get(clip)
    return origin.reader.damage() if origin else ""


def refuse_damage(clip: vs.VideoNode, func: str) -> None:
    """Refuse the clip of a file of which a part is known to be missing, before it is decoded.

    Raises:
        SacFileError: A part is missing.
    """
    if damage := damage_of(clip):
        raise SacFileError(f"{damage}; without --strict what can be decoded is coded", func)


def report_damage(clip: vs.VideoNode) -> str:
    """Warn (`SacDamageWarning`) of what was found to be damaged in the file of a clip, and return it."""
    damage = damage_of(clip)
    if damage:
        warnings.warn(damage, SacDamageWarning, stacklevel=2)
    return damage


def samples(clip: vs.VideoNode, planes: Sequence[int]) -> Generator[list[npt.NDArray[Any]]] | None:
    """Read the samples of a clip in order without the VapourSynth graph, which would copy every plane.

    Args:
        clip: Any clip.
        planes: Indices of the planes to return.

    Returns:
        Generator of the planes of each frame: read-only arrays of shape (H, W) with padded rows. None if the clip does
        not have the samples of a file that `open_video` reads.

    Raises:
        SacFileError: During the iteration: a frame cannot be decoded, or the format changes.
    """
    origin = _ORIGINS.get(clip)
    return origin.reader.samples(planes, clip.num_frames) if origin and origin.plain else None
