"""Output of the command line: progress bar on stderr, tables on stdout, and results as JSON."""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..core.outputs import workspace

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "LINE_SECONDS", "evaluation_table", "fail", "listing", "messages", "note", "progress_bar", "results", "summary",
    "write_json",
]  # fmt: skip

#: Seconds between progress lines if stderr is not a terminal.
LINE_SECONDS = 15.0

_log = logging.getLogger(__name__)

messages = Console(stderr=True, highlight=False)
results = Console(highlight=False, soft_wrap=True)


def summary(text: str) -> None:
    """Print to stdout which files a command has written, unless --quiet is given."""
    _log.info("%s", text)
    if not messages.quiet:
        results.print(text, markup=False)


def note(text: str, level: int = logging.INFO) -> None:
    """Print a message to stderr, unless --quiet is given."""
    _log.log(level, "%s", text)
    messages.print(text, markup=False, soft_wrap=True)


def fail(text: str) -> None:
    """Print an error to stderr, also if --quiet is given."""
    _log.error("%s", text)
    before, messages.quiet = messages.quiet, False
    messages.print(text, markup=False, soft_wrap=True)
    messages.quiet = before


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Progress on stderr: a bar for tasks that take longer than 1 s. If stderr is not a terminal, a line every 15 s."""
    if messages.quiet:
        yield lambda done, total: None
    elif messages.is_terminal:
        with _bar(label) as update:
            yield update
    else:
        yield _lines(label)


@contextlib.contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    # Parts of rich that are slow to import are imported where they are used.
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn

    class CountColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            """Frames done, frames in all if that is known, and the average frames per second so far."""
            total = "" if task.total is None else f"/{task.total:.0f}"
            return Text(f"{task.completed:.0f}{total} {task.speed or 0:.1f} fps")

    class EtaColumn(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            """The time that is left, if the number of frames is known."""
            return Text("") if task.total is None else Text("ETA ").append(super().render(task))

    bar = Progress(TextColumn(label), BarColumn(), CountColumn(), EtaColumn(), console=messages, transient=True)
    task = bar.add_task(label, total=None)
    started = time.monotonic()

    def update(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total or None)
        if not bar.live.is_started and time.monotonic() - started > 1:
            bar.start()

    try:
        yield update
    finally:
        bar.stop()


def _lines(label: str) -> Callable[[int, int], None]:
    """Print a line every `LINE_SECONDS`: frames, frames per second since the first frame, and the time that is left."""
    started = last = time.monotonic()
    first: int | None = None

    def tell(done: int, total: int) -> None:
        nonlocal started, last, first
        now = time.monotonic()
        if first is None or done <= first:
            # The first frame, or that of the next encode of a search for a size.
            started, first = now, done
        if now - last < LINE_SECONDS:
            return
        last = now
        fps = (done - first) / (now - started) if now > started else 0.0
        count = f"{done}/{total}" if total else f"{done}"
        left = f", ETA {_clock((total - done) / fps)}" if total and fps else ""
        messages.print(f"{label}: {count} frames, {fps:.1f} fps{left}", markup=False, soft_wrap=True)

    return tell


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def write_json(values: dict[str, Any], out: Path | None, *, force: bool) -> None:
    """Write results as a JSON file, if one is requested."""
    if out is None:
        return
    with workspace(out, force=force, func="--json") as work:
        work.result.write_text(json.dumps(values, indent=2) + "\n")


def listing(rows: Iterable[Sequence[str | Text]]) -> "Table":
    """A table without header, one row of words per line."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    return table


def evaluation_table(values: dict[str, Any]) -> "Table":
    """The most important figures of an evaluation as a table."""
    from rich.table import Table

    def shown(value: float | str | None, unit: str = "", digits: int = 2) -> str:
        return "-" if value is None else value if isinstance(value, str) else f"{value:.{digits}f}{unit}"

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("", "whole", "ROI", "non-ROI", "ring", "fair SA", "paper SA"):
        table.add_column(head, justify="left" if not head else "right")
    paper = values["paper"] or {}
    regions = ("all", "roi", "non_roi", "ring")
    for name, key, unit, digits in (("PSNR luma", "psnr", " dB", 2), ("SSIM luma", "ssim", "", 4)):
        both = [shown(values[f"sa_{key}"], unit, digits), shown(paper.get(f"sa_{key}"), unit, digits)]
        table.add_row(name, *(shown(values[key][region], unit, digits) for region in regions), *both)
        lows = values["lows"][key]
        table.add_row("  5 % low", *(shown(lows[region]["five"], unit, digits) for region in regions))
    for name, plane in list(values["planes"].items())[1:]:
        table.add_row(f"PSNR {name}", *(shown(plane["psnr"][region], " dB") for region in regions))
    sizes = values["bytes"]
    table.add_row("bytes", *(f"{sizes[k]:,}" if sizes[k] is not None else "-" for k in ("total", "roi", "non_roi")))
    for key, unit in (("vmaf", ""), ("xpsnr", " dB")):
        if key in values:
            table.add_row(key.upper(), shown(values[key]["value"], unit))
    if "flashes" in values:
        table.add_row("flash pixels", f"{values['flashes']['total']:,}")
    table.caption = (
        f"{values['frames']} frames {values['width']}x{values['height']}, ROI {values['roi_share']:.0%};"
        f" {values['bitrate_kbps']:.0f} kbit/s, 1:{values['compression_ratio']:.0f}"
    )
    table.caption_justify = "left"
    return table
