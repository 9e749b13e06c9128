import csv
import io
import json

import pytest

from vs_sac.core.choices import BlockMap, Codec, Mode
from vs_sac.experiments.rows import COMPARED, bd_table, columns_of, comparison, gains, pooled, summary
from vs_sac.experiments.table import Column, Table
from vs_sac.metrics import Curve, bd_rate

KEYS = ("psnr", "psnr_non_roi", "psnr_ring", "ssim", "sa_psnr", "sa_ssim", "paper_sa_psnr", "paper_sa_ssim",
        "paper_masked_sa_psnr", "miou", "roi_iou", "roi_share")  # fmt: skip


def row(clip: str, slug: str, size: int, roi: float, crfs: tuple[float, float], error: float | None = None) -> dict:
    uniform = crfs[0] == crfs[1]
    return {
        **dict.fromkeys(KEYS, roi - 1), "clip": clip, "method": "H.264" if uniform else "SA", "name": "SA", "mode": "",
        "slug": slug, "setting": "s", "crf": "c", "crf_roi": crfs[0], "crf_non_roi": crfs[1], "uniform": uniform,
        "encoder_of": Mode.TWO_STREAM, "baseline": "base", "codec": Codec.X264, "fill": None,
        "map": BlockMap.ROI, "coded_size": None, "match_error": error,
        "matched": None if error is None else abs(error) <= 0.01, "bytes": size, "ratio": size / 100, "kbps": size,
        "compression": 1000 / size, "psnr_roi": roi,
    }  # fmt: skip


ROWS = [
    row("a", "base", 100, 40.0, (23, 23)), row("a", "match", 101, 41.5, (20, 29), 0.01),
    row("b", "base", 400, 30.0, (23, 23)), row("b", "match", 390, 30.5, (20, 29), -0.025),
]  # fmt: skip


def test_pooling_adds_bytes_and_averages_the_rest():
    base, match = pooled(ROWS)
    assert (base["bytes"], base["psnr_roi"], base["ratio"]) == (500, 35, pytest.approx(2))
    assert (match["match_error"], match["matched"]) == (-0.025, False)
    # A method that one clip lacks would be about other footage than the rest.
    assert [r["slug"] for r in pooled(ROWS[:3])] == ["base"]


def test_gains_are_against_the_clips_own_uniform_encode():
    (gain,) = gains(ROWS)
    assert (gain["psnr_roi"], gain["clips"], gain["match_error"], gain["matched"]) == (1.0, 2, -0.025, False)
    assert gain["psnr_roi_low"] == 0.5
    assert gain["psnr_roi_high"] == 1.5
    assert "+1.00 dB" in summary(ROWS)
    assert "not within ±1 %" in summary(ROWS)
    assert "No byte-matched" in summary(ROWS[:1])


def test_tables_say_whether_bytes_are_matched():
    assert "NOT all are within ±1 %; the furthest is -2.50% off" in comparison(ROWS, "t").notes[0]
    assert "All are within ±1 %; the furthest is +1.00% off" in comparison(ROWS[:2], "t").notes[0]


def test_bd_rate_is_over_points_of_one_distance():
    sizes, uniform, aware = (100, 200, 400, 800), (30.0, 33.0, 36.0, 39.0), (31.0, 34.0, 37.0, 40.0)
    rows = [row("a", f"u{n}", n, q, (c, c)) for n, q, c in zip(sizes, uniform, (40, 35, 30, 25), strict=True)]
    rows += [row("a", f"s{n}", n, q, (c, c + 9)) for n, q, c in zip(sizes, aware, (37, 32, 27, 22), strict=True)]
    other = row("a", "gap 4", 300, 99.0, (30, 34))
    (found,) = bd_table([*rows, other]).rows
    expected = bd_rate(Curve(sizes, uniform), Curve(sizes, aware)) / 100
    assert found["psnr_roi"] == pytest.approx(expected)
    assert bd_table(rows[:7]) is None
    rows[4]["psnr"] = 99.0
    table = bd_table(rows)
    assert table.rows[0]["psnr"] is None
    assert table.notes == ("No BD-rate on PSNR for a, SA: qualities must rise from point to point.",)


def test_curves_of_a_map_have_one_crf_and_the_anchor_has_the_size_of_the_source():
    sizes, crfs = (100, 200, 400, 800), (40, 35, 30, 25)
    rows = [row("a", f"u{n}", n, 30 + n / 100, (c, c)) for n, c in zip(sizes, crfs, strict=True)]
    half = [{**r, "bytes": 10 * r["bytes"] + 1, "coded_size": "1/2", "method": "H.264 at 1/2"} for r in rows]
    task = [{**r, "bytes": 0.8 * r["bytes"], "uniform": False, "map": BlockMap.TASK, "method": "task"} for r in rows]
    (found,) = bd_table([*rows, *half, *task]).rows
    assert (found["method"], found["psnr_roi"]) == ("task", pytest.approx(-0.2))


def test_gains_tell_the_methods_of_one_mode_apart():
    other = [{**r, "method": "SA, task map", "psnr_roi": r["psnr_roi"] + 1} for r in ROWS if r["slug"] == "match"]
    assert [(gain["method"], gain["psnr_roi"]) for gain in gains([*ROWS, *other])] == [("SA", 1), ("SA, task map", 2)]


def test_an_accuracy_that_has_come_to_its_end_is_not_a_point_of_the_curve():
    sizes, uniform, aware = (100, 200, 400, 800), (0.5, 0.7, 0.8, 0.85), (0.6, 0.75, 0.82, 0.86)
    points = [*((f"u{n}", n, q, 40 - n / 100, 0) for n, q in zip(sizes, uniform, strict=True)),
              *((f"s{n}", n, q, 37 - n / 100, 9) for n, q in zip(sizes, aware, strict=True))]  # fmt: skip
    rows = [{**row("a", name, n, 30.0 + n / 100, (c, c + gap)), "miou": q} for name, n, q, c, gap in points]
    expected = bd_rate(Curve(sizes, uniform), Curve(sizes, aware)) / 100
    assert bd_table(rows).rows[0]["miou"] == pytest.approx(expected)
    # Heavier and no better, by noise: who would take it?
    late = [
        {**row("a", "u", 1000, 41.0, (29, 29)), "miou": 0.849},
        {**row("a", "s", 900, 40.0, (27, 36)), "miou": 0.86},
    ]
    assert bd_table([*rows, *late]).rows[0]["miou"] == pytest.approx(expected)


def test_the_three_forms_of_a_table():
    columns = (Column("a", "A", 2), Column("b", "B"), Column("c", "C", 1, sign=True, percent=True))
    rows = ({"a": 1.005, "b": "x|y", "c": -0.5, "more": 1}, {"a": None, "b": 1234, "c": float("nan")})
    table = Table("T", columns, rows, ("note",))
    assert table.cells() == [["1.00", "x|y", "−50.0 %"], ["–", "1,234", "–"]]
    assert "| 1.00 | x/y | −50.0 % |" in table.to_markdown()
    assert list(csv.reader(io.StringIO(table.to_csv())))[1] == ["1.005", "x|y", "-0.5"]
    assert json.loads(table.to_json())["rows"] == [rows[0], {"a": None, "b": 1234, "c": None}]


def test_columns_of_own_classes_are_shown_if_a_network_has_them():
    assert [c.key for c in columns_of(ROWS)] == [c.key for c in COMPARED]
    rows = [{**r, "classes_miou": 0.5, "classes_roi": 0.6, "classes_things": None} for r in ROWS]
    shown = comparison(rows, "t")
    assert [c.key for c in shown.columns[len(COMPARED) :]] == ["classes_miou", "classes_roi"]
    assert pooled(rows)[0]["classes_roi"] == pytest.approx(0.6)
    assert pooled(ROWS)[0]["classes_roi"] is None
