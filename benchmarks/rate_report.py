"""Tables, JSON and a plot of the points that `rate.py` measured."""

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vs_sac.core.errors import SacValueError
from vs_sac.metrics.rate import Curve, bd_quality, bd_rate, bootstrap
from vs_sac.pipeline.crf_search import TOLERANCE

__all__ = ["GAPS", "LADDER", "MATCHED", "UNIFORM", "Point", "Report", "anchor", "interpolated"]

#: CRFs of the ROI, and of the uniform encodes.
LADDER = {"x264": (20, 23, 26, 29), "x265": (23, 26, 29, 32)}

#: CRF distances: the CRF of the non-ROI minus the CRF of the ROI.
GAPS = (9, 5)

#: CRF of the uniform encode whose size is matched.
MATCHED = {"x264": 23, "x265": 28}

UNIFORM = "uniform"
MODES = ("two-stream", "single-stream")

# What the tables mean, for the generated page.
_INTRODUCTION = """\
# Rate and quality, all clips

These tables are written by `benchmarks/rate.py` from the points in `rate.json`; `docs/rate.md` discusses them. PSNR is
luma PSNR, pooled over the clip. Bytes include everything in the file: streams, mask and container. The CRF distance is
the CRF of the non-ROI minus the CRF of the ROI. A mean is followed by its 95 % bootstrap interval over the clips.
"""
_BD_RATE = """\
Negative percentages mean that ROI coding needs fewer bytes than a uniform encode at equal quality. Quality is the PSNR
of the ROI, the PSNR of the whole picture, or the fair SA-PSNR. The columns in dB are the mean difference of PSNR at
equal bytes. The uniform encode is by the same encoder in the same settings.
"""
_PRESET = """\
A single stream has some settings of its own. In the preceding table the uniform encode shares them. Here the uniform
encode has the preset's own settings, which is the comparison with an ordinary encode.
"""
_EQUAL_BYTES = f"""\
The encodes of these rows have the size of the uniform encode (x264 CRF {MATCHED["x264"]}, x265 CRF {MATCHED["x265"]})
within 1 %. `ROI's CRF` is the CRF of the ROI that gives this size, and `bytes %` is the remaining difference in size.
The next three columns are the change of PSNR against the uniform encode. `ring over non-ROI dB` is the PSNR of the ring
around mask edges minus the PSNR of the non-ROI.
"""
_SPLITTING = f"""\
The table shows how many more bytes two streams need than a uniform encode if both streams have the same CRF:
{MATCHED["x264"]} for x264, {MATCHED["x265"]} for x265. One column compares at that CRF, the other at equal PSNR.
"""


@dataclass(frozen=True)
class Point:
    """An encode and its figures. PSNR is luma PSNR in dB, pooled over the clip."""

    clip: str
    codec: str
    mode: str
    crf_roi: float
    crf_non_roi: float
    bytes: int
    psnr: dict[str, float]
    sa_psnr: float
    encoder: str
    seconds: float

    def figure(self, name: str) -> float:
        """The PSNR of a region, or the fair SA-PSNR."""
        return self.sa_psnr if name == "sa" else self.psnr[name]


#: Names of the uniform encodes in the settings of a single stream, which differ from the preset's.
_SINGLE = {"x264": f"{UNIFORM} aq-strength 0.6", "x265": f"{UNIFORM} rskip 0"}


def anchor(codec: str, mode: str) -> str:
    """The name of the uniform encode that a mode is compared with: same encoder, same settings."""
    return _SINGLE[codec] if mode == "single-stream" else UNIFORM


def interpolated(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """The y at x by linear interpolation between the two nearest points, over the logarithm of x."""
    pairs = sorted(zip(xs, ys, strict=True))
    upper = min(max(1, sum(known < x for known, _ in pairs)), len(pairs) - 1)
    (x0, y0), (x1, y1) = pairs[upper - 1], pairs[upper]
    return y0 + (y1 - y0) * math.log(x / x0) / math.log(x1 / x0)


@dataclass(frozen=True)
class Report:
    """All results that are derived from the points."""

    points: Sequence[Point]

    @cached_property
    def clips(self) -> list[str]:
        """Names of the clips, in order."""
        return list(dict.fromkeys(point.clip for point in self.points))

    def ladder(self, clip: str, codec: str, mode: str, gap: int) -> list[Point]:
        """The points of one curve."""
        return [p for crf in LADDER[codec] for p in self._find(clip, codec, mode, crf, crf + gap)]

    def _find(self, clip: str, codec: str, mode: str, roi: float, non_roi: float) -> list[Point]:
        wanted = (clip, codec, mode, roi, non_roi)
        found = [p for p in self.points if (p.clip, p.codec, p.mode, p.crf_roi, p.crf_non_roi) == wanted]
        return found[:1]

    def deltas(self, clip: str, codec: str, mode: str, gap: int, *, preset: bool = False) -> dict[str, float] | None:
        """Bjøntegaard deltas against the uniform encodes: rates in per cent, PSNR of ROI and non-ROI in dB.

        With `preset` the uniform encodes are those in the preset's own settings.
        """
        base = UNIFORM if preset else anchor(codec, mode)
        uniform, test = self.ladder(clip, codec, base, 0), self.ladder(clip, codec, mode, gap)
        if min(len(uniform), len(test)) < 4:
            return None

        def curve(points: Iterable[Point], figure: str) -> Curve:
            points = list(points)
            return Curve(tuple(p.bytes for p in points), tuple(p.figure(figure) for p in points))

        def of(measure: Callable[[Curve, Curve], float], figure: str) -> float:
            try:
                return measure(curve(uniform, figure), curve(test, figure))
            except SacValueError:
                return math.nan  # the curves share no range

        return {
            "rate_roi": of(bd_rate, "roi"), "rate_all": of(bd_rate, "all"), "rate_sa": of(bd_rate, "sa"),
            "psnr_roi": of(bd_quality, "roi"), "psnr_non_roi": of(bd_quality, "non_roi"),
        }  # fmt: skip

    def matched(self, clip: str, codec: str, mode: str) -> dict[str, float] | None:
        """The encode with the size of the uniform one, within 1 %: its PSNR minus that of the uniform one, in dB."""
        uniform = self._find(clip, codec, anchor(codec, mode), MATCHED[codec], MATCHED[codec])
        tried = [p for p in self.points if (p.clip, p.codec, p.mode) == (clip, codec, mode)
                 and math.isclose(p.crf_non_roi - p.crf_roi, GAPS[0], abs_tol=1e-6)]  # fmt: skip
        if not uniform or not tried:
            return None
        (target,) = uniform
        best = min(tried, key=lambda p: abs(p.bytes - target.bytes))
        if abs(best.bytes / target.bytes - 1) > TOLERANCE:
            return None
        return {
            "crf_roi": best.crf_roi, "bytes": best.bytes / target.bytes - 1,
            **{region: best.psnr[region] - target.psnr[region] for region in ("roi", "non_roi", "all")},
            "ring_over_non_roi": best.psnr["ring"] - best.psnr["non_roi"],
        }  # fmt: skip

    def penalty(self, clip: str, codec: str) -> dict[str, float] | None:
        """The cost of splitting: additional bytes of two streams at equal CRFs over a uniform encode, in per cent.

        `same_crf` compares with the uniform encode at the same CRF. `same_psnr` compares with the bytes that a uniform
        encode needs for the same PSNR, interpolated on its ladder for the ROI and for the non-ROI, and averaged.
        """
        crf = MATCHED[codec]
        split = self._find(clip, codec, "two-stream", crf, crf)
        uniform = self._find(clip, codec, UNIFORM, crf, crf)
        ladder = self.ladder(clip, codec, UNIFORM, 0)
        if not split or not uniform or len(ladder) < 4:
            return None
        logs = [math.log(p.bytes) for p in ladder]
        same = []
        for region in ("roi", "non_roi"):
            # The exponential cancels the logarithm in `interpolated`: the interpolation is linear over PSNR.
            xs = [math.exp(p.psnr[region]) for p in ladder]
            same.append(interpolated(xs, logs, math.exp(split[0].psnr[region])))
        return {
            "same_crf": (split[0].bytes / uniform[0].bytes - 1) * 100,
            "same_psnr": math.expm1(math.log(split[0].bytes) - statistics.fmean(same)) * 100,
        }

    def to_dict(self) -> dict[str, Any]:
        """The points and the derived results, for JSON."""
        derived = [
            {"clip": clip, "codec": codec, "mode": mode, "matched": self.matched(clip, codec, mode),
             "deltas": {gap: self.deltas(clip, codec, mode, gap) for gap in GAPS},
             "preset_deltas": {gap: self.deltas(clip, codec, mode, gap, preset=True) for gap in GAPS},
             "penalty": self.penalty(clip, codec) if mode == "two-stream" else None}
            for clip in self.clips for codec in LADDER for mode in MODES
        ]  # fmt: skip
        return {"points": [asdict(point) for point in self.points], "derived": derived}

    def markdown(self) -> str:
        """All tables, each behind a sentence that says what it means."""
        parts = [_INTRODUCTION]
        for gap in [gap for gap in GAPS if any(self._measured(gap))]:
            parts.append(f"## BD-rate against the uniform encode, CRF distance {gap}\n\n{_BD_RATE}")
            keys = ("rate_roi", "rate_all", "rate_sa", "psnr_roi", "psnr_non_roi")
            head = ["ROI-PSNR %", "whole PSNR %", "fair SA-PSNR %", "ROI dB", "non-ROI dB"]
            parts.append(self._table(head, keys, lambda *key, gap=gap: self.deltas(*key, gap), MODES))
            parts.append(f"## One stream against the preset's own uniform encode, CRF distance {gap}\n\n{_PRESET}")
            parts.append(self._table(head, keys, lambda *key, gap=gap: self.deltas(*key, gap, preset=True), MODES[1:]))
        parts.append(f"## At the bytes of the uniform encode, CRF distance {GAPS[0]}\n\n{_EQUAL_BYTES}")
        keys = ("crf_roi", "bytes_percent", "roi", "non_roi", "all", "ring_over_non_roi")
        head = ["ROI's CRF", "bytes %", "ROI dB", "non-ROI dB", "whole dB", "ring over non-ROI dB"]
        parts.append(self._table(head, keys, self._matched_row, MODES))
        parts.append(f"## The cost of splitting\n\n{_SPLITTING}")
        keys = ("same_crf", "same_psnr")
        parts.append(self._table(["bytes % at the CRF", "bytes % at the PSNR"], keys,
                                 lambda clip, codec, _: self.penalty(clip, codec), MODES[:1]))  # fmt: skip
        return "\n".join(parts)

    def _measured(self, gap: int) -> Iterator[bool]:
        """Whether a clip has a curve at this CRF distance."""
        for clip in self.clips:
            yield from (self.deltas(clip, codec, mode, gap) is not None for codec in LADDER for mode in MODES)

    def _matched_row(self, clip: str, codec: str, mode: str) -> dict[str, float] | None:
        row = self.matched(clip, codec, mode)
        return row and {**row, "bytes_percent": row["bytes"] * 100}

    def _table(
        self,
        head: Sequence[str],
        keys: Sequence[str],
        row: Callable[[str, str, str], dict[str, float] | None],
        modes: Sequence[str],
    ) -> str:
        lines = [f"| codec, mode | clip | {' | '.join(head)} |", "|---" * (len(head) + 2) + "|"]
        for codec in LADDER:
            for mode in modes:
                rows = {clip: found for clip in self.clips if (found := row(clip, codec, mode))}
                for clip, found in rows.items():
                    lines.append(f"| {codec} {mode} | {clip} | {' | '.join(_shown(found[key]) for key in keys)} |")
                for name, chosen in _groups(rows).items():
                    cells = [_interval([rows[clip][key] for clip in chosen]) for key in keys]
                    lines.append(f"| **{codec} {mode}** | **{name}** | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"

    def plot(self, out: Path) -> None:
        """Plot the PSNR of the ROI and of the rest over bytes."""
        from matplotlib.figure import Figure
        from matplotlib.ticker import NullFormatter, ScalarFormatter

        figure = Figure(figsize=(4 * len(self.clips), 7), layout="constrained")
        axes = figure.subplots(len(LADDER), len(self.clips), squeeze=False)
        for across, codec in zip(axes, LADDER, strict=True):
            for axis, clip in zip(across, self.clips, strict=True):
                for mode, gap, colour in ((UNIFORM, 0, "0.4"), ("two-stream", GAPS[0], "C0"),
                                          ("single-stream", GAPS[0], "C1")):  # fmt: skip
                    points = self.ladder(clip, codec, mode, gap)
                    rates = [p.bytes / 1000 for p in points]
                    label = mode.split()[0] + (f", {gap} apart" if gap else "")
                    axis.plot(rates, [p.psnr["roi"] for p in points], "o-", color=colour, label=f"{label}: ROI")
                    axis.plot(rates, [p.psnr["non_roi"] for p in points], "o:", color=colour, label=f"{label}: rest")
                axis.set(title=f"{clip}, {codec}", xscale="log", xlabel="kB", ylabel="PSNR luma, dB")
                axis.xaxis.set_major_formatter(ScalarFormatter())
                axis.xaxis.set_minor_formatter(NullFormatter())
                axis.grid(alpha=0.3, which="both")
        figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
        figure.savefig(out, dpi=80)


def _groups(rows: dict[str, dict[str, float]]) -> dict[str, list[str]]:
    """The groups of clips over which means are taken."""
    snippets = [clip for clip in rows if clip.startswith("aachen")]
    groups = {"mean of aachen": snippets} if len(snippets) > 1 else {}
    return groups | ({"mean of all": list(rows)} if len(rows) > max(1, len(snippets)) else {})


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.2f}"


def _interval(values: Sequence[float]) -> str:
    """The mean and its 95 % bootstrap interval over the clips."""
    if not all(map(math.isfinite, values)):
        return "-"
    found = bootstrap(values)
    return f"**{found.value:+.2f}** ({found.low:+.2f} … {found.high:+.2f})"
