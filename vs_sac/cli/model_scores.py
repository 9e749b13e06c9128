"""The command ``test-model``. What it needs from torch is imported when it runs, so that its help needs no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter
from rich.console import Console

from ..core.choices import Caution
from ..core.errors import SacValueError
from ..core.macroblocks import BLOCK
from ..core.outputs import check_outputs, workspace
from ..segmentation.registry import DEFAULT_MODEL, Model, find_model, read_card
from .parameters import FILES

if TYPE_CHECKING:
    from ..training.block_scores import PictureBlocks
    from ..training.model_scores import ModelScore
    from ..training.operating_points import OperatingPoint

__all__ = ["test_model"]

#: Largest size of a contact sheet in bytes.
_SHEET_BYTES = 1_500_000

_CAUTION = Group("Operating points")


@dataclass(frozen=True, kw_only=True)
class PointArguments:
    """Options that choose the model's thresholds.

    Attributes:
        choose: Choose the thresholds of three operating points (low, normal, high) on the sets, and score the model at
            the normal one. Each point has the smallest cost: wasted macroblocks (no ROI, but coded as ROI) plus the
            cost of the lost ones (ROI, but not coded as ROI), summed over the sets. At the point "normal", a lost
            macroblock of a traffic light, person, rider or two-wheeler costs as much as 25 wasted ones, of a traffic
            sign or vehicle 18, of a pole 10, of other ROI 7; at "low" a third of that, at "high" three times as much.
            Use sets that were not used for training. With --card, the points, the costs and the results go into the
            card, and the normal threshold becomes that of the model.
        max_share: For --choose: accept only thresholds at which the coded ROI is at most this multiple of the ROI of
            the labels, on every set; for example 1.15. With --min-pixels, only macroblocks with so many labelled
            pixels count.
    """

    choose: Annotated[bool, Parameter(negative="", group=_CAUTION)] = False
    max_share: Annotated[float | None, Parameter(group=_CAUTION)] = None

    def check(self, threshold: float | None, caution: Caution | None) -> None:
        """Check that the options fit together.

        Raises:
            SacValueError: They do not.
        """
        if self.max_share is not None and (not self.choose or not self.max_share > 0):
            raise SacValueError(f"--max-share {self.max_share:g}; accepted: above 0, and only with --choose",
                                "test-model")  # fmt: skip
        for name, given in (("--threshold", threshold), ("--caution", caution)):
            if self.choose and given is not None:
                raise SacValueError(f"{name} {given} and --choose exclude each other", "test-model")


_AS_IT_IS = PointArguments()


@dataclass(frozen=True, kw_only=True)
class OutputArguments:
    """Files that the command writes.

    Attributes:
        picture: Also draw the middle image of every set (.png or .jpg): source, labels, class map, and the ROI in
            macroblocks with the rest darkened.
        sheet: Also draw every image of the sets, small, into one JPEG of at most 1.5 MB if quality 30 allows it (.jpg):
            source, class map over it, and the ROI in macroblocks with the rest darkened.
        card: Also write the scores into the model's card (JSON).
        json_file: Also write everything as JSON.
        force: Overwrite existing files.
    """

    picture: Annotated[Path | None, Parameter(group=FILES)] = None
    sheet: Annotated[Path | None, Parameter(group=FILES)] = None
    card: Annotated[bool, Parameter(negative="", group=FILES)] = False
    json_file: Annotated[Path | None, Parameter(name="--json", group=FILES)] = None
    force: Annotated[bool, Parameter(negative="", group=FILES)] = False

    def check(self, model: Model) -> None:
        """Check the outputs before any work.

        Raises:
            SacError: An output has a wrong ending, exists, or is an input.
        """
        if self.picture is not None and self.picture.suffix.lower() not in (".png", ".jpg"):
            raise SacValueError(f"{self.picture} must end in .png or .jpg", "test-model")
        if self.sheet is not None and self.sheet.suffix.lower() != ".jpg":
            raise SacValueError(f"{self.sheet} must end in .jpg", "test-model")
        inputs = {"model": model.path, "card": model.path.with_suffix(".json")}
        outputs = {"--picture": self.picture, "--sheet": self.sheet, "--json": self.json_file}
        check_outputs(outputs, inputs, force=self.force, func="test-model")


_NOTHING = OutputArguments()


def test_model(
    model: str = DEFAULT_MODEL,
    /,
    *,
    dataset: Annotated[list[str], Parameter(negative="")],
    threshold: float | None = None,
    caution: Caution | None = None,
    roi_hold: int = 0,
    min_pixels: int = 1,
    consecutive: Annotated[bool, Parameter(negative="")] = False,
    points: Annotated[PointArguments, Parameter(name="*")] = _AS_IT_IS,
    outputs: Annotated[OutputArguments, Parameter(name="*")] = _NOTHING,
) -> None:
    """Score a segmentation model on labelled images: IoU of the network, and macroblock scores that matter for coding.

    mIoU and ROI IoU are scores of the class map, with ROI and the other classes at even odds. The macroblock scores use
    the threshold, as the encoder does: a pixel that is not confidently another class is ROI. "recall" is the share of
    the ROI macroblocks that are coded as ROI, "precision" the share of the macroblocks coded as ROI that are ROI, and
    "share" the coded ROI divided by the ROI of the labels. "waste" is the share of the macroblocks of one non-ROI class
    that are coded as ROI. "specks" is the share of the coded ROI that is due only to small components of the class map
    without a labelled object. Void labels count as ROI in the labels' share and are ignored in every score.

    A model whose card names its own classes is also scored at this list: IoU by class of the labels, and means.

    Needs the extra "train": pip install 'vs-sac[train]'.

    Example: vs-sac test-model ccnet-lite --dataset camvid:../shared/data/camvid:val --consecutive

    Args:
        model: The name of a shipped model or the path of an .onnx file.
        dataset: KIND:ROOT[:SPLIT] as for "vs-sac train"; repeat the option for several. SPLIT may end with a pattern of
            image names, train/aachen/aachen_00000[67]_*, or with a file of ROOT that lists them, all/plausible.txt.
        threshold: Probability from which a pixel counts as non-ROI. [default: the model's own]
        caution: Operating point in place of a threshold: low, normal or high.
        roi_hold: Number of images for which a macroblock stays ROI after it has left the ROI, as in "vs-sac encode".
        min_pixels: Also report recalls over the macroblocks with at least this many pixels of the ROI, or of a class,
            and the share over those with at least this many labelled pixels. With --choose, macroblocks with fewer
            pixels of a class are not lost.
        consecutive: The images are consecutive frames of a video. Also report flicker, the share of macroblocks that
            change from frame to frame although the labels do not.
        points: Options that choose the thresholds.
        outputs: Files that are written.
    """
    from ..training.model_scores import score_model

    found = find_model(model)
    points.check(threshold, caution)
    outputs.check(found)
    console = Console(highlight=False, soft_wrap=True)
    chosen = _choose(console, found, dataset, points.max_share, min_pixels) if points.choose else {}
    limit = chosen.get("threshold") or found.threshold_for(threshold, caution, "test-model")
    scores: dict[str, ModelScore] = {}
    console.print("images   mIoU  ROI IoU  recall  precision  share  specks  data")
    for text in dataset:
        scores[text] = score = score_model(found, text, threshold=limit, hold=roi_hold, min_pixels=min_pixels)
        report = score.report
        console.print(
            f"{score.images:6}  {score.class_map.miou:.3f}    {score.class_map.roi_iou:.3f}"
            f"   {report.blocks.recall:.3f}      {report.blocks.precision:.3f}  {report.share_ratio:.3f}"
            f"  {score.speck_share:6.2%}  {text}",
            markup=False,
        )
    for text, score in scores.items():
        _print_details(console, text, score, consecutive=consecutive)
    console.print(f"\nthreshold {limit:g}, macroblocks of {BLOCK}")
    content = {"model": found.name, "threshold": limit, "sets": {text: s.to_dict() for text, s in scores.items()}}
    _write_outputs(outputs, found, list(dataset), content, chosen)


def _print_details(console: Console, text: str, score: "ModelScore", *, consecutive: bool) -> None:
    """Print the scores by class of one set."""
    report = score.report
    shares = [("share of the macroblocks with a class that are coded as ROI", report.classes)]
    if report.min_pixels > 1:
        whole = f"ROI {report.large.recall:.3f}, share {report.large_share_ratio:.3f}"
        about = f"the same, macroblocks with at least {report.min_pixels} pixels ({whole})"
        shares.append((about, report.large_classes))
    shares.append(("waste: share of the macroblocks of one class that are coded as ROI", report.waste))
    if own := score.own_classes:
        means = f"mean {own.mean:.3f}, ROI classes {own.roi_mean:.3f}, thing classes {own.thing_mean:.3f}"
        shares.append((f"IoU at the model's own classes ({means})", own.iou))
    console.print(f"\n{text}:", markup=False)
    for about, values in shares:
        console.print(f"{about}\n  {_listed(values)}", markup=False)
    if consecutive:
        flips = f"{report.flicker:.2%} of macroblocks a frame, beside {report.true_flicker:.2%} that the labels flip"
        console.print(f"flicker: {flips}", markup=False)


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items()) or "none"


def _choose(
    console: Console, model: Model, dataset: list[str], max_share: float | None, min_pixels: int
) -> dict[str, Any]:
    """Choose the operating points and print them; returns what the card says about them."""
    from ..training.block_scores import report_blocks
    from ..training.model_scores import gather_blocks
    from ..training.operating_points import choose_points, describe_points

    sets: dict[str, list[PictureBlocks]] = {text: gather_blocks(model, text) for text in dataset}
    points: dict[str, OperatingPoint] = choose_points(sets, min_pixels=min_pixels, max_share=max_share)
    console.print("point   threshold       cost  recall  share  data")
    for name, point in points.items():
        for text, pictures in sets.items():
            report = report_blocks(pictures, point.threshold, min_pixels=min_pixels)
            recall, share = report.blocks.recall, report.share_ratio
            if min_pixels > 1:
                recall, share = report.large.recall, report.large_share_ratio
            console.print(
                f"{name:6}  {point.threshold:9.2f}  {point.cost:9.0f}   {recall:.3f}  "
                f"{share:.3f}  {text}", markup=False,
            )  # fmt: skip
        if point.bounded:
            console.print(f"{name:6}  a higher threshold costs less, but is above --max-share {max_share:g}")
    console.print()
    return describe_points(points, sets, min_pixels=min_pixels, max_share=max_share)


def _write_outputs(
    outputs: OutputArguments, model: Model, dataset: list[str], content: dict[str, Any], chosen: dict[str, Any]
) -> None:
    """Write the files that were asked for."""
    from ..training.contact_sheet import draw_scored, draw_sheet, jpeg_within

    limit, force = content["threshold"], outputs.force
    if outputs.json_file is not None:
        _write(outputs.json_file, {**content, **chosen}, force=force)
    if outputs.picture is not None:
        with workspace(outputs.picture, force=force, func="--picture") as work:
            draw_scored(model, dataset, limit).save(work.result, quality=85)
    if outputs.sheet is not None:
        with workspace(outputs.sheet, force=force, func="--sheet") as work:
            work.result.write_bytes(jpeg_within(draw_sheet(model, dataset, limit), _SHEET_BYTES))
    if outputs.card:
        beside = model.path.with_suffix(".json")
        _write(beside, {**read_card(model.path), **chosen, "scores": content}, force=True)


def _write(path: Path, content: dict[str, Any], *, force: bool) -> None:
    with workspace(path, force=force, func="test-model") as work:
        work.result.write_text(json.dumps(content, indent=1) + "\n")
