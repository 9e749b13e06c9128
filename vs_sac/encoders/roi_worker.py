"""One H.264 or H.265 stream whose macroblocks have QP offsets of their own: libx264 and libx265 inside PyAV.

Runs as a program of its own, by its path: ``python roi_worker.py --codec libx264 … OUT.mkv`` reads a y4m stream whose
every frame is followed by the block grid (one byte per macroblock, 255 = ROI) and writes Matroska. It imports nothing
of the package, which would load VapourSynth only to leave it unused, and no NumPy, which takes longer to load than
all else together.

FFmpeg carries offsets as a list of rectangles with a fraction of the QP range; where rectangles overlap, the first
counts (``setup_roi`` in libavcodec/libx264.c, ``libx265_encode_set_roi`` in libx265.c).
"""

import argparse
import io
import json
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

__all__ = ["Job", "Offsets", "Rectangle", "RoiWriter", "cover", "grouped", "main", "response"]

#: A block grid by rows: a byte per macroblock, 1 = ROI, 0 = the rest.
Grid = Sequence[bytes]

#: Side of a macroblock in pixels; the same as `vs_sac.masks.BLOCK`.
_BLOCK = 16

#: Bytes as they are fed → those of a `Grid`, and those of its complement.
_SET, _UNSET = bytes([0] + [1] * 255), bytes([1] + [0] * 255)

#: What attaches a rectangle to frames.
_ADD_ROI = av.filter.Filter("addroi")

#: Argument in place of all others; the same as in `vs_sac.process.started_ahead`.
_LATER = "--later"

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


class Offsets(NamedTuple):
    """QP offsets of the two regions."""

    roi: Fraction
    non_roi: Fraction


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is encoded how.

    Attributes:
        codec: ``libx264`` or ``libx265``.
        options: libavcodec's options, such as ``preset`` and ``x264-params``.
        offsets: QP offsets of the two regions.
        width: In pixels.
        height: In pixels.
        fps: Frame rate.
        pixel_format: FFmpeg's name, such as ``yuv420p10le``.
        aspect: Sample aspect ratio; None if unknown.
        group: Side of the square of macroblocks that get one offset, in macroblocks; see `grouped`.
    """

    codec: str
    options: tuple[tuple[str, str], ...]
    offsets: Offsets
    width: int
    height: int
    fps: Fraction
    pixel_format: str
    aspect: Fraction | None = None
    group: int = 1

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the block grid."""
        return -(-self.height // _BLOCK), -(-self.width // _BLOCK)


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


def _regions(grid: Grid, offsets: Offsets) -> list[tuple[Rectangle, Fraction]]:
    """The shorter of two lists: the ROI on top of the rest, or the rest on top of the ROI."""
    if offsets.roi == offsets.non_roi == 0:
        return []
    lists = []
    rest = [line.translate(_UNSET) for line in grid]
    for region, above, below in ((grid, offsets.roi, offsets.non_roi), (rest, offsets.non_roi, offsets.roi)):
        regions = [(rectangle, above) for rectangle in cover(region)] if above or below else []
        if below:
            # Last, since the first rectangle counts; without it blocks have no offset.
            regions.append((Rectangle(0, 0, len(grid[0]), len(grid)), below))
        lists.append(regions)
    return min(lists, key=len)


class RoiWriter:
    """Writes frames with their grids to a Matroska file.

    Args:
        job: What is encoded how.
        out: File, or a binary stream that can seek.

    Raises:
        ValueError: The encoder does not take an option; the message is one line.
    """

    def __init__(self, job: Job, out: Path | BinaryIO) -> None:
        self.job = job
        # Bit-exact: no date and no random numbers in the file.
        target = f"file:{out}" if isinstance(out, Path) else out
        file: Any = av.open(target, "w", format="matroska", options={"fflags": "+bitexact"})
        self._file = file
        self._stream = self._file.add_stream(job.codec, rate=job.fps)
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = job.width, job.height, job.pixel_format
        context.time_base = 1 / job.fps
        if job.aspect:
            context.sample_aspect_ratio = job.aspect
        # As the programs do it: as many threads as help. PyAV's default would cut frames into slices.
        context.thread_count, context.thread_type = 0, "FRAME"
        context.options = dict(job.options)
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
        bits = av.VideoFormat(job.pixel_format).components[0].bits
        self._range = 51 + 6 * (bits - 8)
        self._sample_bytes = 1 if bits == 8 else 2
        # One frame for all, so that its memory is asked for once.
        self._frame = av.VideoFrame(job.width, job.height, job.pixel_format)
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
                _fill(stream, there)
                continue
            packed = memoryview(bytearray(plane.height * row))
            _fill(stream, packed)
            for n in range(plane.height):
                there[n * plane.line_size : n * plane.line_size + row] = packed[n * row : (n + 1) * row]
        return frame

    def write(self, frame: av.VideoFrame, grid: Grid) -> None:
        """Encode a frame.

        Args:
            frame: As `read` gives it.
            grid: As many rows and columns as `Job.grid_shape` says.
        """
        frame.pts, frame.time_base = self._count, 1 / self.job.fps
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
        grid = grouped(grid, self.job.group)
        key = b"".join(grid)
        if key in self._graphs:
            self._graphs.move_to_end(key)
            return self._graphs[key]
        regions = _regions(grid, self.job.offsets)
        if not regions:
            return None
        job, graph = self.job, av.filter.Graph()
        # Nothing here is worth a thread, and every graph that is kept would keep its own.
        graph.threads = 1
        nodes = [graph.add_buffer(width=job.width, height=job.height, format=job.pixel_format, time_base=1 / job.fps)]
        shares = {offset: f"{offset / self._range}" for offset in job.offsets}
        for (left, top, right, bottom), offset in regions:
            x, y = left * _BLOCK, top * _BLOCK
            box = f"x={x}:y={y}:w={min(right * _BLOCK, job.width) - x}:h={min(bottom * _BLOCK, job.height) - y}"
            nodes.append(graph.add(_ADD_ROI, f"{box}:qoffset={shares[offset]}"))
        graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        self._graphs[key] = graph
        if len(self._graphs) > _GRAPHS:
            self._graphs.popitem(last=False)
        return graph


def response(job: Job) -> float:
    """How much worse blocks become by the non-ROI's offset in place of the ROI's, on a small texture.

    Args:
        job: Its codec, options, pixel format and offsets count; the size does not.

    Returns:
        Difference of luma PSNR in dB; about 0 from an encoder that ignores the offsets.

    Raises:
        ValueError: See `RoiWriter`.
    """
    side, frames = _PROBE_SIDE, _PROBE_FRAMES
    fmt = av.VideoFormat(job.pixel_format, side, side)
    depth = fmt.components[0].bits
    code = "B" if depth == 8 else "H"
    noise = Random(0)
    texture = [[noise.getrandbits(depth) for _ in range(side)] for _ in range(side)]
    # It moves to the right, by 2 pixels a frame.
    pictures = [[row[-2 * n :] + row[: -2 * n] if n else row for row in texture] for n in range(frames)]
    grey = array(code, [1 << (depth - 1)]) * (2 * fmt.chroma_width() * fmt.chroma_height())
    small = Job(codec=job.codec, options=job.options, offsets=job.offsets, width=side, height=side, fps=job.fps,
                pixel_format=job.pixel_format)  # fmt: skip
    rows, columns = small.grid_shape
    halves = [b"\1" * (columns // 2) + b"\0" * (columns // 2), b"\0" * (columns // 2) + b"\1" * (columns // 2)]
    errors = []
    for half in halves:
        file = io.BytesIO()
        writer = RoiWriter(small, file)
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


def _fill(stream: BinaryIO, buffer: memoryview) -> None:
    if stream.readinto(buffer) != len(buffer):  # type: ignore[attr-defined]
        raise ValueError("the input ends within a frame")


def _encode(job: Job, stream: BinaryIO, out: Path) -> None:
    """Encode frames, each followed by its grid, up to the end of a stream that stands behind its y4m header."""
    writer = RoiWriter(job, out)
    rows, columns = job.grid_shape
    blocks = memoryview(bytearray(rows * columns))
    while header := stream.readline():
        if not header.startswith(b"FRAME"):
            raise ValueError("the input ends within a frame")
        frame = writer.read(stream)
        _fill(stream, blocks)
        flat = bytes(blocks).translate(_SET)
        writer.write(frame, [flat[n : n + columns] for n in range(0, len(flat), columns)])
    writer.close()


def _read_header(line: bytes) -> dict[str, Any]:
    """What a y4m stream header says, as fields of `Job`."""
    said = {word[0]: word[1:] for word in line.decode("ascii", "replace").split()}
    colour = re.match(r"(420|422|444)(?:p(\d+))?", said.get("C", "420"))
    if not line.startswith(b"YUV4MPEG2 ") or colour is None:
        raise ValueError(f"the input is no y4m stream of an accepted format: {line[:80]!r}")
    aspect = [int(side) for side in said.get("A", "0:0").split(":")]
    return {
        "width": int(said["W"]),
        "height": int(said["H"]),
        "fps": Fraction(said["F"].replace(":", "/")),
        "pixel_format": f"yuv{colour[1]}p" + (f"{colour[2]}le" if colour[2] else ""),
        "aspect": Fraction(*aspect) if all(aspect) else None,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Encode standard input, or with ``--probe`` say on standard error what `response` does.

    The one argument ``--later`` says that the arguments are the first line of standard input, as a list in JSON: what
    takes time is then done before they are known.

    Returns:
        Exit status; where it is not 0, the last line on standard error says why.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--codec", required=True, choices=["libx264", "libx265"])
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="an option of libavcodec")
    parser.add_argument("--roi-offset", type=Fraction, default=Fraction(0), help="in QP")
    parser.add_argument("--non-roi-offset", type=Fraction, default=Fraction(0), help="in QP")
    parser.add_argument("--group", type=int, default=1, help="macroblocks along the side of a quantization group")
    parser.add_argument("--probe", metavar="PIXEL_FORMAT")
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words == [_LATER]:
        line = sys.stdin.buffer.readline()
        if not line:
            # Nobody needed it.
            return 0
        words = json.loads(line)
    given = parser.parse_args(words)
    options = tuple((name, value) for name, _, value in (word.partition("=") for word in given.option))
    common = {
        "codec": given.codec,
        "options": options,
        "offsets": Offsets(given.roi_offset, given.non_roi_offset),
        "group": given.group,
    }
    av.logging.set_level(av.logging.WARNING)
    try:
        if given.probe:
            job = Job(**common, width=_PROBE_SIDE, height=_PROBE_SIDE, fps=Fraction(25), pixel_format=given.probe)
            # Not on standard output, which leads nowhere where frames are coded.
            print(f"{response(job):.2f}", file=sys.stderr)
        else:
            stream = sys.stdin.buffer
            _encode(Job(**common, **_read_header(stream.readline())), stream, given.out)
    except (av.FFmpegError, OSError, ValueError) as error:
        print(f"{given.codec}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
