"""From results to rows of tables: one row per clip and method, means over clips, and ratios to uniform encodes."""

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, groupby
from statistics import fmean
from typing import Any, Final

from ..core.choices import BlockMap, Mode
from ..core.errors import SacValueError
from ..metrics.rate import Curve, bd_rate, bootstrap
from .compare import Study
from .methods import GAP
from .table import Column, Table

__all__ = [
    "CLASSES",
    "COMPARED",
    "bd_table",
    "columns_of",
    "comparison",
    "flat_rows",
    "gains",
    "is_anchor",
    "on_curve",
    "pooled",
    "summary",
]

#: A byte-matched encode counts as matched if it is within this share of its target.
_MATCHED = 0.01

COMPARED: Final = (
    Column("method", "method"),
    Column("crf", "CRF"),
    Column("bytes", "bytes", note="Of everything: streams, mask and container"),
    Column("ratio", "× uniform", 3, note="Bytes over those of uniform at the default CRF by the same encoder"),
    Column("compression", "1 :", 0, note="Raw bytes of the source's own format over bytes"),
    Column("psnr", "PSNR", 2, note="Luma, whole frame, dB"),
    Column("psnr_roi", "ROI", 2, note="PSNR of the region of interest, dB"),
    Column("psnr_non_roi", "non-ROI", 2, note="PSNR of the rest, dB"),
    Column("psnr_ring", "ring", 2, note="PSNR within 8 pixels of a mask edge, dB"),
    Column("ssim", "SSIM", 4),
    Column("sa_psnr", "SA-PSNR fair", 2, note="0.6 ROI + 0.4 non-ROI, each over its own pixels, dB"),
    Column("sa_ssim", "SA-SSIM fair", 4),
    Column("paper_sa_psnr", "SA-PSNR paper", 2, note="As the paper has it: whole-frame PSNR in uniform rows"),
    Column("paper_sa_ssim", "SA-SSIM paper", 4),
    Column("miou", "mIoU", 4, note="Of the segmented reconstruction"),
    Column("roi_iou", "ROI IoU", 4),
)

#: Further columns where a network is scored at its own classes.
CLASSES: Final = (
    Column("classes_miou", "class mIoU", 4, note="Mean IoU over the network's own classes"),
    Column("classes_roi", "ROI classes", 4, note="Mean IoU over its classes of the region of interest"),
    Column("classes_things", "things", 4, note="Mean IoU over people, vehicles, lights, signs and poles"),
)

#: Quality figures for which BD-rates are computed, and the smallest number of points of a curve.
_QUALITIES = (("psnr_roi", "ROI-PSNR"), ("psnr", "PSNR"), ("sa_psnr", "SA-PSNR fair"), ("miou", "mIoU"),
              ("roi_iou", "ROI IoU"))  # fmt: skip
_FEWEST = 4

#: Figures that stop rising from some rate on.
_SATURATING = ("miou", "roi_iou")

#: Figures that are averaged arithmetically over clips.
_MEANS = ("psnr", "psnr_roi", "psnr_non_roi", "psnr_ring", "ssim", "sa_psnr", "sa_ssim", "paper_sa_psnr",
          "paper_sa_ssim", "paper_masked_sa_psnr", "miou", "roi_iou", "roi_share", "crf_roi",
          "crf_non_roi")  # fmt: skip


def flat_rows(study: Study, model: str | None = None) -> list[dict[str, Any]]:
    """One row per clip and method.

    Args:
        study: The results.
        model: Network whose scores are shown; the first by default.
    """
    sizes = {(r["clip"]["name"], r["method"]["slug"]): r["bytes"]["total"] for r in study.results}
    return [_row(result, sizes, model) for result in study.results]


def _row(result: dict[str, Any], sizes: dict[tuple[str, str], int], model: str | None) -> dict[str, Any]:
    method, paper = result["method"], result["paper"] or {}
    clip, total = result["clip"]["name"], result["bytes"]["total"]
    baseline = sizes.get((clip, method["baseline"]))
    seen = result["perception"]
    scores = seen.get(model) if model else next(iter(seen.values()), None)
    scores = scores or {}
    own = scores.get("classes", {})
    uniform = method["uniform"]
    error = total / method["target_bytes"] - 1 if method["target_bytes"] else None
    pair = [method["crf_roi"]] if method["map"] != BlockMap.ROI else [method["crf_roi"], method["crf_non_roi"]]
    found = "/".join(f"{crf:g}" for crf in pair)
    return {
        "clip": clip, "method": method["family"], "name": method["name"], "mode": method["mode"] or "",
        "slug": method["slug"],
        "setting": method["crfs"], "crf": f"{found} (bytes matched)" if method["matched"] else method["crfs"],
        "crf_roi": method["crf_roi"], "crf_non_roi": method["crf_non_roi"], "uniform": uniform,
        "encoder_of": method["encoder_of"], "baseline": method["baseline"], "codec": method["codec"],
        "fill": method["fill"], "map": method["map"], "coded_size": method["coded_size"],
        "match_error": error, "matched": None if error is None else abs(error) <= _MATCHED,
        "bytes": total, "ratio": total / baseline if baseline else None, "kbps": result["bitrate_kbps"],
        "compression": result["compression_ratio"], "roi_share": result["roi_share"],
        **{f"psnr{suffix}": _finite(result["psnr"][region]) for suffix, region in
           (("", "all"), ("_roi", "roi"), ("_non_roi", "non_roi"), ("_ring", "ring"))},
        "ssim": result["ssim"]["all"], "sa_psnr": _finite(result["sa_psnr"]), "sa_ssim": result["sa_ssim"],
        "paper_sa_psnr": _finite(result["psnr"]["all"] if uniform else paper.get("sa_psnr")),
        "paper_sa_ssim": result["ssim"]["all"] if uniform else paper.get("sa_ssim"),
        "paper_masked_sa_psnr": _finite(paper.get("sa_psnr")),
        "miou": scores.get("miou"), "roi_iou": scores.get("roi_iou"), "recall": scores.get("recall", {}),
        **{f"classes_{key}": own.get(name) for key, name in
           (("miou", "miou"), ("roi", "roi_classes"), ("things", "thing_classes"))},
        "class_iou": own.get("iou", {}),
        "encode_seconds": result["seconds"]["encode"],
    }  # fmt: skip


def pooled(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per method. Bytes are summed, ratios are averaged geometrically, all other figures arithmetically.

    Only methods with a result for every clip are included, so that all rows refer to the same footage.
    """
    clips = list(dict.fromkeys(row["clip"] for row in rows))
    by_slug: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_slug[row["slug"]].append(row)
    result = []
    for group in by_slug.values():
        if len(group) < len(clips):
            continue
        means = {key: _mean([row[key] for row in group]) for key in _MEANS}
        means |= {column.key: _mean([row.get(column.key) for row in group]) for column in CLASSES}
        first = group[0]
        result.append({
            **{key: first[key] for key in ("method", "name", "mode", "slug", "setting", "uniform", "encoder_of",
                                           "baseline", "codec", "fill", "map", "coded_size")},
            **means, "clip": f"mean of {len(clips)}" if len(clips) > 1 else clips[0],
            "crf": first["crf"] if len(clips) == 1 else first["setting"],
            "bytes": sum(row["bytes"] for row in group),
            "ratio": _geometric([row["ratio"] for row in group]),
            "kbps": _geometric([row["kbps"] for row in group]),
            "compression": _geometric([row["compression"] for row in group]),
            "match_error": None if first["matched"] is None else max((row["match_error"] for row in group), key=abs),
            "matched": None if first["matched"] is None else all(row["matched"] for row in group),
        })  # fmt: skip
    return result


def comparison(rows: Sequence[dict[str, Any]], title: str) -> Table:
    """The table of all measured figures."""
    notes = []
    matched = [row for row in rows if row["matched"] is not None]
    if matched:
        worst = max((row["match_error"] for row in matched), key=abs)
        said = "All are within ±1 %" if all(row["matched"] for row in matched) else "NOT all are within ±1 %"
        notes.append(
            f"Byte-matched rows weigh what the uniform encode weighs. {said}; the furthest is {worst:+.2%} off."
        )
    return Table(title, columns_of(rows), tuple(rows), tuple(notes))


def columns_of(rows: Sequence[dict[str, Any]]) -> tuple[Column, ...]:
    """Return the columns of `comparison`: `CLASSES` only if a network is scored at its own classes."""
    return (*COMPARED, *(column for column in CLASSES if any(row.get(column.key) is not None for row in rows)))


def gains(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Gain of each byte-matched method over its uniform encode: mean over the clips, and confidence interval."""
    by_place = {(row["clip"], row["slug"]): row for row in rows}
    result = []

    def family(row: dict[str, Any]) -> tuple[str, str, str]:
        return row["codec"], row["mode"], row["method"]

    for (codec, mode, _), group in groupby(sorted((r for r in rows if r["matched"] is not None), key=family), family):
        pairs = [(row, by_place[row["clip"], row["baseline"]]) for row in group
                 if (row["clip"], row["baseline"]) in by_place]  # fmt: skip
        if not pairs:
            continue
        gained: dict[str, Any] = {}
        for key in ("psnr", "psnr_roi", "psnr_non_roi", "psnr_ring", "sa_psnr", "paper_sa_psnr", "paper_masked_sa_psnr",
                    "miou", "roi_iou"):  # fmt: skip
            known = [row[key] - base[key] for row, base in pairs if None not in (row[key], base[key])]
            gained[key] = fmean(known) if known else None
            if known and len(known) > 1:
                interval = bootstrap(known)
                gained[f"{key}_low"], gained[f"{key}_high"] = interval.low, interval.high
        base, row = pairs[0][1], pairs[0][0]
        errors = [r["match_error"] for r, _ in pairs]
        result.append({
            "method": row["method"], "name": row["name"], "mode": mode, "codec": codec, "clips": len(pairs),
            "against": f"{base['method']} {base['setting']}", "match_error": max(errors, key=abs),
            "matched": all(r["matched"] for r, _ in pairs), **gained,
        })  # fmt: skip
    return result


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """The result in one sentence."""
    found = [gain for gain in gains(rows) if gain["psnr_roi"] is not None and gain["psnr_non_roi"] is not None]
    if not found:
        return "No byte-matched comparison could be made."
    best = max(found, key=lambda gain: gain["psnr_roi"])
    clips = "on one clip" if best["clips"] == 1 else f"on the mean of {best['clips']} clips"
    about = "" if best["matched"] else " (not within ±1 %)"
    return (
        f"At the bytes of uniform {best['against']}{about}, {best['name']} in {best['mode']} mode changes the PSNR of"
        f" the region of interest by {_signed(best['psnr_roi'])} dB and that of the rest by"
        f" {_signed(best['psnr_non_roi'])} dB {clips}."
    )


def bd_table(rows: Sequence[dict[str, Any]], title: str = "BD-rate against uniform") -> Table | None:
    """Bjøntegaard deltas of each SA family against uniform encodes, over the points with the CRF gap `GAP`.

    Returns None if no curve has enough points.
    """
    made, why = [], dict[str, None]()
    for clip, family in dict.fromkeys((row["clip"], row["method"]) for row in rows if not row["uniform"]):
        # A byte-matched point lies close to a point of the ladder, so noise would decide which of the two is better.
        points = [row for row in rows if (row["clip"], row["method"]) == (clip, family) and on_curve(row)
                  and row["matched"] is None]  # fmt: skip
        if len(points) < _FEWEST:
            continue
        anchors = [row for row in rows if is_anchor(row, points[0]["codec"]) and row["clip"] == clip]
        deltas: dict[str, Any] = {"clip": clip, "method": family}
        for key, name in _QUALITIES:
            try:
                deltas[key] = bd_rate(_curve(anchors, key), _curve(points, key)) / 100
            except SacValueError as error:
                deltas[key] = None
                why[f"No BD-rate on {name} for {clip}, {family}: {_reason(error)}."] = None
        made.append(deltas)
    if not made:
        return None
    columns = [Column(key, name, 1, sign=True, percent=True) for key, name in _QUALITIES]
    return Table(title, (Column("clip", "clip"), Column("method", "method"), *columns), tuple(made), tuple(why))


def is_anchor(row: dict[str, Any], codec: str) -> bool:
    """Whether a row is a uniform encode of the source's size by an encoder, in the settings of its preset.

    The uniform encodes to compare a single stream with at equal bytes have that mode's adaptive quantization instead.
    """
    return bool(row["uniform"] and row["codec"] == codec and row["encoder_of"] == Mode.TWO_STREAM
                and row["coded_size"] is None)  # fmt: skip


def on_curve(row: dict[str, Any]) -> bool:
    """Whether a row is a point of its method's curve. All points of a curve have the same CRF gap."""
    return (
        bool(row["uniform"])
        or row["map"] != BlockMap.ROI
        or math.isclose(row["crf_non_roi"] - row["crf_roi"], GAP, abs_tol=0.02)
    )


def _curve(rows: Sequence[dict[str, Any]], key: str) -> Curve:
    known = sorted((row["bytes"], row[key]) for row in rows if row[key] is not None)
    if key in _SATURATING:
        # Where accuracy no longer rises, noise decides. A point is dropped if a smaller encode is at least as good.
        best = [-math.inf, *accumulate((quality for _, quality in known), max)]
        known = [point for point, before in zip(known, best, strict=False) if point[1] > before]
    return Curve(tuple(rate for rate, _ in known), tuple(quality for _, quality in known))


def _reason(error: SacValueError) -> str:
    """The message of an error, without its function name and the figures."""
    return str(error).partition(") ")[2].partition(", got")[0]


def _finite(value: Any) -> float | None:
    """A figure, or None if it is infinite or undefined."""
    return value if isinstance(value, int | float) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _geometric(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value]
    return math.exp(fmean(math.log(v) for v in known)) if known and len(known) == len(values) else None


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
