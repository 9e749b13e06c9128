"""Fit the shipped predictor of importance, models/importance.npz, in one command.

    python scripts/train_importance.py ../shared/data

It prints the correlation with the targets of every set. The sets unseen and camvid_val are never fitted. camvid_val is
a part of a drive of which camvid_train has other parts, so its figure counts only where camvid_train is left out. For
that, and for figures on each other set, the predictor is fitted again without one set at a time; these fits are not
kept. ``--without SET`` leaves a set out of the predictor that is written, for figures on data that it does not know.
The extra ``train`` is needed: pip install -e '.[train]'.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from vs_sac.core.outputs import workspace
from vs_sac.masks.importance import ImportancePredictor
from vs_sac.segmentation.class_probabilities import ClassNetwork, open_classes
from vs_sac.segmentation.registry import DEFAULT_MODEL
from vs_sac.training.importance import ImportanceSample, correlation, fit_predictor, sample_of
from vs_sac.training.importance_sets import find_set, read_target

_MODELS = Path(__file__).resolve().parent.parent / "models"

#: Folders of images by set of targets.
_SETS = {
    "camvid_train": "camvid/train", "highway_pseudo": "highway_pseudo/images", "unseen": "unseen/images",
    "camvid_val": "camvid/val", "cityscapes_mini": "cityscapes_mini/leftImg8bit_sequence/train/aachen",
}  # fmt: skip

#: Sets that are never fitted.
_JUDGING = ("unseen", "camvid_val")

type Samples = dict[str, list[ImportanceSample]]


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path, nargs="?", default=_MODELS / "importance.npz")
    parser.add_argument("--without", action="append", default=[], choices=_SETS)
    parser.add_argument("--steps", type=int, default=1200)
    given = parser.parse_args()
    network = open_classes(DEFAULT_MODEL)
    samples = {name: list(_samples(given.data, name, network)) for name in _SETS}
    chosen = [name for name in _SETS if name not in (*_JUDGING, *given.without)]
    predictor = _fit(samples, chosen, given.steps)
    scores = {name: round(correlation(predictor, samples[name]), 4) for name in _SETS}
    about = predictor.about | {"model": network.model.name, "sets": [
        {"name": name, "pictures": len(samples[name]), "held_out": name not in chosen, "correlation": score}
        for name, score in scores.items()
    ]}  # fmt: skip
    with workspace(given.out, force=True, func="train_importance") as work:
        replace(predictor, about=about).save(work.result)
    print(f"{given.out}, fitted to {', '.join(chosen)}: {_shown(scores)}")
    for left in chosen if len(chosen) > 1 else ():
        other = _fit(samples, [name for name in chosen if name != left], given.steps)
        print(f"without {left}: {_shown({n: correlation(other, samples[n]) for n in (left, *_JUDGING)})}", flush=True)
    return 0


def _samples(data: Path, name: str, network: ClassNetwork) -> Iterable[ImportanceSample]:
    print(f"reading {name}", file=sys.stderr)
    for picture in find_set(f"{data / _SETS[name]}={data / 'importance' / name}", 1).pictures:
        assert picture.target is not None
        yield sample_of(picture.name, picture.read(), read_target(picture.target), network)


def _fit(samples: Samples, names: list[str], steps: int) -> ImportancePredictor:
    print(f"fitting {', '.join(names)}", file=sys.stderr)
    return fit_predictor([sample for name in names for sample in samples[name]], steps=steps)


def _shown(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {score:.3f}" for name, score in scores.items())


if __name__ == "__main__":
    sys.exit(main())
