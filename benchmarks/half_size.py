"""The effect of a non-ROI at half its size on its PSNR at equal bytes, by the CRF requested.

For every clip of a list and both codecs, two streams are encoded at full and at half size over a ladder of CRFs. The
bytes are those of the non-ROI stream alone. Positive figures favour half the size. The default of ``--non-roi-scale``
comes from this benchmark.

    python benchmarks/half_size.py --data ../shared/data [--clip NAME …] [--codec x264] [--frames 16]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import rate
import vapoursynth as vs

from vs_sac import container, encode, open_sac
from vs_sac.core.clips import set_cache_limit
from vs_sac.metrics import Region, measure

#: CRFs of the non-ROI at full size, and those of the curve at half size that they are compared with.
_ASKED = (26, 29, 32, 35, 38)
_HALVED = (23, *_ASKED, 41)
_GAP = 9


def point(clip: vs.VideoNode, grid: vs.VideoNode, codec: str, crf: float, scale: int, file: Path) -> tuple[int, float]:
    """Bytes of the non-ROI stream, and its luma PSNR."""
    encode(clip, file, codec=codec, crf_roi=crf - _GAP, crf_non_roi=crf, masks=grid, non_roi_scale=scale, force=True)
    luma = measure(clip, open_sac(file), grid, ssim=False).luma
    return container.probe(file).track_bytes()[container.NON_ROI_TRACK], luma.psnr(Region.NON_ROI)


def gains(clip: vs.VideoNode, grid: vs.VideoNode, codec: str, file: Path) -> list[tuple[float, float, float]]:
    """For each CRF: dB at equal bytes, dB at the same CRF, and the relative change of bytes at the same CRF."""
    full = [point(clip, grid, codec, crf, 1, file) for crf in _ASKED]
    half = {crf: point(clip, grid, codec, crf, 2, file) for crf in _HALVED}
    # PSNR is nearly linear over the logarithm of the bytes.
    sizes, values = zip(*sorted(half.values()), strict=True)
    found = []
    for crf, (size, value) in zip(_ASKED, full, strict=True):
        at_size = np.interp(np.log(size), np.log(sizes), values)
        found.append((float(at_size - value), half[crf][1] - value, half[crf][0] / size - 1))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that the paths in the list are relative to")
    parser.add_argument("--clips", type=Path, default=Path(__file__).with_name("clips.toml"), help="list of clips")
    parser.add_argument("--clip", action="append", help="measure only these clips of the list")
    parser.add_argument("--codec", action="append", choices=["x264", "x265"], help="measure only these codecs")
    parser.add_argument("--frames", type=int, default=16, help="the first frames of every clip")
    given = parser.parse_args()
    set_cache_limit(256)
    print(
        "PSNR of the non-ROI at half the size minus that at full size, in dB at equal bytes."
        " Positive figures favour half the size.\nIn brackets: the difference of PSNR and of bytes at the same CRF.\n"
    )
    print(f"| codec | clip | {' | '.join(f'CRF {crf}' for crf in _ASKED)} |\n|---|---|{'---|' * len(_ASKED)}")
    with tempfile.TemporaryDirectory(prefix="vs_sac-") as folder:
        for codec in given.codec or ["x264", "x265"]:
            for entry in rate.listed(given.clips):
                if given.clip and entry.name not in given.clip:
                    continue
                variant = rate.Variant(given.frames, None, "", None)
                bench = rate.Bench(entry, codec, [], variant, given.data, Path(folder))
                cells = gains(bench.clip, bench.grid, codec, Path(folder) / "a.mkv")
                row = " | ".join(f"{equal:+.2f} ({same:+.2f}, {size:+.0%})" for equal, same, size in cells)
                print(f"| {codec} | {entry.name} | {row} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
