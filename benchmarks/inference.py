"""Wall time and processor time of the network on a 1280x720 source: the whole of `segment`, with every backend.

    python benchmarks/inference.py [--model NAME] [--frames N]

Frames are requested one after the other, so the median is the time of one frame. The processor time is that of all
threads, including threads that spin while they wait for work: this time is not available to the encoders.
"""

import argparse
import itertools
import json
import os
import statistics
import time

import vapoursynth as vs

from vs_sac.core.errors import SacMissingError
from vs_sac.segmentation.network import segment
from vs_sac.segmentation.registry import DEFAULT_MODEL, Model, find_model
from vs_sac.segmentation.runtimes import Backend


def measure(clip: vs.VideoNode) -> dict[str, float]:
    """Milliseconds per frame: median of the wall time, mean of the processor time."""
    frames = clip.frames(close=True, prefetch=1, backlog=1)
    # The first frames load the network.
    for _ in itertools.islice(frames, 5):
        pass
    before, times = time.process_time(), [time.perf_counter()]
    for _ in frames:
        times.append(time.perf_counter())
    wall = statistics.median(b - a for a, b in itertools.pairwise(times))
    return {"wall_ms": 1000 * wall, "processor_ms": 1000 * (time.process_time() - before) / (len(times) - 1)}


def run(model: Model, frames: int) -> dict[str, object]:
    """The times of every backend."""
    source = vs.core.std.BlankClip(width=1280, height=720, format=vs.YUV420P8, length=frames)
    source = source.std.SetFrameProps(_Matrix=1, _Range=0)
    found: dict[str, object] = {"network_sees": model.working_size(1280, 720), "processors": os.cpu_count()}
    for backend in Backend:
        try:
            found[backend] = measure(segment(source, model=model, backend=backend))
        except SacMissingError as error:
            found[backend] = str(error)
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--frames", type=int, default=100)
    options = parser.parse_args()
    print(json.dumps(run(find_model(options.model), options.frames), indent=2))


if __name__ == "__main__":
    main()
