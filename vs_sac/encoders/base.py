"""The common part of all encoders: picture format, settings, and their conversion to a command line."""

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
from ..core.hdr import HdrMetadata

__all__ = ["DEFAULT_CRF", "DEFAULT_UNIFORM_CRF", "HIGHEST_CRF", "PRESETS", "Encoder", "EncoderSettings",
           "PictureFormat", "colour_names", "colour_options", "flags", "hdr_options", "pace_args",
           "parse_args"]  # fmt: skip

#: Presets of x264 and x265, from fast to slow.
PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip

#: Highest CRF of x264 and x265.
HIGHEST_CRF = 51.0

#: Default CRFs of ROI and non-ROI: the paper's rate-matched setting (Sec. IV.D).
DEFAULT_CRF = {Codec.X264: (18.0, 27.0), Codec.X265: (23.0, 32.0)}

#: Default CRF of the encoders themselves, for the whole picture.
DEFAULT_UNIFORM_CRF = {Codec.X264: 23.0, Codec.X265: 28.0}

# ITU-T H.273 numbers (VapourSynth's frame properties) → names that x264, x265 and ffmpeg accept. `relabelling` writes
# the other numbers: primaries 22 (EBU Tech. 3213) and matrices from 15 on.
_MATRIX = {0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
           10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp"}  # fmt: skip
_PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
              10: "smpte428", 11: "smpte431", 12: "smpte432"}  # fmt: skip
_TRANSFER = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100",
             10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12",
             16: "smpte2084", 17: "smpte428", 18: "arib-std-b67"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PictureFormat:
    """Size, frame rate and colour of a clip, which the encoders must be given.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        fps: Frame rate.
        bits: Bits per sample, 8 or 10.
        chroma: Chroma format: ``420``, ``422`` or ``444``.
        matrix: ITU-T H.273 number of the matrix.
        primaries: ITU-T H.273 number of the primaries.
        transfer: ITU-T H.273 number of the transfer function.
        full_range: Whether the samples use the full range.
        chroma_location: ITU-T H.273 chroma sample location type; None without subsampling.
        hdr: Static HDR metadata; None if the clip has none.
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
    hdr: HdrMetadata | None = None

    @classmethod
    def of(cls, clip: vs.VideoNode) -> "PictureFormat":
        """Return the format of a clip as returned by `open_clip`."""
        with clip.get_frame(0) as frame:
            props = {name: int(frame.props[name]) for name in _PROPS if name in frame.props}
            hdr = HdrMetadata.of(frame.props)
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
            hdr=hdr,
        )


_PROPS = ("_Matrix", "_Primaries", "_Transfer", "_Range", "_ChromaLocation")


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """Preset and further options of one stream. The CRF is passed separately, because a search for a size changes it.

    Attributes:
        codec: The encoder.
        preset: One of `PRESETS`.
        args: Options of the encoder as (name, value) pairs; the value of a flag is None.

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
    """Return the encoder's options for its number of threads and for low latency.

    Args:
        codec: The encoder.
        threads: Number of threads of the encoder; with None the encoder chooses and uses all processors.
        low_latency: Whether the packet of a frame must leave the encoder before the next frame arrives: no B-frames, no
            lookahead, threads within a frame (x264).

    Returns:
        (name, value) pairs; the value of a flag is None.
    """
    options: list[tuple[str, str | None]] = []
    if threads is not None:
        options.append(("threads" if codec is Codec.X264 else "pools", str(threads)))
    if low_latency:
        options.append(("tune", "zerolatency"))
        if codec is Codec.X264:
            # The tune includes this option, but libavcodec resets it.
            options.append(("sliced-threads", None))
    return tuple(options)


#: Encoder options that vs_sac sets itself → what to use instead. With another value the file would contradict its tags,
#: or lose the source's times, format or colours. Quantizers without CRF (``--qp 0``, ``--lossless``) are allowed.
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

#: Beginning of a short option such as -q, not of a negative number.
_SHORT = re.compile(r"-(?![\d.:])")


class Encoder(Protocol):
    """A program that encodes a y4m stream from its standard input into a file."""

    @property
    def name(self) -> str:
        """Program and codec, for display."""

    @property
    def suffix(self) -> str:
        """Suffix of the file that the program writes; ``.hevc`` is a raw stream without timestamps."""

    @property
    def needs_grid(self) -> bool:
        """Whether the macroblock grid must follow every frame of the y4m stream; see `encoders.wire`."""

    def command(self, picture: PictureFormat, settings: EncoderSettings, crf: float, out: Path) -> list[str]:
        """Return the whole command line.

        Args:
            picture: Format of the clip.
            settings: Preset and further options.
            crf: Constant rate factor, 0–51.
            out: The file to write.
        """


def parse_args(text: str | Sequence[str]) -> tuple[tuple[str, str | None], ...]:
    """Parse options in the encoder's own command-line form, e.g. ``--aq-mode 2 --no-mbtree --qp=0``.

    Args:
        text: The options as one string or as words.

    Returns:
        (name, value) pairs; the value of a flag is None.

    Raises:
        SacValueError: The text does not have this form, or contains an option that vs_sac sets itself, such as the
            input or the output.

    Example:
        >>> parse_args('--aq-mode 2 --no-mbtree')
        (('aq-mode', '2'), ('no-mbtree', None))
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
    """Return what to use instead of an encoder option that vs_sac sets itself; None for all other options."""
    # The libraries also accept underscores, and the programs accept abbreviated names.
    name = name.lower().replace("_", "-").removeprefix("no-")
    found = next((why for names, why in _OWNED.items() if name in names), None)
    return found or next((why for names, why in _OWNED.items() if any(own.startswith(name) for own in names)), None)


def colour_names(picture: PictureFormat) -> dict[str, str]:
    """Return the encoder options `colormatrix`, `colorprim` and `transfer`; options of unknown value are left out."""
    named = {
        "colormatrix": _MATRIX.get(picture.matrix),
        "colorprim": _PRIMARIES.get(picture.primaries),
        "transfer": _TRANSFER.get(picture.transfer),
    }
    return {key: name for key, name in named.items() if name}


def colour_options(picture: PictureFormat, *, full: str, limited: str) -> list[tuple[str, str | None]]:
    """Return the colour of a picture as encoder options.

    Args:
        picture: Format of the picture.
        full: The encoder's name of the full range.
        limited: The encoder's name of the limited range.
    """
    options: list[tuple[str, str | None]] = [*colour_names(picture).items()]
    options.append(("range", full if picture.full_range else limited))
    if picture.chroma_location is not None:
        options.append(("chromaloc", str(picture.chroma_location)))
    return options


def hdr_options(picture: PictureFormat, codec: Codec) -> list[tuple[str, str | None]]:
    """Return the static HDR metadata of a picture as options of x264 or x265; none without metadata."""
    mastering = picture.hdr.mastering if picture.hdr else None
    light = picture.hdr.light_level if picture.hdr else None
    if mastering is light is None:
        return []
    if codec is Codec.X264:
        named = {"mastering-display": mastering, "cll": light}
        return [(name, value) for name, value in named.items() if value is not None]
    # x265 would write an unknown light level beside a mastering display, and would warn that it repeats the headers.
    options: list[tuple[str, str | None]] = [("repeat-headers", None)]
    options += [("master-display", mastering)] if mastering is not None else []
    return [*options, ("max-cll", light) if light is not None else ("no-cll", None)]


def flags(pairs: Sequence[tuple[str, str | None]]) -> list[str]:
    """Convert (name, value) pairs to command-line words."""
    return [word for name, value in pairs for word in ([f"--{name}"] if value is None else [f"--{name}", value])]
