"""Rate and quality of two streams and of a single stream against a uniform encode by the same encoder.

For every clip of a list and both codecs the benchmark makes a ladder of CRFs at two distances between ROI and non-ROI,
an encode with the size of the uniform encode, and two streams without a CRF distance, which show the cost of splitting.
The figures of every encode are kept as a JSON file in --out; an interrupted run continues with the next missing encode.
At the end the tables and the plot are made.

    python benchmarks/rate.py --data ../shared/data --out runs/rate [--results benchmarks/results] [--clip NAME …]

The options --frames, --fill, --non-roi-scale and --encoder-args measure variants. Every variant needs its own --out.
"""

import argparse
import json
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import rate_report
import vapoursynth as vs
from rate_report import GAPS, LADDER, MATCHED, MODES, UNIFORM, Point, anchor, interpolated

from vs_sac import encode, encode_uniform, open_clip, open_sac
from vs_sac.core.choices import Codec
from vs_sac.core.clips import set_cache_limit
from vs_sac.encoders import PictureFormat
from vs_sac.encoders.base import HIGHEST_CRF
from vs_sac.metrics import FAIR_WEIGHTS, Region, measure
from vs_sac.pipeline.crf_search import search_crf
from vs_sac.pipeline.encoder_settings import choose_closing
from vs_sac.pipeline.mask_files import open_masks, write_masks
from vs_sac.source.opening import open_raw


@dataclass(frozen=True)
class Clip:
    """An entry of the list of clips."""

    name: str
    source: str
    masks: str | None = None
    labels: str | None = None
    fps: str | None = None
    frames: int | None = None


def listed(path: Path) -> list[Clip]:
    """Read a list of clips."""
    return [Clip(**entry) for entry in tomllib.loads(path.read_text())["clip"]]


@dataclass(frozen=True)
class Variant:
    """The settings that may be varied to measure their effect."""

    frames: int | None
    fill: str | None
    encoder_args: str
    non_roi_scale: int | None


class Bench:
    """Encodes and measures one clip with one codec; figures that exist already are read from disk."""

    def __init__(self, entry: Clip, codec: str, gaps: list[int], variant: Variant, data: Path, out: Path) -> None:
        self.entry, self.codec, self.gaps, self.variant, self.out = entry, codec, gaps, variant, out
        whole = open_clip(data / entry.source, fps=entry.fps)
        length = variant.frames or entry.frames
        self.clip, self.grid = whole[:length], self._grid(whole, data)[:length]

    def _grid(self, clip: vs.VideoNode, data: Path) -> vs.VideoNode:
        if self.entry.masks:
            return open_masks(data / self.entry.masks, clip, labels=self.entry.labels)
        made = self.out / f"{self.entry.name}.masks.mkv"
        if not made.exists():
            write_masks(clip, made)
        return open_masks(made, clip)

    def point(self, mode: str, crf_roi: float, crf_non_roi: float) -> Point:
        """The figures of one encode, which is uniform if the name of the mode begins with "uniform"."""
        kept = self.out / f"{self.entry.name}.{self.codec}.{mode}.{crf_roi:g}-{crf_non_roi:g}.json"
        if kept.exists():
            return Point(**json.loads(kept.read_text()))
        file = self.out / f"{self.entry.name}.{self.codec}.part.mkv"
        start = time.perf_counter()
        common: dict[str, Any] = {"codec": self.codec, "encoder_args": self.variant.encoder_args, "force": True}
        if mode in ("two-stream", UNIFORM):
            common["fill"] = self.variant.fill
        if mode == "two-stream":
            common["non_roi_scale"] = self.variant.non_roi_scale
            # The same closing as for masks of the network.
            picture = PictureFormat.of(self.clip)
            common["roi_close"] = choose_closing(picture, Codec(self.codec), (crf_roi, crf_non_roi))
        if mode.startswith(UNIFORM):
            compared = "two-stream" if mode == UNIFORM else "single-stream"
            made = encode_uniform(self.clip, file, crf=crf_roi, mode=compared, **common)
            encoder, back = made.encoder, open_raw(file, fps=self.clip.fps)
        else:
            encoder = encode(
                self.clip, file, mode=mode, crf_roi=crf_roi, crf_non_roi=crf_non_roi, masks=self.grid, **common
            ).encoder
            back = open_sac(file)
        seconds = time.perf_counter() - start
        luma = measure(self.clip, back, self.grid, ssim=False).luma
        psnr = {region.value: luma.psnr(region) for region in Region}
        found = Point(
            clip=self.entry.name, codec=self.codec, mode=mode, crf_roi=crf_roi, crf_non_roi=crf_non_roi,
            bytes=file.stat().st_size, psnr=psnr, encoder=encoder, seconds=seconds,
            sa_psnr=FAIR_WEIGHTS.combine(psnr[Region.ROI], psnr[Region.NON_ROI]),
        )  # fmt: skip
        file.unlink()
        kept.write_text(json.dumps(asdict(found), indent=1) + "\n")
        print(f"{kept.stem}: {found.bytes:,} bytes, ROI {psnr[Region.ROI]:.2f} dB, {seconds:.0f} s", file=sys.stderr)
        return found

    def points(self) -> Iterator[Point]:
        """All encodes of the benchmark, the most important ones first."""
        middle = MATCHED[self.codec]
        crfs = dict.fromkeys([*LADDER[self.codec], middle])
        for uniform in dict.fromkeys(anchor(self.codec, mode) for mode in MODES):
            yield from (self.point(uniform, crf, crf) for crf in crfs)
        for gap in self.gaps:
            for mode in MODES:
                ladder = [self.point(mode, crf, crf + gap) for crf in LADDER[self.codec]]
                yield from ladder
                if gap == GAPS[0]:
                    yield self._matched(mode, self.point(anchor(self.codec, mode), middle, middle), ladder)
        yield self.point("two-stream", middle, middle)

    def _matched(self, mode: str, target: Point, ladder: list[Point]) -> Point:
        """The encode at the first of the CRF distances that has the size of the uniform one."""
        tried: dict[float, Point] = {}

        def size(crf: float) -> int:
            tried[crf] = self.point(mode, round(crf, 2), round(crf + GAPS[0], 2))
            return tried[crf].bytes

        start = interpolated([p.bytes for p in ladder], [p.crf_roi for p in ladder], target.bytes)
        return tried[search_crf(size, target.bytes, start=start, highest=HIGHEST_CRF - GAPS[0]).crf]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that the paths in the list are relative to")
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps the measured figures")
    parser.add_argument("--results", type=Path, help="folder for rate.json, rate.md and rate.png")
    parser.add_argument("--clips", type=Path, default=Path(__file__).with_name("clips.toml"), help="list of clips")
    parser.add_argument("--clip", action="append", help="measure only these clips of the list")
    parser.add_argument("--gap", action="append", type=int, choices=GAPS, help="measure only these CRF distances")
    parser.add_argument("--codec", action="append", choices=["x264", "x265"], help="measure only these codecs")
    parser.add_argument("--frames", type=int, help="measure only this many frames of every clip")
    parser.add_argument("--fill", help="fill of two streams")
    parser.add_argument("--non-roi-scale", type=int, help="scale of the non-ROI of two streams")
    parser.add_argument("--encoder-args", default="", help="encoder arguments of all encodes, uniform ones too")
    parser.add_argument("--report", action="store_true", help="encode nothing and report the figures that exist")
    given = parser.parse_args()
    set_cache_limit(256)
    given.out.mkdir(parents=True, exist_ok=True)
    variant = Variant(given.frames, given.fill, given.encoder_args, given.non_roi_scale)
    kept = given.out / "variant.json"
    if kept.exists() and json.loads(kept.read_text()) != asdict(variant):
        parser.error(f"{given.out} holds another variant: {kept.read_text()}")
    kept.write_text(json.dumps(asdict(variant)))
    entries = listed(given.clips)
    if given.report:
        known = [Point(**json.loads(file.read_text())) for file in sorted(given.out.glob("*.x26[45].*.json"))]
        points = [point for entry in entries for point in known if point.clip == entry.name]
    else:
        points = [
            point
            for codec in given.codec or LADDER
            for entry in entries
            if not given.clip or entry.name in given.clip
            for point in Bench(entry, codec, given.gap or list(GAPS), variant, given.data, given.out).points()
        ]
    report = rate_report.Report(points)
    print(report.markdown())
    if given.results:
        given.results.mkdir(parents=True, exist_ok=True)
        (given.results / "rate.json").write_text(json.dumps(report.to_dict(), indent=1) + "\n")
        (given.results / "rate.md").write_text(report.markdown())
        report.plot(given.results / "rate.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
