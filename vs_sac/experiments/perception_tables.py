"""Tables of what judges see: BD-rates on agreement and label mIoU, and scores at equal bytes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..core.errors import SacValueError
from .perception_rate import (
    GROUPS,
    RANGES,
    RATIOS,
    FrameCounts,
    RateCurve,
    bd_rate_between,
    interval,
    resampled_means,
    rgb_bytes,
)
from .rows import is_anchor, on_curve
from .table import Column, Table

__all__ = ["perception_tables"]

type FloatArray = npt.NDArray[np.float64]

#: Number of resamples of an interval.
_SAMPLES = 200

#: Scores: (kind of counts, group), key and name.
_SCORES: Final = (
    ("agreement", 0, "agree_all", "agreement, all"), ("agreement", 1, "agree_roi", "agreement, ROI classes"),
    ("agreement", 2, "agree_critical", "agreement, critical"), ("label", 0, "label_all", "label mIoU, all"),
    ("label", 1, "label_roi", "label mIoU, ROI classes"), ("label", 2, "label_critical", "label mIoU, critical"),
)  # fmt: skip
_LOWEST = ("agree_lowest", "agreement, lowest frames")

_BYTES = "Bytes of everything; a ratio is width × height × 3 bytes × frames (RGB24) over them."


@dataclass(frozen=True)
class _Point:
    """One encode of a curve, judged: bytes, counts by kind, and the agreement of the lowest frames."""

    bytes: int
    counts: dict[str, FrameCounts]
    lowest: float | None


@dataclass
class _Curves:
    """The points of one method on one clip for one judge, and their scores in resamples of the frames.

    `scores` has the shape (R + 1, points, 3) for each kind of counts; sample 0 is all frames.
    """

    raw: float
    points: list[_Point]
    scores: dict[str, FloatArray]
    _held: dict[tuple[str, int, int], RateCurve] = field(default_factory=dict)

    @classmethod
    def of(cls, raw: float, points: list[_Point], weights: dict[str, npt.NDArray[np.int64]]) -> "_Curves":
        kinds = {kind for point in points for kind in point.counts}
        scores = {
            kind: np.stack([point.counts[kind].scores(weights[kind]) for point in points], 1)
            for kind in kinds if all(kind in point.counts for point in points)
        }  # fmt: skip
        return cls(raw, points, scores)

    def curve(self, kind: str, group: int, sample: int = 0) -> RateCurve:
        if kind not in self.scores:
            raise SacValueError("there are no labels", "perception_tables")
        place = (kind, group, sample)
        if place not in self._held:
            sizes = [point.bytes for point in self.points]
            self._held[place] = RateCurve(sizes, self.scores[kind][sample, :, group])
        return self._held[place]

    def span(self, ratios: tuple[float, float] | None) -> tuple[float, float] | None:
        return None if ratios is None else (self.raw / ratios[1], self.raw / ratios[0])


def perception_tables(results: Sequence[dict[str, Any]], samples: int = _SAMPLES) -> dict[str, Table]:
    """Build the tables of what judges see.

    Args:
        results: Results of a study, see `Study.results`.
        samples: Number of resamples of the intervals.

    Returns:
        ``perception-scores`` with all encodes, and where there are enough points for curves ``perception-bd`` and
        ``perception-matched``; nothing without judges.
    """
    judges = list(dict.fromkeys(name for result in results for name in result.get("judges", {})))
    if not judges:
        return {}
    scored = [row for result in results for row in _score_rows(result)]
    tables = {"perception-scores": Table("What judges see, by clip and encode", _score_columns(scored), tuple(scored),
                                         _notes(results))}  # fmt: skip
    deltas: list[dict[str, Any]] = []
    equal: list[dict[str, Any]] = []
    why: dict[str, list[str]] = {}
    for judge in judges:
        curves = _curves(results, judge, samples)
        codecs = {result["method"]["family"]: result["method"]["codec"] for result in results}
        anchors = {r["method"]["codec"]: r["method"]["family"] for r in results if is_anchor(r["method"], _codec(r))}
        for family in dict.fromkeys(family for family, _ in curves):
            held = {clip: curve for (name, clip), curve in curves.items() if name == family}
            equal += _equal_rows(judge, family, held)
            anchor = anchors.get(codecs[family])
            if anchor and anchor != family:
                pairs = {clip: (curves[anchor, clip], curve) for clip, curve in held.items()
                         if (anchor, clip) in curves}  # fmt: skip
                deltas += _bd_rows(judge, f"{family}", pairs, samples, why)
    if deltas:
        tables["perception-bd"] = Table(
            "BD-rate on what judges see, against uniform of the source's size", _bd_columns(), tuple(deltas),
            (f"Change of the bytes at equal score: mean over the clips, smallest and largest clip, and 95 % interval"
             f" ({samples} resamples of clips and frames; with one clip, of its frames). A range takes the scores that"
             f" the uniform curve has at these ratios. {_BYTES}", *_notes(results),
             *(f"No BD-rate for {text} ({'; '.join(names)})." for text, names in why.items())),
        )  # fmt: skip
    if equal:
        tables["perception-matched"] = Table(
            "What judges see at equal bytes", _equal_columns(equal), tuple(equal),
            (f"Scores at these ratios are interpolated on the curve of each method (PCHIP over the logarithm of the"
             f" bytes), not encoded; means over the clips, missing where a curve does not reach the ratio. {_BYTES}",
             *_notes(results)),
        )  # fmt: skip
    return tables


def _codec(result: dict[str, Any]) -> str:
    return str(result["method"]["codec"])


def _score_rows(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    raw, total = rgb_bytes(result["width"], result["height"], result["frames"]), result["bytes"]["total"]
    for name, judged in result.get("judges", {}).items():
        values = {f"agree_{key}": judged["agreement"][key] for key in (*GROUPS, "lowest")}
        labels = judged["labels"] or {}
        yield {
            "judge": name, "clip": result["clip"]["name"], "method": result["method"]["family"],
            "setting": result["method"]["crfs"], "bytes": total, "ratio": raw / total, **values,
            **{f"label_{key}": labels.get(key) for key in GROUPS}, "made_map": judged["made_map"],
            "frames": judged["agreement"]["frames"], "uniform": result["method"]["uniform"],
        }  # fmt: skip


def _notes(results: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """A warning for every judge that judges its own map or masks."""
    own = dict.fromkeys(
        name for result in results for name, judged in result.get("judges", {}).items() if judged["made_map"]
    )
    return tuple(f"Warning: {name} made the masks or maps that it judges; its scores favour them." for name in own)


def _curves(results: Sequence[dict[str, Any]], judge: str, samples: int) -> dict[tuple[str, str], _Curves]:
    """The curves by method and clip, of at least as many points as a `RateCurve` has."""
    found: dict[tuple[str, str], _Curves] = {}
    for clip in dict.fromkeys(result["clip"]["name"] for result in results):
        # A byte-matched encode lies close to a point of the ladder, so noise would decide which of the two is better.
        own = [r for r in results if r["clip"]["name"] == clip and judge in r.get("judges", {})
               and on_curve(r["method"]) and r["method"]["matched"] is None]  # fmt: skip
        points = [(result["method"]["family"], _point(result, judge)) for result in own]
        frames = {kind: counts.frames for _, point in points for kind, counts in point.counts.items()}
        # One draw for all methods, which then differ by the methods only.
        random = np.random.default_rng(0)
        weights = {
            kind: np.concatenate([np.ones((1, n), np.int64), random.multinomial(n, [1 / n] * n, samples)])
            for kind, n in sorted(frames.items())
        }
        for family in dict.fromkeys(family for family, _ in points):
            chosen = [point for name, point in points if name == family]
            raw = rgb_bytes(own[0]["width"], own[0]["height"], own[0]["frames"])
            curves = _Curves.of(raw, chosen, weights)
            try:
                curves.curve("agreement", 0)
            except SacValueError:
                continue
            found[family, clip] = curves
    return found


def _point(result: dict[str, Any], judge: str) -> _Point:
    judged = result["judges"][judge]
    counts = {kind: FrameCounts.from_dict(judged[f"{kind}_counts"]) for kind in ("agreement", "label")
              if judged[f"{kind}_counts"]}  # fmt: skip
    return _Point(result["bytes"]["total"], counts, judged["agreement"]["lowest"])


def _bd_rows(
    judge: str, family: str, pairs: dict[str, tuple[_Curves, _Curves]], samples: int, why: dict[str, list[str]]
) -> Iterator[dict[str, Any]]:
    """One row per score: BD-rate over every range."""
    for kind, group, _, name in _SCORES:
        if not all(kind in curves.scores for pair in pairs.values() for curves in pair) or not pairs:
            continue
        row: dict[str, Any] = {"judge": judge, "method": family, "score": name}
        for ratios in RANGES:
            key = _range_key(ratios)
            values: dict[str, float] = {}
            for clip, (anchor, test) in pairs.items():
                try:
                    values[clip] = _delta(anchor, test, kind, group, ratios)
                except SacValueError as error:
                    reason = str(error).partition(") ")[2]
                    text = f"{judge}, {clip}, {family}, over {_range_name(ratios)}: {reason}"
                    why.setdefault(text, []).append(name)
            row |= _summed(key, values)
            if values:
                drawn = np.array([[_delta_or_nan(*pairs[clip], kind, group, ratios, sample)
                                   for sample in range(1, samples + 1)] for clip in values])  # fmt: skip
                # With one clip, its resamples are the sample.
                ends = interval(drawn[0] if len(values) == 1 else resampled_means(drawn, 10 * samples))
                row |= {f"{key}_low": ends and ends[0], f"{key}_high": ends and ends[1], f"{key}_interval": _text(ends)}
        yield row


def _summed(key: str, values: dict[str, float]) -> dict[str, Any]:
    if not values:
        return {key: None}
    least, most = min(values.values()), max(values.values())
    shown = _text((least, most)) if len(values) > 1 else None
    return {key: fmean(values.values()), f"{key}_clips": values, f"{key}_range": shown}


def _delta(
    anchor: _Curves, test: _Curves, kind: str, group: int, ratios: tuple[float, float] | None, sample: int = 0
) -> float:
    return bd_rate_between(
        anchor.curve(kind, group, sample), test.curve(kind, group, sample), anchor.span(ratios)
    )  # fmt: skip


def _delta_or_nan(
    anchor: _Curves, test: _Curves, kind: str, group: int, ratios: tuple[float, float] | None, sample: int
) -> float:
    try:
        return _delta(anchor, test, kind, group, ratios, sample)
    except SacValueError:
        return math.nan


def _equal_rows(judge: str, family: str, held: dict[str, _Curves]) -> Iterator[dict[str, Any]]:
    """One row per ratio that some clip reaches: means over the clips of the interpolated scores."""
    for ratio in RATIOS:
        row: dict[str, Any] = {"judge": judge, "method": family, "ratio": ratio}
        clips: dict[str, dict[str, float | None]] = {clip: {} for clip in held}
        for clip, curves in held.items():
            rate = [curves.raw / ratio]
            for kind, group, key, _ in _SCORES:
                clips[clip][key] = _known(curves, kind, group, rate)
            lowest = [math.nan if point.lowest is None else point.lowest for point in curves.points]
            clips[clip][_LOWEST[0]] = _at([point.bytes for point in curves.points], lowest, rate)
        for key in (*(key for _, _, key, _ in _SCORES), _LOWEST[0]):
            values = [scores[key] for scores in clips.values()]
            known = [value for value in values if value is not None]
            row[key] = fmean(known) if known and len(known) == len(values) else None
        if any(value is not None for scores in clips.values() for value in scores.values()):
            yield {**row, "clips": clips}


def _known(curves: _Curves, kind: str, group: int, rate: list[float]) -> float | None:
    if kind not in curves.scores:
        return None
    return _at([point.bytes for point in curves.points], curves.scores[kind][0, :, group], rate)


def _at(sizes: Sequence[float], scores: Sequence[float] | FloatArray, rate: list[float]) -> float | None:
    try:
        value = float(RateCurve(sizes, scores).quality_at(rate)[0])
    except SacValueError:
        return None
    return None if math.isnan(value) else value


def _score_columns(rows: Sequence[dict[str, Any]]) -> tuple[Column, ...]:
    return (
        Column("judge", "judge"), Column("clip", "clip"), Column("method", "method"), Column("setting", "CRF"),
        Column("bytes", "bytes"), Column("ratio", "1 :", 0, note=_BYTES), *_named(rows),
    )  # fmt: skip


def _equal_columns(rows: Sequence[dict[str, Any]]) -> tuple[Column, ...]:
    note = "Interpolated on the curve of the method by PCHIP over the logarithm of the bytes"
    return (
        Column("judge", "judge"), Column("method", "method"), Column("ratio", "1 :", note=note), *_named(rows)
    )  # fmt: skip


def _named(rows: Sequence[dict[str, Any]]) -> Iterator[Column]:
    """Columns of the scores that some row has."""
    for key, name in (*((key, name) for _, _, key, name in _SCORES[:3]), _LOWEST,
                      *((key, name) for _, _, key, name in _SCORES[3:])):  # fmt: skip
        if any(row[key] is not None for row in rows):
            yield Column(key, name, 4)


def _bd_columns() -> tuple[Column, ...]:
    columns = [Column("judge", "judge"), Column("method", "method"), Column("score", "score")]
    for ratios in RANGES:
        key, name = _range_key(ratios), _range_name(ratios)
        columns += [Column(key, name, 1, sign=True, percent=True), Column(f"{key}_range", "clips"),
                    Column(f"{key}_interval", "95 %")]  # fmt: skip
    return tuple(columns)


def _range_key(ratios: tuple[float, float] | None) -> str:
    return "bd" if ratios is None else f"bd_{ratios[0]:g}_{ratios[1]:g}"


def _range_name(ratios: tuple[float, float] | None) -> str:
    return "the common range" if ratios is None else f"1:{ratios[0]:g}–{ratios[1]:g}"


def _text(ends: tuple[float, float] | None) -> str | None:
    """Two shares in per cent, as text."""
    return None if ends is None else f"{ends[0] * 100:+.1f} to {ends[1] * 100:+.1f}".replace("-", "−")
