"""SAC file → reconstructed clip: open the tracks, enlarge the non-ROI, merge both streams by the mask."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import vapoursynth as vs

from ..container.info import MASK_TRACK, NON_ROI_TRACK, TRACKS, SacInfo
from ..container.reader import TrackState, open_first_masks, open_track, probe, verify
from ..core.arguments import check_path
from ..core.errors import SacDamageError, SacFileError, SacFormatError, SacWarning
from ..core.lazy import renamed_argument
from ..masks.grid import expand_grid
from ..streams.coded_size import scale_up
from ..streams.merging import merge
from ..streams.resampling import enlarge, half_size

__all__ = ["open_sac"]


@renamed_argument("in_order", "sequential")
def open_sac(
    path: str | Path,
    *,
    frames: int | None = None,
    allow_missing: bool = False,
    sequential: bool = False,
    native: bool = False,
) -> vs.VideoNode:
    """Open a SAC file as the reconstructed clip. Of two streams, every block is taken from the stream of its region.

    Args:
        path: The file.
        frames: Open only this many frames from the start, and accept any damage after them, as after a
            `SacDamageError`.
        allow_missing: If one of two coded streams is lost or damaged, show mid-grey in its blocks from there on. If the
            checksums are lost, use the frames unchecked. Each case gives a `SacWarning`.
        sequential: See `source.open_clip`.
        native: Keep the size in which the picture was coded. Otherwise a picture that was coded smaller than its source
            is enlarged to the source's size.

    Returns:
        Clip with the size, format, length, frame rate and colour properties of the source.

    Raises:
        SacDamageError: A track lacks frames, or its frames are not those that were written.
        SacFileError: The file is not a SAC file, or its tracks do not fit together.
    """
    check_path(path, "path", "open_sac")
    info = probe(path, allow_missing=allow_missing)
    states = {state.name: state for state in verify(info)}
    coded = [states[name] for name in TRACKS[info.mode] if name != MASK_TRACK]
    length = _length(list(states.values()), coded, allow_missing)
    if length < (info.frames if frames is None else frames):
        worst = min(states.values(), key=lambda state: state.frames)
        raise SacDamageError(worst.damage, "open_sac", frames=length)
    if not info.sums:
        warnings.warn(f"{path} has lost its checksums; frames are taken as they come", SacWarning, stacklevel=2)
    for state in states.values() if allow_missing else ():
        if state.damage:
            warnings.warn(state.damage, SacWarning, stacklevel=2)
    length = info.frames if frames is None else frames
    clips = [
        open_track(info, state.name, min(state.frames, length), sequential) if state.frames else None for state in coded
    ]
    like = next(clip for clip in clips if clip)
    sizes = [_track_size(info, state.name, like) for state in coded]
    for clip, (width, height) in zip(clips, sizes, strict=True):
        if clip and (clip.width, clip.height) != (width, height):
            raise SacFileError(f"{path} says {width}x{height}, a track is {clip.width}x{clip.height}", "open_sac")
    first, *others = (_filled(clip, like, size, length) for clip, size in zip(clips, sizes, strict=True))
    if not others:
        return first if native else _at_source_size(first, info)
    grid = open_first_masks(info, length, sequential)
    rest, mask = others[0], expand_grid(grid, info.width, info.height, info.block)
    try:
        merged = merge(first, rest if info.non_roi_scale == 1 else enlarge(rest, first, grid), mask)
    except SacFormatError as error:
        raise SacFileError(f"the tracks of {path} do not fit together: {error}", "open_sac") from error
    return merged if native else _at_source_size(merged, info)


def _at_source_size(clip: vs.VideoNode, info: SacInfo) -> vs.VideoNode:
    """A reconstructed picture in the size of its source."""
    if info.source_size is None:
        return clip
    try:
        return scale_up(clip, *info.source_size)
    except SacFormatError as error:
        raise SacFileError(f"{info.path} names a source that it cannot have: {error}", "open_sac") from error


def _length(states: Sequence[TrackState], coded: Sequence[TrackState], allow_missing: bool) -> int:
    """Number of frames that can be reconstructed."""
    if not allow_missing:
        return min(state.frames for state in states)
    # Two streams cannot be merged without the mask. A single stream is complete without it.
    return min([max(state.frames for state in coded)] + [s.frames for s in states if len(coded) > 1 and s not in coded])


def _track_size(info: SacInfo, name: str, like: vs.VideoNode) -> tuple[int, int]:
    """Width and height of a coded track. Its chroma subsampling is that of `like`."""
    if name != NON_ROI_TRACK or info.non_roi_scale == 1:
        return info.width, info.height
    return half_size(info.width, info.height, (like.format.subsampling_w, like.format.subsampling_h))


def _filled(clip: vs.VideoNode | None, like: vs.VideoNode, size: tuple[int, int], length: int) -> vs.VideoNode:
    """Extend a clip to a length with grey frames. A missing clip becomes grey frames of the given size."""
    if clip is not None and clip.num_frames == length:
        return clip
    planes = like.format.num_planes
    grey = vs.core.std.BlankClip(
        like, *size, length=length, color=[1 << (like.format.bits_per_sample - 1)] * planes, keep=True
    )
    grey = grey.std.CopyFrameProps(like[0] * length)
    return grey if clip is None else clip + grey[clip.num_frames :]
