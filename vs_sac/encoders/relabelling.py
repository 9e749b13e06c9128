"""Colour labels that no encoder accepts are written into the finished stream."""

from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from ..core.errors import SacProcessError
from .base import PictureFormat, colour_names

__all__ = ["relabel"]

#: Unspecified and reserved numbers of ITU-T H.273, which a stream that says nothing means anyway.
_UNKNOWN = (0, 2, 3)


def relabel(path: Path, picture: PictureFormat) -> None:
    """Write the colour labels into a stream that its encoder does not accept, such as primaries 22.

    Args:
        path: H.264 or H.265 in Matroska, or raw H.265; it is replaced if labels are missing.
        picture: Format of the picture.

    Raises:
        SacProcessError: The stream cannot be read or written.
    """
    missing = _missing(picture)
    if not missing:
        return
    new = path.with_name(f"relabelled-{path.name}")
    form = "hevc" if path.suffix == ".hevc" else "matroska"
    try:
        with av.open(f"file:{path}") as old, av.open(
            f"file:{new}", "w", format=form, options={"fflags": "+bitexact"}
        ) as file:  # fmt: skip
            _copy(old, file, missing)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SacProcessError(f"cannot write the colour labels {missing}: {reason}", "encode") from error
    new.replace(path)


def _copy(old: Any, file: Any, labels: str) -> None:
    stream = old.streams.video[0]
    made = file.add_stream_from_template(stream)
    labeller = BitStreamFilterContext(f"{stream.codec_context.name}_metadata={labels}", stream, made)
    for packet in old.demux(stream):
        for labelled in labeller.filter(packet) if packet.size else ():
            labelled.time_base, labelled.stream = packet.time_base, made
            file.mux(labelled)


def _missing(picture: PictureFormat) -> str:
    """The labels that `colour_names` cannot name, as options of FFmpeg's bitstream filters."""
    named = colour_names(picture)
    labels = {
        "colorprim": ("colour_primaries", picture.primaries),
        "transfer": ("transfer_characteristics", picture.transfer),
        "colormatrix": ("matrix_coefficients", picture.matrix),
    }
    return ":".join(
        f"{label}={number}" for option, (label, number) in labels.items()
        if option not in named and number not in _UNKNOWN and 0 < number < 256
    )  # fmt: skip
