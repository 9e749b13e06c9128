"""Rendered street scenes on disk, in the layout of CamVid."""

from pathlib import Path

import numpy as np
import vapoursynth as vs
from PIL import Image

from vs_sac.source.synthetic import street_scene

#: CamVid's index of ROI (road), construction (building), nature (tree) and sky.
CAMVID = np.array([3, 1, 5, 0], np.uint8)


def make_sequence(root: Path, frames: int = 6, width: int = 128, height: int = 96, split: str = "val") -> str:
    """Returns the sequence's name for a command line."""
    clip, labels = street_scene(width, height, frames)
    rgb = clip.resize.Bicubic(format=vs.RGB24)
    for folder in (root / split, root / f"{split}annot"):
        folder.mkdir(parents=True)
    for n, (picture, label) in enumerate(zip(rgb.frames(close=True), labels.frames(close=True), strict=True)):
        pixels = np.stack([np.asarray(picture[plane]) for plane in range(3)], -1)
        Image.fromarray(pixels).save(root / split / f"drive_{n:05d}.png")
        Image.fromarray(CAMVID[np.asarray(label[0])]).save(root / f"{split}annot" / f"drive_{n:05d}.png")
    return f"camvid:{root}:{split}"
