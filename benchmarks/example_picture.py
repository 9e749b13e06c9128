"""The example picture of the README: a frame, its classes, the ROI and the mask.

python benchmarks/example_picture.py ../shared/data/clips/vd_test_small1.mp4 docs/images/example.jpg
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import vapoursynth as vs
from PIL import Image

import vs_sac

#: Width of a panel and of the gap between two, in pixels; brightness of what is not ROI.
_PANEL, _GAP, _DARKENED = 594, 12, 0.25


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--frame", type=int, default=10)
    given = parser.parse_args()
    clip = vs_sac.open_clip(given.video)
    classes = vs_sac.segment(clip)
    with vs_sac.macroblock_mask(vs_sac.roi_mask(classes)).get_frame(given.frame) as frame:
        mask = np.repeat(np.asarray(frame[0])[..., None], 3, -1)
    shown = _pixels(clip, given.frame)
    darkened = np.where(mask > 0, shown, (_DARKENED * shown).astype(np.uint8))
    panels = [Image.fromarray(panel) for panel in (shown, _pixels(vs_sac.overlay(clip, classes), given.frame), darkened,
                                                   mask)]  # fmt: skip
    height = round(_PANEL * clip.height / clip.width)
    picture = Image.new("RGB", (2 * _PANEL + _GAP, 2 * height + _GAP), "white")
    for n, panel in enumerate(panels):
        place = (n % 2 * (_PANEL + _GAP), n // 2 * (height + _GAP))
        picture.paste(panel.resize((_PANEL, height), Image.Resampling.LANCZOS), place)
    picture.save(given.picture, quality=85)


def _pixels(clip: vs.VideoNode, n: int) -> npt.NDArray[np.uint8]:
    with clip.resize.Bicubic(format=vs.RGB24).get_frame(n) as frame:
        return np.stack([np.asarray(frame[plane]) for plane in range(3)], -1)


if __name__ == "__main__":
    main()
