"""Choices shared by the modules. Public functions also accept their plain strings."""

from enum import StrEnum

from .errors import SacValueError

__all__ = ["Codec", "Fill", "Mode", "parse_choice"]


class Codec(StrEnum):
    """Video encoders."""

    X264 = "x264"
    X265 = "x265"


class Fill(StrEnum):
    """What stands in the masked-out part of a stream.

    `BLACK` is the paper's (Hadamard product with a binary mask); `GREY` is flat mid-grey; `HOLD` keeps showing
    what was there when the part was last visible. `COARSE` is the picture itself at the highest quantizer: a few bits
    that motion compensation and intra prediction across the mask's edge live on.
    """

    BLACK = "black"
    GREY = "grey"
    HOLD = "hold"
    COARSE = "coarse"


class Mode(StrEnum):
    """How ROI coding is done.

    `TWO_STREAM` is the paper's: ROI and non-ROI in streams of their own. `SINGLE_STREAM` is one stream whose
    macroblocks are quantized by the region they belong to.
    """

    TWO_STREAM = "two-stream"
    SINGLE_STREAM = "single-stream"


def parse_choice[Choice: StrEnum](kind: type[Choice], value: Choice | str, func: str) -> Choice:
    """Turn a string into a choice.

    Raises:
        SacValueError: It is none of them; the message lists them.
    """
    try:
        return kind(value)
    except ValueError:
        name = kind.__name__.lower()
        raise SacValueError(f"unknown {name} {value!r}; accepted: {', '.join(kind)}", func) from None
