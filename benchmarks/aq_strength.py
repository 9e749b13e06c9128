"""The effect of the strength of x264's adaptive quantization on ROI coding in a single stream.

For every clip of a list, uniform encodes and single streams are made over a ladder of CRFs at every strength. The
figures are BD-rates in per cent. The first compares the PSNR of the ROI with that of the uniform encode at the same
strength. The others compare with the single stream, or with the uniform encode, at strength 1: PSNR and SSIM of the
ROI, and SSIM of the whole picture. SSIM is taken as -10·log10(1 - SSIM). The default in `vs_sac.encoders.roi` comes
from this benchmark.

    python benchmarks/aq_strength.py --data ../shared/data [--clip NAME …] [--frames 16]
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path

import rate
import vapoursynth as vs
from rate_report import LADDER

from vs_sac import encode, encode_uniform, open_sac
from vs_sac.core.clips import set_cache_limit
from vs_sac.metrics import Region, measure
from vs_sac.metrics.rate import Curve, bd_rate
from vs_sac.source.opening import open_raw

_CODEC, _GAP = "x264", 9
#: The first is the preset's own; the others are compared with it.
_STRENGTHS = (1.0, 0.8, 0.6, 0.4)

type Point = dict[str, float]


def point(clip: vs.VideoNode, grid: vs.VideoNode, crf: int, strength: float, file: Path, *, uniform: bool) -> Point:
    """Bytes and quality figures of one encode."""
    options = f"--aq-strength {strength}"
    if uniform:
        encode_uniform(clip, file, codec=_CODEC, mode="single-stream", crf=crf, encoder_args=options, force=True)
        back = open_raw(file, fps=clip.fps)
    else:
        encode(clip, file, codec=_CODEC, mode="single-stream", crf_roi=crf, crf_non_roi=crf + _GAP, masks=grid,
               encoder_args=options, force=True)  # fmt: skip
        back = open_sac(file)
    luma = measure(clip, back, grid).luma
    return {
        "bytes": file.stat().st_size, "roi": luma.psnr(Region.ROI),
        "roi_ssim": -10 * math.log10(1 - luma.ssim(Region.ROI)), "ssim": -10 * math.log10(1 - luma.ssim(Region.ALL)),
    }  # fmt: skip


def compared(anchor: list[Point], test: list[Point], figure: str) -> float:
    """BD-rate in per cent."""
    return bd_rate(*(Curve(tuple(p["bytes"] for p in points), tuple(p[figure] for p in points))
                     for points in (anchor, test)))  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that the paths in the list are relative to")
    parser.add_argument("--clips", type=Path, default=Path(__file__).with_name("clips.toml"), help="list of clips")
    parser.add_argument("--clip", action="append", help="measure only these clips of the list")
    parser.add_argument("--frames", type=int, default=16, help="the first frames of every clip")
    given = parser.parse_args()
    set_cache_limit(256)
    print(
        "| clip | strength | ROI-PSNR over uniform | ROI-PSNR | ROI-SSIM | SSIM, uniform |\n|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory(prefix="vs_sac-") as name:
        for entry in rate.listed(given.clips):
            if given.clip and entry.name not in given.clip:
                continue
            variant = rate.Variant(given.frames, None, "", None)
            bench = rate.Bench(entry, _CODEC, [], variant, given.data, Path(name))
            curves = {}
            for strength in _STRENGTHS:
                curves[strength] = single, uniform = [
                    [point(bench.clip, bench.grid, crf, strength, Path(name) / "a.mkv", uniform=plain)
                     for crf in LADDER[_CODEC]] for plain in (False, True)
                ]  # fmt: skip
                first_single, first_uniform = curves[_STRENGTHS[0]]
                row = [compared(uniform, single, "roi")]
                row += [compared(first_single, single, figure) for figure in ("roi", "roi_ssim")]
                row += [compared(first_uniform, uniform, "ssim")]
                print(f"| {entry.name} | {strength} | {' | '.join(f'{value:+.1f}' for value in row)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
