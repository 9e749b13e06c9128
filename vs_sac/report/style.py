"""Colours and dashes by method: the same in figures and on the page."""

from dataclasses import dataclass
from typing import Any

from ..core.choices import Codec, Mode

__all__ = ["Look", "look_of"]

#: After Okabe and Ito, told apart by people who see colours differently.
_COLOURS = {None: "#767b84", Mode.TWO_STREAM: "#d55e00", Mode.SINGLE_STREAM: "#0a7bc2"}


#: Dashes by whether it is H.265 and whether it is the uniform encode of single streams, as SVG has them.
_DASHES = {(False, False): "", (True, False): "6 4", (False, True): "2 3", (True, True): "6 3 2 3"}


@dataclass(frozen=True)
class Look:
    """How a method is drawn: colour by mode, shape by codec, dash by encoder."""

    colour: str
    marker: str
    dash: str


def look_of(row: dict[str, Any]) -> Look:
    """The look of a row or of a result's method."""
    mode = Mode(row["mode"]) if row["mode"] else None
    square = row["codec"] == Codec.X265
    # Uniform encodes to be compared with single streams are by another encoder than those for two streams.
    other = mode is None and row["encoder_of"] == Mode.SINGLE_STREAM
    return Look(_COLOURS[mode], "square" if square else "circle", _DASHES[square, other])
