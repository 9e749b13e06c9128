"""Pairs of clips, masks for them, and ffmpeg on them."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs

from ..helpers import clip_of
from .strategies import Array, picture, spoilt

Frames = list[list[Array]]


def frame_pairs(
    fmt: int, width: int, height: int, length: int, seed: int = 0, sigma: float = 4
) -> tuple[Frames, Frames]:
    """Planes of a reference and of a distorted clip."""
    info = vs.core.get_video_format(fmt)
    rng = np.random.default_rng(seed)
    shapes = [(height, width)] + [(height >> info.subsampling_h, width >> info.subsampling_w)] * (info.num_planes - 1)
    reference = [[picture(rng, shape, info.bits_per_sample) for shape in shapes] for _ in range(length)]
    distorted = [[spoilt(rng, plane, info.bits_per_sample, sigma) for plane in frame] for frame in reference]
    return reference, distorted


def clips_of(pair: tuple[Frames, Frames], fmt: int) -> tuple[vs.VideoNode, vs.VideoNode]:
    return clip_of(pair[0], fmt), clip_of(pair[1], fmt)


def mask_of(grids: list[Array]) -> vs.VideoNode:
    """A GRAY8 clip of bool arrays."""
    return clip_of([[np.where(grid, 255, 0).astype(np.uint8)] for grid in grids], vs.GRAY8)


def ffmpeg() -> str:
    found = shutil.which("ffmpeg")
    if found is None:
        pytest.skip("ffmpeg, the second implementation, is not on PATH")
    return found


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode()


def write_y4m(clip: vs.VideoNode, path: Path) -> Path:
    with path.open("wb") as file:
        clip.output(file, y4m=True)
    return path


def encoded(clip: vs.VideoNode, folder: Path, name: str, *options: str) -> vs.VideoNode:
    """A clip after a real encoder."""
    source = write_y4m(clip, folder / f"{name}.y4m")
    run(ffmpeg(), "-v", "error", "-y", "-i", source, *options, "-threads", "1", f"{name}.mkv", folder=folder)
    decoded: Any = vs.core.bs.VideoSource(str(folder / f"{name}.mkv"), cachemode=0)
    return decoded[: len(clip)]  # type: ignore[no-any-return]
