"""Running the search of `tune` on footage: parts of clips, encodes, and what a network sees in them. All is kept.

Each clip is cut in two. The settings are chosen on its first part; its last third is held out, and only the chosen
settings and the uniform encode are made of it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from .. import __version__, pipeline
from ..core.choices import BlockMap, Codec, Mode, parse_choice
from ..core.errors import SacValueError
from ..encoders.base import HIGHEST_CRF, PRESETS
from ..metrics.report import plain
from ..pipeline.options import STRONGEST_MAP
from ..segmentation.class_probabilities import open_classes, segment_classes
from ..segmentation.registry import DEFAULT_MODEL, Model, find_model
from ..source.opening import open_raw
from ..streams.coded_size import parse_coded_size
from .agreement import Agreement, agreement_counts, chosen_frames, pick
from .coded_sizes import SIZES, coded_area, coded_sides
from .footage import Footage
from .method_run import open_decoded
from .provenance import encoder_versions, file_sha256, model_id
from .store import Store, digest
from .tuning import BASELINE, Candidate, Goal, Outcome, Search, Trial

__all__ = ["Check", "TuneSettings", "Tuning", "encode_options", "plan_candidates", "tune"]

#: Version of the results; see `method_run`.
_SCHEMA = 1

#: Share of a clip that is held out, and the shortest clip of which a part is.
_HELD_OUT, _SHORTEST = 1 / 3, 6

#: Frames that are judged in all clips together, and in one clip at least.
_ALL_JUDGED, _LEAST_JUDGED = 480, 4

#: Share of a trial's time that encoding takes, for progress reports.
_ENCODING = 0.6

#: The mode whose uniform encodes have the preset's own settings. Those of single streams have a weaker adaptive
#: quantization, which suits the map roi, but not a network that sees the whole picture.
_PLAIN = Mode.TWO_STREAM

type IntArray = npt.NDArray[np.int64]
#: Called with the share of the work that is done, 0–1, and a description of the current step.
type OnStep = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class TuneSettings:
    """What is tuned, for which network, and to which goal.

    Attributes:
        task_model: The network that judges: the name of a model or the path of an .onnx file. Its card must name its
            classes.
        like_crf: The goal is the agreement of a uniform encode at this CRF.
        agree: The goal is this mean IoU, above 0 and below 1, in all and in the lowest frames.
        codec: Encoder.
        preset: Encoder preset.
        sizes: Coded sizes to try, in words of `Candidate.size`.
        strengths: Factors of the importance map's QP offsets to try.
        judge_frames: Number of frames of a part that are judged at most, evenly spread.

    Raises:
        SacValueError: A value is not accepted, or not exactly one goal is given.
    """

    task_model: str
    like_crf: float | None = None
    agree: float | None = None
    codec: Codec = Codec.X264
    preset: str = "medium"
    sizes: tuple[str, ...] = SIZES
    strengths: tuple[float, ...] = (0.5, 1.0)
    judge_frames: int = 60

    def __post_init__(self) -> None:
        object.__setattr__(self, "codec", parse_choice(Codec, self.codec, "tune"))
        if (self.like_crf is None) == (self.agree is None):
            raise SacValueError("give one goal, like_crf or agree", "tune")
        if self.like_crf is not None and not 1 <= self.like_crf <= HIGHEST_CRF:
            raise SacValueError(f"like_crf {self.like_crf:g} is outside 1-{HIGHEST_CRF:g}", "tune")
        if self.like_crf is not None:
            # One name in the store for 28 and 28.0.
            object.__setattr__(self, "like_crf", float(self.like_crf))
        if self.agree is not None and not 0 < self.agree < 1:
            raise SacValueError(f"agree {self.agree:g} is a mean IoU; accepted: above 0 and below 1", "tune")
        if self.preset not in PRESETS:
            raise SacValueError(f"unknown preset {self.preset!r}; accepted: {', '.join(PRESETS)}", "tune")
        for size in self.sizes:
            parse_coded_size(size)
        if not all(0 < strength <= STRONGEST_MAP for strength in self.strengths):
            shown = ", ".join(f"{s:g}" for s in self.strengths)
            raise SacValueError(f"strengths {shown}; accepted: above 0, up to {STRONGEST_MAP:g}", "tune")
        if self.judge_frames < 1:
            raise SacValueError(f"judge_frames {self.judge_frames}; accepted: from 1", "tune")


@dataclass(frozen=True)
class Check:
    """The chosen settings on footage that they were not chosen on.

    Attributes:
        names: Names of the clips.
        frames: Number of judged frames.
        uniform: The uniform encode.
        tuned: The encode with the profile.
    """

    names: tuple[str, ...]
    frames: int
    uniform: Trial
    tuned: Trial


@dataclass(frozen=True)
class Tuning:
    """Result of `tune`.

    Attributes:
        settings: The settings.
        model: The network that judged.
        goal: The goal.
        uniform: The uniform encode of the source's size that reaches the goal.
        outcomes: All candidates; the chosen one is the first.
        names: Names of the clips.
        frames: Number of frames that were judged in every trial.
        options: Options of an encode with the chosen settings.
        encodes: Number of trials that the search made, including those it found in the store.
        check: Check on footage held out; None if there was none.
    """

    settings: TuneSettings
    model: Model
    goal: Goal
    uniform: Trial
    outcomes: tuple[Outcome, ...]
    names: tuple[str, ...]
    frames: int
    options: dict[str, Any]
    encodes: int
    check: Check | None = None

    @property
    def best(self) -> Outcome:
        """The chosen candidate."""
        return self.outcomes[0]


@dataclass(frozen=True)
class _Part:
    """A part of a clip, with the frames of it that are judged and what the network sees in them in the source."""

    footage: Footage
    start: int
    clip: vs.VideoNode = field(repr=False)
    numbers: tuple[int, ...]
    seen: vs.VideoNode = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.footage.name}-{self.start}-{self.start + self.clip.num_frames}"


def tune(
    footage: Sequence[Footage],
    settings: TuneSettings,
    store: Store,
    *,
    holdout: Sequence[Footage] = (),
    progress: OnStep | None = None,
) -> Tuning:
    """Find the settings with the fewest bytes at which a network's output agrees with its output on the source.

    Args:
        footage: The clips.
        settings: What is tuned.
        store: Store for the results. What it holds is not computed again.
        holdout: Clips for the check only. If there are none, the last third of every clip of `footage` is held out.
        progress: See `OnStep`.

    Returns:
        The result. It reaches the goal on the footage; `Tuning.check` says whether it does so elsewhere.

    Raises:
        SacError: A clip cannot be opened, the network cannot be used, an encode failed, or the goal is out of reach.
    """
    if not footage:
        raise SacValueError("there is no footage", "tune")
    model = find_model(settings.task_model)
    # A network that cannot give its own classes is refused before the first encode.
    open_classes(model)
    bench = _Bench(model, settings, store, progress)
    tuned, held = bench.parts(footage, holdout)
    clips = [part.clip for part in tuned]
    candidates = plan_candidates(settings, clips, model)

    def trial(candidate: Candidate, crf: float) -> Trial:
        bench.text = f"{candidate.label} at CRF {crf:g}"
        made = bench.trial(tuned, candidate, crf)
        bench.finish(search.made + 1, search.expected + 2)
        return made

    search = Search(trial, 3 * len(candidates))
    bench.finish(0, search.expected)
    if settings.like_crf is not None:
        reached = search.trial(BASELINE, settings.like_crf)
        goal, start = Goal(reached.all, reached.lowest), settings.like_crf
    else:
        assert settings.agree is not None
        goal, start = Goal(settings.agree, settings.agree), None
    outcomes = tuple(search.find(candidates, goal, start))
    found = next(outcome.best for outcome in outcomes if outcome.candidate == BASELINE)
    uniform, best = found if start is None else search.trial(BASELINE, start), outcomes[0].best
    assert best is not None, "the search raises if the uniform encode misses the goal"
    assert uniform is not None, "the same"
    options = encode_options(outcomes[0].candidate, best.crf, settings, clips, model)
    check = None
    if held:
        bench.text = "footage held out"
        plainly = bench.trial(held, BASELINE, uniform.crf)
        bench.finish(search.made + 1, search.made + 2)
        check = Check(tuple(part.footage.name for part in held), _judged(held), plainly,
                      bench.trial(held, outcomes[0].candidate, best.crf, options))  # fmt: skip
    return Tuning(settings, model, goal, uniform, outcomes, tuple(part.footage.name for part in tuned), _judged(tuned),
                  options, search.made, check)  # fmt: skip


def plan_candidates(settings: TuneSettings, clips: Sequence[vs.VideoNode], model: Model) -> list[Candidate]:
    """Return the candidates: every size that makes sense for the clips and the network, with every map.

    A size is left out if it is another one under a second name.
    """
    found, sides = [], set()
    for size in dict.fromkeys(["native", *settings.sizes]):
        own = tuple(coded_sides(size, clip, model) for clip in clips)
        area = coded_area(size, clips, model)
        if own in sides or area is None:
            continue
        sides.add(own)
        found += [
            Candidate(size=size, map=map, strength=strength, area=area)
            for map, strengths in (
                (BlockMap.NONE, (1.0,)),
                (BlockMap.TIERS, (1.0,)),
                (BlockMap.TASK, settings.strengths),
            )
            for strength in dict.fromkeys(strengths)
        ]
    return [c for c in found if c.size in settings.sizes]


def encode_options(
    candidate: Candidate, crf: float, settings: TuneSettings, clips: Sequence[vs.VideoNode], model: Model
) -> dict[str, Any]:
    """Return the options of `vs_sac.encode` for a candidate, as a profile holds them.

    The size of the network's input becomes width and height if it is the same for all clips.
    """
    size: str | None = None if candidate.size == "native" else candidate.size
    more: dict[str, Any] = {}
    if size == "auto":
        sides = {coded_sides("auto", clip, model) for clip in clips}
        if len(sides) == 1:
            size = "{}x{}".format(*sides.pop())
        else:
            more = {"task_model": settings.task_model}
    maps: dict[str, Any] = {"map": str(candidate.map or BlockMap.NONE)}
    if candidate.map is BlockMap.TASK:
        maps["map_strength"] = candidate.strength
    return {
        "codec": str(settings.codec), "mode": str(Mode.SINGLE_STREAM), "preset": settings.preset, "coded_size": size,
        **more, **maps, "crf": crf,
    }  # fmt: skip


class _Bench:
    """Encodes parts and judges them; every result is kept in the store."""

    def __init__(self, model: Model, settings: TuneSettings, store: Store, progress: OnStep | None) -> None:
        self._model, self._settings, self._store, self._progress = model, settings, store, progress
        self._done, self._all, self._share = 0, 1, 0.0
        self.text = "segmentation of the source"

    def finish(self, done: int, expected: int) -> None:
        """Take note of the number of trials that are done, and of those expected in all."""
        self._done, self._all = done, expected

    def parts(self, footage: Sequence[Footage], holdout: Sequence[Footage]) -> tuple[list[_Part], list[_Part]]:
        """Cut the clips in the part for tuning and the part that is held out."""
        tuned, held = [], []
        for item in footage:
            length = item.open().num_frames
            kept = round(length * _HELD_OUT) if not holdout and length >= _SHORTEST else 0
            tuned.append(self._part(item, 0, length - kept, len(footage)))
            if kept:
                held.append(self._part(item, length - kept, length, len(footage)))
        return tuned, held + [self._part(item, 0, item.open().num_frames, len(holdout)) for item in holdout]

    def _part(self, item: Footage, start: int, stop: int, clips: int) -> _Part:
        clip = item.open()[start:stop]
        most = max(_LEAST_JUDGED, min(self._settings.judge_frames, _ALL_JUDGED // clips))
        numbers = chosen_frames(clip.num_frames, min(most, self._settings.judge_frames))
        key = digest([_SCHEMA, item.sha256, start, stop, numbers, model_id(str(self._model.path)), self._model.classes])
        path = self._store.path("masks", f"{item.name}-seen", key, ".mkv")
        self._show(0.0)
        if not path.is_file():
            pipeline.write_grey(segment_classes(pick(clip, numbers), model=self._model, own_size=True), path)
        seen = vs.core.std.ShufflePlanes(open_raw(path, fps=clip.fps), 0, vs.GRAY)
        return _Part(item, start, clip, numbers, seen)

    def trial(
        self, parts: Sequence[_Part], candidate: Candidate, crf: float, options: dict[str, Any] | None = None
    ) -> Trial:
        """Encode all parts and judge them together.

        Args:
            parts: The parts.
            candidate: The candidate.
            crf: The CRF.
            options: Options for `encode`, where these are to be checked, even if the candidate is a uniform encode.
        """
        counts, size = [], 0
        for n, part in enumerate(parts):

            def shown(share: float, n: int = n) -> None:
                self._show((n + share) / len(parts))

            result = self._run(part, candidate, crf, options, shown)
            counts.append(_unpacked(result["counts"], len(self._model.classes)))
            size += result["bytes"]
        found = Agreement.of(np.concatenate(counts), self._model.classes)
        return Trial(crf, size, found.all, found.lowest)

    def _show(self, share: float) -> None:
        if self._progress:
            # The number of trials that are left is an estimate, but a bar does not go back.
            self._share = max(self._share, min(1.0, (self._done + share) / max(self._all, self._done + 1)))
            self._progress(self._share, self.text)

    def _run(
        self, part: _Part, candidate: Candidate, crf: float, options: dict[str, Any] | None,
        shown: Callable[[float], None],
    ) -> dict[str, Any]:  # fmt: skip
        settings, clip = self._settings, part.clip
        sides = coded_sides(candidate.size, clip, self._model)
        size = None if sides == (clip.width, clip.height) else "{}x{}".format(*sides)
        given = options or {**encode_options(candidate, crf, settings, [clip], self._model), "coded_size": size}
        uniform = candidate == BASELINE and options is None
        masks = None if uniform else model_id(DEFAULT_MODEL)
        key = digest(
            [_SCHEMA, __version__, encoder_versions(), part.footage.sha256, part.start, clip.num_frames, part.numbers,
             model_id(str(self._model.path)), self._model.classes, uniform, given, masks]
        )  # fmt: skip
        name = f"{part.name}-{candidate.label.replace(', ', '-').replace(' ', '-').replace('/', 'of')}-{crf:g}"
        shown(0.0)
        if found := self._store.load(name, key):
            return found
        path = self._store.path("encodes", name, key, ".mkv")
        started = time.monotonic()
        self._encode(clip, path, given, uniform, lambda done, total: shown(_ENCODING * done / max(total, 1)))
        decoded = open_decoded(path, clip, sequential=True)
        counts = agreement_counts(
            pick(decoded, part.numbers), part.seen, self._model,
            progress=lambda done, total: shown(_ENCODING + (1 - _ENCODING) * done / total),
        )  # fmt: skip
        result: dict[str, Any] = plain(
            {"file": str(path.relative_to(self._store.root)), "file_sha256": file_sha256(path),
             "bytes": path.stat().st_size, "options": given, "uniform": uniform, "clip": part.footage.name,
             "frames": [part.start, part.start + clip.num_frames], "judged": part.numbers,
             "seconds": time.monotonic() - started, "classes": self._model.classes, "counts": _packed(counts)}
        )  # fmt: skip
        self._store.save(name, key, result)
        return result

    @staticmethod
    def _encode(
        clip: vs.VideoNode, path: Path, options: dict[str, Any], uniform: bool, progress: Callable[[int, int], None]
    ) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        if uniform:
            words = {name: given[name] for name in ("codec", "preset", "crf") if name in given}
            pipeline.encode_uniform(clip, path, **words, mode=_PLAIN, force=True, progress=progress)
        else:
            pipeline.encode(clip, path, **given, force=True, progress=progress)


def _judged(parts: Sequence[_Part]) -> int:
    return sum(len(part.numbers) for part in parts)


def _packed(counts: IntArray) -> list[str]:
    """Counts that are not 0, by frame, as ``class:class:pixels``; see `agreement_counts`."""
    return [" ".join(f"{a}:{b}:{frame[a, b]}" for a, b in np.argwhere(frame)) for frame in counts]


def _unpacked(lines: Sequence[str], classes: int) -> IntArray:
    counts = np.zeros((len(lines), classes, classes), np.int64)
    for frame, line in zip(counts, lines, strict=True):
        for entry in line.split():
            a, b, pixels = map(int, entry.split(":"))
            frame[a, b] = pixels
    return counts
