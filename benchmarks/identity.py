"""Digests of what `vs_sac.encode` writes for a table of option sets, to compare two versions of the package.

    python benchmarks/identity.py drive.mp4 > after.txt

Run it with each version on the same machine and compare the two listings with ``diff``: equal lines mean equal bytes.
The digests depend on the processor and on the encoders' versions, so none are kept here.
"""

import argparse
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import vs_sac
from vs_sac.pipeline.mask_files import write_masks

#: Option sets by name; ``masks`` True stands for masks written by ``vs-sac segment``.
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "x265": {"codec": "x265", "preset": "veryfast"},
    "single stream": {"mode": "single-stream"},
    "single stream, x265": {"mode": "single-stream", "codec": "x265", "preset": "veryfast", "crf_gap": 6},
    "the paper's fill": {"fill": "black", "preset": "veryfast", "crf_roi": 20, "crf_non_roi": 30},
    "grey, filtered": {"fill": "grey", "non_roi_filter": 1.5, "preset": "veryfast"},
    "hold, every frame": {"fill": "hold", "every": 1, "preset": "veryfast"},
    "half size, closed, held": {"non_roi_scale": 2, "roi_close": 2, "roi_hold": 3, "preset": "veryfast"},
    "size of uniform CRF 30": {"match_crf": 30, "preset": "veryfast"},
    "bitrate, single stream": {"mode": "single-stream", "target_kbps": 600, "preset": "veryfast"},
    "chunks, jobs, threads": {"chunk": 0.5, "jobs": 2, "threads": 2, "preset": "veryfast"},
    "masks, low latency": {"masks": True, "low_latency": True, "preset": "veryfast", "crf_gap": 4},
    "options for encoders": {
        "encoder_args": "--keyint 12",
        "encoder_args_roi": "--ref 2",
        "encoder_args_non_roi": "--no-mbtree",
        "threshold": 0.6,
        "preset": "veryfast",
    },
}


def main() -> None:
    """Print a line per option set: its digest and its name."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        masks = folder / "masks.mkv"
        write_masks(given.source, masks)
        for number, (title, options) in enumerate(OPTIONS.items()):
            out = folder / f"{number}.mkv"
            vs_sac.encode(given.source, out, **{**options, **({"masks": masks} if options.get("masks") else {})})
            print(f"{hashlib.sha256(out.read_bytes()).hexdigest()}  {title}", flush=True)


if __name__ == "__main__":
    main()
