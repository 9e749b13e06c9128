"""Running encoders: a stream is a clip with its encoder. All streams are fed frame by frame in lock-step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from ..encoders.relabelling import relabel
from ..encoders.worker_pool import WorkerPool
from ..encoders.y4m import FRAME_HEADER, frame_planes, stream_header
from ..masks.grid import blank_grid
from ..source.pipe import Pipe

__all__ = ["Recoder", "Stream", "feed", "frame_chunks", "run_encoders"]

#: Frame property with the macroblock grid, for streams whose encoder needs it.
_GRID = "SacGrid"


@dataclass(frozen=True)
class Stream:
    """A coded track: its clip and its encoder.

    Attributes:
        track: Name of the track.
        clip: Clip to encode.
        encoder: Encoder of the clip.
        settings: Preset and further options.
        crf: Constant rate factor.
        grid: Macroblock grid of the clip, for QP offsets; None without offsets.
    """

    track: str
    clip: vs.VideoNode
    encoder: Encoder
    settings: EncoderSettings
    crf: float
    grid: vs.VideoNode | None = None

    def command(self, out: Path) -> list[str]:
        """The full command line of the encoder."""
        return self.encoder.command(self.picture, self.settings, self.crf, out)

    @cached_property
    def picture(self) -> PictureFormat:
        """Format of the clip."""
        return PictureFormat.of(self.clip)

    @property
    def fed(self) -> vs.VideoNode:
        """The clip that is sent to the encoder. If the encoder needs the grid, it is attached as a frame property."""
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
    pipe: Pipe | None = None,
) -> tuple[list[Path], float]:
    """Run the encoders of all streams at the same time, so that nodes shared by the clips are evaluated only once.

    Args:
        streams: The streams to encode.
        grid: Macroblock grid.
        folder: Folder for the files, which are named after the tracks.
        mask: Command that writes the grid as the mask track; empty if the mask track already exists.
        progress: Called after each frame.
        depth: Number of frames that may wait for each encoder.
        workers: Pool that provides prewarmed workers.
        pipe: The pipe from which the clips come, if they do; see `feed`.

    Returns:
        The files of the streams, and the mean ROI share of the grid.

    Raises:
        SacError: An encoder cannot be started, or it failed.
    """
    paths = [folder / f"{stream.track.lower()}{stream.encoder.suffix}" for stream in streams]
    with ProcessGroup() as group:
        sinks = []
        for stream, path in zip(streams, paths, strict=True):
            command = stream.command(path)
            started = workers.take(command) if workers else None
            sinks.append(group.start(f"{stream.track} encoder", command, depth, started))
        sinks += [group.start("mask encoder", mask, depth)] if mask else []
        share = feed([*(stream.fed for stream in streams), grid], sinks, progress, ahead=min(AHEAD, depth), pipe=pipe)
        group.finish()
    for stream, path in zip(streams, paths, strict=True):
        relabel(path, stream.picture)
    return paths, share


class Recoder:
    """Encodes the streams of one clip again with other settings. A stream that did not change keeps its file.

    Args:
        grid: Block grid; also an attribute.
        folder: Folder for the files.
        progress: Called after each frame.
        workers: Pool that provides prewarmed workers.
    """

    def __init__(
        self, grid: vs.VideoNode, folder: Path, progress: Progress | None = None, workers: WorkerPool | None = None
    ) -> None:
        self.grid, self._folder, self._progress, self._workers = grid, folder, progress, workers
        self._done: dict[tuple[str, Encoder, EncoderSettings, float], Path] = {}

    def encode(self, streams: Sequence[Stream]) -> list[Path]:
        """The files of the streams, newly encoded where needed; raises what `run_encoders` raises."""
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
    pipe: Pipe | None = None,
) -> float:
    """Render the clips in lock-step and send each to one process. Nodes shared by the clips are evaluated only once.

    Args:
        clips: The clips. If a frame carries a macroblock grid, the grid is sent after the frame (`encoders.wire`).
        sinks: The processes, in the same order. The last clip may have none.
        progress: Called after each frame.
        ahead: Number of frames requested at a time.
        pipe: The pipe from which the clips come, if they do. Its end, which may come before that of the clips, ends the
            streams.

    Returns:
        Mean share of the value 255 in the last clip. This is the ROI share if the clip is a grid.

    Raises:
        SacFormatError: The clips differ in length.
        SacProcessError: A process failed.
    """
    for clip in clips[1:]:
        if clip.num_frames != clips[0].num_frames:
            raise SacFormatError(f"clips of {clips[0].num_frames} and {clip.num_frames} frames", "encode")
    for clip, sink in zip(clips, sinks, strict=False):
        header = stream_header(clip)
        sink.put(Packet(lambda header=header: [header]))  # type: ignore[misc]
    total = pipe.total if pipe else int(clips[0].num_frames)
    done, share = 0, 0.0
    for together in zip(*(frames(clip, ahead) for clip in clips), strict=True):
        # A pipe sees its end when the frame after the last one is requested.
        if pipe and (length := pipe.length()) is not None and done >= length:
            for frame in together:
                frame.close()
            break
        done += 1
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
    return share / done


def frame_chunks(frame: vs.VideoFrame) -> Iterator[bytes | memoryview]:
    """The parts of one frame in a y4m stream."""
    yield FRAME_HEADER
    yield from frame_planes(frame)
