"""Fit the shipped predictor of importance, models/importance.npz, in one command.

    python scripts/train_importance.py ../shared/data

It prints the correlation with the targets for every set, also on the two that are never fitted, unseen and camvid_val.
``--without SET`` leaves out another one, for figures on data that the predictor does not know. The extra ``train`` is
needed: pip install -e '.[train]'.
"""

import argparse
import sys
from pathlib import Path

from vs_sac.cli import program

_MODELS = Path(__file__).resolve().parent.parent / "models"

#: Folders of images by set of targets, and the sets that judge.
_SETS = {
    "camvid_train": "camvid/train", "highway_pseudo": "highway_pseudo/images", "unseen": "unseen/images",
    "camvid_val": "camvid/val", "cityscapes_mini": "cityscapes_mini/leftImg8bit_sequence/train/aachen",
}  # fmt: skip
_JUDGING = ("unseen", "camvid_val")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path, nargs="?", default=_MODELS / "importance.npz")
    parser.add_argument("--without", action="append", default=[], choices=_SETS)
    given = parser.parse_args()
    sets = {name: f"{given.data / images}={given.data / 'importance' / name}" for name, images in _SETS.items()}
    held = [f"--hold-out={sets[name]}" for name in (*_JUDGING, *given.without)]
    return program.run(["train-importance", *sets.values(), "-o", str(given.out), "--force", *held])


if __name__ == "__main__":
    sys.exit(main())
