"""Time of the network on a 1280x720 source: the network alone through the plugin, and all of `segment`.

    python benchmarks/inference.py [--model NAME] [--frames N]

Frames are asked for one after the other, so that the median is what one frame takes.
"""

import argparse
import itertools
import json
import os
import statistics
import time

import vapoursynth as vs

from vs_sac.segmentation import Model, find_model, segment


def _median_ms(clip: vs.VideoNode) -> float:
    times = [time.perf_counter()]
    for _ in clip.frames(close=True, prefetch=1, backlog=1):
        times.append(time.perf_counter())
    # The first frames load the network.
    return statistics.median(b - a for a, b in itertools.pairwise(times[5:])) * 1000


def measure(model: Model, frames: int) -> dict[str, float | int | None]:
    """Medians in milliseconds."""
    source = vs.core.std.BlankClip(width=1280, height=720, format=vs.YUV420P8, length=frames)
    source = source.std.SetFrameProps(_Matrix=1, _Range=0)
    width, height = model.working_size(1280, 720)
    picture = vs.core.std.BlankClip(width=width, height=height, format=vs.RGBS, length=frames)
    return {
        "width": width,
        "height": height,
        "processors": os.cpu_count(),
        "network_ms": _median_ms(vs.core.ort.Model(picture, network_path=str(model.path))),
        "segment_ms": _median_ms(segment(source, model=model)),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ccnet-lite")
    parser.add_argument("--frames", type=int, default=100)
    options = parser.parse_args()
    print(json.dumps(measure(find_model(options.model), options.frames), indent=2))


if __name__ == "__main__":
    main()
