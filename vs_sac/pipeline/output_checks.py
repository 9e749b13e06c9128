"""The files that an encode reads, and the check, before any work is done, that its outputs can be written."""

from collections.abc import Mapping
from pathlib import Path

from ..container.muxer import MP4, format_of
from ..container.writer import mask_file_of
from ..core.choices import Mode
from ..core.errors import SacValueError
from ..core.outputs import check_outputs
from ..source.images import input_files
from .options import EncodeOptions

__all__ = ["check_sac_output", "encode_inputs"]


def encode_inputs(source: object, options: EncodeOptions) -> dict[str, object]:
    """Return the files that an encode reads, by argument name. Clips have no files."""
    return {"source": input_files(source), "masks": input_files(options.masks.masks),
            "model": options.masks.model, "task model": options.streams.task_model,
            "importance": options.masks.importance}  # fmt: skip


def check_sac_output(
    out: Path,
    inputs: Mapping[str, object],
    *,
    force: bool,
    mode: Mode = Mode.TWO_STREAM,
    beside: Mapping[str, Path | None] | None = None,
) -> None:
    """Check, before any work is done, that an output can become a SAC file, or an MP4 with its mask beside it.

    Args:
        out: The output.
        inputs: What `encode_inputs` gives.
        force: See `core.outputs.check_output`.
        mode: See `StreamOptions`.
        beside: Further outputs of the same command.

    Raises:
        SacValueError: The name ends neither in .mkv nor, in single-stream mode, in .mp4, or the output is an input or
            another output.
        SacFileError: See `core.outputs.check_output`.
    """
    if format_of(out) is MP4 and mode is Mode.TWO_STREAM:
        raise SacValueError(
            f"{out} must end in .mkv: players show one of the two streams of an MP4; with mode single-stream, .mp4 is"
            " accepted", "encode",
        )  # fmt: skip
    if out.suffix.lower() not in (".mkv", ".mp4"):
        raise SacValueError(f"{out} must end in .mkv: a SAC file is Matroska", "encode")
    check_outputs({"output": out, "mask file": mask_file_of(out), **(beside or {})}, inputs, force=force, func="encode")
