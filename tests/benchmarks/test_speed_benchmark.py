import json

import pytest

from benchmarks import speed
from vs_sac.masks.class_maps import roi_mask
from vs_sac.source.synthetic import street_scene

from ..helpers import write_ffv1


def test_ratios_are_of_pairs():
    """A machine that is half as fast for one pair does not move them."""
    theirs = [speed.Cost(1, 2), speed.Cost(2, 4), speed.Cost(1, 2)]
    ours = [speed.Cost(1.5, 2.2), speed.Cost(3, 4.4), speed.Cost(1.4, 2.1)]
    got = speed.ratios(theirs, ours)
    assert got["wall"] == pytest.approx(1.5)
    assert got["cpu"] == pytest.approx(1.1)
    assert (got["uniform_seconds"], got["seconds"]) == (2, 2.2)


def test_what_grows_is_told_from_what_is_paid_once():
    assert speed.grow([(50, 2.0), (100, 3.5)]) == pytest.approx({"ms_per_frame": 30, "seconds_at_start": 0.5})


def test_delays():
    """Frames are read every 40 ms and leave 100 ms later; two streams, one of which is late once."""
    read = [0.04 * n for n in range(10)]
    left = [(n, at + 0.1) for n, at in enumerate(read)] * 2
    left[-1] = (9, read[9] + 0.3)
    got = speed.delays(read, left)
    assert got == pytest.approx({"ms_median": 100, "ms_95": 100, "ms_most": 300, "frames_most": 2})


def test_the_tables_say_what_is_kept():
    cost = {"wall": 1.3, "cpu": 1.2, "bytes": 0.8, "fps": 20.0, "uniform_fps": 26.0, "frames": 200}
    stage = {name: {"ms_per_frame": 5.0, "seconds_at_start": 0.1} for name in speed.STAGES}
    made = {"machine": {"cpu": "A", "cores": 2, "system": "S", "ffmpeg": "5"}, "command": "python speed.py a.mp4"}
    report = {
        "made": {"cases": made, "stages": {**made, "command": "python speed.py b.mp4"}, "memory": made},
        "cases": [
            {"name": "one", "crf": (23, 27), "size": (1280, 720), "limit": 1.25, "preset": "medium", **cost},
            {"name": "veryfast", "crf": (23, 27), "size": (1280, 720), "limit": None, "preset": "veryfast", **cost},
        ],
        "stages": [{"size": (1280, 720), **stage, "whole": {"ms_per_frame": 100.0, "seconds_at_start": 1.0}}],
        "options": [{"options": "--jobs 2", **cost}],
        "delay": [{"codec": "x264", "mode": "two-stream", "low_latency": True, "frames_most": 2, "ms_median": 50.0,
                   "ms_95": 60.0}],
        "memory": [{"codec": "x264", "mode": "two-stream", "preset": "medium", "frames": 100, "peak_mib": 700.4,
                    "seconds": 10.0}],
    }  # fmt: skip
    text = speed.markdown(json.loads(json.dumps(report)))
    assert text.startswith("Cases, memory: A, 2 cores; S; ffmpeg 5. `python speed.py a.mp4`\n\nStages: A, ")
    assert "| one 23/27 | 1280×720 | 200 | 1.30 | ≤ 1.25 ✗ | 1.20 | 0.80 | 20.0 | 26.0 |" in text
    assert "| ≥ 25 ✗ fps |" in text
    assert "| 10% ≤ 0.15 ✓ |" in text
    assert "| `--jobs 2` | 1.30 | 1.20 | 0.800 |" in text
    assert "| x264 two-stream | `--low-latency` | 2 | 50 | 60 |" in text
    assert "| x264 two-stream, medium | 100 | 700 | ≤ 1024 ✓ | 10.0 |" in text


@pytest.mark.slow
@pytest.mark.encoder
@pytest.mark.parametrize("codec", ["x264", "x265"])
@pytest.mark.parametrize("mode", ["single-stream", "two-stream"])
def test_low_latency_holds_few_frames_back(tmp_path, codec, mode):
    """Of a source that is as fast as can be: those being computed, in the queue, in the pipe and in the encoder."""
    # A frame is larger than a pipe of 64 KiB.
    clip, classes = street_scene(256, 192, 25)
    source = write_ffv1(clip * 2, tmp_path / "in.mkv")
    how = {
        "codec": codec,
        "mode": mode,
        "masks": roi_mask(classes) * 2,
        "preset": "veryfast",
    }
    late = speed.measure_delay(source, tmp_path, 25, **how)
    got = speed.measure_delay(source, tmp_path, 25, low_latency=True, **how)
    assert got["frames_most"] <= 8
    assert late["frames_most"] >= 10
    assert got["ms_median"] < late["ms_median"]
