"""A procedural street scene with exact labels, for the demo and the tests.

A camera drives down a street with houses, gardens, trees, parked and moving cars, and people. The seed determines the
whole scene; no file is read. The class of every pixel is exact because the renderer draws the class map too.
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

    The camera moves at 10 m/s at 25 frames per second. The first frame of a seed or a size takes longer, because it
    builds the textures of the street; the following frames reuse them.

    Args:
        n: Frame number, from 0.
        width: Width in pixels, at least 16.
        height: Height in pixels, at least 16.
        seed: Number of the street, from 0; a seed gives the same street at every size.

    Returns:
        RGB, uint8 of shape (H, W, 3), and classes (`core.labels.SemanticClass`), uint8 of shape (H, W).

    Raises:
        SacValueError: The frame number or the seed is below 0, or a side is below 16 pixels.
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
    """Return the street as a clip with its class map; each frame is rendered when it is requested.

    Args:
        width: Width in pixels, at least 16.
        height: Height in pixels, at least 16.
        length: Number of frames, at least 1.
        fps: Frames per second; the motion per frame is that at 25 fps, whatever the frame rate.
        seed: Number of the street, from 0.
        format: Any video format with integer or float samples: YUV, grey or RGB.
        matrix: ``vs.MATRIX_BT709``, or ``vs.MATRIX_ST170_M`` or ``vs.MATRIX_BT470_BG`` (BT.601). Transfer and
            primaries follow from it.

    Returns:
        The clip (limited range unless RGB, with colour properties) and the class map (GRAY8, values of
        `core.labels.SemanticClass`).

    Raises:
        SacValueError: A side is below 16 pixels, `length` is below 1, `fps` is not above 0, or `matrix` is unknown.
        SacFormatError: The chroma subsampling of the format does not divide the size.
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

    # Picture and labels are usually requested at the same time, so one rendering serves both.
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
        # Range and chroma location are given explicitly, because a blank clip has neither.
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
