"""Tables of figures: Markdown for people, CSV and JSON for programs."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..metrics.report import plain

__all__ = ["Column", "Table", "shown"]


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: Key of the value in a row.
        head: Heading.
        digits: Number of decimals; None for text and whole numbers.
        sign: Write a plus sign before positive values.
        percent: Show a share in per cent.
        note: Explanation, shown as a tooltip on a page.
    """

    key: str
    head: str
    digits: int | None = None
    sign: bool = False
    percent: bool = False
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under columns. A missing value is shown as a dash."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = ()

    def cells(self) -> list[list[str]]:
        """The rows as formatted text."""
        return [[shown(row.get(column.key), column) for column in self.columns] for row in self.rows]

    def to_markdown(self) -> str:
        """Title, table and notes as Markdown."""
        right = [any(isinstance(row.get(c.key), int | float) for row in self.rows) for c in self.columns]
        lines = [
            f"**{self.title}**", "",
            _line([column.head for column in self.columns]),
            _line(["---:" if number else "---" for number in right]),
            *(_line(cells) for cells in self.cells()),
        ]  # fmt: skip
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """The rows as CSV. Headings are the keys of the rows, and figures are not rounded."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [c.key for c in self.columns], extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    def to_json(self) -> str:
        """Title, notes and all values of the rows as JSON, including those without a column."""
        content = plain({"title": self.title, "notes": self.notes, "rows": self.rows})
        return json.dumps(content, indent=1, allow_nan=False) + "\n"


def shown(value: Any, column: Column) -> str:
    """A value formatted for its column."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if column.percent:
        value, unit = value * 100, " %"
    else:
        unit = ""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    digits = column.digits if column.digits is not None else 0
    return f"{value:{'+' if column.sign else ''},.{digits}f}{unit}".replace("-", "−")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
