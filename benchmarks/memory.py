"""Peak memory of the whole process tree of an encode, by the length of the video.

    python benchmarks/memory.py --frames 300 3000 --size 1920x1080

``vs-sac encode`` encodes a street scene from a file. Ten times a second, a sampler adds up the proportional set sizes
(PSS) of the process and of all its descendants. If memory grew with the length, the rows would differ.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vs_sac.core.processes import Packet, ProcessGroup
from vs_sac.encoders import find_ffmpeg
from vs_sac.encoders.y4m import FRAME_HEADER, frame_planes, stream_header
from vs_sac.source.synthetic import street_scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[300, 3000])
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--codec", nargs="+", default=["x264", "x265"])
    parser.add_argument("--preset", default="medium")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    print("| codec | frames | peak MiB | fps |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for frames in options.frames:
            source = render(Path(folder) / f"{frames}.mkv", width, height, frames)
            for codec in options.codec:
                peak, seconds = encode(source, Path(folder) / "out.mkv", codec, options.preset)
                print(f"| {codec} | {frames} | {peak / 2**20:.0f} | {frames / seconds:.1f} |", flush=True)


def render(out: Path, width: int, height: int, frames: int) -> Path:
    """Make a source of any length from 50 rendered frames, repeated."""
    clip, _ = street_scene(width, height, 50)
    pictures = [b"".join([FRAME_HEADER, *map(bytes, frame_planes(frame))]) for frame in clip.frames(close=True)]
    command = [find_ffmpeg(), "-v", "error", "-y", "-f", "yuv4mpegpipe", "-i", "-", "-c:v", "libx264", "-preset",
               "ultrafast", "-crf", "20", str(out)]  # fmt: skip
    with ProcessGroup() as group:
        sink = group.start("source", command)
        sink.put(Packet(lambda: [stream_header(clip)]))
        for number in range(frames):
            sink.put(Packet(lambda number=number: [pictures[number % 50]]))
        group.finish()
    return out


def encode(source: Path, out: Path, codec: str, preset: str) -> tuple[int, float]:
    """Peak bytes and seconds of one encode."""
    command = [sys.executable, "-m", "vs_sac", "encode", str(source), "-o", str(out), "--codec", codec, "--force"]
    started, peak = time.monotonic(), 0
    process = subprocess.Popen([*command, "--preset", preset], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, sum(map(proportional_set_size, tree(process.pid))))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return peak, time.monotonic() - started


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def proportional_set_size(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


if __name__ == "__main__":
    main()
