"""The command ``vs-sac encode``. Its options are the fields of the dataclasses in `pipeline.options`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..container.info import TRACKS
from ..core.choices import AudioMode, BlockMap
from ..core.clips import set_cache_limit
from ..core.labels import LabelSet
from ..encoders.worker_pool import command_line_workers
from ..pipeline.encoding import run
from ..pipeline.options import EncodeOptions, MaskOptions, RateControl, RunOptions, SourceOptions, StreamOptions
from ..pipeline.output_checks import check_sac_output, encode_inputs
from ..pipeline.plan_report import describe, plan_lines
from ..pipeline.planning import plan
from ..pipeline.rate_control import RateTrial
from ..segmentation.registry import DEFAULT_MODEL
from .console import note, progress_bar, results, summary, write_json
from .parameters import FILES, MASKS, RATE, SPEED, STREAMS, Force, JsonFile, Output

__all__ = ["encode"]


@dataclass(frozen=True, kw_only=True)
class _MaskArguments(MaskOptions):
    # On a command line all values are words; in Python, clips, lists and fractions are accepted too.
    masks: Path | None = None
    labels: LabelSet | None = None
    model: str = DEFAULT_MODEL
    map: BlockMap = BlockMap.ROI
    tiers: str = "driving"


@dataclass(frozen=True, kw_only=True)
class _StreamArguments(StreamOptions):
    coded_size: str | None = None
    task_model: str | None = None
    encoder_args: str = ""
    encoder_args_roi: str = ""
    encoder_args_non_roi: str = ""


@dataclass(frozen=True, kw_only=True)
class _SourceArguments(SourceOptions):
    fps: str | None = None


for _arguments in (_MaskArguments, _StreamArguments, _SourceArguments):
    _arguments.__doc__ = _arguments.__base__.__doc__

_RATE, _STREAMS, _MASKS = RateControl(), _StreamArguments(), _MaskArguments()
_SOURCE, _RUN = _SourceArguments(), RunOptions()


def encode(
    source: Path,
    /,
    *,
    output: Output,
    rate: Annotated[RateControl, Parameter(name="*", group=RATE)] = _RATE,
    streams: Annotated[_StreamArguments, Parameter(name="*", group=STREAMS, allow_leading_hyphen=True)] = _STREAMS,
    masks: Annotated[_MaskArguments, Parameter(name="*", group=MASKS)] = _MASKS,
    origin: Annotated[_SourceArguments, Parameter(name="*", group=FILES, negative="")] = _SOURCE,
    work: Annotated[RunOptions, Parameter(name="*", group=SPEED, negative="")] = _RUN,
    no_audio: Annotated[bool, Parameter(negative="", show=False)] = False,
    profile: Annotated[Path | None, Parameter(group=FILES)] = None,
    dry_run: Annotated[bool, Parameter(negative="", group=FILES)] = False,
    json_file: JsonFile = None,
    force: Force = False,
) -> None:
    """Encode a driving video into a SAC file (Matroska).

    In two-stream mode, two encoders code ROI and non-ROI at the same time. In single-stream mode, one encoder quantizes
    every macroblock by its region. The file contains the streams and the mask.

    Example: vs-sac encode drive.mp4 -o drive.mkv --codec x265 --preset slow

    Args:
        source: Video file, folder of images, printf pattern such as frames/%05d.png, VapourSynth script (.vpy, output
            0), - for y4m on standard input, or a FIFO such as <(command) of a shell makes.
        output: The .mkv file to write. With --mode single-stream also an .mp4 file, whose mask is written to a file
            beside it, such as drive.mask.mkv.
        rate: CRFs or file size.
        streams: Encoder, mode and settings of the streams.
        masks: Which macroblocks are ROI.
        origin: How the source is read.
        work: Threads, chunks, resume and latency.
        no_audio: The same as --audio none.
        profile: TOML file with options, as "tune" writes it. Options on the command line override it; a CRF or a size
            on the command line replaces the profile's.
        dry_run: Print the plan and encode nothing. The plan shows the source as understood, the model, the masks, and
            for every encoder the command line, size and frame count.
        json_file: Also write the result, or with --dry-run the plan, as JSON.
        force: Overwrite existing outputs.
    """
    set_cache_limit()
    if no_audio:
        origin = replace(origin, audio=AudioMode.NONE)
    options = EncodeOptions(rate=rate, streams=streams, masks=masks, source=origin, run=work)
    inputs = {**encode_inputs(source, options), "profile": profile}
    check_sac_output(output, inputs, force=force, mode=streams.mode, beside={"--json": json_file})
    with progress_bar("encode") as progress:
        planned = plan(source, options, out=output, workers=None if dry_run else command_line_workers)
        if dry_run:
            described = describe(planned)
        else:
            result = run(planned, output, force=force, progress=progress, on_trial=_show_trial,
                         workers=command_line_workers)  # fmt: skip
    if dry_run:
        write_json(described, json_file, force=force)
        for line in plan_lines(described):
            results.print(line, markup=False)
        return
    values = result.to_dict()
    write_json(values, json_file, force=force)
    sizes = result.bytes
    written = f"{output} and {result.mask_file}" if result.mask_file else str(output)
    parts = ", ".join(f"{name} {sizes[name]:,}" for name in TRACKS[result.info.mode])
    summary(
        f"{written}: {result.info.frames} frames, {sizes['file']:,} bytes, {values['bitrate_kbps']:.0f} kbit/s"
        f" ({parts}); ROI is {result.roi_share:.0%} of the picture"
    )


def _show_trial(trial: RateTrial) -> None:
    if trial.crf_non_roi is None:
        note(f"uniform encode at CRF {trial.crf_roi:g}: {trial.bytes:,} bytes")
    else:
        note(f"CRF {trial.crf_roi:g} and {trial.crf_non_roi:g}: {trial.bytes:,} bytes, {trial.error:+.1%}")
