"""The commands that read SAC files: ``decode``, ``info`` and ``verify``."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..container import reader
from ..container.writer import mask_file_of
from ..core.clips import set_cache_limit
from ..core.errors import SacFileError
from ..core.outputs import check_outputs
from ..pipeline import decoding
from .console import listing, progress_bar, results, summary, write_json
from .parameters import Force, JsonFile, Switch

__all__ = ["decode", "info", "verify"]


def decode(
    source: Path, /, *, output: Annotated[str, Parameter(name=("-o", "--output"), allow_leading_hyphen=True)],
    allow_missing: Switch = False, native: Switch = False, force: Force = False,
) -> None:  # fmt: skip
    """Decode a SAC file. Of two streams, every macroblock is taken from the stream of its region.

    If a file is damaged, the frames before the damage are decoded, and the exit code is 1.

    Example: vs-sac decode drive.mkv -o - | ffplay -

    Args:
        source: SAC file.
        output: .y4m file, .mkv file (lossless FFV1, with the audio), or - for y4m on standard output.
        allow_missing: If one of two streams is lost or damaged, continue with mid-grey in its macroblocks. If the
            checksums are lost, continue without them.
        native: Write the picture in the size in which it was coded (--coded-size), not in that of its source.
        force: Overwrite an existing output.
    """
    set_cache_limit()
    with progress_bar("decode") as progress:
        if output == "-":
            if sys.__stdout__ is None:
                raise SacFileError("standard output is closed; give a file name, or a pipe to write to", "decode")
            decoding.decode(source, sys.stdout.buffer, allow_missing=allow_missing, native=native, progress=progress)
            return
        frames = decoding.decode(
            source, output, allow_missing=allow_missing, native=native, force=force, progress=progress
        )
    summary(f"{output}: {frames} frames")


def info(source: Path, /, *, json_file: JsonFile = None, force: Force = False) -> None:
    """Show the contents of a SAC file: its tags and the size of each track.

    Args:
        source: SAC file.
        json_file: Also write the information as JSON.
        force: Overwrite an existing JSON file.
    """
    check_outputs({"--json": json_file}, {"source": source}, force=force, func="info")
    mask_file = mask_file_of(source)
    if mask_file and source.is_file() and not reader.is_sac(source):
        masks = f"; its mask is in {mask_file}" if mask_file.is_file() else ""
        raise SacFileError(f"{source} is an ordinary MP4, not a SAC file, and has no tags to show{masks}", "info")
    found = reader.probe(source)
    sizes = found.track_bytes()
    write_json({**found.tags(), "bytes": sizes, "audio_tracks": found.audio}, json_file, force=force)
    rows = [*found.tags().items(), *((f"bytes {name}", f"{size:,}") for name, size in sizes.items())]
    results.print(listing(rows))


def verify(source: Path, /) -> None:
    """Compare every coded frame of a SAC file with the checksums stored in it. Nothing is decoded.

    Args:
        source: SAC file.
    """
    found = reader.probe(source, allow_missing=True)
    states = reader.verify(found)
    for state in states:
        results.print(f"{state.name}: {state.damage or f'{state.frames} frames, whole'}")
    if not found.sums:
        raise SacFileError(f"{source} has lost its checksums", "verify")
    if damaged := [state.name for state in states if state.damage]:
        raise SacFileError(f"{source} is damaged: {', '.join(damaged)}", "verify")
