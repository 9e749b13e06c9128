"""Label images as class maps, so that ground truth can stand in for the network."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import vapoursynth as vs

from ..core.errors import SacFormatError
from ..core.labels import CAMVID_COLOUR, SCORE_VOID, LabelSet, SemanticClass, label_table
from ..source.opening import open_raw

__all__ = ["open_label_values", "open_labels"]


def open_labels(
    path: str | Path | Sequence[Path],
    labels: LabelSet | str,
    *,
    fps: Fraction | None = None,
    policy: Mapping[str, SemanticClass | int] | None = None,
    scoring: bool = False,
) -> vs.VideoNode:
    """Open a sequence of label images as a class map, so that ground truth can stand in for the network.

    Args:
        path: Folder, printf pattern or files: grey label images (KITTI-STEP: panoptic RGB; CamVid's colours: RGB).
        labels: Their encoding.
        fps: Frame rate.
        policy: See `labels.label_table`.
        scoring: Void becomes `labels.SCORE_VOID`, as do values the encoding does not have; otherwise both are ROI.

    Returns:
        Class map.

    Raises:
        SacFileError: No images.
        SacFormatError: They are not 8-bit.
        SacValueError: Unknown encoding or policy.
    """
    table = label_table(labels, policy, scoring=scoring)
    table[table < 0] = SCORE_VOID if scoring else SemanticClass.ROI
    return open_label_values(path, labels, fps=fps).std.Lut(lut=table.tolist())


def open_label_values(
    path: str | Path | Sequence[Path], labels: LabelSet | str, *, fps: Fraction | None = None
) -> vs.VideoNode:
    """Open label images with their original values, those of `labels.label_names`; takes and raises as `open_labels`.

    Returns:
        GRAY8 clip. A colour that is no label has the value 255.
    """
    raw = open_raw(path, fps=fps)
    if raw.format.bits_per_sample != 8:
        raise SacFormatError(f"the labels are {raw.format.name}; accepted: 8-bit grey or RGB", "open_labels")
    if labels == LabelSet.CAMVID_COLOUR:
        if raw.format.color_family != vs.RGB:
            raise SacFormatError(f"the labels are {raw.format.name}; accepted: RGB", "open_labels")
        expression = "255"
        for value, (red, green, blue) in enumerate(CAMVID_COLOUR):
            expression = f"x {red} = y {green} = and z {blue} = and {value} {expression} ?"
        return vs.core.std.Expr(raw.std.SplitPlanes(), expression)
    # Grey labels have one plane; KITTI-STEP keeps its classes in the red one. Both are the first.
    return vs.core.std.ShufflePlanes(raw, 0, vs.GRAY)
