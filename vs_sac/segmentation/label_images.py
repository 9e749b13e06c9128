"""Label images as class maps, so that ground truth can replace the network."""

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
    """Open a sequence of label images as a class map, so that ground truth can replace the network.

    Args:
        path: Folder, printf pattern or files: grey label images (KITTI-STEP: panoptic RGB; CamVid's colours: RGB).
        labels: Encoding of the label images.
        fps: Frame rate; default 25.
        policy: Classes by original name; see `core.labels.label_table`.
        scoring: Whether void, and values that the encoding does not have, become `core.labels.SCORE_VOID`. By default
            both are ROI.

    Returns:
        Class map: GRAY8 clip with the values of `core.labels.SemanticClass` (and `SCORE_VOID`).

    Raises:
        SacFileError: There are no images.
        SacFormatError: The images do not have 8 bits, or CamVid's colours are not RGB.
        SacValueError: The encoding is unknown, or `policy` is not accepted.
    """
    table = label_table(labels, policy, scoring=scoring)
    table[table < 0] = SCORE_VOID if scoring else SemanticClass.ROI
    return open_label_values(path, labels, fps=fps).std.Lut(lut=table.tolist())


def open_label_values(
    path: str | Path | Sequence[Path], labels: LabelSet | str, *, fps: Fraction | None = None
) -> vs.VideoNode:
    """Open label images with their original values; arguments and errors are those of `open_labels`.

    Returns:
        GRAY8 clip with the values of `core.labels.label_names`. A colour that is not a label has the value 255.
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
    # The first plane contains the classes: grey labels have one plane, and KITTI-STEP stores classes in the red plane.
    return vs.core.std.ShufflePlanes(raw, 0, vs.GRAY)
