"""Jobs: a clip, its block grid and what is to become of them, coded once at given CRFs or again until a size is met."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import vapoursynth as vs

from . import container, muxer
from .chunks import code_chunks, join
from .coding import Progress, Recoder, Stream, code, with_grid
from .container import RateGoal
from .encoders import (
    PRESETS,
    Encoder,
    EncoderSettings,
    PictureFormat,
    RoiEncoder,
    ffv1_command,
    find_encoder,
    find_ffmpeg,
)
from .errors import SacFormatError, SacMissingError, SacValueError
from .graph import pin_cache
from .half_size import SCALES, coded_crf, shrink, shrink_grid
from .masks import BLOCK, blank_grid, expand_grid
from .process import QUEUE_DEPTH
from .rates import CrfPair, OnTrial, RateChoice, RateTrial, find_crfs
from .source import open_raw
from .streams import soften, split
from .types import Codec, Fill, Mode, parse_choice

__all__ = ["SHARED_GRID", "Coded", "Job", "at_crfs", "choose_fill", "choose_scale", "closed_gaps", "in_chunks",
           "to_size", "uniform_stream"]  # fmt: skip

#: What `Fill.COARSE` adds to a CRF: every block comes to the codec's highest quantizer.
_COARSE = Fraction(51)

#: From which CRF of the non-ROI on half its size gives about the same PSNR at equal bytes, and above it a higher one,
#: in a quarter of the time (docs/rate.md).
_HALVED_FROM = {Codec.X264: 29.0, Codec.X265: 32.0}

#: Blocks by which gaps in the ROI are closed: every edge costs two streams, x265 most (docs/rate.md). Where the non-ROI
#: is as fine as the ROI, a wider one costs nothing else.
_CLOSED_GAPS = {Codec.X264: 1, Codec.X265: 2}
_AS_FINE_CLOSED_GAPS = 4

#: Rows and columns of pictures for which either pays. Smaller ones have more detail in a pixel, and lose it, and more
#: of the scene in a block.
_LARGE = 540

#: What the non-ROI's encoder gets before the user's options, up to the preset medium. Of a coarser one, a single
#: reference frame costs at most 1 % of its bytes and takes an eighth less time. One that is to be as good as the ROI
#: keeps them, as what comes out from behind the ROI was last seen a few frames ago. x265 would also repeat its
#: settings, 2.3 kB that the ROI's stream has.
_COARSER_ARGS: dict[Codec, tuple[tuple[str, str | None], ...]] = {
    Codec.X264: (("ref", "1"),),
    Codec.X265: (("ref", "1"), ("no-info", None)),
}
_AS_FINE_ARGS: dict[Codec, tuple[tuple[str, str | None], ...]] = {
    Codec.X264: (),
    Codec.X265: (("no-info", None),),
}
_FAST_PRESETS = PRESETS[: PRESETS.index("medium") + 1]

#: Frames that two x264 look ahead, by preset, where their own number costs memory (6 MiB a frame at 1920×1080) and buys
#: nothing: bytes and PSNR differ by 0.3 % and 0.02 dB.
_LOOKAHEAD = {"medium": 30}
_NON_ROI_LOOKAHEAD = {"fast": 15, "medium": 15}

#: Options that set quantizers apart from the CRF, which then says nothing of quality.
_QUANTIZER_OPTIONS = {"qp", "lossless", "bitrate"}

#: Frames that the block grid keeps for the streams that share it: more than are ever in flight.
SHARED_GRID = 64


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is coded, at CRFs still to be chosen; those of the settings do not count.

    Attributes:
        clip: The video.
        model: Name of the model, or of the masks' source.
        mode: One stream or two.
        fill: Fill of two streams; None for one.
        roi: Settings of the ROI, and of a single stream.
        non_roi: Settings of the non-ROI.
        uniform: Settings of a uniform encode to compare with.
        non_roi_filter: Strength of `streams.soften`.
        non_roi_scale: What the sides of the non-ROI are divided by, of two streams; see `half_size`.
        depth: Frames that wait for each encoder.
    """

    clip: vs.VideoNode
    model: str
    mode: Mode
    fill: Fill | None
    roi: EncoderSettings
    non_roi: EncoderSettings
    uniform: EncoderSettings
    non_roi_filter: float
    non_roi_scale: int = 1
    depth: int = QUEUE_DEPTH

    def streams(self, grid: vs.VideoNode, crf: CrfPair) -> list[Stream]:
        """The coded tracks at these CRFs."""
        pin_cache(grid, SHARED_GRID)
        mask = expand_grid(grid, self.clip.width, self.clip.height)
        coded = soften(self.clip, mask, self.non_roi_filter)
        roi = replace(self.roi, crf=crf[0])
        if self.fill is None:
            encoder = RoiEncoder(roi.codec, Fraction(f"{crf[1]:g}") - Fraction(f"{crf[0]:g}"))
            return [Stream(container.VIDEO_TRACK, with_grid(coded, grid), encoder, roi)]
        non_roi = replace(self.non_roi, crf=coded_crf(crf[1], self.non_roi_scale))
        if self.fill is not Fill.BLACK:
            roi, non_roi = _lighter(roi, _LOOKAHEAD), _lighter(non_roi, _NON_ROI_LOOKAHEAD)
            if non_roi.preset in _FAST_PRESETS:
                added = _AS_FINE_ARGS if _is_as_fine(crf) else _COARSER_ARGS
                non_roi = replace(non_roi, args=(*added[non_roi.codec], *non_roi.args))
        rest, rest_grid, rest_mask = coded, grid, mask
        if self.non_roi_scale > 1:
            rest, rest_grid = shrink(coded), shrink_grid(grid)
            rest_mask = expand_grid(rest_grid, rest.width, rest.height)
        if self.fill is Fill.COARSE:
            inside = RoiEncoder(roi.codec, non_roi=_COARSE, plain=True)
            outside = RoiEncoder(roi.codec, Fraction(0), roi=_COARSE, plain=True)
            return [
                Stream(container.ROI_TRACK, with_grid(coded, grid), inside, roi),
                Stream(container.NON_ROI_TRACK, with_grid(rest, rest_grid), outside, non_roi),
            ]
        shown = split(coded, mask, fill=self.fill)[0], split(rest, rest_mask, fill=self.fill)[1]
        return [
            _plain_stream(container.ROI_TRACK, shown[0], roi),
            _plain_stream(container.NON_ROI_TRACK, shown[1], non_roi),
        ]

    def info(self, crf: CrfPair, goal: RateGoal | None = None) -> container.SacInfo:
        """What the file says of itself; the path is not known yet."""
        return container.SacInfo(
            path=Path(), version=container.VERSION, mode=self.mode, block=BLOCK, width=self.clip.width,
            height=self.clip.height, codec=self.roi.codec.value, crf_roi=crf[0], crf_non_roi=crf[1], fill=self.fill,
            model=self.model, fps=self.clip.fps, frames=self.clip.num_frames, goal=goal,
            non_roi_scale=self.non_roi_scale,
        )  # fmt: skip


@dataclass(frozen=True)
class Coded:
    """What became of a job, ready to be multiplexed.

    Attributes:
        tracks: Its tracks, in order.
        info: What the tags say.
        roi_share: Share of macroblocks that are ROI.
        encoder: Which encoder ran.
        trials: Encodes on the way to a size.
    """

    tracks: list[muxer.Track]
    info: container.SacInfo
    roi_share: float
    encoder: str
    trials: tuple[RateTrial, ...] = ()


def at_crfs(
    job: Job, grid: vs.VideoNode, choice: RateChoice, folder: Path, progress: Progress | None, _: OnTrial | None
) -> Coded:
    """Code a job once, at the CRFs chosen."""
    streams, mask = job.streams(grid, choice.start), folder / "mask.mkv"
    command = ffv1_command(find_ffmpeg(), mask)
    paths, share = code(streams, grid, folder, mask=command, progress=progress, depth=job.depth)
    return Coded(_tracks(streams, paths, mask), job.info(choice.start), share, streams[0].encoder.name)


def in_chunks(
    job: Job, grid: vs.VideoNode, choice: RateChoice, folder: Path, progress: Progress | None, store: Path, length: int,
    at_once: int = 1,
) -> Coded:  # fmt: skip
    """Code in chunks of `length` frames that `store` keeps, at the CRFs that were given; see `chunks`."""
    streams, total = job.streams(grid, choice.start), int(job.clip.num_frames)

    def code_part(start: int, stop: int, part: Path, step: Callable[[int], None]) -> tuple[list[Path], float]:
        parts = [replace(stream, clip=stream.clip[start:stop]) for stream in streams]
        mask = part / "mask.mkv"
        paths, share = code(parts, grid[start:stop], part, mask=ffv1_command(find_ffmpeg(), mask),
                            progress=lambda done, _: step(done), depth=job.depth)  # fmt: skip
        return [*paths, mask], share

    chunks = code_chunks(store, total, length, code_part, jobs=at_once, progress=progress)
    *paths, mask = (join(store, chunks, n, job.clip.fps, folder) for n in range(len(streams) + 1))
    share = sum(chunk.share * chunk.frames for chunk in chunks) / total
    return Coded(_tracks(streams, paths, mask), job.info(choice.start), share, streams[0].encoder.name)


def to_size(
    job: Job, grid: vs.VideoNode, choice: RateChoice, folder: Path, progress: Progress | None, on_trial: OnTrial | None
) -> Coded:
    """Code a job at the CRFs that give the size chosen; raises what `rates.find_crfs` does."""
    # The network runs in this pass alone; what follows reads the masks from their track.
    mask, trial = folder / "mask.mkv", folder / "trial.mkv"
    uniform = []
    if choice.match_crf is not None:
        # In the preset's own settings, which is what users know by a CRF.
        settings = replace(job.uniform, crf=choice.match_crf)
        uniform = [uniform_stream(job.clip, job.mode, settings, job.fill, plain=True)]
    paths, share = code(uniform, grid, folder, mask=ffv1_command(find_ffmpeg(), mask), progress=progress)
    if choice.match_crf is not None:
        muxer.write_video(trial, muxer.Track(uniform[0].track, paths[0]), job.clip.fps)
        goal = RateGoal(trial.stat().st_size, match_crf=choice.match_crf)
        if on_trial:
            on_trial(RateTrial(choice.match_crf, None, goal.bytes, 0.0))
    else:
        assert choice.kbps is not None
        goal = RateGoal(max(1, round(choice.kbps * 125 * job.clip.num_frames / job.clip.fps)), kbps=choice.kbps)
    recoder = Recoder(open_raw(mask, fps=job.clip.fps), folder, progress)

    def coded(crf: CrfPair) -> Coded:
        streams = job.streams(recoder.grid, crf)
        tracks = _tracks(streams, recoder.code(streams), mask)
        return Coded(tracks, job.info(crf, goal), share, streams[0].encoder.name)

    def weigh(crf: CrfPair) -> int:
        made = coded(crf)
        muxer.write(trial, made.tracks, made.info, folder)
        return trial.stat().st_size

    crf, trials = find_crfs(choice, goal.bytes, weigh, on_trial)
    return replace(coded(crf), trials=trials)


def _tracks(streams: Sequence[Stream], paths: Sequence[Path], mask: Path) -> list[muxer.Track]:
    tracks = [muxer.Track(stream.track, path) for stream, path in zip(streams, paths, strict=True)]
    return [*tracks, muxer.Track(container.MASK_TRACK, mask)]


def choose_fill(
    asked: Fill | str | None, picture: PictureFormat, roi: EncoderSettings, non_roi: EncoderSettings
) -> Fill:
    """The fill asked for, else the one that measured best among those that work with these settings.

    Raises:
        SacValueError: `Fill.COARSE` is asked for and the encoder does not make it.
        SacMissingError: The same, and PyAV lacks the encoder.
    """
    fill = Fill.COARSE if asked is None else parse_choice(Fill, asked, "encode")
    if fill is not Fill.COARSE:
        return fill
    try:
        if roi.codec is Codec.X265:
            raise SacValueError(
                "fill coarse needs x264: x265 averages the quantizers of a coding unit's blocks, so that the ROI beside"
                f" coarse blocks would turn coarse; accepted: {', '.join(f for f in Fill if f is not fill)}", "encode",
            )  # fmt: skip
        for settings in dict.fromkeys(replace(s, crf=roi.crf) for s in (roi, non_roi)):
            RoiEncoder(roi.codec, _COARSE, plain=True).check(picture, settings)
    except (SacValueError, SacMissingError):
        if asked is not None:
            raise
        return Fill.GREY
    return fill


def choose_scale(asked: int | None, fill: Fill | None, picture: PictureFormat, non_roi: EncoderSettings) -> int:
    """What the sides of the non-ROI are divided by: what is asked for, else what measured better.

    The paper's fill, black, comes with the paper's full size.

    Args:
        asked: 1 or 2; None for a choice by the size of the picture and the CRF of the non-ROI.
        fill: What is asked for as fill.
        picture: The video.
        non_roi: Settings of the non-ROI.

    Raises:
        SacValueError: What is asked for is no scale.
        SacFormatError: The picture is too small to be halved.
    """
    side = min(picture.width, picture.height)
    if asked is None:
        free = fill is not Fill.BLACK and _QUANTIZER_OPTIONS.isdisjoint(name for name, _ in non_roi.args)
        return 2 if free and side >= _LARGE and non_roi.crf >= _HALVED_FROM[non_roi.codec] else 1
    if asked not in SCALES:
        raise SacValueError(f"non_roi_scale {asked!r} is not accepted; accepted: 1, 2", "encode")
    if asked > 1 and side < asked * BLOCK:
        raise SacFormatError(f"the video is {picture.width}x{picture.height}; half of its non-ROI would be smaller than"
                             f" {BLOCK}x{BLOCK}, leave out --non-roi-scale", "encode")  # fmt: skip
    return asked


def closed_gaps(picture: PictureFormat, codec: Codec, crf: CrfPair) -> int:
    """By how many blocks gaps in the ROI of two streams are best closed, see `masks.close_gaps`."""
    if min(picture.width, picture.height) < _LARGE:
        return 0
    return _AS_FINE_CLOSED_GAPS if _is_as_fine(crf) else _CLOSED_GAPS[codec]


def _is_as_fine(crf: CrfPair) -> bool:
    """Whether the non-ROI is to be as good as the ROI."""
    return crf[1] <= crf[0]


def uniform_stream(
    clip: vs.VideoNode, mode: Mode, settings: EncoderSettings, fill: Fill | None = None, *, plain: bool = False
) -> Stream:
    """An ordinary video by the encoder that a mode uses, in that mode's settings unless it is to be plain."""
    if mode is Mode.SINGLE_STREAM or fill is Fill.COARSE:
        encoder = RoiEncoder(settings.codec, Fraction(0), plain=plain or mode is not Mode.SINGLE_STREAM)
        encoder.find()
        return Stream(container.VIDEO_TRACK, _with_any_grid(clip), encoder, settings)
    return _plain_stream(container.VIDEO_TRACK, clip, settings)


def _lighter(settings: EncoderSettings, lookahead: Mapping[str, int]) -> EncoderSettings:
    """Settings that hold fewer frames, unless the user's options say how many."""
    frames = lookahead.get(settings.preset)
    if settings.codec is Codec.X265 or frames is None or ("tune", "zerolatency") in settings.args:
        return settings
    return replace(settings, args=(("rc-lookahead", str(frames)), *settings.args))


def _plain_stream(track: str, clip: vs.VideoNode, settings: EncoderSettings) -> Stream:
    """A stream without offsets."""
    encoder = plain_encoder(settings.codec, clip)
    # The libraries' worker reads a grid all the same.
    return Stream(track, _with_any_grid(clip) if isinstance(encoder, RoiEncoder) else clip, encoder, settings)


def _with_any_grid(clip: vs.VideoNode) -> vs.VideoNode:
    """A clip with a grid that nobody looks at."""
    return with_grid(clip, blank_grid(clip))


def plain_encoder(codec: Codec, clip: vs.VideoNode) -> Encoder:
    """What codes a clip without offsets: the installed x264, but PyAV's libx265, which codes single streams too.

    The two are then comparable, and its 4.3 needs 1 % less than the 3.5 that distributions carry (docs/rate.md).
    """
    if codec is Codec.X265:
        library = RoiEncoder(codec, Fraction(0), plain=True)
        try:
            library.find()
        except SacMissingError:
            pass
        else:
            return library
    return find_encoder(codec, min(clip.width, clip.height))
