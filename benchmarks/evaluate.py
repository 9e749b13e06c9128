"""Speed and memory of evaluation beside ffmpeg's psnr and ssim filters, as ratios within one run.

ffmpeg reads a pair of files and runs both filters on all planes; we read the same pair and measure PSNR and SSIM of
luma, whole and by region. Two pairs are timed: raw video, where nearly nothing but the metrics is left to do, and
H.264, where both sides decode as well. Note what the ratio compares: ffmpeg's filter takes an 8x8 box at every fourth
pixel, which is not the SSIM of Wang et al. 2004; ours is the 11x11 Gaussian at every pixel.

Opening our pair indexes it, which decodes compressed video once more; that is reported apart.

    python benchmarks/evaluate.py [--frames N] [--repeat N] [--reference FILE --distorted FILE] [--json FILE]
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Opens the pair, then measures; prints seconds of each and the peak of memory in MiB.
_OURS = """
import json, resource, sys, time
start = time.perf_counter()
import vapoursynth as vs
from vs_sac.metrics import measure
vs.core.max_cache_size = 512
reference, distorted = (vs.core.bs.VideoSource(path, cachemode=0) for path in sys.argv[1:3])
length = min(len(reference), len(distorted))
columns, rows = -(-reference.width // 16), -(-reference.height // 16)
half = vs.core.std.BlankClip(width=columns // 2, height=rows, format=vs.GRAY8, color=255, length=length, keep=True)
rest = vs.core.std.BlankClip(half, width=columns - columns // 2, color=0, keep=True)
mask = vs.core.std.StackHorizontal([half, rest])
opened, cpu = time.perf_counter(), time.process_time()
luma = measure(reference[:length], distorted[:length], mask).luma
done = time.perf_counter()
print(json.dumps({
    "open": opened - start, "measure": done - opened, "cpu": time.process_time() - cpu,
    "psnr": luma.psnr(), "ssim": luma.ssim(), "frames": length,
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def _ffmpeg(*arguments: str | Path) -> float:
    start = time.perf_counter()
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)
    return time.perf_counter() - start


def _ours(reference: Path, distorted: Path) -> dict[str, float]:
    output = subprocess.run(
        [sys.executable, "-c", _OURS, str(reference), str(distorted)], check=True, capture_output=True
    ).stdout
    result: dict[str, float] = json.loads(output)
    return result


def _filters(reference: Path, distorted: Path) -> tuple[float, float]:
    """Seconds of wall clock and of processors."""
    graph = "[0:v]split[a][b];[1:v]split[c][d];[a][c]psnr;[b][d]ssim"
    before = os.times()
    wall = _ffmpeg("-i", distorted, "-i", reference, "-lavfi", graph, "-f", "null", "-")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu


def _pair(folder: Path, frames: int) -> dict[str, tuple[Path, Path]]:
    """A moving 1080p picture with noise, and what x264 makes of it; raw and compressed."""
    source = "testsrc2=size=1920x1080:rate=25,noise=alls=6:allf=t,format=yuv420p"
    names = {name: folder / name for name in ("r.y4m", "d.y4m", "r.mkv", "d.mkv")}
    _ffmpeg("-f", "lavfi", "-i", source, "-frames:v", str(frames), names["r.y4m"])
    x264 = ("-c:v", "libx264", "-preset", "veryfast")
    _ffmpeg("-i", names["r.y4m"], *x264, "-crf", "12", names["r.mkv"])
    _ffmpeg("-i", names["r.y4m"], *x264, "-crf", "28", names["d.mkv"])
    _ffmpeg("-i", names["d.mkv"], names["d.y4m"])
    return {"raw": (names["r.y4m"], names["d.y4m"]), "h264": (names["r.mkv"], names["d.mkv"])}


def compare(reference: Path, distorted: Path, repeat: int) -> dict[str, Any]:
    """Both sides in turn, so that other load on the machine meets both; medians of `repeat` runs."""
    theirs, ours = [], []
    for _ in range(repeat):
        theirs.append(_filters(reference, distorted))
        ours.append(_ours(reference, distorted))
    frames = ours[0]["frames"]
    filters = statistics.median(wall for wall, _ in theirs)
    measured = statistics.median(run["measure"] for run in ours)
    return {
        "frames": frames,
        "ffmpeg_ms_per_frame": filters / frames * 1000,
        "measure_ms_per_frame": measured / frames * 1000,
        "open_ms_per_frame": statistics.median(run["open"] for run in ours) / frames * 1000,
        "ratio": measured / filters,
        "ratios": sorted(run["measure"] / wall for run, (wall, _) in zip(ours, theirs, strict=True)),
        "cpu_ratio": statistics.median(run["cpu"] / cpu for run, (_, cpu) in zip(ours, theirs, strict=True)),
        "psnr": ours[0]["psnr"],
        "ssim": ours[0]["ssim"],
        "peak_mib": ours[0]["peak_mib"],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100, help="length of the made pair")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each side")
    parser.add_argument("--reference", type=Path, help="a pair of your own instead of the made one")
    parser.add_argument("--distorted", type=Path)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        parser.error("needs ffmpeg on PATH to compare with")
    if (options.reference is None) != (options.distorted is None):
        parser.error("needs both --reference and --distorted")
    report: dict[str, Any] = {"machine": platform.processor() or platform.machine()}
    with tempfile.TemporaryDirectory(prefix="vs_sac-") as name:
        folder = Path(name)
        if options.reference:
            report["given"] = compare(options.reference, options.distorted, options.repeat)
        else:
            for kind, pair in _pair(folder, options.frames).items():
                report[kind] = compare(*pair, options.repeat)
            longer = folder / "longer"
            longer.mkdir()
            peak = _ours(*_pair(longer, 3 * options.frames)["h264"])["peak_mib"]
            report["memory"] = {"peak_mib": report["h264"]["peak_mib"], "peak_mib_at_triple_length": peak}
    text = json.dumps(report, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
