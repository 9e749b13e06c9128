"""The command ``vs-sac demo``: render, encode, decode and evaluate a street scene."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import vapoursynth as vs
from cyclopts import Parameter

from ..container.reader import open_mask_grid
from ..core.choices import Codec
from ..core.clips import set_cache_limit
from ..core.errors import SacFileError, SacValueError
from ..core.outputs import check_output, workspace
from ..core.processes import Packet, ProcessGroup
from ..core.progress import Progress
from ..encoders.registry import find_ffmpeg
from ..masks.class_maps import roi_mask
from ..metrics.report import Evaluation, evaluation
from ..pipeline.byte_counts import byte_count
from ..pipeline.encoding import encode
from ..pipeline.reconstruction import open_sac
from ..segmentation.network import segment
from ..source.synthetic import street_scene
from ..streams.overlays import overlay
from .console import evaluation_table, progress_bar, results
from .parameters import Force

__all__ = ["DemoResult", "demo", "run_demo", "write_picture"]


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
        frames: Number of frames.
        size: WIDTHxHEIGHT of the scene, multiples of 2, at least 64x64.
        force: Overwrite files of an earlier demo.
    """
    set_cache_limit()
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


@dataclass(frozen=True)
class DemoResult:
    """Files and figures of a demo."""

    sac: Path
    picture: Path
    json: Path
    evaluation: Evaluation


def run_demo(
    folder: Path,
    *,
    codec: Codec = Codec.X264,
    frames: int = 50,
    width: int = 640,
    height: int = 352,
    force: bool = False,
    progress: Progress | None = None,
) -> DemoResult:
    """Render, encode, decode and evaluate a street scene.

    Args:
        folder: Folder for the files; it is created if it does not exist.
        codec: Encoder.
        frames: Number of frames.
        width: Width in pixels, even, at least 64.
        height: Height in pixels, even, at least 64.
        force: Overwrite the files of an earlier demo.
        progress: Called after each encoded frame.

    Raises:
        SacError: See `pipeline.encode`.
    """
    if frames < 1 or min(width, height) < 64 or width % 2 or height % 2:
        raise SacValueError(f"{frames} frames of {width}x{height}; accepted: 1 and more of even sides from 64", "demo")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SacFileError(f"cannot make the folder {folder}: {error.strerror}", "demo") from error
    sac, picture, result = folder / "street.mkv", folder / "overlay.png", folder / "result.json"
    for out in (sac, picture, result):
        check_output(out, force=force, func="demo")
    clip, _ = street_scene(width, height, frames)
    classes = segment(clip)
    encoded = encode(clip, sac, codec=codec, masks=roi_mask(classes), force=force, progress=progress)
    judged = evaluation(
        clip, open_sac(sac), open_mask_grid(encoded.info),
        bytes=byte_count(encoded.bytes),
        fps=float(clip.fps), crf_roi=encoded.info.crf_roi, crf_non_roi=encoded.info.crf_non_roi,
    )  # fmt: skip
    write_picture(overlay(clip, classes), frames // 2, picture, force=force)
    with workspace(result, force=force, func="demo") as work:
        work.result.write_text(judged.to_json())
    return DemoResult(sac, picture, result, judged)


def write_picture(clip: vs.VideoNode, number: int, out: Path, *, force: bool = False) -> None:
    """Write one frame as PNG.

    Raises:
        SacError: The file cannot be written.
    """
    rgb = clip[number].resize.Bicubic(format=vs.RGB24)
    with rgb.get_frame(0) as frame:
        pixels = np.stack([np.asarray(frame[plane]) for plane in range(3)], axis=-1).tobytes()
    with workspace(out, force=force, func="write_picture") as work:
        command = [find_ffmpeg(), "-v", "error", "-nostdin", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24",
                   "-s", f"{clip.width}x{clip.height}", "-i", "-", "-frames:v", "1", f"file:{work.result}"]  # fmt: skip
        with ProcessGroup() as group:
            group.start("write_picture", command).put(Packet(lambda: [pixels]))
            group.finish()
