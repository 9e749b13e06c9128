"""The report: one self-contained HTML page."""

import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib import colormaps
from PIL import Image

from ..core.errors import SacError
from ..core.outputs import workspace
from ..experiments.artefacts import Artefacts, find_artefacts
from ..experiments.compare import Failure, Study
from ..experiments.rows import CLASSES, bd_table, columns_of, comparison, flat_rows, gains, on_curve, pooled, summary
from ..experiments.store import Store
from ..experiments.table import Column, Table, shown
from . import figures
from .pictures import Picture, Scene, data_uri, frame_rgb, scenes
from .style import look_of

__all__ = ["asset", "environment", "file_uri", "write_report"]

#: Widths of frames and figures inside the page in pixels, and the number of clips whose figures are embedded. The page
#: is kept small because people send it to each other.
_FRAME_WIDTH, _FIGURE_WIDTH, _FIGURE_CLIPS = 1280, 1180, 2

#: Quality figures of the curves: key, name, decimals.
_CURVES: Final = (
    ("psnr_roi", "ROI PSNR (dB)", 2), ("psnr", "PSNR of the whole (dB)", 2), ("psnr_non_roi", "non-ROI PSNR (dB)", 2),
    ("sa_psnr", "SA-PSNR, fair (dB)", 2), ("miou", "mIoU of the segmentation", 4), ("roi_iou", "ROI IoU", 4),
)  # fmt: skip
_FOUR: Final = (Column("miou", "mIoU", 3), Column("roi_iou", "ROI IoU", 3))
_GAINS: Final = (
    Column("method", "method"), Column("against", "bytes of"),
    Column("psnr_roi", "ROI dB", 2, sign=True), Column("psnr_non_roi", "non-ROI dB", 2, sign=True),
    Column("psnr_ring", "ring dB", 2, sign=True), Column("psnr", "whole dB", 2, sign=True),
    Column("sa_psnr", "SA-PSNR fair", 2, sign=True), Column("miou", "mIoU", 4, sign=True),
    Column("roi_iou", "ROI IoU", 4, sign=True), Column("match_error", "bytes off", 2, sign=True, percent=True),
)  # fmt: skip


def write_report(
    study: Study, store: Store, *, command: str, perception: Mapping[str, Table] = MappingProxyType({})
) -> Path:
    """Draw the figures and write the page.

    Args:
        study: Results of the comparison.
        store: Store with the files of the results. The page and ``figures/`` are written there and replace older ones.
        command: The command line, for people who want to repeat the run.
        perception: Result of `perception_tables`, of which BD-rates and scores at equal bytes are shown.

    Returns:
        Path of the page.

    Raises:
        SacError: The page cannot be written, or an encode cannot be opened.
    """
    rows = flat_rows(study)
    folder = store.root / "figures"
    folder.mkdir(exist_ok=True)
    looked = scenes(study, store)
    parts = [_clip_part(scene, store, folder, n < _FIGURE_CLIPS, study) for n, scene in enumerate(looked)]
    figures.draw_curves(pooled(rows), folder / "curves.png")
    means = pooled(rows)
    several = len(study.clips()) > 1
    text = environment().get_template("page.html.j2").render(
        title=f"{', '.join(study.clips()[:3])}{' …' if len(study.clips()) > 3 else ''}",
        summary=summary(rows),
        facts=_facts(study),
        gains=Table("Gain at equal bytes", _GAINS, tuple(gains(rows))),
        intervals=[_interval(gain) for gain in gains(rows) if "psnr_roi_low" in gain],
        mean=comparison(means, f"Mean over {len(study.clips())} clips") if several else None,
        clips=comparison(rows, "Every clip and method") if several else comparison(rows, study.clips()[0]),
        columns=(Column("clip", "clip"), *columns_of(rows)) if several else columns_of(rows),
        bd=bd_table(rows),
        recall=_by_class(rows, "recall", _FOUR),
        class_iou=_by_class(rows, "class_iou", CLASSES),
        judged=[table for name, table in perception.items() if name != "perception-scores"],
        parts=parts,
        artefacts=next((part["artefacts"] for part in parts if part["artefacts"]), None),
        failures=study.failures,
        command=command,
        versions=_versions(study),
        encoders=sorted({result["encoder"] for result in study.results}),
        commands=[(r["clip"]["name"], r["method"]["label"], r["command"]) for r in study.results if r["command"]],
        prepared_clips=[prepared.describe() for prepared in study.prepared_clips],
        files=[(r["file"], r["file_sha256"]) for r in study.results],
        date=time.strftime("%Y-%m-%d"),
        data=_data(study, rows, means, parts),
        style=asset("page.css"), script=asset("page.js"),
    )  # fmt: skip
    page = store.root / "report.html"
    with workspace(page, force=True, func="compare") as work:
        work.result.write_text(text)
    return page


def environment() -> jinja2.Environment:
    """Return the environment that finds the templates of this folder."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vs_sac.report", "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals.update(shown=shown)
    return environment


def asset(name: str) -> Markup:
    """Return a file of this folder, for the inside of a page."""
    return Markup((resources.files("vs_sac.report") / name).read_text())


def _clip_part(scene: Scene, store: Store, folder: Path, inside: bool, study: Study) -> dict[str, Any]:
    """Pictures and figures of a clip. Figures that cannot be made are left out and reported as a failure."""
    name = scene.name
    original = frame_rgb(scene.prepared.clip, scene.number)
    views: dict[str, tuple[str, str, str]] = {"original": _view(scene, "original", original)}
    views |= {label: _view(scene, label, frame_rgb(clip, scene.number)) for label, clip in scene.decoded.items()}
    part: dict[str, Any] = {"name": name, "number": scene.number, "size": original.shape[1::-1], "figures": [],
                            "bits": [], "artefacts": None, "views": views, "pair": scene.pair}  # fmt: skip
    models = scene.prepared.settings.models
    drawn: list[tuple[str, str, Callable[[Path], None]]] = [
        ("fig6", "Original, class map, streams and reconstructions (the paper's Fig. 6)",
         lambda out: figures.draw_overview(scene, out)),
        ("fig8", "A detail of the region of interest: the one with the steepest edges in the source (Fig. 8)",
         lambda out: figures.draw_details(scene, out)),
        ("fig9", f"What {models[0]} sees (Fig. 9): ROI white, construction red, nature green, sky blue",
         lambda out: figures.draw_segmentations(scene, models[0], out)),
        ("frames", "PSNR of every frame", lambda out: figures.draw_strips(scene, out)),
    ]  # fmt: skip
    try:
        for kind, caption, draw in drawn:
            out = folder / f"{name}-{kind}.{'png' if kind == 'frames' else 'jpg'}"
            draw(out)
            if inside and kind != "frames":
                part["figures"].append((caption, file_uri(out)))
        maps = figures.bits_maps(scene, store)
        if maps:
            figures.draw_bits(scene, maps, folder / f"{name}-bits.png")
            tops = figures.scales(scene, maps)
            part["bits"] = [
                (label, data_uri(_heat(bits / tops[label])), float(bits.sum() / 8)) for label, bits in maps.items()
            ]
        part["artefacts"] = _artefacts(scene, store, folder)
    except SacError as error:
        study.failures.append(Failure(name, "figures", str(error)))
    return part


def _artefacts(scene: Scene, store: Store, folder: Path) -> dict[str, Any] | None:
    """Table and picture of Fig. 7; None if the video does not have 8 bits."""
    if scene.prepared.clip.format.bits_per_sample != 8:
        return None
    found: Artefacts = find_artefacts(scene.prepared.clip, scene.prepared.grid, store.root / "encodes", scene.name)
    out = folder / f"{scene.name}-fig7.png"
    figures.draw_flashes(found, scene, out)
    (store.root / f"{scene.name}-fig7.json").write_text(found.table.to_json())
    return {"table": found.table, "picture": file_uri(out)}


def _view(scene: Scene, label: str, picture: Picture) -> tuple[str, str, str]:
    """The whole frame and the detail as data URIs, and their caption."""
    return data_uri(picture, width=_FRAME_WIDTH), data_uri(scene.detail.of(picture), quality=92), scene.described(label)


def file_uri(path: Path) -> str:
    """Return a figure as data URI, in the width of the page."""
    with Image.open(path) as image:
        return data_uri(np.asarray(image.convert("RGB")), width=_FIGURE_WIDTH, quality=82)


def _heat(share: np.ndarray[Any, Any]) -> Picture:
    """Shares from 0 to 1 as colours, 4×4 pixels per macroblock."""
    colours = (colormaps["magma"](np.clip(share, 0, 1))[..., :3] * 255).astype(np.uint8)
    return np.asarray(colours.repeat(4, 0).repeat(4, 1))


def _facts(study: Study) -> list[str]:
    frames = sum(prepared.clip.num_frames for prepared in study.prepared_clips)
    masks = {prepared.settings.masks or "labels" for prepared in study.prepared_clips}
    facts = [
        f"{len(study.clips())} clip{'s' * (len(study.clips()) > 1)}, {frames} frames",
        f"{len(study.results)} encodes",
        f"masks by {', '.join(sorted(masks))}",
    ]
    if any(not result["clip"]["video"] for result in study.results):
        facts.append("some clips are single pictures, not video")
    return facts


def _interval(gain: dict[str, Any]) -> str:
    low, high = (f"{gain[f'psnr_roi_{end}']:+.2f}".replace("-", "−") for end in ("low", "high"))
    return f"{gain['method']}: ROI {low} to {high} dB"


def _by_class(rows: Sequence[dict[str, Any]], key: str, means: Sequence[Column]) -> list[Table]:
    """One table per clip: a score of each class in the reconstructions of the byte-matched comparison.

    Args:
        rows: Rows of `flat_rows`.
        key: Key of the scores by class in a row.
        means: Columns before those of the classes.
    """
    tables = []
    for clip in dict.fromkeys(row["clip"] for row in rows):
        held = [row for row in rows if row["clip"] == clip and row[key]]
        matched = [row for row in held if row["matched"] is not None]
        bases = {row["baseline"] for row in matched}
        shown_rows = [row for row in held if row["slug"] in bases or row["matched"] is not None] or held
        names = sorted({name for row in shown_rows for name in row[key]})
        columns = (Column("method", "method"), Column("crf", "CRF"), *means,
                   *(Column(f"class {name}", name, 3) for name in names))  # fmt: skip
        flat = [{**row, **{f"class {name}": value for name, value in row[key].items()}} for row in shown_rows]
        if flat:
            tables.append(Table(clip, columns, tuple(flat)))
    return tables


def _versions(study: Study) -> dict[str, str]:
    first = study.results[0]["versions"] if study.results else {}
    return {**first, "Python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}


def _data(
    study: Study, rows: Sequence[dict[str, Any]], means: Sequence[dict[str, Any]], parts: Sequence[dict[str, Any]]
) -> Markup:
    """The data that the page's script draws, as JSON inside the page."""
    groups = {"mean of all clips": means} if len(study.clips()) > 1 else {}
    groups |= {clip: [row for row in rows if row["clip"] == clip] for clip in study.clips()}
    curves = {
        name: [
            {"family": row["method"], "setting": row["setting"], "matched": row["matched"] is not None,
             "joined": on_curve(row), "kbps": row["kbps"], "ratio": row["compression"], "look": vars(look_of(row)),
             **{key: row[key] for key, _, _ in _CURVES}}
            for row in held
        ]
        for name, held in groups.items()
    }  # fmt: skip
    frames = {
        clip: [
            {"label": r["method"]["label"], "look": vars(look_of(r["method"])),
             **{region: [v if isinstance(v, float) else None for v in r["frame_psnr"][region]]
                for region in ("all", "roi", "non_roi")}}
            for r in _shown(study, clip, parts)
        ]
        for clip in study.clips()
    }  # fmt: skip
    pictures = {part["name"]: {label: list(pair) for label, pair in part["views"].items()} for part in parts}
    pairs = {part["name"]: list(part["pair"]) for part in parts}
    data = {"curves": curves, "qualities": _CURVES, "frames": frames, "pictures": pictures, "pairs": pairs}
    return Markup(json.dumps(data, allow_nan=False).replace("<", "\\u003c"))


def _shown(study: Study, clip: str, parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    labels = {label for part in parts if part["name"] == clip for label in part["views"]}
    return [r for r in study.results if r["clip"]["name"] == clip and r["method"]["label"] in labels]
