"""What a perception network sees per byte: the measurements of docs/perception.md.

    pip install ai-edge-litert
    python benchmarks/perception.py --data ../shared/data --store runs/perception

Every encode is made and judged once and kept in the store, so the command can be interrupted and started again. The
judge is a network that had no part in making the maps. Only the text between the ``<!-- name -->`` marks of the page is
replaced.
"""

import argparse
import os
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
from vs_sac.experiments.agreement import chosen_frames, pick
from vs_sac.experiments.footage import Footage, find_footage
from vs_sac.experiments.method_run import open_decoded
from vs_sac.experiments.provenance import encoder_versions, file_sha256
from vs_sac.experiments.store import Store, digest
from vs_sac.metrics.classes import class_counts
from vs_sac.segmentation.class_probabilities import segment_classes
from vs_sac.segmentation.registry import Model, find_model

#: Version of the results.
SCHEMA = 1

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


def measured(case: Case, setting: Setting, crf: float, store: Store, threads: int | None) -> dict[str, Any]:
    """One point of a curve: bytes, and counts by frame."""
    options = {k: file_sha256(v) if isinstance(v, Path) else v for k, v in (setting.options or {}).items()}
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
        encode(case.clip, path, mode="single-stream", threads=threads, **common, **rate, **setting.options)
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
    parser.add_argument("--only", choices=["cityscapes", "camvid"])
    given = parser.parse_args(words)
    set_cache_limit(512, give_back=False)
    store = Store(given.store)
    for part, case in cases(given.data, given.store):
        if given.only not in (None, part):
            continue
        size = "1/2" if part == "cityscapes" else "native"
        for codec in given.codec or ["x264", "x265"]:
            for setting in settings(codec, size, given.predictor if part == "cityscapes" else None):
                for crf in CRFS[codec, setting.size] if part == "cityscapes" else CAMVID_CRFS:
                    point = measured(case, setting, crf, store, os.cpu_count())
                    print(f"{case.footage.name} {codec} {setting.size} {setting.name} {crf}: {point['bytes']:,}",
                          file=sys.stderr)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
