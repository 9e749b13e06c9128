"""The paper's tables next to ours, in both metric conventions."""

from itertools import product
from statistics import fmean
from typing import Any

from ..core.choices import BlockMap, Codec, Fill, Mode
from .compare import Study
from .methods import TABLE_CRFS, Method, Variants, ladder, matched, table_plan, uniform_anchors
from .paper import TABLE_II, TABLE_III, TABLE_IV, PaperRow
from .rows import flat_rows, pooled
from .table import Column, Table

__all__ = ["PAPER_TABLES", "paper_table", "plan"]

#: Title and rows of each table, by its name on the command line.
PAPER_TABLES = {"table2": ("Table II", TABLE_II), "table3": ("Table III", TABLE_III), "table4": ("Table IV", TABLE_IV)}

_RATE = (
    Column("bytes", "bytes"),
    Column("ratio", "× uniform", 3),
)
_QUALITY = (
    Column("method", "method"),
    Column("crf", "CRF"),
    Column("printed_psnr", "PSNR paper", 2),
    Column("psnr", "ours", 2),
    Column("printed_ssim", "SSIM paper", 2),
    Column("ssim", "ours", 4),
    Column("printed_sa_psnr", "SA-PSNR paper", 2),
    Column("paper_sa_psnr", "ours, paper's way", 2),
    Column("paper_masked_sa_psnr", "ours, masked alike", 2),
    Column("sa_psnr", "ours, fair", 2),
    Column("printed_sa_ssim", "SA-SSIM paper", 2),
    Column("paper_sa_ssim", "ours, paper's way", 4),
    Column("sa_ssim", "ours, fair", 4),
    Column("psnr_roi", "ROI", 2),
    Column("psnr_non_roi", "non-ROI", 2),
    *_RATE,
)
_PERCEPTION = (
    Column("method", "method"),
    Column("crf", "CRF"),
    Column("printed_miou", "mIoU % paper", 2),
    Column("miou_percent", "ours", 2),
    Column("printed_roi_iou", "iIOU % paper", 2),
    Column("roi_iou_percent", "ours", 2),
    Column("printed_sa_psnr", "SA-PSNR paper", 2),
    Column("paper_sa_psnr", "ours, paper's way", 2),
    Column("sa_psnr", "ours, fair", 2),
    *_RATE,
)
_CONVENTIONS = (
    "“paper's way” is the convention of the printed tables: uniform rows hold whole-frame figures, SA rows figures of"
    " masked frames over the whole frame's area with weights of the CRFs. “masked alike” takes that SA formula for the"
    " uniform rows too. “fair” pools each region's error over its own pixels, weights 0.6 and 0.4. “× uniform”: bytes"
    " of everything over those of the uniform encode at the default CRF (x264 23, x265 28) by the same encoder."
)


def plan(table: str, *, curves: bool = True, variants: Variants | None = None) -> list[Method]:
    """The methods needed for a table: the paper's rows with black fill, and ours at equal bytes with the default fill.

    Args:
        table: A name of `PAPER_TABLES`.
        curves: Also include the rate curves of Table IV.
        variants: Maps and coded sizes of the byte-matched rows and rate curves of Table IV.
    """
    variants = variants or Variants()
    if table != "table4":
        return [*table_plan(modes=(Mode.TWO_STREAM,), fill=Fill.BLACK), *uniform_anchors(), *matched()]
    rows = [Method(codec=codec, mode=mode, crf_roi=pair[0], crf_non_roi=pair[1],
                   fill=Fill.BLACK if mode is Mode.TWO_STREAM else None)
            for codec, mode in product(Codec, Mode) for pair in [TABLE_CRFS[codec][3]]]  # fmt: skip
    return [*uniform_anchors(), *rows, *matched(variants=variants), *(ladder(variants=variants) if curves else [])]


def paper_table(table: str, study: Study, model: str | None = None) -> Table:
    """A table of the paper with our means over the clips in each row, followed by the byte-matched rows.

    Args:
        table: A name of `PAPER_TABLES`.
        study: Results of `plan`.
        model: Network whose scores are shown; the first by default.
    """
    title, printed = PAPER_TABLES[table]
    ours = pooled(flat_rows(study, model))
    made = []
    for row in printed:
        codec = Codec.X264 if row.method.endswith("264") else Codec.X265
        mine = next((r for r in ours if _is_row(r, codec, (row.crf_roi, row.crf_non_roi))), {})
        made.append({**_percent(mine), **_printed(row)})
    for mine in ours:
        if mine["matched"] is not None:
            pair = [mine["crf_roi"], mine["crf_non_roi"]][: 1 if mine["map"] != BlockMap.ROI else 2]
            made.append({**_percent(mine), "crf": "/".join(f"{crf:.1f}" for crf in pair)})
        elif table == "table4" and _is_single(mine):
            made.append({**_percent(mine), "crf": mine["setting"]})
    names = ", ".join(study.clips())
    notes = [f"Ours: {_what(study)} ({names}).", _CONVENTIONS]
    if errors := [r["match_error"] for r in ours if r["match_error"] is not None]:
        worst = max(errors, key=abs)
        within = "within" if abs(worst) <= 0.01 else "NOT within"
        notes.append(f"Rows with fractional CRFs are byte-matched, {within} ±1 %: the furthest is {worst:+.2%} off.")
    if any(not r["clip"]["video"] for r in study.results):
        notes.append(
            "The images are single pictures, not consecutive frames: prediction between them finds nothing, so bytes"
            " and rate say nothing about video. Quality at a CRF can be compared, with care."
        )
    columns = _PERCEPTION if table == "table4" else _QUALITY
    return Table(f"The paper's {title} beside ours", columns, tuple(made), tuple(notes))


def _is_row(row: dict[str, Any], codec: Codec, crfs: tuple[int, int]) -> bool:
    """Whether one of our rows corresponds to the paper's row: same codec and CRFs, in two streams."""
    plain = row["matched"] is None and row["encoder_of"] == Mode.TWO_STREAM and row["coded_size"] is None
    plain &= row["uniform"] or row["fill"] == Fill.BLACK
    return plain and row["codec"] == codec and (row["crf_roi"], row["crf_non_roi"]) == crfs


def _is_single(row: dict[str, Any]) -> bool:
    """Whether one of our rows is a single stream at the CRFs of Table IV."""
    return row["mode"] == Mode.SINGLE_STREAM and row["setting"] in {"18/27", "23/32"} and row["coded_size"] is None


def _printed(row: PaperRow) -> dict[str, Any]:
    crf = f"{row.crf_roi}" if row.crf_roi == row.crf_non_roi else f"{row.crf_roi}/{row.crf_non_roi}"
    return {
        "method": row.method, "crf": crf, "printed_psnr": row.psnr, "printed_ssim": row.ssim,
        "printed_sa_psnr": row.sa_psnr, "printed_sa_ssim": row.sa_ssim, "printed_miou": row.miou,
        "printed_roi_iou": row.roi_iou,
    }  # fmt: skip


def _percent(row: dict[str, Any]) -> dict[str, Any]:
    shares = {f"{key}_percent": row[key] * 100 if row.get(key) is not None else None for key in ("miou", "roi_iou")}
    return {**row, **shares}


def _what(study: Study) -> str:
    frames = sum(prepared.clip.num_frames for prepared in study.prepared_clips)
    shares = [r["roi_share"] for r in study.results if r["roi_share"] is not None]
    masks = study.prepared_clips[0].settings.masks if study.prepared_clips else None
    made = f"masks by {masks}" if masks else "masks from the labels"
    share = f", ROI {fmean(shares):.0%} of the picture" if shares else ""
    return f"{len(study.prepared_clips)} clip(s), {frames} frames, {made}{share}"
