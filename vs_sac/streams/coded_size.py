"""The coded size: pictures are scaled down before they are coded, and scaled up to the source's size after decoding."""

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import vapoursynth as vs

from ..core.clips import check_constant_format
from ..core.errors import SacFormatError, SacValueError
from ..core.macroblocks import BLOCK
from ..segmentation.registry import Model

__all__ = ["choose_coded_size", "parse_coded_size", "scale_down", "scale_up"]

_ACCEPTED = "native, WxH such as 1024x512, 1/2, 3/4 and other fractions of up to 4 parts, or auto"

#: Largest divisor of a fraction.
_LARGEST_DIVISOR = 4

#: Largest whole ratio of two sides for which samples are averaged; `std.Convolution` has at most 5x5 taps.
_LARGEST_AVERAGE = 5

#: For the size of a network's input, sides may differ from those of equal area by this share, for the aspect ratio.
_LEEWAY = 0.03

#: Largest number in the sample aspect ratio of H.264 and H.265, and largest denominator of a source's aspect ratio that
#: is found again after decoding. The second is smaller, so that rounding by the first has no effect on it.
_LARGEST_TERM, _LARGEST_KNOWN = 65535, 10000

#: Chroma location → place of a chroma sample among the luma samples that it covers, horizontal and vertical: -1 = at
#: the first one, 0 = in the middle, 1 = at the last one (ITU-T H.273, ChromaLocType).
_SITINGS = {0: (-1, 0), 1: (0, 0), 2: (-1, -1), 3: (0, -1), 4: (-1, 1), 5: (0, 1)}


def parse_coded_size(
    asked: str | Sequence[int] | None,
) -> tuple[int, int] | Fraction | Literal["auto"] | None:
    """Read a coded size.

    Args:
        asked: None or ``native``, ``WxH`` or two whole numbers, a fraction such as ``1/2`` or ``3/4``, or ``auto``.

    Returns:
        None for the source's size, a pair of width and height in pixels, the share of the source's sides, or ``auto``.

    Raises:
        SacValueError: It has none of these forms, or a side is below 16.

    Example:
        >>> parse_coded_size('1024x512'), parse_coded_size('1/2'), parse_coded_size('native')
        ((1024, 512), Fraction(1, 2), None)
    """
    if asked is None or asked == "native":
        return None
    if asked == "auto":
        return "auto"
    if isinstance(asked, str):
        if part := re.fullmatch(r"(\d)/(\d)", asked):
            share, divisor = int(part[1]), int(part[2])
            if 1 <= share < divisor <= _LARGEST_DIVISOR:
                return Fraction(share, divisor)
        found = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", asked)
        sides: tuple[Any, ...] = (int(found[1]), int(found[2])) if found else ()
    else:
        sides = tuple(asked) if isinstance(asked, list | tuple) else ()
    if len(sides) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) for side in sides):
        raise SacValueError(f"coded_size {asked!r} is not accepted; accepted: {_ACCEPTED}", "encode")
    if min(sides) < BLOCK:
        raise SacValueError(f"coded_size {_text(*sides)}; accepted: {BLOCK}x{BLOCK} and up", "encode")
    return sides[0], sides[1]


def choose_coded_size(
    asked: str | Sequence[int] | None, clip: vs.VideoNode, model: Model | None = None
) -> tuple[int, int]:
    """Return width and height of the coded picture in pixels.

    Args:
        asked: See `parse_coded_size`. Sides of a fraction are rounded up to even numbers. ``auto`` is the input
            size of `model` with the aspect ratio of the clip, or the exact input size if the network accepts no other;
            if a side of it is above that of the clip, it is the size of the clip.
        clip: The source.
        model: The network whose input size ``auto`` means.

    Raises:
        SacFormatError: The size is smaller than 16x16, or does not fit the clip: a side is above that of the clip, or
            no multiple of the chroma subsampling.
        SacValueError: `asked` has no accepted form, or is ``auto`` and there is no model.
    """
    check_constant_format(clip, "encode")
    wanted, source = parse_coded_size(asked), (int(clip.width), int(clip.height))
    if wanted is None or wanted == source:
        return source
    if wanted == "auto":
        if model is None:
            raise SacValueError("coded_size auto is the input size of a network; give task_model (--task-model)",
                                "encode")  # fmt: skip
        width, height = _size_for_model(*source, model)
    elif isinstance(wanted, Fraction):
        width, height = (2 * math.ceil(side * wanted / 2) for side in source)
    else:
        width, height = wanted
    if min(width, height) < BLOCK:
        message = f"coded_size {asked} of {_text(*source)} is {_text(width, height)}; accepted: {BLOCK}x{BLOCK} and up"
        raise SacFormatError(message, "encode")
    _check_fit(clip, width, height, "encode", f"coded_size {_text(width, height)}")
    if width > source[0] or height > source[1]:
        message = f"coded_size {_text(width, height)} is above the video's size; accepted: up to {_text(*source)}"
        raise SacFormatError(message, "encode")
    return width, height


def scale_down(clip: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
    """Scale a clip down.

    If both ratios of the sides are whole numbers up to 5, each sample is the mean of the area that it covers, rounded
    to the nearest integer; subsampled chroma keeps its location. Otherwise `resize.Bilinear` is used, whose support
    grows with the ratio.

    Args:
        clip: YUV or grey clip, integer samples.
        width: Width in pixels, up to that of the clip, a multiple of the chroma subsampling.
        height: Height in pixels, likewise.

    Returns:
        Clip of the given size, with the frame properties of the input. The sample aspect ratio (`_SARNum`, `_SARDen`)
        changes with the ratio of the sides.

    Raises:
        SacFormatError: The format of the clip varies, or the size is not accepted.
    """
    check_constant_format(clip, "scale_down")
    if (clip.width, clip.height) == (width, height):
        return clip
    _check_fit(clip, width, height, "scale_down", f"the size {_text(width, height)}")
    if not (0 < width <= clip.width and 0 < height <= clip.height):
        raise SacFormatError(f"the size {_text(width, height)} is above that of the clip", "scale_down")
    ratios, frames = (Fraction(clip.width, width), Fraction(clip.height, height)), _progressive(clip)
    if all(ratio.is_integer() and ratio <= _LARGEST_AVERAGE for ratio in ratios):
        made = _area_means(frames, int(ratios[0]), int(ratios[1]))
    else:
        made = frames.resize.Bilinear(width, height)
    return _with_aspect(clip, made, _LARGEST_TERM)


def scale_up(clip: vs.VideoNode, width: int, height: int) -> vs.VideoNode:
    """Scale a clip up by `resize.Spline36`.

    Args:
        clip: YUV or grey clip, integer samples.
        width: Width in pixels, from that of the clip, a multiple of the chroma subsampling.
        height: Height in pixels, likewise.

    Returns:
        Clip of the given size. The sample aspect ratio (`_SARNum`, `_SARDen`) changes with the ratio of the sides;
        after `scale_down` it is that of the source again.

    Raises:
        SacFormatError: The format of the clip varies, or the size is not accepted.
    """
    check_constant_format(clip, "scale_up")
    if (clip.width, clip.height) == (width, height):
        return clip
    _check_fit(clip, width, height, "scale_up", f"the size {_text(width, height)}")
    if width < clip.width or height < clip.height:
        raise SacFormatError(f"the size {_text(width, height)} is below that of the clip", "scale_up")
    return _with_aspect(clip, _progressive(clip).resize.Spline36(width, height), _LARGEST_KNOWN)


def _progressive(clip: vs.VideoNode) -> vs.VideoNode:
    """The frames without the label of interlaced video, by which the resizer would scale the two fields separately."""
    return clip.std.RemoveFrameProps("_FieldBased")


def _text(width: int, height: int) -> str:
    return f"{width}x{height}"


def _check_fit(clip: vs.VideoNode, width: int, height: int, func: str, name: str) -> None:
    units = 1 << clip.format.subsampling_w, 1 << clip.format.subsampling_h
    if width % units[0] or height % units[1]:
        accepted = f"multiples of {units[0]} and {units[1]}, which the chroma of {clip.format.name} needs"
        raise SacFormatError(f"{name}; accepted: {accepted}", func)


def _size_for_model(width: int, height: int, model: Model) -> tuple[int, int]:
    """The input size of a network for a picture, with even sides; the size of the picture if a side would be above."""
    inside = model.working_size(width, height)
    if model.input_size is not None:
        wide, high = (side + side % 2 for side in inside)
        return (wide, high) if wide <= width and high <= height else (width, height)
    near = width * math.sqrt(inside[0] * inside[1] / (width * height))
    smallest = 2 * math.floor(near * (1 - _LEEWAY) / 2)
    sizes = [
        (wide, max(BLOCK, 2 * round(wide * height / width / 2)))
        for wide in range(max(BLOCK, smallest), math.ceil(near * (1 + _LEEWAY)) + 2, 2)
    ]
    fitting = [size for size in sizes if size[0] <= width and size[1] <= height]
    if near >= width or not fitting:
        return width, height
    return min(fitting, key=lambda size: (abs(size[0] * height / (size[1] * width) - 1), abs(size[0] - near)))


def _area_means(clip: vs.VideoNode, across: int, down: int) -> vs.VideoNode:
    """Means of areas of across × down samples. The areas of co-sited chroma are shifted, so that it stays in place."""
    ratios = across, down
    luma = _plane_means(clip, 0, _taps(across, 0), _taps(down, 0), ratios)
    if clip.format.num_planes == 1:
        return luma
    with clip.get_frame(0) as frame:
        siting = _SITINGS.get(int(frame.props.get("_ChromaLocation", 0)), (0, 0))
    wide = _taps(across, siting[0] if clip.format.subsampling_w else 0)
    high = _taps(down, siting[1] if clip.format.subsampling_h else 0)
    chroma = [_plane_means(clip, number, wide, high, ratios) for number in (1, 2)]
    return vs.core.std.ShufflePlanes([luma, *chroma], [0, 0, 0], clip.format.color_family, prop_src=[clip])


def _taps(ratio: int, siting: int) -> tuple[list[int], int]:
    """The weights of the samples that a mean is made of, and the sample that is the middle of the five weights.

    Chroma that lies at the first luma sample moves by (ratio - 1) / 4 samples against the middle of its area: it lies
    at the first luma sample of the small picture, whose middle is that of an area of the large one.
    """
    # Positions are quarters of a sample, counted from the first sample of the area.
    start = siting * (ratio - 1)
    middle = min(start // 4 + 2, ratio - 1)
    edges = [4 * sample for sample in range(middle - 2, middle + 3)]
    weights = [max(0, min(edge + 4, start + 4 * ratio) - max(edge, start)) for edge in edges]
    common = math.gcd(*weights)
    return [weight // common for weight in weights], middle


def _plane_means(
    clip: vs.VideoNode,
    number: int,
    across: tuple[list[int], int],
    down: tuple[list[int], int],
    ratios: tuple[int, int],
) -> vs.VideoNode:
    """One plane as a grey clip of means."""
    plane = vs.core.std.ShufflePlanes(clip, number, vs.GRAY)
    matrix = [high * wide for high in down[0] for wide in across[0]]
    means = plane.std.Convolution(matrix, divisor=sum(matrix))
    # Point sampling takes the sample at the middle of an area, moved by `src_left` and `src_top`.
    left, top = (taps[1] + 0.5 - ratio / 2 for taps, ratio in zip((across, down), ratios, strict=True))
    return means.resize.Point(plane.width // ratios[0], plane.height // ratios[1], src_left=left, src_top=top)


def _with_aspect(clip: vs.VideoNode, scaled: vs.VideoNode, largest: int) -> vs.VideoNode:
    """Give a scaled clip the properties of the original, and the sample aspect ratio for the same display.

    Args:
        clip: The clip before it was scaled.
        scaled: The scaled clip.
        largest: Largest number in the ratio.
    """
    scaled = scaled.std.CopyFrameProps(clip)
    factor = Fraction(clip.width * scaled.height, clip.height * scaled.width)
    if factor == 1:
        return scaled
    with clip.get_frame(0) as frame:
        across, down = (int(frame.props.get(name, 0)) for name in ("_SARNum", "_SARDen"))
    aspect = factor * (Fraction(across, down) if across > 0 < down else 1)
    aspect = aspect.limit_denominator(largest) if aspect <= 1 else 1 / (1 / aspect).limit_denominator(largest)
    return scaled.std.SetFrameProps(_SARNum=aspect.numerator, _SARDen=aspect.denominator)
