"""Coding clips: which encoder codes what in which mode, and feeding their processes in lock-step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs

from .encoders import Encoder, EncoderSettings, PictureFormat
from .errors import SacFormatError
from .graph import AHEAD, frames
from .process import QUEUE_DEPTH, FedProcess, Packet, ProcessGroup
from .y4m import FRAME_HEADER, frame_planes, stream_header

__all__ = ["Progress", "Recoder", "Stream", "code", "feed", "frame_chunks", "with_grid"]

#: Frame property that carries the block grid to an encoder that wants it behind the frame.
_GRID = "SacGrid"

#: Called with frames done and frames in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Stream:
    """A coded track: what it shows and what codes it.

    Attributes:
        track: Name of the track.
        clip: What it shows; `with_grid` where the encoder is fed the block grid behind every frame.
        encoder: What codes it.
        settings: How.
    """

    track: str
    clip: vs.VideoNode
    encoder: Encoder
    settings: EncoderSettings


def with_grid(clip: vs.VideoNode, grid: vs.VideoNode) -> vs.VideoNode:
    """A clip whose frames carry their block grid, which `feed` writes behind them."""
    return vs.core.std.ClipToProp(clip, grid, prop=_GRID)


def code(
    streams: Sequence[Stream],
    grid: vs.VideoNode,
    folder: Path,
    *,
    mask: Sequence[str] = (),
    progress: Progress | None = None,
    depth: int = QUEUE_DEPTH,
) -> tuple[list[Path], float]:
    """Run the streams' encoders at the same time, so that what the clips share is computed once.

    Args:
        streams: What is coded.
        grid: Block grid.
        folder: Where the files go; they are named after the tracks.
        mask: Command that writes the grid as the mask track; nothing where that is done.
        progress: Called as frames are done.
        depth: Frames that wait for each encoder.

    Returns:
        The streams' files, and the mean ROI share of the grid.

    Raises:
        SacError: An encoder cannot be started or failed.
    """
    paths = [folder / f"{stream.track.lower()}{stream.encoder.suffix}" for stream in streams]
    with ProcessGroup() as group:
        sinks = [
            group.start(f"{s.track} encoder", s.encoder.command(PictureFormat.of(s.clip), s.settings, path), depth)
            for s, path in zip(streams, paths, strict=True)
        ]
        sinks += [group.start("mask encoder", mask, depth)] if mask else []
        share = feed([*(stream.clip for stream in streams), grid], sinks, progress, ahead=min(AHEAD, depth))
        group.finish()
    return paths, share


class Recoder:
    """Codes streams of one clip again with other settings; a stream that did not change keeps its file.

    Args:
        grid: Block grid, as an attribute too.
        folder: Where the files go.
        progress: Called as frames are done.
    """

    def __init__(self, grid: vs.VideoNode, folder: Path, progress: Progress | None = None) -> None:
        self.grid, self._folder, self._progress = grid, folder, progress
        self._done: dict[tuple[str, Encoder, EncoderSettings], Path] = {}

    def code(self, streams: Sequence[Stream]) -> list[Path]:
        """The streams' files; raises what `code` does."""
        keys = [(stream.track, stream.encoder, stream.settings) for stream in streams]
        changed = {key: stream for key, stream in zip(keys, streams, strict=True) if key not in self._done}
        if changed:
            folder = self._folder / f"trial{len(self._done)}"
            folder.mkdir()
            paths, _ = code(list(changed.values()), self.grid, folder, progress=self._progress)
            self._done.update(zip(changed, paths, strict=True))
        return [self._done[key] for key in keys]


def feed(
    clips: Sequence[vs.VideoNode],
    sinks: Sequence[FedProcess],
    progress: Progress | None = None,
    *,
    ahead: int = AHEAD,
) -> float:
    """Pull the clips in lock-step, so that what they share is computed once, and feed one process each.

    Args:
        clips: What is fed; frames that carry a grid (`with_grid`) are followed by it, one byte per sample.
        sinks: The processes, in the same order; the last clip need not have one.
        progress: Called as frames are done.
        ahead: Frames asked for at a time.

    Returns:
        Mean share of 255 in the last clip (the ROI share where that is a grid).

    Raises:
        SacFormatError: Clips of different lengths.
        SacProcessError: A process failed.
    """
    for clip in clips[1:]:
        if clip.num_frames != clips[0].num_frames:
            raise SacFormatError(f"clips of {clips[0].num_frames} and {clip.num_frames} frames", "encode")
    for clip, sink in zip(clips, sinks, strict=False):
        header = stream_header(clip)
        sink.put(Packet(lambda header=header: [header]))  # type: ignore[misc]
    total, share = int(clips[0].num_frames), 0.0
    for done, together in enumerate(zip(*(frames(clip, ahead) for clip in clips), strict=True), 1):
        last: np.ndarray[Any, Any] = np.asarray(together[-1][0])
        share += float((last == 255).mean())
        for frame, sink in zip(together, sinks, strict=False):
            carried = frame.props.get(_GRID)
            behind = [np.asarray(carried[0]).tobytes()] if carried else []
            sink.put(Packet(lambda frame=frame, behind=behind: chain(frame_chunks(frame), behind), frame.close))  # type: ignore[misc]
        for frame in together[len(sinks) :]:
            frame.close()
        if progress:
            progress(done, total)
    return share / total


def frame_chunks(frame: vs.VideoFrame) -> Iterator[bytes | memoryview]:
    """A frame of a y4m stream."""
    yield FRAME_HEADER
    yield from frame_planes(frame)
