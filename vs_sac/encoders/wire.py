"""The protocol between the package and the ROI worker.

Both sides import this module. It needs only the standard library.

The worker receives its task as command-line arguments (`Task.arguments`, `read_task`). If its only argument is `WAIT`,
it reads these arguments as a JSON list from the first line of its standard input (`pack_arguments`, `read_arguments`).
A y4m stream follows on standard input. After the samples of every frame comes its macroblock grid: one byte per
macroblock of `Task.block` pixels, row by row from the top left (`read_grid`). 255 is ROI, with the task's offset of the
ROI, and 0 is non-ROI, with its offset of the non-ROI. Any other value is the QP offset (value - 128) / 2.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..core.macroblocks import BLOCK, OFFSET_ZERO, grid_size

__all__ = [
    "NON_ROI",
    "ROI",
    "WAIT",
    "Assignment",
    "Grid",
    "Task",
    "fill",
    "pack_arguments",
    "read_arguments",
    "read_grid",
    "read_task",
]

#: Argument that replaces all others: the worker reads its arguments from standard input.
WAIT = "--later"

#: Values of a macroblock in a grid; all others are offsets.
ROI, NON_ROI = 255, 0

#: A macroblock grid as rows with one byte per macroblock.
type Grid = Sequence[bytes]


@dataclass(frozen=True, kw_only=True)
class Task:
    """The task of a worker, independent of the size of its frames.

    Attributes:
        codec: ``libx264`` or ``libx265``.
        options: Options of libavcodec, such as ``preset`` and ``x264-params``.
        roi_offset: QP offset of the ROI.
        non_roi_offset: QP offset of the non-ROI.
        group: Side of the square that gets one offset, in macroblocks.
        block: Side of a macroblock in pixels.
    """

    codec: str
    options: tuple[tuple[str, str], ...]
    roi_offset: Fraction = Fraction(0)
    non_roi_offset: Fraction = Fraction(0)
    group: int = 1
    block: int = BLOCK

    def offset(self, value: int) -> Fraction:
        """Return the QP offset of a macroblock by its value in a grid."""
        if value == ROI:
            return self.roi_offset
        return self.non_roi_offset if value == NON_ROI else Fraction(value - OFFSET_ZERO, 2)

    def arguments(self) -> list[str]:
        """Return the task as command-line arguments; `read_task` is the inverse."""
        return [
            "--codec", self.codec, f"--roi-offset={self.roi_offset}", f"--non-roi-offset={self.non_roi_offset}",
            f"--group={self.group}", f"--block={self.block}",
            *(f"--option={name}={value}" for name, value in self.options),
        ]  # fmt: skip


class Assignment(NamedTuple):
    """A task with its output.

    Attributes:
        task: The task.
        out: The Matroska file to write; None for a probe.
        probe: Pixel format of the texture that a probe encodes; None if frames are encoded.
    """

    task: Task
    out: Path | None
    probe: str | None


def read_task(arguments: Sequence[str]) -> Assignment:
    """Parse command-line arguments; wrong arguments end the program with a message, as usual with argparse."""
    # Imported here, because only the worker reads tasks and needs argparse.
    import argparse

    parser = argparse.ArgumentParser(
        prog="roi_worker.py", description="Encode a y4m stream in which the macroblock grid follows every frame."
    )
    parser.add_argument("out", type=Path, nargs="?", help="the Matroska file to write")
    parser.add_argument("--codec", required=True, choices=["libx264", "libx265"])
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="an option of libavcodec")
    parser.add_argument("--roi-offset", type=Fraction, default=Fraction(0), help="in QP")
    parser.add_argument("--non-roi-offset", type=Fraction, default=Fraction(0), help="in QP")
    parser.add_argument("--group", type=int, default=1, help="macroblocks along the side of a quantization group")
    parser.add_argument("--block", type=int, default=BLOCK, help="side of a macroblock in pixels")
    parser.add_argument("--probe", metavar="PIXEL_FORMAT", help="encode a small texture and print how offsets show")
    given = parser.parse_args(arguments)
    if (given.out is None) == (given.probe is None):
        parser.error("give either a file to write or --probe")
    options = tuple((name, value) for name, _, value in (word.partition("=") for word in given.option))
    task = Task(codec=given.codec, options=options, roi_offset=given.roi_offset, non_roi_offset=given.non_roi_offset,
                group=given.group, block=given.block)  # fmt: skip
    return Assignment(task, given.out, given.probe)


def pack_arguments(arguments: Sequence[str]) -> bytes:
    """Return the line that gives a waiting worker its arguments."""
    return json.dumps(list(arguments)).encode() + b"\n"


def read_arguments(stream: BinaryIO) -> list[str] | None:
    """Read the arguments of a waiting worker; None if the stream ends first, because the worker was not needed."""
    line = stream.readline()
    return list(json.loads(line)) if line else None


def read_grid(stream: BinaryIO, width: int, height: int, block: int) -> Grid:
    """Read the grid of a frame of `width` × `height` pixels.

    Raises:
        ValueError: The stream ends within the grid.
    """
    columns, rows = grid_size(width, height, block)
    packed = memoryview(bytearray(rows * columns))
    fill(stream, packed)
    flat = bytes(packed)
    return [flat[n : n + columns] for n in range(0, len(flat), columns)]


def fill(stream: BinaryIO, buffer: memoryview) -> None:
    """Fill a buffer from a stream.

    Raises:
        ValueError: The stream ends before the buffer is full.
    """
    if stream.readinto(buffer) != len(buffer):  # type: ignore[attr-defined]
        raise ValueError("the input ends within a frame")
