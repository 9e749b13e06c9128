"""One H.264 or H.265 stream whose macroblocks have QP offsets of their own: libx264 and libx265 inside PyAV.

Runs as a program of its own, by its path: ``python roi_worker.py --codec libx264 … OUT.mkv`` reads a y4m stream whose
every frame is followed by the macroblock grid (see `wire`) and writes Matroska. Of the package it imports modules that
need the standard library alone, and no NumPy, which takes longer to load than all else together.

FFmpeg carries offsets as a list of rectangles with a fraction of the QP range; where rectangles overlap, the first
counts (``setup_roi`` in libavcodec/libx264.c, ``libx265_encode_set_roi`` in libx265.c).
"""

import io
import math
import re
import sys
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, BinaryIO, NamedTuple, cast

import av
import av.filter
import av.logging

if not __package__:
    # Run by its path: the package lies two folders up; this folder must not hide other modules.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from vs_sac.core.macroblocks import grid_size
from vs_sac.encoders.wire import WAIT, Grid, Task, fill, read_arguments, read_grid, read_task

__all__ = ["Rectangle", "RoiWriter", "StreamFormat", "cover", "grouped", "main", "response"]

#: Bytes of a `Grid` → those of its complement.
_UNSET = bytes([1] + [0] * 255)

#: What attaches a rectangle to frames.
_ADD_ROI = av.filter.Filter("addroi")

#: Graphs kept for masks that come again, as they do where nothing moves.
_GRAPHS = 8

#: How the wrappers begin their warnings of options that the libraries do not take and that are left out.
_REFUSALS = ("Error parsing option", "Unknown option", "Invalid value")

#: Size and length of the texture that `response` encodes.
_PROBE_SIDE, _PROBE_FRAMES = 128, 4


class Rectangle(NamedTuple):
    """Blocks `left` ≤ x < `right`, `top` ≤ y < `bottom`."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, kw_only=True)
class StreamFormat:
    """What the header of a y4m stream says.

    Attributes:
        width: In pixels.
        height: In pixels.
        fps: Frame rate.
        pixel_format: FFmpeg's name, such as ``yuv420p10le``.
        aspect: Sample aspect ratio; None if unknown.
    """

    width: int
    height: int
    fps: Fraction
    pixel_format: str
    aspect: Fraction | None = None


def grouped(grid: Grid, side: int) -> Grid:
    """Grow the ROI to whole squares of macroblocks, counted from the top left.

    An encoder whose quantization groups are larger than a macroblock gives a group the mean of its blocks' offsets, and
    so takes quality from the ROI wherever a group holds both.
    """
    return grid if side == 1 else _turned(_joined(_turned(_joined(grid, side)), side))


def _joined(lines: Grid, count: int) -> list[bytes]:
    """Every `count` neighbouring lines as their union."""
    found: list[bytes] = []
    for start in range(0, len(lines), count):
        group = lines[start : start + count]
        union = 0
        for line in group:
            union |= int.from_bytes(line)
        found += [union.to_bytes(len(group[0]))] * len(group)
    return found


def _turned(lines: Grid) -> list[bytes]:
    """Columns in place of rows."""
    flat, length = b"".join(lines), len(lines[0])
    return [flat[n::length] for n in range(length)]


def cover(grid: Grid) -> list[Rectangle]:
    """Disjoint rectangles that together are the set blocks of a grid.

    Runs of equal extent in neighbouring rows merge, or in neighbouring columns, whichever gives fewer.

    Args:
        grid: Its rows, all of the same length.

    Returns:
        At most as many rectangles as there are horizontal runs, and as there are vertical ones.
    """
    across, down = _merged_runs(grid), _merged_runs(_turned(grid))
    if len(across) <= len(down):
        return [Rectangle(left, top, right, bottom) for (left, right), top, bottom in across]
    return [Rectangle(left, top, right, bottom) for (top, bottom), left, right in down]


def _merged_runs(lines: Grid) -> list[tuple[tuple[int, int], int, int]]:
    """Runs within lines, as start and end, and the lines that share each: from one, up to another."""
    found: list[tuple[tuple[int, int], int, int]] = []
    growing: dict[tuple[int, int], int] = {}
    last = b""
    for number, line in enumerate([*lines, bytes(len(lines[0]))]):
        if line == last:
            continue
        runs, end = {}, 0
        while (start := line.find(1, end)) >= 0:
            end = line.find(0, start)
            end = end if end >= 0 else len(line)
            runs[start, end] = growing.pop((start, end), number)
        found += [(run, first, number) for run, first in growing.items()]
        growing, last = runs, line
    return found


def _regions(grid: Grid, roi: Fraction, non_roi: Fraction) -> list[tuple[Rectangle, Fraction]]:
    """The shorter of two lists: the ROI on top of the rest, or the rest on top of the ROI."""
    if roi == non_roi == 0:
        return []
    lists = []
    rest = [line.translate(_UNSET) for line in grid]
    for region, above, below in ((grid, roi, non_roi), (rest, non_roi, roi)):
        regions = [(rectangle, above) for rectangle in cover(region)] if above or below else []
        if below:
            # Last, since the first rectangle counts; without it blocks have no offset.
            regions.append((Rectangle(0, 0, len(grid[0]), len(grid)), below))
        lists.append(regions)
    return min(lists, key=len)


class RoiWriter:
    """Writes frames with their grids to a Matroska file.

    Args:
        task: What is encoded how.
        picture: Format of the frames.
        out: File, or a binary stream that can seek.

    Raises:
        ValueError: The encoder does not take an option; the message is one line.
    """

    def __init__(self, task: Task, picture: StreamFormat, out: Path | BinaryIO) -> None:
        self._task, self._picture = task, picture
        # Bit-exact: no date and no random numbers in the file.
        target = f"file:{out}" if isinstance(out, Path) else out
        file: Any = av.open(target, "w", format="matroska", options={"fflags": "+bitexact"})
        self._file = file
        self._stream = self._file.add_stream(task.codec, rate=picture.fps)
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = picture.width, picture.height, picture.pixel_format
        context.time_base = 1 / picture.fps
        if picture.aspect:
            context.sample_aspect_ratio = picture.aspect
        # As the programs do it: as many threads as help. PyAV's default would cut frames into slices.
        context.thread_count, context.thread_type = 0, "FRAME"
        context.options = dict(task.options)
        with av.logging.Capture() as said:
            try:
                context.open()
            except av.FFmpegError as error:
                raise ValueError(said[-1][2].strip() if said else error.strerror) from None
        refused = [text.strip() for _, _, text in said if text.startswith(_REFUSALS)]
        # libavcodec takes out what it knows.
        refused += [f"Unknown option {name}" for name in context.options]
        if refused:
            raise ValueError(refused[0])
        # libavcodec multiplies by this range again (its qp_range), so an offset arrives in whole QPs as it is.
        bits = av.VideoFormat(picture.pixel_format).components[0].bits
        self._range = 51 + 6 * (bits - 8)
        self._sample_bytes = 1 if bits == 8 else 2
        # One frame for all, so that its memory is asked for once.
        self._frame = av.VideoFrame(picture.width, picture.height, picture.pixel_format)
        self._graphs: OrderedDict[bytes, av.filter.Graph] = OrderedDict()
        self._count = 0

    def read(self, stream: BinaryIO) -> av.VideoFrame:
        """A frame whose planes come from a stream one after the other, rows end to end; to be written before the next.

        Raises:
            ValueError: The stream ends before.
        """
        frame = self._frame
        # A copy where an encoder still holds it.
        frame.make_writable()
        for plane in frame.planes:
            there, row = memoryview(plane), plane.width * self._sample_bytes
            if plane.line_size == row:
                # Without a copy in between.
                fill(stream, there)
                continue
            packed = memoryview(bytearray(plane.height * row))
            fill(stream, packed)
            for n in range(plane.height):
                there[n * plane.line_size : n * plane.line_size + row] = packed[n * row : (n + 1) * row]
        return frame

    def write(self, frame: av.VideoFrame, grid: Grid) -> None:
        """Encode a frame.

        Args:
            frame: As `read` gives it.
            grid: As many rows and columns as the frame has macroblocks.
        """
        frame.pts, frame.time_base = self._count, 1 / self._picture.fps
        self._count += 1
        graph = self._graph(grid)
        if graph:
            graph.vpush(frame)
            frame = graph.vpull()
        self.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Encode what is still waiting and finish the file."""
        self.mux(self._stream.encode(None))
        self._file.close()

    def mux(self, packets: list[Any]) -> None:
        """Write what the encoder gave."""
        self._file.mux(packets)

    def _graph(self, grid: Grid) -> "av.filter.Graph | None":
        """Filters that attach the regions of a grid to a frame, which is the only way PyAV offers."""
        grid = grouped(grid, self._task.group)
        key = b"".join(grid)
        if key in self._graphs:
            self._graphs.move_to_end(key)
            return self._graphs[key]
        regions = _regions(grid, self._task.roi_offset, self._task.non_roi_offset)
        if not regions:
            return None
        picture, block, graph = self._picture, self._task.block, av.filter.Graph()
        # Nothing here is worth a thread, and every graph that is kept would keep its own.
        graph.threads = 1
        nodes = [
            graph.add_buffer(
                width=picture.width, height=picture.height, format=picture.pixel_format, time_base=1 / picture.fps
            )
        ]
        shares = {offset: f"{offset / self._range}" for offset in (self._task.roi_offset, self._task.non_roi_offset)}
        for (left, top, right, bottom), offset in regions:
            x, y = left * block, top * block
            box = f"x={x}:y={y}:w={min(right * block, picture.width) - x}:h={min(bottom * block, picture.height) - y}"
            nodes.append(graph.add(_ADD_ROI, f"{box}:qoffset={shares[offset]}"))
        graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        self._graphs[key] = graph
        if len(self._graphs) > _GRAPHS:
            self._graphs.popitem(last=False)
        return graph


def response(task: Task, pixel_format: str) -> float:
    """How much worse blocks become by the non-ROI's offset in place of the ROI's, on a small texture.

    Args:
        task: Its codec, options and offsets.
        pixel_format: FFmpeg's name of the texture's format.

    Returns:
        Difference of luma PSNR in dB; about 0 from an encoder that ignores the offsets.

    Raises:
        ValueError: See `RoiWriter`.
    """
    side, frames = _PROBE_SIDE, _PROBE_FRAMES
    fmt = av.VideoFormat(pixel_format, side, side)
    depth = fmt.components[0].bits
    code = "B" if depth == 8 else "H"
    noise = Random(0)
    texture = [[noise.getrandbits(depth) for _ in range(side)] for _ in range(side)]
    # It moves to the right, by 2 pixels a frame.
    pictures = [[row[-2 * n :] + row[: -2 * n] if n else row for row in texture] for n in range(frames)]
    grey = array(code, [1 << (depth - 1)]) * (2 * fmt.chroma_width() * fmt.chroma_height())
    picture_format = StreamFormat(width=side, height=side, fps=Fraction(25), pixel_format=pixel_format)
    columns, rows = grid_size(side, side, task.block)
    halves = [b"\1" * (columns // 2) + b"\0" * (columns // 2), b"\0" * (columns // 2) + b"\1" * (columns // 2)]
    errors = []
    for half in halves:
        file = io.BytesIO()
        writer = RoiWriter(task, picture_format, file)
        for picture in pictures:
            samples = b"".join(array(code, row).tobytes() for row in picture) + grey.tobytes()
            writer.write(writer.read(io.BytesIO(samples)), [half] * rows)
        writer.close()
        errors.append(sum(
            (was - now) ** 2
            for luma, picture in zip(_luma(file), pictures, strict=True)
            for got, row in zip(luma, picture, strict=True)
            for was, now in zip(row[: side // 2], got[: side // 2], strict=True)
        ))  # fmt: skip
    # A lossless encoder makes none.
    return 10 * math.log10(errors[1] / errors[0]) if min(errors) > 0 else 0.0


def _luma(file: BinaryIO) -> Iterator[list["memoryview[int]"]]:
    """The rows of every frame."""
    file.seek(0)
    with cast(Any, av.open(file)) as video:
        for frame in video.decode(video=0):
            plane = frame.planes[0]
            samples: memoryview[int] = memoryview(plane)
            if frame.format.components[0].bits > 8:
                samples = samples.cast("H")
            width = plane.line_size // samples.itemsize
            yield [samples[n * width : n * width + plane.width] for n in range(plane.height)]


def _encode(task: Task, stream: BinaryIO, out: Path) -> None:
    """Encode a y4m stream whose frames are each followed by their grid, to its end."""
    picture = _read_header(stream.readline())
    writer = RoiWriter(task, picture, out)
    while header := stream.readline():
        if not header.startswith(b"FRAME"):
            raise ValueError("the input ends within a frame")
        frame = writer.read(stream)
        writer.write(frame, read_grid(stream, picture.width, picture.height, task.block))
    writer.close()


def _read_header(line: bytes) -> StreamFormat:
    """Read a y4m stream header."""
    said = {word[0]: word[1:] for word in line.decode("ascii", "replace").split()}
    colour = re.match(r"(420|422|444)(?:p(\d+))?", said.get("C", "420"))
    if not line.startswith(b"YUV4MPEG2 ") or colour is None:
        raise ValueError(f"the input is no y4m stream of an accepted format: {line[:80]!r}")
    aspect = [int(side) for side in said.get("A", "0:0").split(":")]
    return StreamFormat(
        width=int(said["W"]),
        height=int(said["H"]),
        fps=Fraction(said["F"].replace(":", "/")),
        pixel_format=f"yuv{colour[1]}p" + (f"{colour[2]}le" if colour[2] else ""),
        aspect=Fraction(*aspect) if all(aspect) else None,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Encode standard input, or with ``--probe`` print on standard error what `response` returns; see `wire`.

    Returns:
        Exit status; if it is not 0, the last line on standard error says why.
    """
    words: Sequence[str] | None = sys.argv[1:] if arguments is None else arguments
    if list(words or ()) == [WAIT]:
        words = read_arguments(sys.stdin.buffer)
        if words is None:
            return 0
    task, out, probe = read_task(words or ())
    av.logging.set_level(av.logging.WARNING)
    try:
        if out is None:
            # Not on standard output, which leads nowhere where frames are coded.
            print(f"{response(task, probe or ''):.2f}", file=sys.stderr)
        else:
            _encode(task, sys.stdin.buffer, out)
    except (av.FFmpegError, OSError, ValueError) as error:
        print(f"{task.codec}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
