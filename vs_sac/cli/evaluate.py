"""The command ``vs-sac evaluate``."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import vapoursynth as vs
from cyclopts import Parameter

from .. import metrics
from ..container.reader import is_sac, probe
from ..container.writer import mask_file_of
from ..core.choices import AudioMode
from ..core.clips import set_cache_limit
from ..core.errors import SacFileError, SacFormatError, SacValueError
from ..core.labels import LabelSet
from ..core.outputs import check_outputs, workspace
from ..pipeline.byte_counts import byte_count
from ..pipeline.mask_files import open_masks
from ..pipeline.options import SourceOptions
from ..pipeline.planning import open_source
from ..pipeline.reconstruction import open_sac
from ..source.images import input_files
from ..source.opening import open_raw
from ..source.video import report_damage
from ..streams.coded_size import scale_up
from .console import evaluation_table, note, progress_bar, results, write_json
from .parameters import FILES, RATE, Force, JsonFile, LabelSetName, MaskFile

__all__ = ["evaluate"]


@dataclass(frozen=True, kw_only=True)
class _ReferenceArguments(SourceOptions):
    fps: str | None = None
    audio: Annotated[AudioMode, Parameter(parse=False)] = AudioMode.NONE
    strict: Annotated[bool, Parameter(negative="")] = False


_ReferenceArguments.__doc__ = SourceOptions.__doc__
_WHOLE = _ReferenceArguments()


@dataclass(frozen=True, kw_only=True)
class _FurtherMetrics:
    """Metrics that are measured only on request.

    Attributes:
        all_planes: Also measure the chroma planes.
        flashes: Count flash pixels: errors near a mask edge of more than half the range, in one frame or one channel
            only (the paper's Fig. 7).
        vmaf: Add VMAF. Needs an ffmpeg with libvmaf.
        xpsnr: Add XPSNR. Needs an ffmpeg with the filter xpsnr.
    """

    all_planes: bool = False
    flashes: bool = False
    vmaf: bool = False
    xpsnr: bool = False


_NONE = _FurtherMetrics()


def evaluate(
    reference: Path,
    distorted: Path,
    /,
    *,
    masks: MaskFile = None,
    labels: LabelSetName = None,
    roi_weight: Annotated[float, Parameter(group=RATE)] = 0.6,
    further: Annotated[_FurtherMetrics, Parameter(name="*", negative="")] = _NONE,
    origin: Annotated[_ReferenceArguments, Parameter(name="*", group=FILES)] = _WHOLE,
    per_frame: Annotated[Path | None, Parameter(group=FILES)] = None,
    json_file: JsonFile = None,
    force: Force = False,
) -> None:
    """Compare a decoded video with its source: bytes, ratio, and PSNR and SSIM of the whole, the ROI and the non-ROI.

    SA-PSNR and SA-SSIM are reported in two conventions. "fair" pools the error over each region's own pixels and uses
    fixed, declared weights. "paper" follows the paper as printed: it uses masked frames over the whole frame area,
    where the blacked-out part counts as perfect, and weights that depend on the CRFs. Its figures are higher by up to
    10*log10(1/share) dB and cannot be compared with whole-frame PSNR.

    A video with a coded size (encode --coded-size) is compared at the size of its source.

    Example: vs-sac evaluate drive.mp4 drive.mkv --json result.json

    Args:
        reference: The source.
        distorted: A SAC file, or any video. For a video, --masks is required to define the ROI.
        masks: SAC file or mask video (255 = ROI). [default: the SAC file's own]
        labels: Label encoding, if masks is a folder of label images.
        roi_weight: Weight of the ROI in the fair SA figures, 0-1. The weight of the non-ROI is 1 minus this.
        further: Metrics that are measured only on request.
        origin: The part of the source that was coded, and how it is read.
        per_frame: Also write the figures of every frame, as .csv or .json.
        json_file: Also write everything as JSON.
        force: Overwrite existing files.
    """
    if not 0 <= roi_weight <= 1:
        raise SacValueError(f"--roi-weight {roi_weight} is outside 0-1", "evaluate")
    if per_frame is not None and per_frame.suffix.lower() not in (".csv", ".json"):
        raise SacValueError(f"{per_frame} must end in .csv or .json", "evaluate")
    inputs = {"reference": reference, "distorted": distorted, "masks": masks}
    check_outputs({"--per-frame": per_frame, "--json": json_file},
                  {name: input_files(path) for name, path in inputs.items()}, force=force, func="evaluate")  # fmt: skip
    set_cache_limit(256, give_back=False)
    job = _open_evaluation(reference, distorted, masks, labels, origin)
    result = _evaluate(job, roi_weight, further.all_planes)
    values = result.to_dict()
    if further.flashes:
        count = metrics.flashes(job.source, job.distorted, job.grid)
        values["flashes"] = {"total": count.total, "share": count.share, "per_frame": list(count.per_frame)}
    for wanted, measure in ((further.vmaf, metrics.vmaf), (further.xpsnr, metrics.xpsnr)):
        if wanted:
            score = measure(job.source, job.distorted)
            values[score.name] = metrics.plain({"value": score.value, **score.details, "version": score.version})
    if per_frame is not None:
        with workspace(per_frame, force=force, func="--per-frame") as work:
            csv = per_frame.suffix.lower() == ".csv"
            text = result.quality.to_csv() if csv else json.dumps(metrics.plain(result.quality.rows()), indent=1) + "\n"
            work.result.write_text(text, newline="")
    write_json(values, json_file, force=force)
    results.print(evaluation_table(values))
    report_damage(job.source)


@dataclass(frozen=True)
class _EvaluationJob:
    """The clips of an evaluation, the grid, and the size and CRFs of the distorted file."""

    source: vs.VideoNode
    distorted: vs.VideoNode
    grid: vs.VideoNode
    size: "metrics.ByteCount"
    crf: tuple[float | None, float | None]


def _open_evaluation(
    reference: Path, distorted: Path, masks: Path | None, labels: LabelSet | None, origin: SourceOptions
) -> _EvaluationJob:
    if not distorted.exists():
        raise SacFileError(f"{distorted} does not exist", "evaluate")
    if labels is not None and masks is None:
        raise SacValueError("--labels is the encoding of the label images that --masks names; give --masks", "evaluate")
    info = probe(distorted) if is_sac(distorted) else None
    if info and origin.fps is None and not reference.is_file():
        origin = replace(origin, fps=info.fps)
    source = open_source(reference, origin, sequential=True)
    if info and info.frames != source.num_frames:
        message = f"{reference} has {source.num_frames} frames and {distorted} has {info.frames}"
        raise SacFormatError(f"{message}; --start, --end and --frames name the part that was coded", "evaluate")
    coded_size = None
    if info:
        # A source that was scaled already is compared with the coded picture.
        coded = (source.width, source.height) == (info.width, info.height)
        got, size = open_sac(distorted, sequential=True, native=coded), byte_count(info.track_bytes())
    elif masks is None:
        beside = mask_file_of(distorted)
        hint = f", such as --masks {beside}" if beside and beside.is_file() else ""
        raise SacValueError(f"{distorted} is no SAC file, so --masks must say where the ROI is{hint}", "evaluate")
    else:
        got, size = open_raw(distorted, sequential=True), metrics.ByteCount(total=distorted.stat().st_size)
        coded_size = got.width, got.height
        got = _enlarged(got, source)
    grid = open_masks(masks if masks is not None else distorted, source, labels=labels, sequential=True,
                      coded_size=coded_size)  # fmt: skip
    return _EvaluationJob(source, got, grid, size, (info.crf_roi, info.crf_non_roi) if info else (None, None))


def _enlarged(clip: vs.VideoNode, source: vs.VideoNode) -> vs.VideoNode:
    """A video without tags in the size of the source, if it is smaller: an MP4 or a uniform encode of a coded size."""
    sizes = (clip.width, clip.height), (source.width, source.height)
    if sizes[0] == sizes[1] or clip.width > source.width or clip.height > source.height:
        return clip
    note("the video of {}x{} is enlarged to the size of the reference, {}x{}".format(*sizes[0], *sizes[1]))
    return scale_up(clip, *sizes[1])


def _evaluate(job: _EvaluationJob, roi_weight: float, all_planes: bool) -> "metrics.Evaluation":
    with progress_bar("evaluate") as progress:
        return metrics.evaluation(
            job.source, job.distorted, job.grid, bytes=job.size, fps=float(job.source.fps), crf_roi=job.crf[0],
            crf_non_roi=job.crf[1], weights=(roi_weight, 1 - roi_weight), progress=progress,
            planes=None if all_planes else (0,),
        )  # fmt: skip
