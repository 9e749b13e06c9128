"""The command ``vs-sac segment``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..core.clips import set_cache_limit
from ..pipeline.mask_files import write_masks
from ..segmentation.registry import DEFAULT_MODEL
from ..segmentation.runtimes import Backend
from .console import progress_bar, summary
from .parameters import FILES, BackendName, CautionName, Force, Fps, ModelName, Output, Switch, Threshold

__all__ = ["segment"]


def segment(
    source: Path,
    /,
    *,
    output: Output,
    overlay: Annotated[Path | None, Parameter(group=FILES)] = None,
    model: ModelName = DEFAULT_MODEL,
    threshold: Threshold = None,
    caution: CautionName = None,
    backend: BackendName = Backend.AUTO,
    fps: Fps = None,
    strict: Switch = False,
    force: Force = False,
) -> None:
    """Segment a video into ROI, construction, nature and sky.

    Example: vs-sac segment drive.mp4 -o masks.mkv --overlay look.mp4

    Args:
        source: Video file, folder of images, printf pattern, VapourSynth script (.vpy, output 0), - for y4m on standard
            input, or a FIFO such as <(command) of a shell makes.
        output: The .mkv file to write: lossless, in the paper's four grey tones (ROI 255, construction 170, nature 85,
            sky 0). "encode" and "evaluate" accept it as --masks.
        overlay: Also write the video with the classes tinted over it (.mp4 or .mkv).
        model: Segmentation network: the name of a shipped model or the path of an .onnx file.
        threshold: Probability, 0-1, from which a pixel counts as non-ROI. A higher threshold makes the ROI larger.
            [default: the model's own]
        caution: Operating point of the network in place of a threshold: low (a smaller ROI), normal, or high (fewer
            doubtful objects are lost). [default: normal]
        backend: Runtime of the network, as for "encode".
        fps: Frame rate of an image sequence.
        strict: Refuse a damaged source. Otherwise what can be decoded is segmented, and the exit code is 1.
        force: Overwrite existing outputs.
    """
    set_cache_limit()
    with progress_bar("segment") as progress:
        frames = write_masks(
            source, output, overlay_out=overlay, model=model, threshold=threshold, caution=caution,
            backend=backend, fps=fps, strict=strict, force=force, progress=progress,
        )  # fmt: skip
    summary(f"{output}: {frames} class maps" + (f"; {overlay}" if overlay else ""))
