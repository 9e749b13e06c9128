"""Tables of what judges see, from made-up results."""

from itertools import pairwise

import numpy as np
import pytest

from vs_sac.core.choices import BlockMap, Codec, Mode
from vs_sac.experiments.methods import GAP, Method, uniform
from vs_sac.experiments.perception_rate import FrameCounts, rgb_bytes
from vs_sac.experiments.perception_tables import perception_tables

SIDES, FRAMES = (1000, 1000), 10
RATIOS = np.geomspace(250, 2500, 8)
SCORES = np.linspace(0.8, 0.3, 8)


def counts(score: float) -> dict:
    """Counts of frames that all have one score in every class, so that no resample has another."""
    hits = np.full((4, 3), round(1e6 * score))
    whole = np.full((4, 3), 1_000_000)
    return FrameCounts(("road", "building", "car"), (True, False, True), hits, whole, whole).to_dict()


def result(clip: str, method: Method, ratio: float, score: float, *, labels: bool = True, own: bool = False) -> dict:
    return {
        "clip": {"name": clip}, "width": SIDES[0], "height": SIDES[1], "frames": FRAMES,
        "bytes": {"total": round(rgb_bytes(*SIDES, FRAMES) / ratio)},
        "method": {"family": method.family, "crfs": method.crfs, "codec": method.codec, "uniform": method.uniform,
                   "encoder_of": method.mode, "crf_roi": method.crf_roi, "crf_non_roi": method.crf_non_roi,
                   "map": method.map, "coded_size": method.coded_size, "matched": None},
        "judges": {"net": {
            "agreement": {**dict.fromkeys(("all", "roi", "critical", "lowest"), score), "frames": 4},
            "agreement_counts": counts(score), "label_counts": counts(score) if labels else None,
            "labels": dict.fromkeys(("all", "roi", "critical"), score) if labels else None, "made_map": own,
        }},
    }  # fmt: skip


def study(gains: dict[str, float], **rest) -> list[dict]:
    """Uniform, half size and a map on clips; the methods need a share of the bytes of uniform at equal score."""
    made = []
    for clip, gain in gains.items():
        for crf, (ratio, score) in enumerate(zip(RATIOS, SCORES, strict=True), 25):
            task = Method(codec=Codec.X264, mode=Mode.SINGLE_STREAM, crf_roi=crf, crf_non_roi=crf, map=BlockMap.TASK)
            half = uniform(Codec.X264, crf, coded_size="1/2")
            made += [
                result(clip, uniform(Codec.X264, crf), ratio, score, **rest),
                result(clip, half, ratio / 0.9, score, **rest),
                result(clip, task, ratio / gain, score, **rest),
            ]
    return made


def test_bd_rates_are_means_over_clips_with_their_range_and_interval():
    tables = perception_tables(study({"a": 0.8, "b": 0.6}), samples=20)
    rows = {(row["method"], row["score"]): row for row in tables["perception-bd"].rows}
    names = [f"{kind}, {group}" for kind in ("agreement", "label mIoU") for group in ("all", "ROI classes", "critical")]
    task = "SA-X264 single-stream, task map"
    assert list(rows) == [(method, name) for method in ("H.264 at 1/2", task) for name in names]
    for name in names:
        row = rows[task, name]
        for key in ("bd", "bd_300_800", "bd_800_2000"):
            assert row[key] == pytest.approx(-0.3, abs=1e-4)
            assert row[f"{key}_clips"] == {"a": pytest.approx(-0.2, abs=1e-4), "b": pytest.approx(-0.4, abs=1e-4)}
            assert (row[f"{key}_low"], row[f"{key}_high"]) == pytest.approx((-0.4, -0.2), abs=1e-4)
        half = rows["H.264 at 1/2", name]
        assert (half["bd_low"], half["bd"], half["bd_high"]) == pytest.approx((-0.1, -0.1, -0.1), abs=1e-4)
    text = tables["perception-bd"].to_markdown()
    assert "−40.0 to −20.0" in text
    assert "Warning" not in text


def test_rows_at_equal_bytes_are_interpolated():
    tables = perception_tables(study({"a": 0.8}, labels=False), samples=5)
    rows = tables["perception-matched"].rows
    assert [(row["method"], row["ratio"]) for row in rows[:3]] == [("H.264", r) for r in (400, 800, 1500)]
    plain, task = rows[:3], rows[6:]
    assert all(low["agree_all"] > high["agree_all"] for low, high in pairwise(plain))
    assert all(t["agree_all"] > p["agree_all"] and t["label_all"] is None for t, p in zip(task, plain, strict=True))
    # Evenly spaced points on a line: interpolation gives the line.
    expected = np.interp(np.log(800), np.log(RATIOS), SCORES)
    assert plain[1]["agree_all"] == pytest.approx(expected, abs=1e-4)
    assert plain[1]["agree_lowest"] == pytest.approx(expected, abs=1e-4)
    heads = [column.head for column in tables["perception-matched"].columns]
    assert "label mIoU, all" not in heads
    assert "interpolated" in tables["perception-matched"].notes[0]


def test_a_missing_figure_has_a_reason_and_a_judge_of_its_own_map_a_warning():
    made = [r for r in study({"a": 0.8}, own=True) if r["bytes"]["total"] >= rgb_bytes(*SIDES, FRAMES) / 1000]
    tables = perception_tables(made, samples=5)
    notes = tables["perception-bd"].notes
    assert any("Warning: net made the masks or maps" in note for note in notes)
    # A ratio that no curve reaches has no row.
    assert {row["ratio"] for row in tables["perception-matched"].rows} == {400, 800}
    low = [r for r in made if r["bytes"]["total"] >= rgb_bytes(*SIDES, FRAMES) / 790]
    table = perception_tables(low, samples=5).get("perception-bd")
    assert table is not None
    (note,) = [note for note in table.notes if "a, H.264 at 1/2, over 1:800–2000" in note]
    assert note.startswith("No BD-rate for net, a, ")
    assert "the uniform curve has no points there (agreement, all; agreement, ROI classes; " in note


def test_points_off_the_curve_and_studies_without_judges_are_left_out():
    made = study({"a": 0.8})
    matched = {**made[0], "method": {**made[0]["method"], "matched": 23}}
    other = Method(codec=Codec.X264, crf_roi=20, crf_non_roi=20 + GAP - 4)
    more = [*made, matched, result("a", other, 400, 0.99)]
    assert perception_tables(more, samples=5)["perception-bd"] == perception_tables(made, samples=5)["perception-bd"]
    assert len(perception_tables(more, samples=5)["perception-scores"].rows) == len(more)
    assert perception_tables([{k: v for k, v in r.items() if k != "judges"} for r in made]) == {}
