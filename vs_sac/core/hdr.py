"""Static HDR metadata: the mastering display (SMPTE ST 2086) and the content light level (CTA-861.3).

VapourSynth's source plugins give it as frame properties (`MasteringDisplay…`, `ContentLightLevel…`). FFmpeg gives it as
side data, and H.264, H.265 and Matroska store it.
"""

import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from .errors import SacWarning

__all__ = ["HdrMetadata", "side_data_props"]

#: Units of H.264 and H.265: parts per unit of chromaticity, and per cd/m².
_CHROMATICITY, _LUMINANCE = 50000, 10000

#: FFmpeg's AVMasteringDisplayMetadata: x and y of red, green, blue and white, lowest and highest luminance, as
#: numerators and denominators; whether the chromaticities and the luminances are known.
_MASTERING = struct.Struct("=22i")

#: FFmpeg's AVContentLightMetadata: MaxCLL and MaxFALL.
_LIGHT = struct.Struct("=2I")

#: Highest values of the fields in H.264 and H.265.
_HIGHEST = {_CHROMATICITY: 2**16 - 1, _LUMINANCE: 2**32 - 1, 1: 2**16 - 1}

_X, _Y = "MasteringDisplayPrimariesX", "MasteringDisplayPrimariesY"
_WHITE = ("MasteringDisplayWhitePointX", "MasteringDisplayWhitePointY")
_LUMINANCES = ("MasteringDisplayMaxLuminance", "MasteringDisplayMinLuminance")
_LEVELS = ("ContentLightLevelMax", "ContentLightLevelAverage")


@dataclass(frozen=True, kw_only=True)
class HdrMetadata:
    """Static HDR metadata in the units of H.264 and H.265.

    Attributes:
        chromaticities: x and y of red, green, blue and white of the mastering display, in 0.00002; None if unknown.
        luminances: Highest and lowest luminance of the mastering display, in 0.0001 cd/m²; None if unknown.
        light: Highest light level of a pixel (MaxCLL) and highest mean of a frame (MaxFALL), in cd/m²; None if unknown.
    """

    chromaticities: tuple[int, ...] | None = None
    luminances: tuple[int, int] | None = None
    light: tuple[int, int] | None = None

    @classmethod
    def of(cls, props: Mapping[str, Any]) -> Self | None:
        """Return the metadata of frame properties; None if they have none.

        Values that H.264 and H.265 cannot hold are left out, with a `SacWarning`.
        """
        colours = _in_units(_chromaticities(props), _CHROMATICITY, "chromaticities of the mastering display")
        luminances = _in_units(_values(props, _LUMINANCES), _LUMINANCE, "luminances of the mastering display")
        light = _in_units(_values(props, _LEVELS), 1, "content light level")
        if colours is luminances is light is None:
            return None
        return cls(
            chromaticities=colours,
            luminances=(luminances[0], luminances[1]) if luminances else None,
            light=(light[0], light[1]) if light else None,
        )

    @property
    def mastering(self) -> str | None:
        """The mastering display as x264 and x265 read it; None if unknown. In both standards, zeros are unknown."""
        if self.chromaticities is self.luminances is None:
            return None
        red, green, blue, white = zip(*[iter(self.chromaticities or (0,) * 8)] * 2, strict=True)
        values = {"G": green, "B": blue, "R": red, "WP": white, "L": self.luminances or (0, 0)}
        return "".join(f"{name}({first},{second})" for name, (first, second) in values.items())

    @property
    def in_chromaticity(self) -> list[float]:
        """`chromaticities` in units of CIE 1931, as Matroska stores them; empty if unknown."""
        return [value / _CHROMATICITY for value in self.chromaticities or ()]

    @property
    def in_nits(self) -> list[float]:
        """`luminances` in cd/m², as Matroska stores them; empty if unknown."""
        return [value / _LUMINANCE for value in self.luminances or ()]

    @property
    def light_level(self) -> str | None:
        """The content light level as x264 and x265 read it; None if unknown."""
        return f"{self.light[0]},{self.light[1]}" if self.light else None


def side_data_props(mastering: bytes | None, light: bytes | None) -> dict[str, Any]:
    """Return FFmpeg's side data as the frame properties that BestSource sets.

    Args:
        mastering: The struct AVMasteringDisplayMetadata, if the frame has it.
        light: The struct AVContentLightMetadata, if the frame has it.
    """
    props: dict[str, Any] = {}
    if mastering and len(mastering) >= _MASTERING.size:
        *ratios, colours_known, luminances_known = _MASTERING.unpack_from(mastering)
        values = [top / bottom if bottom else 0.0 for top, bottom in zip(ratios[::2], ratios[1::2], strict=True)]
        if colours_known:
            props |= {_X: values[0:6:2], _Y: values[1:6:2], _WHITE[0]: values[6], _WHITE[1]: values[7]}
        if luminances_known:
            props |= {_LUMINANCES[1]: values[8], _LUMINANCES[0]: values[9]}
    if light and len(light) >= _LIGHT.size:
        props |= dict(zip(_LEVELS, _LIGHT.unpack_from(light), strict=True))
    return props


def _chromaticities(props: Mapping[str, Any]) -> list[float] | None:
    """The x and y of red, green, blue and white; None if any is missing."""
    across, down = props.get(_X), props.get(_Y)
    white = _values(props, _WHITE)
    if across is None or down is None or white is None or len(across) != 3 or len(down) != 3:
        return None
    return [float(value) for pair in zip(across, down, strict=True) for value in pair] + white


def _values(props: Mapping[str, Any], names: tuple[str, str]) -> list[float] | None:
    found = [props.get(name) for name in names]
    return None if None in found else [float(value) for value in found]  # type: ignore[arg-type]


def _in_units(values: list[float] | None, unit: int, what: str) -> tuple[int, ...] | None:
    if values is None:
        return None
    whole = tuple(round(value * unit) for value in values)
    if all(0 <= value <= _HIGHEST[unit] for value in whole):
        return whole
    warnings.warn(f"the {what} ({', '.join(f'{v:g}' for v in values)}) cannot be coded and is left out", SacWarning,
                  stacklevel=2)  # fmt: skip
    return None
