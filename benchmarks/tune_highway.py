"""`vs-sac tune` on the two highway clips, with the judge of ../shared/data: a table of docs/perception.md.

    pip install ai-edge-litert
    python benchmarks/tune_highway.py --data ../shared/data --out runs/tune

The last third of each clip is held out. Results are kept, so the command can be interrupted and started again.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import tflite_judge

from vs_sac.cli import program

CLIPS = ("udacity_solidWhiteRight.mp4", "vd_test_small1.mp4")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/tune"))
    given, more = parser.parse_known_args()
    judge = tflite_judge.judge(given.data, given.out)
    status = 0
    for clip in CLIPS:
        out = given.out / f"{Path(clip).stem}.toml"
        words = [
            "tune",
            str(given.data / "clips" / clip),
            "--task-model",
            str(judge),
            "--like-crf",
            "28",
            "-o",
            str(out),
        ]
        status |= program.run([*words, "--force", *more])
    return status


if __name__ == "__main__":
    sys.exit(main())
