"""Speed and memory of ``vs-sac evaluate`` relative to ffmpeg's psnr and ssim filters: whole commands, ratios of pairs.

ffmpeg reads a pair of files and runs both filters on all planes. ``vs-sac evaluate`` reads the same pair and a mask,
and measures PSNR and SSIM of luma, for the whole picture and by region. The two SSIM differ: that of ffmpeg takes an
8x8 box at every fourth pixel and is not the definition of Wang et al. 2004; ours is the 11x11 Gaussian at every pixel.
The less time the decoding takes, the more this difference shows in the ratio.

    python benchmarks/evaluate.py [--frames N] [--repeat N] [--source FILE] [--json FILE]
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

_FILTERS = "[0:v]split[a][b];[1:v]split[c][d];[a][c]psnr;[b][d]ssim"
_SYNTHETIC = ("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25,noise=alls=6:allf=t")

#: The two sides of each pair: file type and encoder of the reference and of the distorted file.
_PAIRS = {
    "H.264 and H.264": (("mkv", "-c:v", "libx264", "-crf", "16"), ("mkv", "-c:v", "libx264", "-crf", "27")),
    "H.264 and H.265": (
        ("mkv", "-c:v", "libx264", "-crf", "16"),
        ("mkv", "-c:v", "libx265", "-crf", "30", "-x265-params", "log-level=none"),
    ),
    "raw and raw": (("y4m",), ("y4m",)),
}


class Cost(NamedTuple):
    """The cost of a command."""

    wall: float
    cpu: float
    peak_mib: float


def _run(command: Sequence[str | Path]) -> Cost:
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _ffmpeg(*arguments: str | Path) -> Cost:
    return _run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments])


def _filters(reference: Path, distorted: Path) -> Cost:
    return _ffmpeg("-i", distorted, "-i", reference, "-lavfi", _FILTERS, "-f", "null", "-")


def _evaluate(reference: Path, distorted: Path, mask: Path) -> Cost:
    return _run([sys.executable, "-m", "vs_sac", "evaluate", reference, distorted, "--masks", mask])


def _make(folder: Path, source: Path | None, frames: int) -> tuple[dict[str, tuple[Path, Path]], Path]:
    """The pairs, and a mask whose upper half is not ROI."""
    given = ("-stream_loop", "-1", "-i", source) if source else _SYNTHETIC
    whole = folder / "whole.y4m"
    _ffmpeg(*given, "-frames:v", str(frames), "-an", "-pix_fmt", "yuv420p", whole)
    mask = folder / "mask.mkv"
    split = "format=gray,scale={w}:{h}:flags=neighbor,drawbox=h=ih/2:c=black:t=fill,drawbox=y=ih/2:h=ih:c=white:t=fill"
    with whole.open("rb") as file:
        words = file.readline().decode().split()
    width, height = (int(next(w[1:] for w in words[1:] if w[0] == letter)) for letter in "WH")
    filters = split.format(w=-(-width // 16), h=-(-height // 16))
    _ffmpeg("-i", whole, "-vf", filters, "-c:v", "ffv1", "-pix_fmt", "gray", mask)
    pairs = {}
    for name, sides in _PAIRS.items():
        files = []
        for suffix, *options in sides:
            files.append(folder / f"{len(list(folder.iterdir()))}.{suffix}")
            # The distorted raw file is a decoded quick encode.
            if suffix == "y4m":
                files[-1].symlink_to(whole) if len(files) == 1 else _ffmpeg("-i", pairs["H.264 and H.264"][1], files[1])
            else:
                _ffmpeg("-i", whole, *options, "-preset", "veryfast", files[-1])
        pairs[name] = (files[0], files[1])
    return pairs, mask


def compare(reference: Path, distorted: Path, mask: Path, frames: int, repeat: int) -> dict[str, Any]:
    """Run both sides in turn, so that other load on the machine affects both; medians of `repeat` pairs."""
    theirs, ours = [], []
    for _ in range(repeat):
        theirs.append(_filters(reference, distorted))
        ours.append(_evaluate(reference, distorted, mask))
    ratios = sorted(mine.wall / other.wall for mine, other in zip(ours, theirs, strict=True))
    return {
        "frames": frames,
        "ffmpeg_ms_per_frame": statistics.median(cost.wall for cost in theirs) / frames * 1000,
        "evaluate_ms_per_frame": statistics.median(cost.wall for cost in ours) / frames * 1000,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "cpu_ratio": statistics.median(mine.cpu / other.cpu for mine, other in zip(ours, theirs, strict=True)),
        "peak_mib": max(cost.peak_mib for cost in ours),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=500, help="length of the pairs in frames")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each side")
    parser.add_argument("--source", type=Path, help="make the pairs from this video (looped), not from a test pattern")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    options = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        parser.error("needs ffmpeg on PATH to compare with")
    report: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "pairs": {}}
    with tempfile.TemporaryDirectory(prefix="vs_sac-") as name:
        pairs, mask = _make(Path(name), options.source, options.frames)
        # One run beforehand, because the very first run compiles the kernels.
        _evaluate(*pairs["H.264 and H.264"], mask)
        print(f"{'pair':18} ffmpeg  evaluate (ms a frame)  ratio  CPU ratio  peak MiB")
        for kind, pair in pairs.items():
            report["pairs"][kind] = row = compare(*pair, mask, options.frames, options.repeat)
            print(f"{kind:18} {row['ffmpeg_ms_per_frame']:6.1f}  {row['evaluate_ms_per_frame']:8.1f} {'':13} "
                  f"{row['ratio']:6.2f}  {row['cpu_ratio']:9.2f}  {row['peak_mib']:8.0f}")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
