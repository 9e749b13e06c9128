"""Colours and dashes by method, the same in figures and on the page."""

from dataclasses import dataclass
from typing import Any

from ..core.choices import Codec, Mode

__all__ = ["Look", "look_of"]

#: Colours after Okabe and Ito, which people with colour vision deficiency can tell apart.
_COLOURS = {None: "#767b84", Mode.TWO_STREAM: "#d55e00", Mode.SINGLE_STREAM: "#0a7bc2"}


#: SVG dash patterns by (H.265, uniform encode for single streams).
_DASHES = {(False, False): "", (True, False): "6 4", (False, True): "2 3", (True, True): "6 3 2 3"}


@dataclass(frozen=True)
class Look:
    """How a method is drawn: colour by mode, marker by codec, dash by codec and encoder."""

    colour: str
    marker: str
    dash: str


def look_of(row: dict[str, Any]) -> Look:
    """The look for a table row, or for the ``method`` entry of a result."""
    mode = Mode(row["mode"]) if row["mode"] else None
    square = row["codec"] == Codec.X265
    # The uniform encodes that single streams are compared with come from another encoder than those for two streams.
    other = mode is None and row["encoder_of"] == Mode.SINGLE_STREAM
    return Look(_COLOURS[mode], "square" if square else "circle", _DASHES[square, other])
