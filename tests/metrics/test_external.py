import math
import stat
import sys
from pathlib import Path

import pytest
import vapoursynth as vs

from vs_sac.core.errors import SacFormatError, SacMissingError, SacProcessError
from vs_sac.metrics import external, vmaf, xpsnr
from vs_sac.metrics.external import ffmpeg_with, parse_vmaf, parse_xpsnr

from .pictures import clips_of, frame_pairs


def test_recorded_xpsnr_logs() -> None:
    line = "[Parsed_xpsnr_3 @ 0x55] XPSNR  y: 41.2256  u: 44.8024  v: inf  (minimum: 41.2256)\n"
    assert parse_xpsnr(f"frame= 1 fps=0\n{line}size=0") == {"y": 41.2256, "u": 44.8024, "v": math.inf}
    line = "[Parsed_xpsnr_0 @ 0x55] XPSNR average, 8 frames  y: 40.5000  (minimum: 40.5000)\n"
    assert parse_xpsnr(line) == {"y": 40.5}
    with pytest.raises(SacProcessError, match="no XPSNR"):
        parse_xpsnr("Conversion failed!")


def test_recorded_vmaf_logs() -> None:
    assert parse_vmaf('{"pooled_metrics": {"vmaf": {"min": 1.0, "mean": 95.5}}}') == (95.5, {"min": 1.0, "mean": 95.5})
    for log in ("", "{}", '{"pooled_metrics": {"vmaf": {}}}'):
        with pytest.raises(SacProcessError, match="cannot be read"):
            parse_vmaf(log)


def test_without_a_filter_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "_candidates", list)
    pair = clips_of(frame_pairs(vs.YUV420P8, 64, 48, 1), vs.YUV420P8)
    for metric in (vmaf, xpsnr):
        with pytest.raises(SacMissingError, match="pip install imageio-ffmpeg"):
            metric(*pair)


def test_path_comes_first_and_what_does_not_start_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text("no program")
    monkeypatch.setattr(external, "_candidates", lambda: [broken])
    assert ffmpeg_with("psnr") is None


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for ffmpeg is a shell script")
def test_a_failing_ffmpeg_is_reported_with_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "ffmpeg"
    fake.write_text(
        "#!/bin/sh\ncase \"$*\" in *-filters*) echo ' .. libvmaf VV->V x';; *) echo 'no model'; exit 3;; esac\n"
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(external, "_candidates", lambda: [fake])
    with pytest.raises(SacProcessError, match="exited with 3: no model"):
        vmaf(*clips_of(frame_pairs(vs.YUV420P8, 640, 480, 9), vs.YUV420P8))


@pytest.mark.encoder
@pytest.mark.parametrize(("metric", "filter_name", "best"), [(vmaf, "libvmaf", 90), (xpsnr, "xpsnr", math.inf)])
def test_worse_is_lower(metric: object, filter_name: str, best: float) -> None:
    if ffmpeg_with(filter_name) is None:
        pytest.skip(f"no ffmpeg here has {filter_name}")
    near = clips_of(frame_pairs(vs.YUV420P8, 320, 192, 3, seed=1, sigma=2), vs.YUV420P8)
    far = clips_of(frame_pairs(vs.YUV420P8, 320, 192, 3, seed=1, sigma=15), vs.YUV420P8)
    scores = [metric(*pair) for pair in ((near[0], near[0]), near, far)]  # type: ignore[operator]
    assert scores[0].value > scores[1].value > scores[2].value
    assert scores[0].value >= best
    assert scores[0].version.startswith("ffmpeg version")


def test_clips_that_differ_are_refused() -> None:
    a, b = clips_of(frame_pairs(vs.YUV420P8, 64, 48, 2), vs.YUV420P8)
    with pytest.raises(SacFormatError, match="lengths"):
        vmaf(a, b[:1])
