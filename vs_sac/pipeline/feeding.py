"""Running encoders: a stream is a clip with its encoder, and all of them are fed in lock-step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs

from ..core.clips import AHEAD, frames
from ..core.errors import SacFormatError
from ..core.processes import QUEUE_DEPTH, Packet, ProcessGroup, StdinProcess
from ..core.progress import Progress
from ..encoders.base import Encoder, EncoderSettings, PictureFormat
from ..encoders.worker_pool import WorkerPool
from ..encoders.y4m import FRAME_HEADER, frame_planes, stream_header
from ..masks.grid import blank_grid

__all__ = ["Recoder", "Stream", "feed", "frame_chunks", "run_encoders"]

#: Frame property that carries the macroblock grid of a stream whose encoder needs it.
_GRID = "SacGrid"


@dataclass(frozen=True)
class Stream:
    """A coded track: what it shows and what codes it.

    Attributes:
        track: Name of the track.
        clip: What it shows.
        encoder: What codes it.
        settings: Effort and further options.
        crf: Constant rate factor.
        grid: Macroblock grid of the clip, for QP offsets; None if there are none.
    """

    track: str
    clip: vs.VideoNode
    encoder: Encoder
    settings: EncoderSettings
    crf: float
    grid: vs.VideoNode | None = None

    def command(self, out: Path) -> list[str]:
        """The encoder's whole command line."""
        return self.encoder.command(PictureFormat.of(self.clip), self.settings, self.crf, out)

    @property
    def fed(self) -> vs.VideoNode:
        """The clip, with the grid as a frame property if the encoder needs it."""
        if not self.encoder.needs_grid:
            return self.clip
        grid = self.grid if self.grid is not None else blank_grid(self.clip)
        return vs.core.std.ClipToProp(self.clip, grid, prop=_GRID)


def run_encoders(
    streams: Sequence[Stream],
    grid: vs.VideoNode,
    folder: Path,
    *,
    mask: Sequence[str] = (),
    progress: Progress | None = None,
    depth: int = QUEUE_DEPTH,
    workers: WorkerPool | None = None,
) -> tuple[list[Path], float]:
    """Run the streams' encoders at the same time, so that what the clips share is computed once.

    Args:
        streams: What is coded.
        grid: Macroblock grid.
        folder: Where the files go; they are named after the tracks.
        mask: Command that writes the grid as the mask track; empty if the track is already written.
        progress: Called as frames are done.
        depth: Frames that may wait for each encoder.
        workers: Where started workers are taken from.

    Returns:
        The streams' files, and the mean ROI share of the grid.

    Raises:
        SacError: An encoder cannot be started or failed.
    """
    paths = [folder / f"{stream.track.lower()}{stream.encoder.suffix}" for stream in streams]
    with ProcessGroup() as group:
        sinks = []
        for stream, path in zip(streams, paths, strict=True):
            command = stream.command(path)
            started = workers.take(command) if workers else None
            sinks.append(group.start(f"{stream.track} encoder", command, depth, started))
        sinks += [group.start("mask encoder", mask, depth)] if mask else []
        share = feed([*(stream.fed for stream in streams), grid], sinks, progress, ahead=min(AHEAD, depth))
        group.finish()
    return paths, share


class Recoder:
    """Codes streams of one clip again with other settings; a stream that did not change keeps its file.

    Args:
        grid: Block grid, as an attribute too.
        folder: Where the files go.
        progress: Called as frames are done.
        workers: Where started workers are taken from.
    """

    def __init__(
        self, grid: vs.VideoNode, folder: Path, progress: Progress | None = None, workers: WorkerPool | None = None
    ) -> None:
        self.grid, self._folder, self._progress, self._workers = grid, folder, progress, workers
        self._done: dict[tuple[str, Encoder, EncoderSettings, float], Path] = {}

    def encode(self, streams: Sequence[Stream]) -> list[Path]:
        """The streams' files; raises what `run_encoders` does."""
        keys = [(stream.track, stream.encoder, stream.settings, stream.crf) for stream in streams]
        changed = {key: stream for key, stream in zip(keys, streams, strict=True) if key not in self._done}
        if changed:
            folder = self._folder / f"trial{len(self._done)}"
            folder.mkdir()
            paths, _ = run_encoders(
                list(changed.values()), self.grid, folder, progress=self._progress, workers=self._workers
            )
            self._done.update(zip(changed, paths, strict=True))
        return [self._done[key] for key in keys]


def feed(
    clips: Sequence[vs.VideoNode],
    sinks: Sequence[StdinProcess],
    progress: Progress | None = None,
    *,
    ahead: int = AHEAD,
) -> float:
    """Pull the clips in lock-step, so that what they share is computed once, and feed one process each.

    Args:
        clips: What is fed; a frame that carries a macroblock grid is followed by it (`encoders.wire`).
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
