"""What a perception network sees per byte: the measurements of docs/perception.md.

    pip install ai-edge-litert
    python benchmarks/perception.py --data ../shared/data --store runs/perception

Every encode is made and judged once and kept in the store, so the command can be interrupted and started again. The
judge is a network that had no part in making the maps. Only the text between the ``<!-- name -->`` marks of the page is
replaced.
"""

import argparse
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import vapoursynth as vs

sys.path.insert(0, str(Path(__file__).resolve().parent))

import tflite_judge

from vs_sac import encode, encode_uniform
from vs_sac.core.clips import set_cache_limit
from vs_sac.core.errors import SacValueError
from vs_sac.core.labels import LabelSet, fine_table, label_names, label_table
from vs_sac.experiments.agreement import chosen_frames, pick
from vs_sac.experiments.footage import Footage, find_footage
from vs_sac.experiments.judging import agreement_frames, label_frames
from vs_sac.experiments.method_run import open_decoded
from vs_sac.experiments.perception_rate import (
    FrameCounts,
    RateCurve,
    bd_rate_between,
    interval,
    resampled_means,
    rgb_bytes,
)
from vs_sac.experiments.provenance import encoder_versions, file_sha256
from vs_sac.experiments.store import Store, digest
from vs_sac.masks.predictors import predictor_path
from vs_sac.metrics.classes import ClassTable, class_counts
from vs_sac.metrics.rate import Curve, bd_rate
from vs_sac.segmentation.class_probabilities import segment_classes
from vs_sac.segmentation.registry import Model, find_model

DOCS = Path(__file__).resolve().parent.parent / "docs"

#: Version of the results.
SCHEMA = 1

#: Resamples of the frames of each clip, for the intervals.
RESAMPLES = 100

CRFS = {("x264", "native"): (24, 28, 32, 36, 40, 44), ("x264", "1/2"): (20, 24, 28, 32, 36, 40),
        ("x265", "native"): (26, 30, 34, 38, 42, 46), ("x265", "1/2"): (22, 26, 30, 34, 38, 42)}  # fmt: skip
CAMVID_CRFS = (22, 26, 30, 34, 38, 42)


@dataclass(frozen=True)
class Setting:
    """A way to code a clip, without its CRF.

    Attributes:
        name: Name in the tables.
        codec: Encoder.
        size: Coded size.
        options: Options of `encode`; None for `encode_uniform` with the preset's settings.
        gap: CRF of the non-ROI minus CRF of the ROI, for the map ``roi``.
    """

    name: str
    codec: str = "x264"
    size: str = "native"
    options: dict[str, Any] | None = field(default=None, hash=False)
    gap: float | None = None


def settings(codec: str, size: str, predictor: Path | None) -> list[Setting]:
    """All settings of the tables for a coded size; the first is the anchor."""
    found = [Setting("uniform", codec)]
    if size != "native":
        found.append(Setting("uniform", codec, size))
    if codec == "x264":
        found += [
            Setting("ROI, gap 9", codec, options={"map": "roi"}, gap=9.0),
            Setting("ROI, gap 6", codec, options={"map": "roi"}, gap=6.0),
            Setting("task", codec, options={"map": "task"}),
        ]
        found += [Setting("ROI, gap 6", codec, size, {"map": "roi"}, 6.0)] if size != "native" else []
    found += [Setting(name, codec, size, {"map": name}) for name in ("none", "tiers", "task")]
    if predictor:
        found.append(Setting("task, predictor of other data", codec, size, {"map": "task", "importance": predictor}))
    return list(dict.fromkeys(found))


@dataclass
class Case:
    """A clip with its judge: what the judge sees in the source, and the labels of the judged frames."""

    footage: Footage
    clip: vs.VideoNode
    judge: Model
    frames: tuple[int, ...]
    labels: dict[int, npt.NDArray[np.uint8]]
    masks: vs.VideoNode | None

    @classmethod
    def of(cls, footage: Footage, judge: Model, count: int, labelled: bool) -> "Case":
        """Open a clip; `count` frames of it are judged, against their labels too if these are made by people."""
        clip = footage.open()
        numbers = chosen_frames(clip.num_frames, count)
        labels: dict[int, npt.NDArray[np.uint8]] = {}
        masks = None
        if truth := footage.truth():
            masks = footage.labelled_masks() if len(truth.frames) == clip.num_frames else None
            for n in numbers:
                if labelled and n in truth.frames:
                    with truth.values.get_frame(truth.frames.index(n)) as frame:
                        labels[n] = np.asarray(frame[0]).copy()
        return cls(footage, clip, judge, numbers, labels, masks)

    @cached_property
    def reference(self) -> list[npt.NDArray[np.uint8]]:
        """What the judge sees in the source."""
        return _arrays(segment_classes(pick(self.clip, self.frames), model=self.judge, own_size=True))


def measured(case: Case, setting: Setting, crf: float, store: Store) -> dict[str, Any]:
    """One point of a curve: bytes, and counts by frame."""
    options = {k: file_sha256(v) if isinstance(v, Path) else v for k, v in (setting.options or {}).items()}
    if options.get("map") == "task":
        options.setdefault("importance", file_sha256(predictor_path(find_model())))
    key = digest([SCHEMA, encoder_versions(), case.footage.sha256, case.clip.num_frames, case.frames, setting.codec,
                  setting.size, options, setting.options is None, setting.gap, crf,
                  file_sha256(case.judge.path)])  # fmt: skip
    slug = f"{setting.name}-{setting.size}".replace("/", "of").replace(", ", "-").replace(" ", "-")
    name = f"{case.footage.name}-{setting.codec}-{slug}-{crf:g}"
    if found := store.load(name, key):
        return found
    path = store.path("encodes", name, key, ".mkv")
    common = {"codec": setting.codec, "coded_size": None if setting.size == "native" else setting.size, "force": True}
    if setting.options is None:
        encode_uniform(case.clip, path, crf=crf, mode="two-stream", **common)
    else:
        rate = {"crf": crf} if setting.gap is None else {"crf_roi": crf, "crf_gap": setting.gap}
        encode(case.clip, path, mode="single-stream", **common, **rate, **setting.options)
    decoded = open_decoded(path, case.clip)
    picked = pick(decoded, case.frames)
    own = _arrays(segment_classes(picked, model=case.judge, own_size=True))
    classes = len(case.judge.classes)
    counts = [class_counts(a, b, classes)[:classes] for a, b in zip(case.reference, own, strict=True)]
    result: dict[str, Any] = {
        "file": str(path.relative_to(store.root)), "clip": case.footage.name, "setting": setting.name,
        "size": setting.size, "codec": setting.codec, "crf": crf, "bytes": path.stat().st_size,
        "frames": case.clip.num_frames, "agreement": [_packed(frame) for frame in counts],
    }  # fmt: skip
    if case.labels:
        seen = segment_classes(picked, model=case.judge)
        labelled = []
        for place, n in enumerate(case.frames):
            if n in case.labels:
                with seen.get_frame(place) as frame:
                    own = np.ascontiguousarray(np.asarray(frame[0]))
                    labelled.append(_packed(class_counts(case.labels[n], own, len(case.judge.classes))))
        result["labelled"] = labelled
    if case.masks is not None:
        result["roi_psnr"] = _roi_psnr(case, decoded)
    store.save(name, key, result)
    return result


def _arrays(clip: vs.VideoNode) -> list[npt.NDArray[np.uint8]]:
    found = []
    for frame in clip.frames(close=True):
        found.append(np.asarray(frame[0]).copy())
    return found


def _roi_psnr(case: Case, decoded: vs.VideoNode) -> float:
    """PSNR of the luma of the ROI of the labels, pooled over the frames, in dB."""
    error = pixels = 0.0
    for n in case.frames:
        with case.clip.get_frame(n) as a, decoded.get_frame(n) as b, case.masks.get_frame(n) as c:
            roi = np.asarray(c[0]) == 0
            error += float(((np.asarray(a[0]).astype(np.float64) - np.asarray(b[0]))[roi] ** 2).sum())
            pixels += float(roi.sum())
    return float(10 * np.log10(255**2 * pixels / error))


def _packed(counts: npt.NDArray[np.int64]) -> list[list[int]]:
    return [[int(a), int(b), int(counts[a, b])] for a, b in np.argwhere(counts)]


def _counts(points: Sequence[dict[str, Any]], key: str, case: Case) -> list[FrameCounts]:
    """Counts by frame of each point, against the judge's own output (``agreement``) or the labels (``labelled``)."""
    classes = case.judge.classes
    labelled = ClassTable.of(classes, label_names(LabelSet.CAMVID), fine_table(LabelSet.CAMVID),
                             label_table(LabelSet.CAMVID, scoring=True))  # fmt: skip
    rows = len(classes) if key == "agreement" else 256
    found = []
    for point in points:
        frames = np.zeros((len(point[key]), rows, len(classes)), np.int64)
        for frame, entries in zip(frames, point[key], strict=True):
            for a, b, count in entries:
                frame[a, b] = count
        found.append(agreement_frames(frames, classes) if key == "agreement" else label_frames(frames, labelled))
    return found


def compared(
    case: Case, anchors: Sequence[dict[str, Any]], points: Sequence[dict[str, Any]], key: str, group: int,
    ratios: tuple[float, float] | None, weights: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:  # fmt: skip
    """BD-rate of a setting on a clip for each resample of its frames, as a share; NaN where it is undefined."""
    raw = rgb_bytes(case.clip.width, case.clip.height, case.clip.num_frames)
    rates = None if ratios is None else (raw / ratios[1], raw / ratios[0])
    scores = [np.stack([c.scores(weights)[:, group] for c in _counts(held, key, case)]) for held in (anchors, points)]
    sizes = [[point["bytes"] for point in held] for held in (anchors, points)]
    found = []
    for a, b in zip(scores[0].T, scores[1].T, strict=True):
        try:
            found.append(bd_rate_between(RateCurve(sizes[0], a), RateCurve(sizes[1], b), rates))
        except SacValueError:
            found.append(math.nan)
    return np.array(found)


def cell(values: Sequence[npt.NDArray[np.float64]], *, resampled: bool) -> str:
    """The mean over the clips in per cent, its range over the clips, and its 95 % interval over clips and frames."""
    clips = [each[0] for each in values]
    mean = np.nanmean(clips) if np.isfinite(clips).any() else math.nan
    if math.isnan(mean):
        return "–"
    text = _signed(mean)
    if len(clips) > 1:
        text += f" ({_signed(np.nanmin(clips))} to {_signed(np.nanmax(clips))})"
    if resampled and (found := interval(resampled_means(np.stack([each[1:] for each in values]), 400))):
        text += f", {_signed(found[0])} to {_signed(found[1])}"
    return text


def _signed(value: float) -> str:
    return f"{100 * value:+.0f}".replace("-", "−")


#: Columns of the tables: heading, kind of counts, group of classes, range of the ratio, and whether resampled.
COLUMNS = {
    "cityscapes": (
        ("all", "agreement", 0, None), ("ROI classes", "agreement", 1, None), ("critical", "agreement", 2, None),
        ("all, 1:300–800", "agreement", 0, (300.0, 800.0)), ("all, 1:800–2000", "agreement", 0, (800.0, 2000.0)),
    ),
    "camvid": (
        ("labels, all", "labelled", 0, None), ("labels, ROI classes", "labelled", 1, None),
        ("labels, critical", "labelled", 2, None), ("agreement, all", "agreement", 0, None),
    ),
}  # fmt: skip


def table(part: str, codec: str, held: Sequence[tuple[Case, dict[Setting, list[dict[str, Any]]]]],
          against: Setting) -> str:  # fmt: skip
    """A table of BD-rates of all settings against one of them."""
    columns = COLUMNS[part]
    psnr = part == "camvid"
    heads = ["map", "size", *(name for name, *_ in columns), *(["ROI-PSNR"] if psnr else [])]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    random = np.random.default_rng(0)
    weights = {}
    for case, _ in held:
        drawn = random.integers(0, len(case.frames), (RESAMPLES, len(case.frames)))
        drawn = np.stack([np.bincount(row, minlength=len(case.frames)) for row in drawn])
        weights[case.footage.name] = np.concatenate([np.ones((1, len(case.frames)), np.int64), drawn])
    for setting in held[0][1]:
        if setting == against:
            continue
        cells = []
        for n, (_, key, group, ratios) in enumerate(columns):
            values = [compared(case, points[against], points[setting], key, group, ratios, weights[case.footage.name])
                      for case, points in held]  # fmt: skip
            cells.append(cell(values, resampled=n == 0))
        if psnr:
            gained = [bd_rate(*(Curve(*zip(*sorted((p["bytes"], p["roi_psnr"]) for p in points[s]), strict=True))
                                for s in (against, setting))) / 100 for _, points in held]  # fmt: skip
            cells.append(_signed(float(np.mean(gained))))
        lines.append(f"| {setting.name} | {setting.size} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write(page: Path, tables: dict[str, str]) -> None:
    """Replace the text between the marks of the page."""
    text = page.read_text()
    for name, content in tables.items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{page} has no mark {name}")
        text = pattern.sub(lambda match, content=content: f"{match[1]}{content}\n{match[2]}", text)
    page.write_text(text)


def cases(data: Path, store: Path) -> Iterator[tuple[str, Case]]:
    """The clips of the tables, with the name of their part."""
    judge = find_model(tflite_judge.judge(data, store))
    for item in find_footage(f"cityscapes-sequence:{data}/cityscapes_mini:train"):
        yield "cityscapes", Case.of(item, judge, 15, labelled=False)
    for item in find_footage(f"camvid:{data}/camvid:val"):
        yield "camvid", Case.of(item, judge, 34, labelled=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--store", type=Path, default=Path("runs/perception"))
    parser.add_argument("--predictor", type=Path, help="predictor of importance that was not fitted on Cityscapes")
    parser.add_argument("--codec", action="append", choices=["x264", "x265"])
    parser.add_argument("--no-page", action="store_true", help="print the tables only")
    parser.add_argument("--only", choices=["cityscapes", "camvid"])
    given = parser.parse_args(words)
    set_cache_limit(512, give_back=False)
    store = Store(given.store)
    parts: dict[tuple[str, str], list[tuple[Case, dict[Setting, list[dict[str, Any]]]]]] = {}
    for part, case in cases(given.data, given.store):
        if given.only not in (None, part):
            continue
        size = "1/2" if part == "cityscapes" else "native"
        for codec in given.codec or ["x264", "x265"]:
            points: dict[Setting, list[dict[str, Any]]] = {}
            for setting in settings(codec, size, given.predictor if part == "cityscapes" else None):
                crfs = CRFS[codec, setting.size] if part == "cityscapes" else CAMVID_CRFS
                points[setting] = [measured(case, setting, crf, store) for crf in crfs]
                print(f"{case.footage.name} {codec} {setting.size} {setting.name}", file=sys.stderr)
            parts.setdefault((part, codec), []).append((case, points))
    tables = {f"{part}-{codec}": table(part, codec, held, Setting("uniform", codec))
              for (part, codec), held in parts.items()}  # fmt: skip
    for (part, codec), held in parts.items():
        if part == "cityscapes":
            half = Setting("uniform", codec, "1/2")
            kept = [(case, {s: p for s, p in points.items() if s.size == "1/2"}) for case, points in held]
            tables[f"{part}-{codec}-half"] = table(part, codec, kept, half)
    for name, text in tables.items():
        print(f"{name}\n\n{text}\n")
    if not given.no_page:
        write(DOCS / "perception.md", tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
