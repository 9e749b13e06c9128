"""The compared methods and their settings."""

from dataclasses import dataclass
from itertools import product
from typing import Final

from ..core.choices import Codec, Fill, Mode

__all__ = [
    "ANCHOR",
    "GAP",
    "LADDER",
    "TABLE_CRFS",
    "Method",
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

#: Uniform CRFs of the rate curves, down to a compression of about 1:1000. An SA encode of about the same size has a
#: C_roi lower by `_LIGHTER`.
LADDER: Final = {Codec.X264: (23, 29, 35, 40, 45), Codec.X265: (28, 33, 38, 42, 45)}
_LIGHTER = 3

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
    """

    codec: Codec
    mode: Mode = Mode.TWO_STREAM
    crf_roi: float | None = None
    crf_non_roi: float | None = None
    match_crf: float | None = None
    uniform: bool = False
    fill: Fill | None = None

    @property
    def name(self) -> str:
        """The paper's name: H.264, SA-X265."""
        return _STANDARD[self.codec] if self.uniform else f"SA-{self.codec.upper()}"

    @property
    def family(self) -> str:
        """Name of the rate curve that the method belongs to: its name and, for an SA method, its mode.

        The modes may use different builds of a codec, so each mode has its own uniform encodes to compare with.
        """
        if self.uniform:
            return f"{self.name} (as in {self.mode})" if self.mode is Mode.SINGLE_STREAM else self.name
        return f"{self.name} {self.mode}{f', {self.fill} fill' if self.fill else ''}"

    @property
    def crfs(self) -> str:
        """The setting as text for people."""
        if self.match_crf is not None:
            return f"bytes of {self.baseline.label}"
        return f"{self.crf_roi:g}" if self.uniform else f"{self.crf_roi:g}/{self.crf_non_roi:g}"

    @property
    def label(self) -> str:
        """Family and setting."""
        return f"{self.family}{',' * (self.match_crf is not None)} {self.crfs}"

    @property
    def slug(self) -> str:
        """Name for files."""
        setting = f"match-{self.match_crf:g}" if self.match_crf is not None else self.crfs.replace("/", "-")
        name = f"uniform-{self.codec}" if self.uniform else f"sa-{self.codec}"
        return f"{name}-{self.mode}{f'-{self.fill}' if self.fill else ''}-{setting}"

    @property
    def baseline(self) -> "Method":
        """The uniform encode to which the bytes are compared: same encoder, default CRF or `match_crf`."""
        return uniform(self.codec, self.match_crf or ANCHOR[self.codec], self.mode)

    @property
    def effort(self) -> float:
        """Approximate time of the encode, in units of one x264 encode."""
        streams = 1.0 if self.uniform or self.mode is Mode.SINGLE_STREAM else 1.4
        return (2.5 if self.codec is Codec.X265 else 1.0) * streams * (3 if self.match_crf is not None else 1)


def uniform(codec: Codec, crf: float, mode: Mode = Mode.TWO_STREAM) -> Method:
    """A uniform encode."""
    return Method(codec=codec, mode=mode, crf_roi=crf, crf_non_roi=crf, uniform=True)


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


def matched(codecs: tuple[Codec, ...] = tuple(Codec), modes: tuple[Mode, ...] = tuple(Mode)) -> list[Method]:
    """SA methods with the bytes of the uniform encode at the default CRF."""
    return [Method(codec=codec, mode=mode, match_crf=ANCHOR[codec]) for codec, mode in product(codecs, modes)]


def ladder(codecs: tuple[Codec, ...] = tuple(Codec), modes: tuple[Mode, ...] = tuple(Mode)) -> list[Method]:
    """Points of rate curves from the default CRF down to about 1:1000. All SA methods have the CRF gap `GAP`."""
    plan = []
    for codec in codecs:
        for crf in LADDER[codec]:
            plan.append(uniform(codec, crf))
            roi = crf - _LIGHTER
            plan += [Method(codec=codec, mode=mode, crf_roi=roi, crf_non_roi=roi + GAP) for mode in modes]
    return plan
