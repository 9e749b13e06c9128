"""The options of an encode as frozen dataclasses. They define both the command line and `vs_sac.encode`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from ..core.choices import AudioMode, BlockMap, Codec, Fill, Mode, parse_choice
from ..core.errors import SacValueError
from ..encoders.base import DEFAULT_CRF, DEFAULT_UNIFORM_CRF, HIGHEST_CRF, PRESETS, parse_args
from ..streams.coded_size import parse_coded_size
from ..streams.filtering import LARGEST_SIGMA
from .mask_options import STRONGEST_MAP, MaskOptions

__all__ = [
    "STRONGEST_MAP",
    "CrfPair",
    "EncodeOptions",
    "MaskOptions",
    "RateControl",
    "RunOptions",
    "SourceOptions",
    "StreamOptions",
]

#: CRF of the ROI and of the non-ROI.
type CrfPair = tuple[float, float]

#: Start of a search: the ROI's CRF lies this share of the gap below the CRF of a uniform encode of the same size. On
#: street scenes the ROI takes about 60 to 70 % of the bits.
_ROI_ADVANTAGE = 0.3


@dataclass(frozen=True, kw_only=True)
class RateControl:
    """The CRFs of the two regions, or the file size from which they are found.

    Attributes:
        crf_roi: CRF of the ROI, 0-51; lower is better. [default: x264 18, x265 23]
        crf_non_roi: CRF of the non-ROI, 0-51. [default: x264 27, x265 32]
        crf_gap: CRF of the non-ROI minus CRF of the ROI. Replaces one of the two CRFs. [default: 9]
        match_crf: Find the CRFs at which the file, without its audio, has the size of a uniform encode at this CRF,
            within 1 %. The uniform encode is made by the same encoder with the preset's settings. The search takes at
            most 5 encodes. With --crf-roi it changes the CRF of the non-ROI, with --crf-non-roi that of the ROI,
            otherwise both at a constant gap.
        target_kbps: Find the CRFs in the same way for this bitrate in kbit/s.
        crf: CRF of a single stream with --map tiers, task or none, at the QP offset 0. [default: x264 23, x265 28]

    Raises:
        SacValueError: A value is out of range, or values contradict each other.
    """

    crf_roi: float | None = None
    crf_non_roi: float | None = None
    crf_gap: float | None = None
    match_crf: float | None = None
    target_kbps: float | None = None
    crf: float | None = None

    def __post_init__(self) -> None:
        for name in ("crf_roi", "crf_non_roi", "match_crf", "crf"):
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

        if self.crf is not None and (given or self.searched or self.crf_gap is not None):
            raise SacValueError("crf sets the quality of the whole picture; give no other CRF or size", "encode")

    @property
    def searched(self) -> bool:
        """Whether the CRFs are found by a search for a size."""
        return self.match_crf is not None or self.target_kbps is not None

    def start(self, codec: Codec) -> CrfPair:
        """The CRFs of the two regions. For a search, the pair with which it starts.

        Example:
            >>> RateControl(crf_roi=20, crf_gap=9).start(Codec.X264)
            (20, 29)
        """
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
        """The CRFs at one point of a search: the CRF of one region changes, or both change at a constant gap."""
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
    """Encoder and settings of the coded streams.

    Attributes:
        codec: Encoder of the video.
        mode: two-stream (the paper's) codes ROI and non-ROI as separate streams, which can be sent, protected and
            decoded separately. single-stream codes one ordinary stream in which the quantizer of every macroblock
            depends on its region; it is smaller at equal quality and plays everywhere.
        preset: Encoder preset, ultrafast to placebo.
        fill: Content of the masked-out part of each of two streams: black (the paper's), grey, hold (what was last
            visible there), or coarse (the picture itself at the highest quantizer). [default: x264 coarse, x265 grey;
            grey also if coarse does not work]
        non_roi_filter: Low-pass filter the non-ROI before it is coded. The value is the standard deviation in pixels, 0
            (off) to 4. The filter saves bits with any encoder; the ROI keeps every sample.
        non_roi_scale: Code the non-ROI of two streams at full size (1), or at half size with a CRF lower by 6 (2). If
            the non-ROI is coarse, half size looks the same, costs fewer bits and takes a third less time. [default: 2
            from 540 rows and a non-ROI CRF of 29 (x264) or 32 (x265) on, else 1; 1 with fill black]
        coded_size: Code the picture at this size: native (that of the source), WxH such as 1024x512, 1/2 (also 1/3 and
            1/4) of the sides, or auto (the input size of the network task_model). Networks that read smaller pictures
            than the camera gives see as much, for fewer bytes. "decode" enlarges to the size of the source again.
            [default: native]
        task_model: The network that will read the video, by name or path as for model, for coded_size auto.
        encoder_args: Further options for every stream, in the encoder's own syntax, such as "--tune grain --keyint 50".
        encoder_args_roi: Further options for the ROI stream of two.
        encoder_args_non_roi: Further options for the non-ROI stream of two.

    Raises:
        SacValueError: A value is not accepted, or an option cannot be used in this mode.
    """

    codec: Codec = Codec.X264
    mode: Mode = Mode.TWO_STREAM
    preset: str = "medium"
    fill: Fill | None = None
    non_roi_filter: float = 0.0
    non_roi_scale: int | None = None
    coded_size: str | tuple[int, int] | None = None
    task_model: str | Path | None = None
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
        if parse_coded_size(self.coded_size) == "auto" and self.task_model is None:
            message = "coded_size auto is the input size of a network; give task_model (--task-model)"
            raise SacValueError(message, "encode")
        for words in (self.encoder_args, self.encoder_args_roi, self.encoder_args_non_roi):
            parse_args(words)

    @property
    def single(self) -> bool:
        """Whether there is one coded stream instead of two."""
        return self.mode is Mode.SINGLE_STREAM


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """How the source is read.

    Attributes:
        track: Number of the video track, from 0, for a recording with several cameras. Cover art does not count.
        start: Begin at this many seconds after the first frame.
        end: End before this many seconds after the first frame.
        frames: Code at most this many frames.
        fps: Frame rate of an image sequence, such as 17 or 30000/1001. [default: 25]
        audio: copy (as it is; what Matroska cannot hold becomes FLAC), flac (transcode to FLAC), or none.
        strict: Refuse a damaged source. Otherwise what can be decoded is coded, and the exit code is 1.

    Raises:
        SacValueError: A value is out of range.
    """

    track: int = 0
    start: float | None = None
    end: float | None = None
    frames: int | None = None
    fps: Fraction | str | None = None
    audio: AudioMode = AudioMode.COPY
    strict: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.audio, bool):
            object.__setattr__(self, "audio", AudioMode.COPY if self.audio else AudioMode.NONE)
        object.__setattr__(self, "audio", parse_choice(AudioMode, self.audio, "encode"))
        if self.track < 0:
            raise SacValueError(f"track {self.track}; accepted: from 0", "encode")
        if self.frames is not None and self.frames < 1:
            raise SacValueError(f"frames {self.frames}; accepted: from 1", "encode")
        start, end = self.start or 0.0, math.inf if self.end is None else self.end
        if not 0 <= start < end:
            raise SacValueError(f"start {start:g} and end {end:g} are seconds, start from 0 and before end", "encode")

    @property
    def cuts(self) -> bool:
        """Whether a part of the source is coded."""
        return not self.start is self.end is self.frames is None


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Threads, chunks, resume and latency.

    Attributes:
        threads: Number of processors that the whole encode may use. Limits the threads of VapourSynth, of the decoder
            and of the encoders. [default: all]
        jobs: Encode this many chunks at the same time. Each chunk has encoders of its own, and all share the threads.
            Useful if one encoder cannot use all cores. Sets --chunk to 10 unless it is given.
        low_latency: Every frame's packet leaves the encoder before the next frame arrives: no B-frames, no lookahead,
            no queued frames. This costs bytes.
        chunk: Encode in chunks of this many seconds. The chunks stay in the folder OUTPUT.chunks until all are done.
        resume: Continue an interrupted encode with its finished chunks. The file is the same as without the
            interruption. Sets --chunk to 10 unless it is given.

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
        """Whether the video is encoded in chunks that are kept."""
        return self.chunk is not None or self.resume or self.jobs > 1


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """All options of an encode.

    Attributes:
        rate: CRFs or file size.
        streams: Encoder, mode and settings of the streams.
        masks: Which macroblocks are ROI.
        source: How the source is read.
        run: Threads, chunks, resume and latency.

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
        rate = self.rate
        if self.mapped and not rate.crf_roi is rate.crf_non_roi is rate.crf_gap is None:
            raise SacValueError("with this map a single stream has one CRF; give crf in place of crf_roi, crf_non_roi"
                                " and crf_gap", "encode")  # fmt: skip
        if rate.crf is not None and not self.mapped:
            raise SacValueError("crf is for a single stream with map tiers, task or none; give crf_roi and crf_non_roi",
                                "encode")  # fmt: skip

    @property
    def mapped(self) -> bool:
        """Whether a single stream gets a map of QP offsets, so that one CRF applies to the whole picture."""
        return self.streams.single and self.masks.map is not BlockMap.ROI

    @property
    def quality(self) -> RateControl:
        """The rate control by which CRFs are found: `rate`, or for a single stream with a map, one CRF everywhere."""
        if not self.mapped:
            return self.rate
        crf = DEFAULT_UNIFORM_CRF[self.streams.codec] if self.rate.crf is None else self.rate.crf
        return replace(self.rate, crf=None, crf_roi=None if self.rate.searched else crf, crf_gap=0.0)

    @classmethod
    def from_flat(cls, **values: Any) -> Self:
        """Make options from flat keywords, such as ``from_flat(codec="x265", crf_roi=20)``.

        Raises:
            SacValueError: A value is not accepted.
            TypeError: An option does not exist. The message names the most similar one.

        Example:
            >>> options = EncodeOptions.from_flat(codec='x265', crf_roi=20)
            >>> options.rate.crf_roi
            20
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
        """Name and default of every option."""
        return {option.name: option.default for kind in _GROUPS.values() for option in fields(kind)}

    def to_flat(self) -> dict[str, Any]:
        """Name and value of every option; the inverse of `from_flat`."""
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
    """Refuse encoder options that make a packet wait for later frames."""
    for name, _ in parse_args(words):
        if name == "tune":
            message = "low latency is a tune of the encoder, which takes one; leave out --tune"
            raise SacValueError(message, "encode")
        if name.removeprefix("no-") in _DELAYING:
            raise SacValueError(f"encoder option --{name} delays frames, which --low-latency forbids; leave out one of"
                                " them", "encode")  # fmt: skip


#: Encoder options that set the delay of a frame.
_DELAYING = {"bframes", "rc-lookahead", "sync-lookahead", "sliced-threads", "frame-threads"}


def _clamped(crf: float) -> float:
    # Rounded, because sums of binary floats are rarely exact decimals.
    return round(min(max(crf, 0.0), HIGHEST_CRF), 6)
