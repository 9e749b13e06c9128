"""What every encoder has in common: the picture's format, the settings, and how both become a command line."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import vapoursynth as vs

from ..core.choices import Codec, parse_choice
from ..core.errors import SacValueError

__all__ = ["DEFAULT_CRF", "HIGHEST_CRF", "PRESETS", "Encoder", "EncoderSettings", "PictureFormat", "colour_names",
           "pace_args", "parse_args"]  # fmt: skip

#: Presets both encoders know, from fast to slow.
PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip

#: Highest CRF of x264 and x265.
HIGHEST_CRF = 51.0

#: CRF of ROI and non-ROI, the paper's rate-matched setting (Sec. IV.D).
DEFAULT_CRF = {Codec.X264: (18.0, 27.0), Codec.X265: (23.0, 32.0)}

# ITU-T H.273 numbers (VapourSynth's frame properties) → the names both encoders take.
_MATRIX = {0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
           10: "bt2020c"}  # fmt: skip
_PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020"}
_TRANSFER = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100",
             10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12",
             16: "smpte2084", 18: "arib-std-b67"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PictureFormat:
    """Size, rate and colour of a clip, as encoders need to be told them.

    Attributes:
        width: In pixels.
        height: In pixels.
        fps: Frame rate.
        bits: Bits per sample, 8 or 10.
        chroma: ``420``, ``422`` or ``444``.
        matrix: H.273 number, as are `primaries` and `transfer`.
        full_range: Whether samples use the full range.
        chroma_location: H.273 chroma sample location type; None without subsampling.
    """

    width: int
    height: int
    fps: Fraction
    bits: int
    chroma: str
    matrix: int
    primaries: int
    transfer: int
    full_range: bool
    chroma_location: int | None

    @classmethod
    def of(cls, clip: vs.VideoNode) -> "PictureFormat":
        """The format of a clip as `open_clip` gives it."""
        with clip.get_frame(0) as frame:
            props = {name: int(frame.props[name]) for name in _PROPS if name in frame.props}
        sub = (clip.format.subsampling_w, clip.format.subsampling_h)
        return cls(
            width=clip.width,
            height=clip.height,
            fps=clip.fps,
            bits=clip.format.bits_per_sample,
            chroma={(1, 1): "420", (1, 0): "422", (0, 0): "444"}[sub],
            matrix=props.get("_Matrix", 2),
            primaries=props.get("_Primaries", 2),
            transfer=props.get("_Transfer", 2),
            full_range=props.get("_Range", 0) == 1,
            chroma_location=props.get("_ChromaLocation") if any(sub) else None,
        )


_PROPS = ("_Matrix", "_Primaries", "_Transfer", "_Range", "_ChromaLocation")


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """Effort and further options of one stream. Its CRF is given apart, as a search for a size changes it.

    Attributes:
        codec: Which encoder.
        preset: One of `PRESETS`.
        args: The encoder's own options as (name, value) pairs; value None for a flag.

    Raises:
        SacValueError: A value is not accepted.
    """

    codec: Codec
    preset: str = "medium"
    args: tuple[tuple[str, str | None], ...] = ()

    def __post_init__(self) -> None:
        parse_choice(Codec, self.codec, "encode")
        if self.preset not in PRESETS:
            raise SacValueError(f"unknown preset {self.preset!r}; accepted: {', '.join(PRESETS)}", "encode")


def pace_args(codec: Codec, threads: int | None, low_latency: bool) -> tuple[tuple[str, str | None], ...]:
    """How many threads one encoder has and whether it may wait for later frames, as options in its own form.

    Args:
        codec: Which encoder.
        threads: None leaves it to the encoder, which takes all processors.
        low_latency: A packet leaves before the next frame comes: no B-frames, no lookahead, threads within a frame.
    """
    options: list[tuple[str, str | None]] = []
    if threads is not None:
        options.append(("threads" if codec is Codec.X264 else "pools", str(threads)))
    if low_latency:
        options.append(("tune", "zerolatency"))
        if codec is Codec.X264:
            # Part of the tune, but libavcodec takes it back.
            options.append(("sliced-threads", None))
    return tuple(options)


#: Encoder options that this program sets, as the file's tags, its times, its samples or its colours would be others
#: than it says → what to use instead. Quantizers apart from the CRF (``--qp 0``, ``--lossless``) are the user's.
_OWNED = {
    ("crf",): "use --crf-roi and --crf-non-roi",
    ("bitrate", "abr-ladder"): "use --target-kbps",
    ("preset",): "use --preset",
    ("output-csp", "output-depth", "video-filter", "vf", "csp", "internal-csp"):
        "size, chroma and bits are those of the source",
    ("colormatrix", "colorprim", "transfer", "range", "fullrange", "chromaloc", "video-signal-type-preset"):
        "the colours are tagged as those of the source",
    ("fps", "force-cfr", "tcfile-in", "timebase", "pulldown", "dts-compress"):
        "the times are those of the source; --fps says at which rate an image sequence is read",
    ("frames", "total-frames", "seek", "chunk-start", "chunk-end"): "use --start, --end and --frames",
    ("input", "input-csp", "input-depth", "input-fmt", "input-range", "input-res", "demuxer", "y4m", "stdin", "index",
     "output", "muxer", "annexb", "dump-yuv", "recon"): "vs_sac chooses what an encoder reads and writes",
    ("pass", "stats"): "every stream is coded in one pass; --match-crf and --target-kbps find a size",
}  # fmt: skip

#: Short options, as opposed to negative numbers.
_SHORT = re.compile(r"-(?![\d.:])")


class Encoder(Protocol):
    """A program that turns a y4m stream on its standard input into a file."""

    @property
    def name(self) -> str:
        """Program and codec, for people."""

    @property
    def suffix(self) -> str:
        """Ending of the file it writes; ``.hevc`` has no timestamps of its own."""

    @property
    def needs_grid(self) -> bool:
        """Whether its input is a y4m stream in which the macroblock grid follows every frame; see `wire`."""

    def command(self, picture: PictureFormat, settings: EncoderSettings, crf: float, out: Path) -> list[str]:
        """The whole command line.

        Args:
            picture: Format of the clip.
            settings: Effort and further options.
            crf: Constant rate factor, 0–51.
            out: The file to write.
        """


def parse_args(text: str | Sequence[str]) -> tuple[tuple[str, str | None], ...]:
    """Read options in the encoder's own command-line form, e.g. ``--aq-mode 2 --no-mbtree --qp=0``.

    Raises:
        SacValueError: The text is not of that form, or has an option that this program sets itself.
    """
    try:
        words = shlex.split(text) if isinstance(text, str) else list(text)
    except ValueError as error:
        raise SacValueError(f"cannot read encoder options {text!r}: {error}", "encode") from None
    pairs: list[tuple[str, str | None]] = []
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            pairs.append((name, value if equals else None))
        elif pairs and pairs[-1][1] is None and not _SHORT.match(word):
            pairs[-1] = (pairs[-1][0], word)
        else:
            raise SacValueError(f"encoder option {word!r} must be --name or --name value", "encode")
    for name, _ in pairs:
        if owned := _owned(name):
            raise SacValueError(f"encoder option --{name} is not passed on: {owned}", "encode")
    return tuple(pairs)


def _owned(name: str) -> str | None:
    """What to use instead of an encoder's option that this program sets itself; None for all others."""
    # The libraries take underscores too, and every encoder a name's beginning.
    name = name.lower().replace("_", "-").removeprefix("no-")
    found = next((why for names, why in _OWNED.items() if name in names), None)
    return found or next((why for names, why in _OWNED.items() if any(own.startswith(name) for own in names)), None)


def colour_names(picture: PictureFormat) -> dict[str, str]:
    """`colormatrix`, `colorprim` and `transfer` by their H.264/H.265 encoder names, those that are known."""
    named = {
        "colormatrix": _MATRIX.get(picture.matrix),
        "colorprim": _PRIMARIES.get(picture.primaries),
        "transfer": _TRANSFER.get(picture.transfer),
    }
    return {key: name for key, name in named.items() if name}


def colour_options(picture: PictureFormat, *, full: str, limited: str) -> list[tuple[str, str | None]]:
    """All of the picture's colour as encoder options; `full` and `limited` are the encoder's words for the range."""
    options: list[tuple[str, str | None]] = [*colour_names(picture).items()]
    options.append(("range", full if picture.full_range else limited))
    if picture.chroma_location is not None:
        options.append(("chromaloc", str(picture.chroma_location)))
    return options


def flags(pairs: Sequence[tuple[str, str | None]]) -> list[str]:
    """(name, value) pairs as command-line words."""
    return [word for name, value in pairs for word in ([f"--{name}"] if value is None else [f"--{name}", value])]
