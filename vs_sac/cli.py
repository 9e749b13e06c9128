"""The command line ``vs-sac``. Thin: it reads arguments, shows progress and results, and turns errors into exits."""

import json
import signal
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal, NoReturn, cast

import vapoursynth as vs
from cyclopts import App, CycloptsError, Group, Parameter
from rich.text import Text

from . import __version__, container, metrics, pipeline
from .console import evaluation_table, listing, messages, progress_bar, results, write_json
from .encoders import PRESETS
from .errors import SacError, SacFileError, SacValueError, SacWarning
from .graph import set_cache_limit
from .labels import LabelSet
from .outputs import check_output, workspace
from .rates import RateTrial
from .segmentation import DEFAULT_MODEL, Backend
from .source import open_clip, open_raw
from .types import Codec, Fill, Mode

__all__ = ["app", "main"]

#: What the extra `report` brings beyond the others.
_REPORT_NEEDS = {"jinja2", "markupsafe", "matplotlib"}

app = App(
    name="vs-sac",
    help="Semantic-aware video compression for driving cameras: what matters for driving keeps its quality.",
    help_format="plaintext",
    version=__version__,
    console=results,
    error_console=messages,
    suppress_keyboard_interrupt=False,
)

_RATE = Group("Rate and quality")
_MASKS = Group("What is region of interest (ROI)")
_SPEED = Group("Speed")
_FILES = Group("Files")

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"
]
assert Preset.__args__ == PRESETS  # type: ignore[attr-defined]

Output = Annotated[Path, Parameter(name=("-o", "--output"), group=_FILES)]
Force = Annotated[bool, Parameter(negative="", group=_FILES)]
Switch = Annotated[bool, Parameter(negative="")]
JsonFile = Annotated[Path | None, Parameter(name="--json", group=_FILES)]
Crf = Annotated[float | None, Parameter(group=_RATE)]
EncoderArgs = Annotated[str, Parameter(group=_RATE, allow_leading_hyphen=True)]
ModelName = Annotated[str, Parameter(group=_MASKS)]
Threshold = Annotated[float | None, Parameter(group=_MASKS)]
BackendName = Annotated[Backend, Parameter(group=_MASKS)]
MaskFile = Annotated[Path | None, Parameter(group=_MASKS)]
LabelSetName = Annotated[LabelSet | None, Parameter(group=_MASKS)]
Fps = Annotated[str | None, Parameter(group=_FILES)]


@app.command
def encode(
    source: Path,
    /,
    *,
    output: Output,
    codec: Annotated[Codec, Parameter(group=_RATE)] = Codec.X264,
    mode: Annotated[Mode, Parameter(group=_RATE)] = Mode.TWO_STREAM,
    crf_roi: Crf = None,
    crf_non_roi: Crf = None,
    crf_gap: Crf = None,
    match_crf: Crf = None,
    target_kbps: Annotated[float | None, Parameter(group=_RATE)] = None,
    preset: Annotated[Preset, Parameter(group=_RATE, show_choices=False)] = "medium",
    fill: Annotated[Fill | None, Parameter(group=_RATE)] = None,
    non_roi_filter: Annotated[float, Parameter(group=_RATE)] = 0.0,
    non_roi_scale: Annotated[int | None, Parameter(group=_RATE)] = None,
    encoder_args: EncoderArgs = "",
    encoder_args_roi: EncoderArgs = "",
    encoder_args_non_roi: EncoderArgs = "",
    masks: MaskFile = None,
    labels: LabelSetName = None,
    model: ModelName = DEFAULT_MODEL,
    threshold: Threshold = None,
    roi_hold: Annotated[int, Parameter(group=_MASKS)] = 0,
    roi_close: Annotated[int | None, Parameter(group=_MASKS)] = None,
    backend: BackendName = Backend.AUTO,
    every: Annotated[int | None, Parameter(group=_MASKS)] = None,
    fps: Fps = None,
    audio: Annotated[bool, Parameter(group=_FILES)] = True,
    chunk: Annotated[float | None, Parameter(group=_FILES)] = None,
    resume: Annotated[bool, Parameter(negative="", group=_FILES)] = False,
    jobs: Annotated[int, Parameter(group=_SPEED)] = 1,
    threads: Annotated[int | None, Parameter(group=_SPEED)] = None,
    low_latency: Annotated[bool, Parameter(negative="", group=_SPEED)] = False,
    json_file: JsonFile = None,
    force: Force = False,
) -> None:
    """Encode a driving video into a SAC file (Matroska).

    ROI and non-ROI go to two encoders that run at the same time, or to one that quantizes every macroblock by its
    region; the file holds the streams and the mask.

    Example: vs-sac encode drive.mp4 -o drive.mkv --codec x265 --preset slow

    Args:
        source: Video file, folder of images, or printf pattern such as frames/%05d.png.
        output: The .mkv to write.
        codec: Encoder of the video.
        mode: two-stream (the paper's) where the ROI is sent, protected or decoded on its own; single-stream where
            bytes count: one ordinary stream, smaller at equal quality, that any player shows whole.
        crf_roi: CRF of the ROI, 0-51, lower is better. [default: x264 18, x265 23]
        crf_non_roi: CRF of the rest. [default: x264 27, x265 32]
        crf_gap: Instead of one of the two: CRF of the rest less that of the ROI. [default: 9]
        match_crf: Find the CRF at which the file, without its audio, weighs what a uniform encode at this CRF weighs,
            within 1 % and at most 5 encodes. It is the rest's where --crf-roi is given, the ROI's where --crf-non-roi
            is, else both move and keep their distance.
        target_kbps: The same for a bitrate in kbit/s.
        preset: Encoder preset, ultrafast to placebo.
        fill: What stands in the part of a frame that the other of two streams holds: black (the paper's), grey, hold,
            or coarse, the picture itself at the highest quantizer. [default: x264 coarse, x265 grey]
        non_roi_filter: Low-pass the non-ROI before it is coded: standard deviation in pixels, 0 (off) to 4. Saves bits
            with any encoder; the ROI keeps every sample.
        non_roi_scale: Code the non-ROI of two streams at its size (1), or with its sides halved (2) and a CRF lower by
            6: where it is coarse anyway that looks the same, costs fewer bits and takes a third less time.
            [default: 2 from 540 rows and a CRF of 29 (x264) or 32 (x265) on, else 1; 1 with --fill black]
        encoder_args: Further encoder options for every stream, e.g. "--tune grain --keyint 50".
        encoder_args_roi: Further options for the ROI stream only (two-stream).
        encoder_args_non_roi: Further options for the non-ROI stream only (two-stream).
        masks: Use these masks instead of the network: a mask video (255 = ROI; what "segment" writes), a SAC
            file, or a folder of label images (then give --labels).
        labels: Encoding of the label images.
        model: Segmentation network: a shipped name or the path of an .onnx file.
        threshold: Probability, 0-1, from which a pixel is confidently not ROI; higher makes the ROI larger.
            [default: the model's own]
        roi_hold: For how many frames, 0-16, a macroblock stays ROI after it has left it: less flicker, more ROI.
        roi_close: Gaps in the ROI up to twice as many macroblocks wide, 0-8, become ROI: fewer edges, more ROI.
            [default: of the network's masks in two streams, from 540 rows on, 1 (x264) or 2 (x265); else 0]
        backend: How the network runs: python (onnxruntime; what auto takes), cuda (onnxruntime-gpu), or the VapourSynth
            plugins ort (onnxruntime) and ov (OpenVINO).
        every: Run the network on every Nth frame, 1-32, and carry the masks between by motion, in favour of the ROI.
            [default: the frames of 0.3 s, 8 at 25 fps]
        fps: Frame rate of an image sequence, e.g. 17 or 30000/1001. [default: 25]
        audio: Carry over the source's audio.
        chunk: Code in chunks of that many seconds. They stay in the folder OUTPUT.chunks until all are done.
        resume: Go on with the chunks of the same encode that was stopped; the file is the same as without a stop.
            [default chunk: 10]
        jobs: Code so many chunks at the same time, each by encoders of its own that share the threads. For many
            processors and short encodes of long videos; --chunk says how long a chunk is. [default chunk: 10]
        threads: Processors that the whole job may use. [default: all]
        low_latency: Every frame's packet leaves before the next frame comes: no B-frames, no lookahead, no waiting
            frames. Costs bytes.
        json_file: Also write the result as JSON.
        force: Overwrite existing outputs.
    """
    with progress_bar("encode") as progress:
        result = pipeline.encode(
            source, output, codec=codec, mode=mode, crf_roi=crf_roi, crf_non_roi=crf_non_roi, crf_gap=crf_gap,
            match_crf=match_crf, target_kbps=target_kbps, preset=preset, fill=fill, non_roi_filter=non_roi_filter,
            non_roi_scale=non_roi_scale, roi_hold=roi_hold, roi_close=roi_close, masks=masks, labels=labels,
            model=model, threshold=threshold, backend=backend, every=every, encoder_args=encoder_args,
            encoder_args_roi=encoder_args_roi, encoder_args_non_roi=encoder_args_non_roi, fps=fps, audio=audio,
            chunk=chunk, resume=resume, jobs=jobs,
            threads=threads, low_latency=low_latency, force=force, progress=progress, on_trial=_show_trial,
        )  # fmt: skip
    values = result.to_dict()
    write_json(values, json_file, force=force)
    sizes = result.bytes
    parts = ", ".join(f"{name} {sizes[name]:,}" for name in container.TRACKS[result.info.mode])
    results.print(
        f"{output}: {result.info.frames} frames, {sizes['file']:,} bytes, {values['bitrate_kbps']:.0f} kbit/s"
        f" ({parts}); ROI is {result.roi_share:.0%} of the picture"
    )


@app.command
def decode(
    source: Path, /, *, output: Annotated[str, Parameter(name=("-o", "--output"), allow_leading_hyphen=True)],
    allow_missing: Switch = False, force: Force = False,
) -> None:  # fmt: skip
    """Decode a SAC file: of two streams, every macroblock from the one it belongs to.

    Of a damaged file the frames before the damage are decoded, and the exit code is 1.

    Example: vs-sac decode drive.mkv -o - | ffplay -

    Args:
        source: SAC file.
        output: .y4m, .mkv (lossless FFV1, with the audio), or - for y4m on standard output.
        allow_missing: Where one of two streams is lost or damaged, go on with mid-grey in its macroblocks; where
            the checksums are lost, go on without.
        force: Overwrite an existing output.
    """
    with progress_bar("decode") as progress:
        if output == "-":
            pipeline.decode(source, sys.stdout.buffer, allow_missing=allow_missing, progress=progress)
            return
        frames = pipeline.decode(source, output, allow_missing=allow_missing, force=force, progress=progress)
    results.print(f"{output}: {frames} frames")


@app.command
def segment(
    source: Path,
    /,
    *,
    output: Output,
    overlay: Annotated[Path | None, Parameter(group=_FILES)] = None,
    model: ModelName = DEFAULT_MODEL,
    threshold: Threshold = None,
    backend: BackendName = Backend.AUTO,
    fps: Fps = None,
    force: Force = False,
) -> None:
    """Segment a video into ROI, construction, nature and sky.

    Example: vs-sac segment drive.mp4 -o masks.mkv --overlay look.mp4

    Args:
        source: Video file, folder of images, or printf pattern.
        output: The .mkv to write: lossless, in the paper's four greys (ROI 255, construction 170, nature 85,
            sky 0). "encode" and "evaluate" take it as --masks.
        overlay: Also write the video with the classes tinted over it (.mp4 or .mkv).
        model: Segmentation network: a shipped name or the path of an .onnx file.
        threshold: Probability, 0-1, from which a pixel is confidently not ROI. [default: the model's own]
        backend: How the network runs.
        fps: Frame rate of an image sequence.
        force: Overwrite existing outputs.
    """
    with progress_bar("segment") as progress:
        frames = pipeline.write_masks(
            source, output, overlay_out=overlay, model=model, threshold=threshold, backend=backend, fps=fps,
            force=force, progress=progress,
        )  # fmt: skip
    results.print(f"{output}: {frames} class maps" + (f"; {overlay}" if overlay else ""))


@app.command
def evaluate(
    reference: Path,
    distorted: Path,
    /,
    *,
    masks: MaskFile = None,
    labels: LabelSetName = None,
    roi_weight: Annotated[float, Parameter(group=_RATE)] = 0.6,
    all_planes: Switch = False,
    flashes: Switch = False,
    vmaf: Switch = False,
    xpsnr: Switch = False,
    fps: Fps = None,
    per_frame: Annotated[Path | None, Parameter(group=_FILES)] = None,
    json_file: JsonFile = None,
    force: Force = False,
) -> None:
    """Compare a decoded video with its source: bytes, ratio, PSNR and SSIM of the whole, of ROI and non-ROI.

    SA-PSNR and SA-SSIM come twice. "fair" pools the error over each region's own pixels and weighs the regions
    with fixed, declared weights. "paper" follows the paper as printed: masked frames over the whole frame area,
    where the blacked-out part counts as perfect, and weights that follow the CRFs; its figures are higher by
    up to 10*log10(1/share) dB and cannot be compared with whole-frame PSNR.

    Example: vs-sac evaluate drive.mp4 drive.mkv --json result.json

    Args:
        reference: The source.
        distorted: A SAC file, or any video (then --masks says where the ROI is).
        masks: SAC file or mask video (255 = ROI). [default: the SAC file's own]
        labels: Encoding, where masks is a folder of label images.
        roi_weight: Weight of the ROI in the fair SA figures, 0-1; the rest is the non-ROI's.
        all_planes: Measure the chroma planes as well.
        flashes: Count flash pixels: errors near a mask edge of more than half the range, in one frame or one
            channel only (the paper's Fig. 7).
        vmaf: Add VMAF, where an ffmpeg with libvmaf is found.
        xpsnr: Add XPSNR, where an ffmpeg with that filter is found.
        fps: Frame rate, where the source is an image sequence.
        per_frame: Also write every frame's figures, as .csv or .json.
        json_file: Also write everything as JSON.
        force: Overwrite existing files.
    """
    if not 0 <= roi_weight <= 1:
        raise SacValueError(f"--roi-weight {roi_weight} is outside 0-1", "evaluate")
    if per_frame is not None and per_frame.suffix.lower() not in (".csv", ".json"):
        raise SacValueError(f"{per_frame} must end in .csv or .json", "evaluate")
    for path in (per_frame, json_file):
        if path is not None:
            check_output(path, force=force, func="evaluate")
    set_cache_limit(256, give_back=False)
    job = _open_evaluation(reference, distorted, masks, labels, fps)
    result = _evaluate(job, roi_weight, all_planes)
    values = result.to_dict()
    if flashes:
        count = metrics.flashes(job.source, job.distorted, job.grid)
        values["flashes"] = {"total": count.total, "share": count.share, "per_frame": list(count.per_frame)}
    for wanted, measure in ((vmaf, metrics.vmaf), (xpsnr, metrics.xpsnr)):
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


@dataclass(frozen=True)
class _EvaluationJob:
    """What is compared with what."""

    source: vs.VideoNode
    distorted: vs.VideoNode
    grid: vs.VideoNode
    size: "metrics.ByteCount"
    crf: tuple[float | None, float | None]


def _open_evaluation(
    reference: Path, distorted: Path, masks: Path | None, labels: LabelSet | None, fps: str | None
) -> _EvaluationJob:
    if not distorted.exists():
        raise SacFileError(f"{distorted} does not exist", "evaluate")
    info = container.probe(distorted) if container.is_sac(distorted) else None
    source = open_clip(reference, fps=fps or (info.fps if info else None), in_order=True)
    if info:
        got, size = container.open_sac(distorted, in_order=True), pipeline.byte_count(info.track_bytes())
    elif masks is None:
        raise SacValueError(f"{distorted} is no SAC file, so --masks must say where the ROI is", "evaluate")
    else:
        got, size = open_raw(distorted, in_order=True), metrics.ByteCount(total=distorted.stat().st_size)
    grid = pipeline.open_masks(masks if masks is not None else distorted, source, labels=labels, in_order=True)
    return _EvaluationJob(source, got, grid, size, (info.crf_roi, info.crf_non_roi) if info else (None, None))


def _evaluate(job: _EvaluationJob, roi_weight: float, all_planes: bool) -> "metrics.Evaluation":
    with progress_bar("evaluate") as progress:
        return metrics.evaluation(
            job.source, job.distorted, job.grid, bytes=job.size, fps=float(job.source.fps), crf_roi=job.crf[0],
            crf_non_roi=job.crf[1], weights=(roi_weight, 1 - roi_weight), progress=progress,
            planes=None if all_planes else (0,),
        )  # fmt: skip


@app.command
def info(source: Path, /, *, json_file: JsonFile = None, force: Force = False) -> None:
    """Show what a SAC file holds.

    Args:
        source: SAC file.
        json_file: Also write it as JSON.
        force: Overwrite an existing JSON file.
    """
    found = container.probe(source)
    sizes = found.track_bytes()
    write_json({**found.tags(), "bytes": sizes, "audio_tracks": found.audio}, json_file, force=force)
    rows = [*found.tags().items(), *((f"bytes {name}", f"{size:,}") for name, size in sizes.items())]
    results.print(listing(rows))


@app.command
def verify(source: Path, /) -> None:
    """Compare every coded frame of a SAC file with the checksums stored in it. Nothing is decoded.

    Args:
        source: SAC file.
    """
    found = container.probe(source, allow_missing=True)
    states = container.verify(found)
    for state in states:
        results.print(f"{state.name}: {state.damage or f'{state.frames} frames, whole'}")
    if not found.sums:
        raise SacFileError(f"{source} has lost its checksums", "verify")
    if damaged := [state.name for state in states if state.damage]:
        raise SacFileError(f"{source} is damaged: {', '.join(damaged)}", "verify")


@app.command(name="doctor")
def show_doctor() -> None:
    """Show what is installed, which encoders and models are used, what is missing and how to get it."""
    from .doctor import examine

    findings = examine()
    rows = []
    for finding in findings:
        mark = Text("ok", "green") if finding.found else Text("MISSING" if finding.needed else "absent", "yellow")
        rows.append((finding.name, mark, Text(finding.found or finding.remedy)))
    results.print(listing(rows))
    if any(finding.needed and not finding.found for finding in findings):
        raise SacError("something that the main job needs is missing, see above", "doctor")


@app.command
def demo(
    *,
    output: Annotated[Path, Parameter(name=("-o", "--output"))] = Path("demo"),
    codec: Codec = Codec.X264,
    frames: int = 50,
    size: str = "640x352",
    force: Force = False,
) -> None:
    """Render a street scene, then encode, decode and evaluate it. Needs no input.

    Args:
        output: Folder for street.mkv (the SAC file), overlay.png and result.json.
        codec: Encoder.
        frames: Length in frames.
        size: WIDTHxHEIGHT of the scene, multiples of 2, at least 64x64.
        force: Overwrite files of an earlier demo.
    """
    from .demo import run_demo

    try:
        width, height = (int(side) for side in size.split("x"))
    except ValueError:
        raise SacValueError(f"--size {size!r} is not WIDTHxHEIGHT", "demo") from None
    with progress_bar("demo") as progress:
        result = run_demo(
            output, codec=codec, frames=frames, width=width, height=height, force=force, progress=progress
        )
    results.print(evaluation_table(result.evaluation.to_dict()))
    results.print(f"{result.sac}, {result.picture}, {result.json}")


#: Commands that are imported when they are called, as they need an extra: their place, and a line for the overview.
_LATE = {
    "compare": ("vs_sac.report.cli:compare", "Encode videos by every method of the paper and write a report."),
    "reproduce": ("vs_sac.report.cli:reproduce", "Print the paper's tables with ours beside them."),
    "train": ("vs_sac.nn.cli:train", "Train the segmentation network."),
    "export": ("vs_sac.nn.cli:export", "Turn a trained network into ONNX with a model card."),
    "quantize": ("vs_sac.nn.cli:quantize", "Round a network to 8 bits, for speed on a processor."),
    "test-model": ("vs_sac.experiments.model_scores:report", "Score a segmentation model on labelled images."),
}
# The line would stand in place of the command's own help, so only the overview gets it.
_overview = sys.argv[1:] in ([], ["--help"], ["-h"])
for _name, (_place, _line) in _LATE.items():
    app.command(_place, name=_name, help=_line if _overview else None)


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line in this process and exit as `run` says."""
    sys.exit(run(argv))


def run(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        Exit code: 0 on success, 1 on a failed run, 2 on wrong usage.
    """
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        sys.unraisablehook = _interrupt_again
        warnings.showwarning = _warn
        for stream in (sys.stdout, sys.stderr):
            # Names of files need not be text.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        set_cache_limit()
        app(argv, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(f"{error} (see vs-sac --help)", 2)
    except SacValueError as error:
        return _fail(str(error), 2)
    except SacError as error:
        return _fail(str(error), 1)
    except ImportError as error:
        # The commands that are imported when they are called are those that need an extra.
        cause = error.__cause__ or error
        name = (cause.name or "").partition(".")[0] if isinstance(cause, ModuleNotFoundError) else ""
        extra = "report" if name in _REPORT_NEEDS else "train"
        return _fail(f"{name} is not installed; get it with: pip install 'vs-sac[{extra}]'" if name else str(cause), 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 1)
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does.
        sys.stdout = cast(Any, None)
        return 1
    except MemoryError:
        return _fail("out of memory", 1)
    except OSError as error:
        return _fail(f"{error.filename or 'system'}: {error.strerror or error}", 1)
    except Exception as error:
        if isinstance(error, RuntimeError) and "new thread" in str(error):
            return _fail(f"out of memory or threads: {error}", 1)
        # VapourSynth reports errors of its filters, at any frame, as its own kind.
        if type(error).__module__.partition(".")[0] != "vapoursynth":
            raise
        # Of an error in Python, at a frame, it hands on all of the traceback; what went wrong stands at its end.
        words = str(error).strip()
        last = words.splitlines()[-1].strip() if "Traceback (most recent call last)" in words else words
        # A decoder that gets no threads.
        whose = "out of memory or threads" if "BlockingIOError" in last else "VapourSynth"
        return _fail(f"{whose}: {last}", 1)
    return 0


def _fail(message: str, code: int) -> int:
    messages.print(f"vs-sac: {' '.join(message.split())}", markup=False, soft_wrap=True)
    return code


def _warn(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
    if issubclass(category, SacWarning):
        _fail(f"warning: {message}", 0)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    # Once: a second one would cut short the clearing up after the first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    raise KeyboardInterrupt


#: Seconds until an interrupt comes again that was lost.
_AGAIN = 0.02


def _interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """An interrupt that came during a destructor or callback would be printed and forgotten there."""
    if lost.exc_type is KeyboardInterrupt:
        # Later: what is sent at once is handled before this returns, and forgotten as well.
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
    else:
        sys.__unraisablehook__(lost)


def _show_trial(trial: RateTrial) -> None:
    if trial.crf_non_roi is None:
        messages.print(f"uniform encode at CRF {trial.crf_roi:g}: {trial.bytes:,} bytes")
    else:
        messages.print(f"CRF {trial.crf_roi:g} and {trial.crf_non_roi:g}: {trial.bytes:,} bytes, {trial.error:+.1%}")
