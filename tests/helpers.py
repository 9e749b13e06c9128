"""Clips from arrays and back, and hypothesis strategies for both."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import strategies as st

from benchmarks.interrupts import processes_about
from vs_sac import segment
from vs_sac.encoders import find_ffmpeg
from vs_sac.pipeline import mask_plan

Array = np.ndarray[Any, Any]

FORMATS = [vs.YUV420P8, vs.YUV422P8, vs.YUV444P8, vs.YUV420P10, vs.YUV422P10, vs.YUV444P10]


def clip_of(frames: Sequence[Sequence[Array]], fmt: int, fps: int = 25) -> vs.VideoNode:
    """A clip whose frame n has the planes frames[n]."""
    height, width = frames[0][0].shape
    blank = vs.core.std.BlankClip(width=width, height=height, format=fmt, length=len(frames), fpsnum=fps, fpsden=1)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        out = f.copy()
        for plane, samples in enumerate(frames[n]):
            np.copyto(np.asarray(out[plane]), samples)
        return out

    return blank.std.ModifyFrame(blank, fill).std.SetFrameProps(
        _Matrix=6, _Primaries=6, _Transfer=6, _Range=0, _ChromaLocation=0
    )


def arrays_of(clip: vs.VideoNode) -> list[list[Array]]:
    """All planes of all frames."""
    return [[np.asarray(frame[p]).copy() for p in range(frame.format.num_planes)] for frame in clip.frames(close=True)]


def same(a: vs.VideoNode, b: vs.VideoNode) -> bool:
    """Whether two clips are equal sample by sample."""
    if (a.format.id, a.num_frames) != (b.format.id, b.num_frames):
        return False
    return all(
        np.array_equal(p, q) for x, y in zip(arrays_of(a), arrays_of(b), strict=True) for p, q in zip(x, y, strict=True)
    )


def noise_clip(
    width: int, height: int, length: int, fmt: int = vs.YUV420P8, seed: int = 0, *, smooth: bool = False
) -> vs.VideoNode:
    """Random samples; `smooth` moves one random picture instead, which encoders can predict."""
    rng = np.random.default_rng(seed)
    info = vs.core.get_video_format(fmt)
    top = 1 << info.bits_per_sample
    dtype = np.uint8 if info.bits_per_sample == 8 else np.uint16

    def planes() -> list[Array]:
        shapes = [(height, width)] + [(height >> info.subsampling_h, width >> info.subsampling_w)] * 2
        return [rng.integers(0, top, shape, dtype) for shape in shapes[: info.num_planes]]

    if not smooth:
        return clip_of([planes() for _ in range(length)], fmt)
    first = planes()
    return clip_of([[np.roll(p, n, axis=1) for p in first] for n in range(length)], fmt)


def mask_clip(masks: Array) -> vs.VideoNode:
    """Boolean masks of shape (N, H, W) as a GRAY8 clip."""
    return clip_of([[m.astype(np.uint8) * 255] for m in masks], vs.GRAY8)


def count_network_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the frames that `encode` asks of the network from now on."""
    asked: list[int] = []

    def counted(source: vs.VideoNode, **options: Any) -> vs.VideoNode:
        def note(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
            asked.append(n)
            return f.copy()

        return segment(source.std.ModifyFrame(source, note), **options)

    monkeypatch.setattr(mask_plan, "segment", counted)
    return asked


def sizes(smallest: int = 16, largest: int = 70, multiple: int = 1) -> st.SearchStrategy[tuple[int, int]]:
    """(width, height) pairs."""
    side = st.integers(-(-smallest // multiple), largest // multiple).map(lambda n: n * multiple)
    return st.tuples(side, side)


@st.composite
def mask_arrays(draw: st.DrawFn, width: int, height: int, length: int = 1) -> Array:
    """Boolean masks (N, H, W): empty, full, single pixels, rectangles and noise."""
    kind = draw(st.sampled_from(["none", "all", "pixel", "box", "noise"]))
    masks = np.zeros((length, height, width), np.bool_)
    if kind == "all":
        masks[:] = True
    for n in range(length):
        if kind == "pixel":
            masks[n, draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = True
        elif kind == "box":
            top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
            masks[n, top : top + draw(st.integers(1, height)), left : left + draw(st.integers(1, width))] = True
        elif kind == "noise":
            masks[n] = np.random.default_rng(draw(st.integers(0, 2**16))).random((height, width)) < 0.01
    return masks


def remuxed(source, out, *maps):
    """A file with the streams that ffmpeg's options choose."""
    command = [find_ffmpeg(), "-v", "error", "-y", "-i", str(source), *maps, "-c", "copy", str(out)]
    subprocess.run(command, check=True)
    return out


def write_ffv1(clip, out, *options):
    """A lossless file of a clip, made by ffmpeg alone."""
    with out.with_suffix(".y4m").open("wb") as file:
        clip.output(file, y4m=True)
    command = [find_ffmpeg(), "-v", "error", "-y", "-i", str(out.with_suffix(".y4m")), *options, "-c:v", "ffv1"]
    subprocess.run([*command, "-strict", "-1", str(out)], check=True)
    return out


def props(clip):
    """The colour properties of a clip's first frame."""
    with clip.get_frame(0) as frame:
        return {name: int(frame.props[name]) for name in ("_Matrix", "_Primaries", "_Transfer", "_Range")}


def vs_sac(*arguments, cwd=None, env=None, text=True, timeout=120):
    """What the command line does in a process of its own."""
    command = [sys.executable, "-m", "vs_sac", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=text,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=timeout,
        check=False,
    )


def python(code):
    """A program that runs Python code."""
    return [sys.executable, "-c", code]


def nothing_left(folder):
    """Whether no process works in a folder, after at most 5 s."""
    until = time.monotonic() + 5
    while processes_about(folder) and time.monotonic() < until:
        time.sleep(0.05)
    return not processes_about(folder)
