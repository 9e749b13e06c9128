"""Output of the command line: progress bar on stderr, tables on stdout, and results as JSON."""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ..core.outputs import workspace

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["evaluation_table", "listing", "messages", "progress_bar", "results", "write_json"]

messages = Console(stderr=True, highlight=False)
results = Console(highlight=False, soft_wrap=True)


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr for tasks that take longer than 1 s. Nothing is shown if stderr is not a terminal."""
    if not messages.is_terminal:
        yield lambda done, total: None
        return
    # Parts of rich that are slow to import are imported where they are used.
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn

    class FpsColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            """Average frames per second so far."""
            return Text(f"{task.speed or 0:.1f} fps")

    bar = Progress(
        TextColumn(label), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"), FpsColumn(),
        TextColumn("ETA"), TimeRemainingColumn(), console=messages, transient=True,
    )  # fmt: skip
    task = bar.add_task(label, total=None)
    started = time.monotonic()

    def update(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        if not bar.live.is_started and time.monotonic() - started > 1:
            bar.start()

    try:
        yield update
    finally:
        bar.stop()


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
