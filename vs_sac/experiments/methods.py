"""The compared methods and their settings."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from ..core.choices import BlockMap, Codec, Fill, Mode
from ..core.errors import SacValueError

__all__ = [
    "ANCHOR",
    "GAP",
    "LADDER",
    "TABLE_CRFS",
    "Method",
    "Variants",
    "compare_plan",
    "ladder",
    "matched",
    "table_plan",
    "uniform",
    "uniform_anchors",
]

#: C_non - C_roi in the byte-matched comparison and on the ladder, as in the paper's settings 18/27 and 23/32.
GAP: Final = 9.0

#: CRF of the uniform encode whose bytes are matched: the encoders' default (Sec. IV.D).
ANCHOR: Final = {Codec.X264: 23.0, Codec.X265: 28.0}

#: Table II: (C_roi, C_non) in the printed order. Equal values are uniform encodes.
TABLE_CRFS: Final = {
    Codec.X264: ((18, 18), (18, 23), (23, 23), (18, 27), (27, 27), (23, 27)),
    Codec.X265: ((23, 23), (23, 28), (28, 28), (23, 32), (32, 32), (28, 32)),
}

#: Uniform CRFs of the rate curves, down to a compression of about 1:2000. An SA encode of about the same size has a
#: C_roi lower by `_LIGHTER`; its C_non is at most `_HIGHEST`. A smaller picture of about the same quality for a network
#: has CRFs lower by `_SMALLER`.
LADDER: Final = {Codec.X264: (23, 27, 31, 35, 39, 43, 47, 51), Codec.X265: (28, 32, 36, 40, 44, 48, 51)}
_LIGHTER, _SMALLER, _HIGHEST = 3, 4, 51

_SIZE = re.compile(r"[1-9]/[1-9]|[1-9]\d{1,4}x[1-9]\d{1,4}")

_STANDARD = {Codec.X264: "H.264", Codec.X265: "H.265"}


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to encode a clip.

    Attributes:
        codec: Encoder.
        mode: Mode of ROI coding. For a uniform encode: the mode whose encoder is used, because the two modes may use
            different builds of a codec.
        crf_roi: CRF of the ROI, or of a uniform encode. None if the bytes of a uniform encode are matched.
        crf_non_roi: CRF of the non-ROI.
        match_crf: CRF of the uniform encode whose bytes are matched, at the CRF gap `GAP`.
        uniform: Whether the whole picture has the same CRF.
        fill: Fill of two streams. None for the default, which is the best fill that works.
        map: Where the QP offsets of a single stream come from. With a map other than ROI the picture has one CRF, which
            is both `crf_roi` and `crf_non_roi`.
        coded_size: Size of the coded picture, such as 1/2 or 1024x512. None for that of the source.

    Raises:
        SacValueError: A map is given for a method that has no single stream, or the coded size is not understood.
    """

    codec: Codec
    mode: Mode = Mode.TWO_STREAM
    crf_roi: float | None = None
    crf_non_roi: float | None = None
    match_crf: float | None = None
    uniform: bool = False
    fill: Fill | None = None
    map: BlockMap = BlockMap.ROI
    coded_size: str | None = None

    def __post_init__(self) -> None:
        if self.mapped and (self.uniform or self.mode is not Mode.SINGLE_STREAM):
            kind = "a uniform encode" if self.uniform else self.mode
            raise SacValueError(f"map {self.map} for {kind}; accepted: {BlockMap.ROI}", "Method")
        if self.coded_size is not None and not _SIZE.fullmatch(self.coded_size):
            raise SacValueError(
                f"coded_size {self.coded_size!r}; accepted: native, a size such as 1024x512, a fraction such as 1/2",
                "compare",
            )

    @property
    def mapped(self) -> bool:
        """Whether there is one CRF, and QP offsets from a map of classes or importance."""
        return self.map is not BlockMap.ROI

    @property
    def name(self) -> str:
        """The paper's name: H.264, SA-X265."""
        return _STANDARD[self.codec] if self.uniform else f"SA-{self.codec.upper()}"

    @property
    def family(self) -> str:
        """Name of the rate curve that the method belongs to: its name, for an SA method its mode, map and size.

        The modes may use different builds of a codec, so each mode has its own uniform encodes to compare with.
        """
        size = f" at {self.coded_size}" if self.coded_size else ""
        if self.uniform:
            return f"{self.name}{size} (as in {self.mode})" if self.mode is Mode.SINGLE_STREAM else f"{self.name}{size}"
        fill, drawn = f", {self.fill} fill" if self.fill else "", f", {self.map} map" if self.mapped else ""
        return f"{self.name} {self.mode}{fill}{drawn}{size}"

    @property
    def crfs(self) -> str:
        """The setting as text for people."""
        if self.match_crf is not None:
            return f"bytes of {self.baseline.label}"
        one = self.uniform or self.mapped
        return f"{self.crf_roi:g}" if one else f"{self.crf_roi:g}/{self.crf_non_roi:g}"

    @property
    def label(self) -> str:
        """Family and setting."""
        if self.match_crf is None and (self.mapped or self.coded_size):
            return f"{self.family}, CRF {self.crfs}"
        return f"{self.family}{',' * (self.match_crf is not None)} {self.crfs}"

    @property
    def slug(self) -> str:
        """Name for files."""
        setting = f"match-{self.match_crf:g}" if self.match_crf is not None else self.crfs.replace("/", "-")
        name = f"uniform-{self.codec}" if self.uniform else f"sa-{self.codec}"
        drawn, size = self.map if self.mapped else None, (self.coded_size or "").replace("/", "of")
        return "-".join(filter(None, [name, self.mode, self.fill, drawn, size, setting]))

    @property
    def baseline(self) -> "Method":
        """The uniform encode of the source's size by the same encoder, at `match_crf` or the default CRF."""
        return uniform(self.codec, self.match_crf or ANCHOR[self.codec], self.mode)

    @property
    def effort(self) -> float:
        """Approximate time of the encode, in units of one x264 encode."""
        streams = 1.0 if self.uniform or self.mode is Mode.SINGLE_STREAM else 1.4
        smaller = 0.5 if self.coded_size else 1.0
        return (2.5 if self.codec is Codec.X265 else 1.0) * streams * smaller * (3 if self.match_crf is not None else 1)


@dataclass(frozen=True, kw_only=True)
class Variants:
    """The maps and coded sizes that a comparison covers.

    Attributes:
        maps: Maps of single streams. Two streams have the map ROI only.
        sizes: Coded sizes; None is that of the source.
    """

    maps: tuple[BlockMap, ...] = (BlockMap.ROI,)
    sizes: tuple[str | None, ...] = (None,)

    @classmethod
    def of(cls, maps: Sequence[BlockMap] | None, sizes: Sequence[str] | None) -> "Variants":
        """Read options; ``native`` is the size of the source.

        Raises:
            SacValueError: A size is not understood.
        """
        found = cls(
            maps=tuple(dict.fromkeys(maps or cls.maps)),
            sizes=tuple(dict.fromkeys(None if size == "native" else size for size in sizes or ("native",))),
        )
        for size in found.sizes:
            uniform(Codec.X264, ANCHOR[Codec.X264], coded_size=size)
        return found

    def combined(self, modes: tuple[Mode, ...]) -> list[tuple[Mode, BlockMap, str | None]]:
        """Return all combinations of a mode, a map that it can have, and a size."""
        return [
            (mode, map, size) for size, map, mode in product(self.sizes, self.maps, modes)
            if map is BlockMap.ROI or mode is Mode.SINGLE_STREAM
        ]  # fmt: skip


_PLAIN = Variants()


def uniform(codec: Codec, crf: float, mode: Mode = Mode.TWO_STREAM, coded_size: str | None = None) -> Method:
    """A uniform encode."""
    return Method(codec=codec, mode=mode, crf_roi=crf, crf_non_roi=crf, uniform=True, coded_size=coded_size)


def table_plan(
    codecs: tuple[Codec, ...] = tuple(Codec), modes: tuple[Mode, ...] = tuple(Mode), fill: Fill | None = None
) -> list[Method]:
    """All methods at the CRFs of Table II. `fill` applies to two streams."""
    plan = []
    for codec in codecs:
        for roi, non_roi in TABLE_CRFS[codec]:
            if roi == non_roi:
                plan.append(uniform(codec, roi))
            else:
                plan += [
                    Method(codec=codec, mode=mode, crf_roi=roi, crf_non_roi=non_roi,
                           fill=fill if mode is Mode.TWO_STREAM else None)
                    for mode in modes
                ]  # fmt: skip
    return plan


def uniform_anchors(codecs: tuple[Codec, ...] = tuple(Codec), modes: tuple[Mode, ...] = tuple(Mode)) -> list[Method]:
    """The uniform encodes whose bytes are matched."""
    return [uniform(codec, ANCHOR[codec], mode) for codec, mode in product(codecs, modes)]


def matched(
    codecs: tuple[Codec, ...] = tuple(Codec), modes: tuple[Mode, ...] = tuple(Mode), variants: Variants = _PLAIN
) -> list[Method]:
    """SA methods with the bytes of the uniform encode at the default CRF."""
    return [
        Method(codec=codec, mode=mode, match_crf=ANCHOR[codec], map=map, coded_size=size)
        for codec in codecs for mode, map, size in variants.combined(modes)
    ]  # fmt: skip


def ladder(
    codecs: tuple[Codec, ...] = tuple(Codec), modes: tuple[Mode, ...] = tuple(Mode), variants: Variants = _PLAIN
) -> list[Method]:
    """Points of rate curves from the default CRF down to about 1:2000.

    All SA methods with the map ROI have the CRF gap `GAP`; with another map, the CRF is that of the uniform encode. The
    uniform encodes have the preset's own settings, which are those of two streams.
    """
    plan = []
    for codec, crf in [(kind, point) for kind in codecs for point in LADDER[kind]]:
        plan += [uniform(codec, crf - _SMALLER * bool(size), coded_size=size)
                 for size in dict.fromkeys((None, *variants.sizes))]  # fmt: skip
        for mode, map, size in variants.combined(modes):
            own = crf - _SMALLER * bool(size)
            roi = own if map is not BlockMap.ROI else min(own - _LIGHTER, _HIGHEST - GAP)
            plan.append(Method(codec=codec, mode=mode, crf_roi=roi, map=map, coded_size=size,
                               crf_non_roi=roi + GAP if map is BlockMap.ROI else roi))  # fmt: skip
    return list(dict.fromkeys(plan))


def compare_plan(
    codecs: tuple[Codec, ...], modes: tuple[Mode, ...], variants: Variants, *, curves: bool
) -> list[Method]:
    """Return the methods of a comparison: those of Table II if the map ROI is asked for, and those of equal bytes.

    Args:
        codecs: Encoders.
        modes: Modes of ROI coding.
        variants: Maps and coded sizes.
        curves: Whether `ladder` is a part.

    Raises:
        SacValueError: No map is possible in any of the modes.
    """
    if not variants.combined(modes):
        raise SacValueError(f"map {', '.join(variants.maps)} needs the mode {Mode.SINGLE_STREAM}", "compare")
    table = [m for m in table_plan(codecs, modes) if m.uniform or BlockMap.ROI in variants.maps]
    plan = [*table, *uniform_anchors(codecs, modes), *matched(codecs, modes, variants)]
    return [*plan, *ladder(codecs, modes, variants)] if curves else plan
