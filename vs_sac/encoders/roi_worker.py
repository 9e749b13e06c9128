"""The ROI worker: encodes an H.264 or H.265 stream with a QP offset per macroblock, by libx264 or libx265 in PyAV.

The worker is a program of its own and is started by its path. ``python roi_worker.py --codec libx264 … OUT.mkv`` reads
a y4m stream in which the macroblock grid follows every frame (see `encoders.wire`), and writes Matroska. Of the
package, it imports only modules that need nothing but the standard library. It does not import NumPy, which takes
longer to load than everything else together.

FFmpeg represents offsets as a list of rectangles, each with a fraction of the QP range, as side data of a frame
(``setup_roi`` in libavcodec/libx264.c, ``libx265_encode_set_roi`` in libx265.c).
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
from typing import Any, BinaryIO, cast

import av
import av.filter
import av.logging

if not __package__:
    # Started by its path: the package is two folders up, and this folder must not hide other modules.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from vs_sac.core.macroblocks import grid_size
from vs_sac.encoders.side_data import REGION_BYTES, Region, SideData, pack_regions
from vs_sac.encoders.wire import NON_ROI, ROI, WAIT, Grid, Task, fill, read_arguments, read_grid, read_task

__all__ = ["RoiWriter", "StreamFormat", "grouped", "main", "regions", "response"]

#: Translation tables between values of a grid and their ranks: the macroblock of lowest rank decides a group. The ROI
#: comes first, and offsets rise with their values.
_RANK, _VALUE = bytes([*range(1, 256), 0]), bytes([255, *range(255)])

#: A run of equal values.
_RUN = re.compile(rb"(.)\1*", re.DOTALL)

#: Filter that attaches a rectangle with an offset to frames, where `SideData` cannot.
_ADD_ROI = av.filter.Filter("addroi")

#: Number of grids whose regions are kept for masks that repeat, as in scenes without motion.
_KEPT_GRIDS = 8

#: Whether offsets are attached directly where that is possible; a test turns it off.
DIRECT = True

#: First words of libavcodec's warnings about options that the library does not accept and that are left out.
_REFUSALS = ("Error parsing option", "Unknown option", "Invalid value")

#: Side in pixels and number of frames of the texture that `response` encodes.
_PROBE_SIDE, _PROBE_FRAMES = 128, 4


@dataclass(frozen=True, kw_only=True)
class StreamFormat:
    """The content of the header of a y4m stream.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        fps: Frame rate.
        pixel_format: Pixel format by its FFmpeg name, such as ``yuv420p10le``.
        aspect: Sample aspect ratio; None if unknown.
    """

    width: int
    height: int
    fps: Fraction
    pixel_format: str
    aspect: Fraction | None = None


def grouped(grid: Grid, side: int) -> Grid:
    """Give each square of `side` × `side` macroblocks, counted from the top left, the finest quality in it.

    An encoder whose quantization groups are larger than a macroblock applies the mean offset of a group's blocks. The
    ROI would lose quality in every group that contains both regions. A square with ROI is ROI; a square of offsets gets
    the smallest.
    """
    if side == 1:
        return grid
    ranks = [line.translate(_RANK) for line in grid]
    finest = _turned(_joined(_turned(_joined(ranks, side)), side))
    return [line.translate(_VALUE) for line in finest]


def _joined(lines: Grid, count: int) -> list[bytes]:
    """Replace every `count` neighbouring lines by their minimum."""
    found: list[bytes] = []
    for start in range(0, len(lines), count):
        group = lines[start : start + count]
        found += [bytes(map(min, *group)) if len(group) > 1 else group[0]] * len(group)
    return found


def _turned(lines: Grid) -> list[bytes]:
    """Transpose a grid."""
    flat, length = b"".join(lines), len(lines[0])
    return [flat[n::length] for n in range(length)]


def regions(grid: Grid, task: Task, width: int, height: int, qp_range: int) -> list[Region]:
    """Return the regions of a picture with an offset other than 0: runs of equal offset, over rows that are equal.

    Args:
        grid: The grid.
        task: The task, which gives the offsets of ROI and non-ROI.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        qp_range: Number by which offsets are divided.

    Returns:
        Disjoint regions.
    """
    shares = {value: (task.offset(value) / qp_range).as_integer_ratio() for value in set(b"".join(grid))}
    edges = [min(column * task.block, width) for column in range(len(grid[0]) + 1)]
    found: list[Region] = []
    top = 0
    for bottom in range(1, len(grid) + 1):
        if bottom < len(grid) and grid[bottom] == grid[top]:
            continue
        above, below = top * task.block, min(bottom * task.block, height)
        for run in _RUN.finditer(grid[top]):
            left, right = run.span()
            share, parts = shares[grid[top][left]]
            if share:
                found.append((REGION_BYTES, above, below, edges[left], edges[right], share, parts))
        top = bottom
    return found


class RoiWriter:
    """Encodes frames with their grids into a Matroska file.

    Args:
        task: Codec, options and offsets.
        picture: Format of the frames.
        out: Path of the file, or a seekable binary stream.

    Raises:
        ValueError: The encoder does not accept an option; the message is one line.
    """

    def __init__(self, task: Task, picture: StreamFormat, out: Path | BinaryIO) -> None:
        self._task, self._picture = task, picture
        # The flag bitexact keeps dates and random numbers out of the file.
        target = f"file:{out}" if isinstance(out, Path) else out
        file: Any = av.open(target, "w", format="matroska", options={"fflags": "+bitexact"})
        self._file = file
        self._stream = self._file.add_stream(task.codec, rate=picture.fps)
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = picture.width, picture.height, picture.pixel_format
        context.time_base = 1 / picture.fps
        if picture.aspect:
            context.sample_aspect_ratio = picture.aspect
        # 0 lets the encoder choose its number of threads, like the native programs. PyAV's default would cut frames
        # into slices.
        context.thread_count, context.thread_type = 0, "FRAME"
        context.options = dict(task.options)
        with av.logging.Capture() as said:
            try:
                context.open()
            except av.FFmpegError as error:
                raise ValueError(said[-1][2].strip() if said else error.strerror) from None
        refused = [text.strip() for _, _, text in said if text.startswith(_REFUSALS)]
        # libavcodec removes the options that it accepts.
        refused += [f"Unknown option {name}" for name in context.options]
        if refused:
            raise ValueError(refused[0])
        # Offsets are divided by this range. libavcodec multiplies by the same range (its qp_range), so whole QP offsets
        # arrive unchanged.
        bits = av.VideoFormat(picture.pixel_format).components[0].bits
        self._range = 51 + 6 * (bits - 8)
        self._sample_bytes = 1 if bits == 8 else 2
        # One frame object serves all frames, so that its memory is allocated only once.
        self._frame = av.VideoFrame(picture.width, picture.height, picture.pixel_format)
        self._side_data = SideData.usable(self._frame) if DIRECT else None
        self._known: OrderedDict[bytes, bytes | av.filter.Graph | None] = OrderedDict()
        self._count = 0

    def read(self, stream: BinaryIO) -> av.VideoFrame:
        """Read a frame from a stream that contains its planes one after the other, without padding.

        Returns:
            The frame; it must be written before the next call, which reuses it.

        Raises:
            ValueError: The stream ends within the frame.
        """
        frame = self._frame
        # This makes a copy if an encoder still uses the frame.
        frame.make_writable()
        for plane in frame.planes:
            there, row = memoryview(plane), plane.width * self._sample_bytes
            if plane.line_size == row:
                # No intermediate copy is needed.
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
            frame: A frame from `read`.
            grid: Its macroblock grid.
        """
        frame.pts, frame.time_base = self._count, 1 / self._picture.fps
        self._count += 1
        prepared = self._prepared(grid)
        if self._side_data:
            assert isinstance(prepared, bytes)
            self._side_data.attach(frame, prepared)
        elif prepared:
            prepared.vpush(frame)  # type: ignore[union-attr]
            frame = prepared.vpull()  # type: ignore[union-attr]
        self.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Encode the frames that are still in the encoder, and finish the file."""
        self.mux(self._stream.encode(None))
        self._file.close()

    def mux(self, packets: list[Any]) -> None:
        """Write packets of the encoder to the file."""
        self._file.mux(packets)

    def _prepared(self, grid: Grid) -> "bytes | av.filter.Graph | None":
        """Return what attaches the offsets of a grid to a frame: the side data, or a filter graph."""
        key = b"".join(grid)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        picture = self._picture
        found = regions(grouped(grid, self._task.group), self._task, picture.width, picture.height, self._range)
        self._known[key] = pack_regions(found) if self._side_data else self._graph(found)
        if len(self._known) > _KEPT_GRIDS:
            self._known.popitem(last=False)
        return self._known[key]

    def _graph(self, found: list[Region]) -> "av.filter.Graph | None":
        """Return a filter graph that attaches regions to a frame; None without regions."""
        if not found:
            return None
        picture, graph = self._picture, av.filter.Graph()
        # The filters need no further threads, and every graph that is kept would keep its own threads.
        graph.threads = 1
        nodes = [
            graph.add_buffer(
                width=picture.width, height=picture.height, format=picture.pixel_format, time_base=1 / picture.fps
            )
        ]
        for _, top, bottom, left, right, above, below in found:
            box = f"x={left}:y={top}:w={right - left}:h={bottom - top}"
            nodes.append(graph.add(_ADD_ROI, f"{box}:qoffset={above}/{below}"))
        graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        return graph


def response(task: Task, pixel_format: str) -> float:
    """Measure the effect of the QP offsets on a small texture, once with its left and once with its right half as ROI.

    Args:
        task: Codec, options and offsets.
        pixel_format: Pixel format of the texture by its FFmpeg name.

    Returns:
        Luma PSNR of the left half as ROI minus its PSNR as non-ROI, in dB; about 0 if the encoder ignores the offsets.

    Raises:
        ValueError: See `RoiWriter`.
    """
    side, frames = _PROBE_SIDE, _PROBE_FRAMES
    fmt = av.VideoFormat(pixel_format, side, side)
    depth = fmt.components[0].bits
    code = "B" if depth == 8 else "H"
    noise = Random(0)
    texture = [[noise.getrandbits(depth) for _ in range(side)] for _ in range(side)]
    # The texture moves to the right by 2 pixels per frame.
    pictures = [[row[-2 * n :] + row[: -2 * n] if n else row for row in texture] for n in range(frames)]
    grey = array(code, [1 << (depth - 1)]) * (2 * fmt.chroma_width() * fmt.chroma_height())
    picture_format = StreamFormat(width=side, height=side, fps=Fraction(25), pixel_format=pixel_format)
    columns, rows = grid_size(side, side, task.block)
    inside, outside = bytes([ROI]) * (columns // 2), bytes([NON_ROI]) * (columns // 2)
    halves = [inside + outside, outside + inside]
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
    # A lossless encoder has no error.
    return 10 * math.log10(errors[1] / errors[0]) if min(errors) > 0 else 0.0


def _luma(file: BinaryIO) -> Iterator[list["memoryview[int]"]]:
    """Yield the luma rows of every frame."""
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
    """Encode a y4m stream in which the grid follows every frame, until the stream ends."""
    picture = _read_header(stream.readline())
    writer = RoiWriter(task, picture, out)
    while header := stream.readline():
        if not header.startswith(b"FRAME"):
            raise ValueError("the input ends within a frame")
        frame = writer.read(stream)
        writer.write(frame, read_grid(stream, picture.width, picture.height, task.block))
    writer.close()


def _read_header(line: bytes) -> StreamFormat:
    """Parse the header of a y4m stream."""
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
    """Encode standard input, or with ``--probe`` print the result of `response` to standard error; see `encoders.wire`.

    Returns:
        Exit status; if it is not 0, the last line on standard error gives the reason.
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
            # Standard error, because the standard output of workers is discarded.
            print(f"{response(task, probe or ''):.2f}", file=sys.stderr)
        else:
            _encode(task, sys.stdin.buffer, out)
    except (av.FFmpegError, OSError, ValueError) as error:
        print(f"{task.codec}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
