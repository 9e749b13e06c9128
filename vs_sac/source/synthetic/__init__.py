"""A procedural street scene with exact labels, for the demo and the tests.

A camera drives down a street of houses, gardens, trees, parked and moving cars and people. Everything follows
from a seed; no file is read. The class of every pixel is known because the renderer draws it.
"""

from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ...core.errors import SacFormatError, SacValueError
from ._render import render

__all__ = ["street_frame", "street_scene"]

_SMALLEST = 16


def street_frame(
    n: int, width: int, height: int, *, seed: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Render one frame of the street.

    The camera moves at 10 m/s at 25 frames a second. The first frame of a seed or size takes longer: it builds
    the street's textures, which the following ones share.

    Args:
        n: Frame number, from 0.
        width: Pixels, at least 16.
        height: Pixels, at least 16.
        seed: Chooses the street; the same seed shows the same street at every size.

    Returns:
        RGB, uint8 of shape (H, W, 3), and classes (`labels.SemanticClass`), uint8 of shape (H, W).

    Raises:
        SacValueError: A frame number or seed below 0, or a side below 16.
    """
    _check(width, height, seed, "street_frame")
    if n < 0:
        raise SacValueError(f"frame {n} is before the first, 0", "street_frame")
    return render(n, width, height, seed)


def street_scene(
    width: int = 640,
    height: int = 360,
    length: int = 60,
    *,
    fps: int | Fraction = 25,
    seed: int = 0,
    format: int = vs.YUV420P8,
    matrix: int = vs.MATRIX_BT709,
) -> tuple[vs.VideoNode, vs.VideoNode]:
    """The street as a clip with its class map, rendered frame by frame as they are asked for.

    Args:
        width: Pixels, at least 16.
        height: Pixels, at least 16.
        length: Frames.
        fps: Frames a second; the motion per frame stays that of 25.
        seed: Chooses the street.
        format: Any constant-size video format with integer or float samples: YUV, grey or RGB.
        matrix: ``vs.MATRIX_BT709`` or ``vs.MATRIX_ST170_M`` (601); transfer and primaries follow.

    Returns:
        The clip (limited range unless RGB, colour properties set) and the class map (GRAY8, `labels.SemanticClass`).

    Raises:
        SacValueError: A side below 16, no frames, a frame rate of 0 or less, or an unknown matrix.
        SacFormatError: The format's subsampling does not divide the size.
    """
    func = "street_scene"
    _check(width, height, seed, func)
    rate = Fraction(fps)
    if length < 1 or rate <= 0:
        raise SacValueError(f"length {length} and fps {fps} must be above 0", func)
    colours = {vs.MATRIX_BT709: 1, vs.MATRIX_ST170_M: 6, vs.MATRIX_BT470_BG: 5}
    if matrix not in colours:
        raise SacValueError(f"matrix {matrix} is none of {[int(m) for m in colours]} (BT.709, 601)", func)
    core = vs.core
    wanted = core.get_video_format(format)
    if width % (1 << wanted.subsampling_w) or height % (1 << wanted.subsampling_h):
        raise SacFormatError(f"{wanted.name} cannot be {width}x{height}: its chroma needs whole samples", func)

    # Picture and labels are usually pulled in step: one rendering serves both.
    @lru_cache(maxsize=6)
    def frame(n: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        return render(n, width, height, seed)

    def paint(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        out = f.copy()
        for plane in range(3):
            np.copyto(np.asarray(out[plane]), frame(n)[0][..., plane])
        return out

    def label(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        out = f.copy()
        np.copyto(np.asarray(out[0]), frame(n)[1])
        return out

    size = {"width": width, "height": height, "length": length, "fpsnum": rate.numerator, "fpsden": rate.denominator}
    canvas = core.std.BlankClip(format=vs.RGB24, keep=True, **size)
    clip = canvas.std.ModifyFrame(canvas, paint)
    transfer = primaries = colours[matrix]
    if matrix == vs.MATRIX_BT470_BG:
        transfer = 6
    if wanted.color_family == vs.RGB:
        clip = clip.resize.Point(format=format) if format != vs.RGB24 else clip
        clip = clip.std.SetFrameProps(_Matrix=0, _Range=1, _Transfer=transfer, _Primaries=primaries)
    else:
        # Range and siting are written out because nothing in a blank clip states them.
        clip = clip.resize.Bicubic(format=format, matrix=matrix, range=vs.RANGE_LIMITED, chromaloc=vs.CHROMA_LEFT)
        clip = clip.std.SetFrameProps(
            _Matrix=matrix, _Range=0, _ChromaLocation=vs.CHROMA_LEFT, _Transfer=transfer, _Primaries=primaries
        )
    blank = core.std.BlankClip(format=vs.GRAY8, keep=True, **size)
    return clip, blank.std.ModifyFrame(blank, label).std.SetFrameProps(_Range=1)


def _check(width: int, height: int, seed: int, func: str) -> None:
    if width < _SMALLEST or height < _SMALLEST:
        raise SacValueError(f"{width}x{height} is smaller than {_SMALLEST}x{_SMALLEST}", func)
    if seed < 0:
        raise SacValueError(f"seed {seed} must not be negative", func)
