"""Colours and dashes by method, the same in figures and on the page."""

from dataclasses import dataclass
from typing import Any

from ..core.choices import Codec, Mode

__all__ = ["Look", "look_of"]

#: Colours after Okabe and Ito, which people with colour vision deficiency can tell apart.
_COLOURS = {None: "#767b84", Mode.TWO_STREAM: "#d55e00", Mode.SINGLE_STREAM: "#0a7bc2"}


@dataclass(frozen=True)
class Look:
    """How a method is drawn: colour by mode, marker and dash by codec."""

    colour: str
    marker: str
    dash: str


def look_of(row: dict[str, Any]) -> Look:
    """The look for a table row, or for the ``method`` entry of a result."""
    mode = Mode(row["mode"]) if row["mode"] else None
    square = row["codec"] == Codec.X265
    return Look(_COLOURS[mode], "square" if square else "circle", "6 4" if square else "")
