"""Time that `--map task` costs beside the masks: milliseconds per frame, medians of interleaved pairs.

    python benchmarks/map_cost.py --data ../shared/data

Both sides segment one frame in 0.3 s and propagate by motion; no encoder runs.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median

from vs_sac import pipeline
from vs_sac.core.clips import frames, set_cache_limit
from vs_sac.pipeline.options import EncodeOptions

CLIPS = ("vd_test_small1.mp4", "udacity_solidWhiteRight.mp4")


def seconds(path: Path, kind: str) -> float:
    """Time to make the masks of a clip, and its offsets if there are any."""
    plan = pipeline.plan(path, EncodeOptions.from_flat(mode="single-stream", map=kind))
    started = time.perf_counter()
    clips = [plan.grid, *([plan.offsets] if plan.offsets is not None else [])]
    for together in zip(*map(frames, clips), strict=True):
        for frame in together:
            frame.close()
    return (time.perf_counter() - started) / plan.frames


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    set_cache_limit()
    for clip in CLIPS:
        path = given.data / "clips" / clip
        pairs = [(seconds(path, "roi"), seconds(path, "task")) for _ in range(given.pairs)]
        masks, both = (1000 * median(side) for side in zip(*pairs, strict=True))
        more = 1000 * median(b - a for a, b in pairs)
        print(f"{clip}: masks {masks:.1f} ms, with the map {both:.1f} ms a frame, {more:+.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
