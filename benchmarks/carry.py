"""The cost of propagating masks: macroblock recall and ROI share if every Kth frame is segmented.

    python benchmarks/carry.py --data ../shared/data

The benchmark uses labelled sequences of consecutive frames: CamVid val and the Cityscapes snippets. It prints a
Markdown table.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import vapoursynth as vs

from vs_sac.core.clips import pin_cache
from vs_sac.core.labels import SCORE_VOID, SemanticClass
from vs_sac.masks.class_maps import roi_mask
from vs_sac.masks.grid import block_grid
from vs_sac.masks.propagation import propagate_mask
from vs_sac.metrics.segmentation import BlockScore, block_score
from vs_sac.segmentation.label_images import open_labels
from vs_sac.segmentation.network import segment
from vs_sac.source.datasets import Sample, find_samples
from vs_sac.source.opening import open_clip


def sequences(data: Path) -> Iterator[tuple[str, Sequence[Sample]]]:
    """The names of the sequences, and their frames."""
    yield "camvid val", find_samples("camvid", data / "camvid", "val")
    snippets = defaultdict(list)
    for sample in find_samples("cityscapes-sequence", data / "cityscapes_mini", "train"):
        snippets["_".join(sample.image.name.split("_")[:2])].append(sample)
    yield from snippets.items()


def score(grid: vs.VideoNode, roi: vs.VideoNode, void: vs.VideoNode) -> tuple[float, float]:
    """Recall over labelled macroblocks, and the share of the ROI relative to the labels, void included."""
    total, coded, true = BlockScore(), 0, 0
    for frames in zip(*(clip.frames(close=True) for clip in (grid, roi, void)), strict=True):
        got, wanted, unknown = (np.asarray(frame[0]) > 0 for frame in frames)
        scored = wanted | ~unknown
        total += block_score(wanted[scored], got[scored])
        coded, true = coded + int(got.sum()), true + int((wanted | unknown).sum())
    return total.recall, coded / true


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--every", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6, 8, 12])
    options = parser.parse_args()
    table: dict[int, list[str]] = {every: [] for every in options.every}
    names = []
    for name, samples in sequences(options.data):
        clip = open_clip([sample.image for sample in samples], fps=Fraction(17))
        labels = open_labels([sample.label for sample in samples], samples[0].labels, scoring=True)
        only = [[255 if value == wanted else 0 for value in range(256)] for wanted in (SemanticClass.ROI, SCORE_VOID)]
        roi, void = (block_grid(labels.std.Lut(lut=lut)) for lut in only)
        mask = roi_mask(segment(clip))
        # The network runs once for all rows.
        pin_cache(mask, mask.num_frames)
        names.append(name)
        for every, row in table.items():
            recall, ratio = score(propagate_mask(clip, mask, every), roi, void)
            row.append(f"{recall:.2%} at {ratio:.3f}")
    print(f"| every | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for every, row in table.items():
        print(f"| {every} | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
