"""What a foreign network expects and gives: what the user says of it, and what is found out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..core.choices import parse_choice
from ..core.errors import SacValueError

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Channels", "Finding", "Floats", "InputSpec", "Layout", "NetworkOptions",
           "Origin", "OutputKind", "OutputSpec", "shown"]  # fmt: skip

#: Mean and standard deviation of ImageNet's red, green and blue, with which most public networks are trained.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

type Floats = npt.NDArray[np.floating[Any]]


class Layout(StrEnum):
    """Order of the dimensions of the input: batch, channels, rows, columns."""

    NCHW = "nchw"
    NHWC = "nhwc"


class Channels(StrEnum):
    """Order of the colours of the input."""

    RGB = "rgb"
    BGR = "bgr"


class OutputKind(StrEnum):
    """What the values of the output are."""

    LOGITS = "logits"
    SOFTMAX = "softmax"
    ARGMAX = "argmax"


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What the user says of a network. None stands for what is to be found out.

    Attributes:
        mean: Mean of red, green and blue that is subtracted from the input, in its own range. [default: that of
            ImageNet, unless the network normalises its input itself]
        std: Standard deviation of red, green and blue by which the input is divided, as for --mean.
        layout: Order of the input's dimensions. [default: from the shape of the input]
        channels: Order of the input's colours. [default: rgb]
        input: Size of the input, HEIGHTxWIDTH in the order of the network's shape (512x1024 is 1x3x512x1024), or
            dynamic. [default: from the shape of the input]
        input_range: Largest value of the input: 1 or 255. [default: 255 for uint8, or if the normalisation shows it;
            else 1]
        output: What the values of the output are. [default: by running the network on a frame]
        output_name: The output to use, if the network has several. [default: the one that fits the class list]
    """

    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    layout: Layout | None = None
    channels: Channels | None = None
    input: str | None = None
    input_range: Literal[1, 255] | None = None
    output: OutputKind | None = None
    output_name: str | None = None

    def __post_init__(self) -> None:
        for name, choices in (("layout", Layout), ("channels", Channels), ("output", OutputKind)):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, parse_choice(choices, given, "add_model"))
        if self.input_range not in (None, 1, 255):
            raise SacValueError(f"input_range {self.input_range!r}; accepted: 1, 255", "add_model")


class Origin(StrEnum):
    """How a fact about a network is known.

    Attributes:
        GIVEN: The user says so.
        READ: The file declares it.
        GUESSED: It is the usual case, or follows from a trial run.
    """

    GIVEN = "given"
    READ = "read"
    GUESSED = "guessed"


@dataclass(frozen=True)
class Finding:
    """One fact about a network.

    Attributes:
        name: What it is about.
        value: The fact.
        origin: How it is known.
        why: Where it is declared, or what the guess rests on; empty if the user says so.
    """

    name: str
    value: str
    origin: Origin
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """The input of a network.

    Attributes:
        name: Name of the input.
        type: Type of its values as in NumPy.
        layout: Order of its dimensions.
        channels: Order of its colours.
        top: Largest value, 1 or 255.
        mean: Mean of red, green and blue that is subtracted, in the range up to `top`.
        std: Standard deviation of red, green and blue by which is divided.
        size: Width and height in pixels if only this size is accepted.
        multiple_of: Number of pixels of which the sides of another size are multiples.
    """

    name: str
    type: str
    layout: Layout
    channels: Channels
    top: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: tuple[int, int] | None
    multiple_of: int = 16


@dataclass(frozen=True, kw_only=True)
class OutputSpec:
    """The output of a network that is used.

    Attributes:
        name: Name of the output.
        kind: What its values are.
        class_axis: Dimension of the classes; None for argmax without such a dimension.
        rank: Number of dimensions, 2 to 4.
        stride: Sides of the input divided by those of the output; the larger of the two quotients.
    """

    name: str
    kind: OutputKind
    class_axis: int | None
    rank: int
    stride: float


def shown(values: Sequence[float]) -> str:
    """Numbers for a message, separated by commas."""
    return ",".join(f"{value:g}" for value in values)
