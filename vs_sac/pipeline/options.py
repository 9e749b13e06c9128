"""The options of an encode as frozen dataclasses. The command line and `vs_sac.encode` are both made from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import vapoursynth as vs

from ..core.choices import Codec, Fill, Mode, parse_choice
from ..core.errors import SacValueError
from ..core.labels import LabelSet
from ..encoders.base import DEFAULT_CRF, HIGHEST_CRF, PRESETS, parse_args
from ..masks.morphology import LONGEST_HOLD, WIDEST_GAP
from ..masks.propagation import LONGEST_EVERY
from ..segmentation.registry import DEFAULT_MODEL
from ..segmentation.runtimes import Backend
from ..streams.filtering import LARGEST_SIGMA

__all__ = ["CrfPair", "EncodeOptions", "MaskOptions", "RateControl", "RunOptions", "SourceOptions", "StreamOptions"]

#: CRF of the ROI and of the non-ROI.
type CrfPair = tuple[float, float]

#: By how much of their gap the ROI's CRF lies below that of a uniform encode of the same size: on street scenes the
#: ROI takes some 60 to 70 % of the bits.
_ROI_ADVANTAGE = 0.3


@dataclass(frozen=True, kw_only=True)
class RateControl:
    """The CRFs of the two regions, or the size at which they are to be found.

    Attributes:
        crf_roi: CRF of the ROI, 0-51; lower is better. [default: x264 18, x265 23]
        crf_non_roi: CRF of the non-ROI, 0-51. [default: x264 27, x265 32]
        crf_gap: CRF of the non-ROI minus that of the ROI, instead of one of the two. [default: 9]
        match_crf: Find the CRFs at which the file, without its audio, has the size of a uniform encode at this CRF by
            the same encoder in its preset's settings, within 1 % and in at most 5 encodes. With --crf-roi the search
            moves the CRF of the non-ROI, with --crf-non-roi that of the ROI, otherwise both at a constant gap.
        target_kbps: Find the CRFs in the same way for a bitrate in kbit/s.

    Raises:
        SacValueError: The values contradict each other or are out of range.
    """

    crf_roi: float | None = None
    crf_non_roi: float | None = None
    crf_gap: float | None = None
    match_crf: float | None = None
    target_kbps: float | None = None

    def __post_init__(self) -> None:
        for name in ("crf_roi", "crf_non_roi", "match_crf"):
            crf = getattr(self, name)
            if crf is not None and not 0 <= crf <= HIGHEST_CRF:
                raise SacValueError(f"{name} {crf} is outside 0-{HIGHEST_CRF:g}", "encode")
        if self.crf_gap is not None and not -HIGHEST_CRF <= self.crf_gap <= HIGHEST_CRF:
            raise SacValueError(f"crf_gap {self.crf_gap} is outside ±{HIGHEST_CRF:g}", "encode")
        if self.target_kbps is not None and not 0 < self.target_kbps < math.inf:
            raise SacValueError(f"target_kbps {self.target_kbps} must be above 0", "encode")
        given = sum(crf is not None for crf in (self.crf_roi, self.crf_non_roi))
        if self.match_crf is not None and self.target_kbps is not None:
            raise SacValueError("match_crf and target_kbps each set the size; give one of them", "encode")
        if self.crf_gap is not None and given == 2:
            raise SacValueError("crf_gap is the difference of the CRFs; with it give at most one of them", "encode")
        if self.searched and given + (self.crf_gap is not None) > 1:
            raise SacValueError(
                "match_crf and target_kbps find a CRF; give at most one of crf_roi, crf_non_roi and crf_gap", "encode"
            )

    @property
    def searched(self) -> bool:
        """Whether the CRFs are found by a search for a size."""
        return self.match_crf is not None or self.target_kbps is not None

    def start(self, codec: Codec) -> CrfPair:
        """The CRFs, or the pair that a search begins with."""
        roi, non_roi = DEFAULT_CRF[codec]
        if self.searched and self.crf_roi is self.crf_non_roi is None:
            if self.match_crf is not None:
                roi = self.match_crf - max(_ROI_ADVANTAGE * self._gap(codec), 0)
            return self._shifted(roi, codec)
        if self.crf_gap is None:
            roi = roi if self.crf_roi is None else self.crf_roi
            return roi, non_roi if self.crf_non_roi is None else self.crf_non_roi
        if self.crf_non_roi is not None:
            return _clamped(self.crf_non_roi - self.crf_gap), self.crf_non_roi
        return self._shifted(roi if self.crf_roi is None else self.crf_roi, codec)

    def pair(self, crf: float, codec: Codec) -> CrfPair:
        """The CRFs at a point of a search: one region's moves, or both do at a constant gap."""
        if self.crf_roi is not None:
            return self.crf_roi, crf
        if self.crf_non_roi is not None:
            return crf, self.crf_non_roi
        return self._shifted(crf, codec)

    def _gap(self, codec: Codec) -> float:
        roi, non_roi = DEFAULT_CRF[codec]
        return non_roi - roi if self.crf_gap is None else self.crf_gap

    def _shifted(self, roi: float, codec: Codec) -> CrfPair:
        roi = _clamped(roi)
        return roi, _clamped(roi + self._gap(codec))


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """Which encoder codes the streams, and how.

    Attributes:
        codec: Encoder of the video.
        mode: two-stream (the paper's) codes ROI and non-ROI as separate streams, which can be sent, protected and
            decoded apart; single-stream codes one ordinary stream in which every macroblock is quantized by its
            region, which is smaller at equal quality and plays everywhere.
        preset: Preset of the encoder, ultrafast to placebo.
        fill: Content of the masked-out part of each of two streams: black (the paper's), grey, hold (what was last
            visible there), or coarse (the picture itself at the highest quantizer). [default: x264 coarse, x265 grey;
            grey too where coarse does not work]
        non_roi_filter: Low-pass the non-ROI before it is coded: standard deviation in pixels, 0 (off) to 4. It saves
            bits with any encoder; the ROI keeps every sample.
        non_roi_scale: Code the non-ROI of two streams at its size (1), or at half its size and a CRF lower by 6 (2).
            Where the non-ROI is coarse, half size looks the same, costs fewer bits and takes a third less time.
            [default: 2 from 540 rows and a non-ROI CRF of 29 (x264) or 32 (x265) on, else 1; 1 with fill black]
        encoder_args: Further options in the encoder's own form for every stream, such as "--tune grain --keyint 50".
        encoder_args_roi: Further options for the ROI stream of two.
        encoder_args_non_roi: Further options for the non-ROI stream of two.

    Raises:
        SacValueError: A value is not accepted, or has no meaning in this mode.
    """

    codec: Codec = Codec.X264
    mode: Mode = Mode.TWO_STREAM
    preset: str = "medium"
    fill: Fill | None = None
    non_roi_filter: float = 0.0
    non_roi_scale: int | None = None
    encoder_args: str | Sequence[str] = ""
    encoder_args_roi: str | Sequence[str] = ""
    encoder_args_non_roi: str | Sequence[str] = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "codec", parse_choice(Codec, self.codec, "encode"))
        object.__setattr__(self, "mode", parse_choice(Mode, self.mode, "encode"))
        if self.single:
            for name in ("fill", "non_roi_scale", "encoder_args_roi", "encoder_args_non_roi"):
                if getattr(self, name):
                    message = f"{name} has no meaning in the mode single-stream, which has one stream"
                    raise SacValueError(message, "encode")
        if self.fill is not None:
            object.__setattr__(self, "fill", parse_choice(Fill, self.fill, "encode"))
        if self.preset not in PRESETS:
            raise SacValueError(f"unknown preset {self.preset!r}; accepted: {', '.join(PRESETS)}", "encode")
        if not 0 <= self.non_roi_filter <= LARGEST_SIGMA:
            message = f"non_roi_filter {self.non_roi_filter!r} is outside 0-{LARGEST_SIGMA:g}"
            raise SacValueError(message, "encode")
        for words in (self.encoder_args, self.encoder_args_roi, self.encoder_args_non_roi):
            parse_args(words)

    @property
    def single(self) -> bool:
        """Whether there is one coded stream."""
        return self.mode is Mode.SINGLE_STREAM


@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    """What is region of interest (ROI).

    Attributes:
        masks: Masks to use instead of the network: a mask video (255 = ROI; what "segment" writes), a SAC file, or with
            labels a folder of label images. From Python also a mask clip.
        labels: Encoding of the label images.
        model: Segmentation network: a shipped name or the path of an .onnx file.
        threshold: Probability, 0-1, from which a pixel is confidently not ROI; a higher one makes the ROI larger.
            [default: the model's own]
        backend: How the network runs: python (onnxruntime; what auto takes), cuda (onnxruntime-gpu), or the VapourSynth
            plugins ort (onnxruntime) and ov (OpenVINO).
        every: Segment every Nth frame, 1-32, and propagate the mask by motion in between, in favour of the ROI.
            [default: one frame every 0.3 s, which is 8 at 25 fps]
        roi_hold: For how many frames, 0-16, a macroblock stays ROI after it has left the ROI: less flicker, larger ROI.
        roi_close: Close gaps in the ROI of up to twice as many macroblocks, 0-8: fewer edges, larger ROI. [default: for
            the network's masks in two streams 1 (x264) or 2 (x265) from 540 rows on, 4 where the non-ROI's CRF is not
            above the ROI's; else 0]

    Raises:
        SacValueError: A value is out of range, or has no meaning beside another.
    """

    masks: str | Path | vs.VideoNode | None = None
    labels: LabelSet | str | None = None
    model: str | Path = DEFAULT_MODEL
    threshold: float | None = None
    backend: Backend = Backend.AUTO
    every: int | None = None
    roi_hold: int = 0
    roi_close: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "backend", parse_choice(Backend, self.backend, "segment"))
        if self.masks is None and self.labels is not None:
            message = "labels is the encoding of the label images given as masks, and there are no masks; give masks"
            raise SacValueError(message, "encode")
        if self.masks is not None and self.every is not None:
            raise SacValueError("every has no meaning where masks are given: each frame has its own", "encode")
        ranges = {"every": (1, LONGEST_EVERY), "roi_hold": (0, LONGEST_HOLD), "roi_close": (0, WIDEST_GAP)}
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise SacValueError(f"{name} {value!r} is outside {least}-{most}", "encode")


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What is taken from the source.

    Attributes:
        fps: Frame rate of an image sequence, such as 17 or 30000/1001. [default: 25]
        audio: Carry over the source's audio.
    """

    fps: Fraction | str | None = None
    audio: bool = True


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How the work is divided, bounded and resumed.

    Attributes:
        threads: Number of processors that the whole job may use: VapourSynth's threads, the decoder's and the
            encoders'. [default: all]
        jobs: Code this many chunks at the same time, each by encoders of its own that share the threads. Useful where
            one encoder cannot use all cores. [default chunk: 10]
        low_latency: Every frame's packet leaves the encoder before the next frame comes: no B-frames, no lookahead, no
            queued frames. This costs bytes.
        chunk: Code in chunks of this many seconds. They stay in the folder OUTPUT.chunks until all are done.
        resume: Continue with the chunks of the same encode that was stopped; the file is the same as without a stop.
            [default chunk: 10]

    Raises:
        SacValueError: A value is out of range.
    """

    threads: int | None = None
    jobs: int = 1
    low_latency: bool = False
    chunk: float | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        for name in ("threads", "jobs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SacValueError(f"{name} {value}; accepted: from 1", "encode")

    @property
    def chunked(self) -> bool:
        """Whether chunks are kept."""
        return self.chunk is not None or self.resume or self.jobs > 1


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """All options of an encode.

    Attributes:
        rate: CRFs or size.
        streams: Encoder, mode and what stands in the streams.
        masks: What is ROI.
        source: What is taken from the source.
        run: How the work is divided, bounded and resumed.

    Raises:
        SacValueError: Options contradict each other.
    """

    rate: RateControl = field(default_factory=RateControl)
    streams: StreamOptions = field(default_factory=StreamOptions)
    masks: MaskOptions = field(default_factory=MaskOptions)
    source: SourceOptions = field(default_factory=SourceOptions)
    run: RunOptions = field(default_factory=RunOptions)

    def __post_init__(self) -> None:
        if self.run.low_latency:
            streams = self.streams
            for words in (streams.encoder_args, streams.encoder_args_roi, streams.encoder_args_non_roi):
                _check_latency(words)
        if self.run.chunked and self.rate.searched:
            raise SacValueError("chunks are kept of an encode at given CRFs, not of a search for a size", "encode")

    @classmethod
    def from_flat(cls, **values: Any) -> Self:
        """Options from flat keywords, such as ``from_flat(codec="x265", crf_roi=20)``.

        Raises:
            SacValueError: A value is not accepted.
            TypeError: There is no such option; the message names the nearest one.
        """
        groups: dict[str, Any] = {}
        for group, kind in _GROUPS.items():
            names = {option.name for option in fields(kind)}
            groups[group] = kind(**{name: values.pop(name) for name in names & values.keys()})
        if values:
            from difflib import get_close_matches

            unknown = next(iter(values))
            near = get_close_matches(unknown, cls.flat_defaults(), 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise TypeError(f"encode has no option {unknown!r}{hint}")
        return cls(**groups)

    @staticmethod
    def flat_defaults() -> dict[str, Any]:
        """Every option's name and default."""
        return {option.name: option.default for kind in _GROUPS.values() for option in fields(kind)}

    def to_flat(self) -> dict[str, Any]:
        """Every option's name and value; the inverse of `from_flat`."""
        groups = (getattr(self, group) for group in _GROUPS)
        return {option.name: getattr(group, option.name) for group in groups for option in fields(group)}


_GROUPS: dict[str, type[Any]] = {
    "rate": RateControl,
    "streams": StreamOptions,
    "masks": MaskOptions,
    "source": SourceOptions,
    "run": RunOptions,
}


def _check_latency(words: str | Sequence[str]) -> None:
    """Refuse encoder options by which a packet would wait for later frames."""
    for name, _ in parse_args(words):
        if name == "tune":
            message = "low latency is a tune of the encoder, which takes one; leave out --tune"
            raise SacValueError(message, "encode")
        if name.removeprefix("no-") in _DELAYING:
            raise SacValueError(f"encoder option --{name} delays frames, which --low-latency forbids; leave out one of"
                                " them", "encode")  # fmt: skip


#: Encoder options that decide how long a frame waits.
_DELAYING = {"bframes", "rc-lookahead", "sync-lookahead", "sliced-threads", "frame-threads"}


def _clamped(crf: float) -> float:
    # Rounded, since sums of decimals are not decimals.
    return round(min(max(crf, 0.0), HIGHEST_CRF), 6)
