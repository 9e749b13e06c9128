"""The time until commands have started, beside that of another version of the package.

    python benchmarks/start.py ../other-checkout/.venv/bin/python

Both versions run in turn, so that both see the same machine. The table has the median and the range of the ratios, this
version divided by the other one. A ratio of 1 means that nothing has become slower. Three commands are timed:
``vs-sac --version``, ``vs-sac --help``, and an encode of two frames of 64×64 pixels, which is all start-up.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(python: str, words: list[str], folder: Path) -> float:
    """Wall-clock seconds of one run of the command line."""
    # -P keeps the current folder out of the search, so that each interpreter runs the version it has installed.
    command = [python, "-P", "-m", "vs_sac", *words]
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
    return time.perf_counter() - started


def make_clip(path: Path) -> None:
    """Write two grey frames of 64×64 pixels as y4m."""
    frame = b"FRAME\n" + bytes([128]) * (64 * 64 * 3 // 2)
    path.write_bytes(b"YUV4MPEG2 W64 H64 F25:1 Ip C420jpeg\n" + 2 * frame)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", help="Python interpreter of the version to compare with")
    parser.add_argument("--pairs", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clip(folder / "clip.y4m")
        encode = ["encode", "clip.y4m", "-o", "out.mkv", "--force"]
        print("| command | this, median ms | ratio, median | lowest | highest |\n|---|---|---|---|---|")
        for words in (["--version"], ["--help"], encode):
            pairs = []
            for _ in range(given.pairs + 1):
                pairs.append([seconds(python, words, folder) for python in (sys.executable, given.other)])
            # The first pair warms the caches.
            ratios = [ours / theirs for ours, theirs in pairs[1:]]
            ours = 1000 * statistics.median(pair[0] for pair in pairs[1:])
            middle = statistics.median(ratios)
            print(f"| {' '.join(words[:1])} | {ours:.0f} | {middle:.2f} | {min(ratios):.2f} | {max(ratios):.2f} |")


if __name__ == "__main__":
    main()
