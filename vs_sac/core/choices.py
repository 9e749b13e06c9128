"""Enumerations that several folders share. Public functions also accept their values as plain strings."""

from enum import StrEnum

from .errors import SacValueError

__all__ = ["AudioMode", "BlockMap", "Caution", "Codec", "Fill", "Mode", "parse_choice"]


class Codec(StrEnum):
    """Video encoders."""

    X264 = "x264"
    X265 = "x265"


class Fill(StrEnum):
    """Content of the masked-out part of a stream.

    Attributes:
        BLACK: Black, as in the paper (Hadamard product with a binary mask).
        GREY: Flat mid-grey.
        HOLD: The content of the last frame in which the part was visible.
        COARSE: The source picture at the highest quantizer. It costs few bits, and the encoder can use it for motion
            compensation and for intra prediction across the mask edge.
    """

    BLACK = "black"
    GREY = "grey"
    HOLD = "hold"
    COARSE = "coarse"


class AudioMode(StrEnum):
    """How the audio of a source is carried.

    Attributes:
        COPY: As it is; a track that the container cannot hold is transcoded to FLAC, with a warning.
        FLAC: Transcoded to FLAC.
        NONE: Left out.
    """

    COPY = "copy"
    FLAC = "flac"
    NONE = "none"


class BlockMap(StrEnum):
    """Where the QP offset of a macroblock comes from.

    Attributes:
        ROI: From its region: ROI or non-ROI, as in the paper.
        NONE: It is 0 everywhere: the whole picture has one CRF.
        TIERS: From the classes in it, by a table of QP offsets.
        TASK: From its importance for a perception network, and from the table of the tiers.
    """

    ROI = "roi"
    NONE = "none"
    TIERS = "tiers"
    TASK = "task"


class Caution(StrEnum):
    """Operating points of a network: how much of what is not ROI is accepted to keep a doubtful object.

    Attributes:
        LOW: A smaller ROI; objects in doubt may be lost.
        NORMAL: The default.
        HIGH: A larger ROI; fewer objects are lost.
    """

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class Mode(StrEnum):
    """Method of ROI coding.

    Attributes:
        TWO_STREAM: ROI and non-ROI are separate streams, as in the paper.
        SINGLE_STREAM: One stream; the quantizer of a macroblock depends on its region.
    """

    TWO_STREAM = "two-stream"
    SINGLE_STREAM = "single-stream"


def parse_choice[Choice: StrEnum](kind: type[Choice], value: Choice | str, func: str) -> Choice:
    """Convert a string to a member of an enumeration.

    Args:
        kind: The enumeration.
        value: A member or its string.
        func: Name of the calling function, for the error message.

    Raises:
        SacValueError: `value` is not a member; the message lists the members.
    """
    try:
        return kind(value)
    except ValueError:
        name = kind.__name__.lower()
        raise SacValueError(f"unknown {name} {value!r}; accepted: {', '.join(kind)}", func) from None
