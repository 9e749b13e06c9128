import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import rate_report
from vs_sac import pipeline
from vs_sac.pipeline.decoding import write_y4m
from vs_sac.source.synthetic import street_scene

from ..helpers import mask_clip

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_report_says_what_the_points_say():
    """Every mode gives the ROI the uniform quality for 20 % less, and the rest 3 dB less."""

    def point(mode, roi, non_roi, share, loss=0.0):
        quality = 60 - 0.5 * roi
        psnr = {"all": quality - loss / 2, "roi": quality, "non_roi": quality - loss, "ring": quality - loss / 2}
        return rate_report.Point(
            clip="a", codec="x264", mode=mode, crf_roi=roi, crf_non_roi=non_roi, bytes=round(share * 1e7 * 0.87**roi),
            psnr=psnr, sa_psnr=quality - 0.4 * loss, encoder="e", seconds=1.0,
        )  # fmt: skip

    points = [point("uniform", crf, crf, 1) for crf in (20, 23, 26, 29)]
    # In a single stream's settings a uniform encode takes a tenth less.
    points += [point(rate_report.anchor("x264", "single-stream"), crf, crf, 0.9) for crf in (20, 23, 26, 29)]
    for mode in rate_report.MODES:
        share = 0.8 if mode == "two-stream" else 0.72
        points += [point(mode, crf, crf + 9, share, 3) for crf in (20, 23, 26, 29)]
    matched = 23 + math.log(0.8) / -math.log(0.87)
    points += [point("two-stream", matched, matched + 9, 0.8, 3), point("two-stream", 23, 23, 1.1)]
    report = rate_report.Report(points)
    for mode in rate_report.MODES:
        deltas = report.deltas("a", "x264", mode, 9)
        assert deltas["rate_roi"] == pytest.approx(-20, abs=0.01)
        assert deltas["psnr_non_roi"] == pytest.approx(deltas["psnr_roi"] - 3, abs=0.05)
        assert deltas["rate_all"] > 0
        assert report.deltas("a", "x264", mode, 5) is None
    preset = report.deltas("a", "x264", "single-stream", 9, preset=True)
    assert preset["rate_roi"] == pytest.approx(-28, abs=0.01)
    assert report.deltas("a", "x265", "two-stream", 9) is None
    found = report.matched("a", "x264", "two-stream")
    assert found["crf_roi"] == matched
    assert abs(found["bytes"]) < 0.01
    assert found["roi"] == pytest.approx(-0.5 * (matched - 23))
    assert found["ring_over_non_roi"] == 1.5
    assert report.penalty("a", "x264") == pytest.approx({"same_crf": 10, "same_psnr": 10}, abs=0.01)
    table = report.markdown()
    assert "| x264 two-stream | a | -20.00 |" in table
    assert "| x264 single-stream | a | -28.00 |" in table
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.slow
@pytest.mark.encoder
def test_the_benchmark_runs_and_goes_on_where_it_was(tmp_path):
    clip, _ = street_scene(64, 64, 3)
    with (tmp_path / "a.y4m").open("wb") as file:
        write_y4m(clip, file)
    half = np.zeros((3, 4, 4), np.bool_)
    half[:, :, :2] = True
    pipeline.encode(clip, tmp_path / "m.mkv", masks=mask_clip(half), fill="grey", preset="ultrafast")
    (tmp_path / "clips.toml").write_text('[[clip]]\nname = "a"\nsource = "a.y4m"\nmasks = "m.mkv"\n')
    command = [sys.executable, BENCHMARKS / "rate.py", "--data", tmp_path, "--clips", tmp_path / "clips.toml"]
    command += ["--gap", "9", "--codec", "x264", "--out", tmp_path / "out"]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert "| x264 single-stream | a |" in first.stdout
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout == first.stdout
    assert not again.stderr  # nothing was encoded
    other = subprocess.run([*command, "--fill", "grey"], capture_output=True, text=True, check=False)
    assert other.returncode == 2
    assert "another variant" in other.stderr
