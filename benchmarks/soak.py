"""Memory and open files over time, of a long encode or of many encodes at once.

    python benchmarks/soak.py INPUT --minutes 60
    python benchmarks/soak.py INPUT --parallel 20

The first form loops a video to a length and encodes it. Every five seconds it adds up the memory (PSS) and the open
files of the whole process tree. It skips the first tenth of the time and prints the means of the four quarters of the
rest. A leak shows as growth from quarter to quarter. The second form starts that many encodes of INPUT at the same time
and checks each file.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

from memory import proportional_set_size, tree

from vs_sac.encoders import find_ffmpeg

_COMMAND = [sys.executable, "-m", "vs_sac"]


def open_files(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def soak(source: Path, folder: Path, minutes: float, preset: str) -> None:
    """Run one long encode."""
    looped = folder / "looped.mkv"
    command = [find_ffmpeg(), "-v", "error", "-stream_loop", "-1", "-i", str(source), "-t", str(60 * minutes)]
    command += ["-c", "copy", "-map", "0:v", str(looped)]
    subprocess.run(command, check=True)
    out, started, samples = folder / "out.mkv", time.monotonic(), []
    running = subprocess.Popen([*_COMMAND, "encode", str(looped), "-o", str(out), "--preset", preset])
    while running.poll() is None:
        time.sleep(5)
        pids = tree(running.pid)
        samples.append((sum(map(proportional_set_size, pids)) / 2**20, sum(map(open_files, pids))))
    if running.returncode:
        raise SystemExit("the encode failed")
    hours = (time.monotonic() - started) / 3600
    subprocess.run([*_COMMAND, "verify", str(out)], check=True)
    print(f"{minutes:g} minutes of video in {hours:.2f} h, {len(samples)} samples")
    print("| quarter | mean MiB | peak MiB | open files |\n|---|---|---|---|")
    # The source is opened first, which decodes it once; the process tree is smaller during that time.
    kept = samples[len(samples) // 10 : -1]
    for quarter in range(4):
        part = kept[len(kept) * quarter // 4 : len(kept) * (quarter + 1) // 4]
        memory, files = zip(*part, strict=True)
        print(f"| {quarter + 1} | {mean(memory):.0f} | {max(memory):.0f} | {mean(files):.1f} |")


def together(source: Path, folder: Path, count: int, preset: str) -> None:
    """Run many encodes at once."""
    started = time.monotonic()
    outs = [folder / f"{number}.mkv" for number in range(count)]
    running = [subprocess.Popen([*_COMMAND, "encode", str(source), "-o", str(out), "--preset", preset],
                                stdout=subprocess.DEVNULL) for out in outs]  # fmt: skip
    if failed := sum(process.wait() != 0 for process in running):
        raise SystemExit(f"{failed} of {count} failed")
    for out in outs:
        subprocess.run([*_COMMAND, "verify", str(out)], check=True, stdout=subprocess.DEVNULL)
    same = len({out.read_bytes() for out in outs})
    print(f"{count} encodes at once finished in {time.monotonic() - started:.0f} s; {same} different file(s)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--parallel", type=int, default=0)
    parser.add_argument("--preset", default="ultrafast")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.parallel:
            together(options.source, Path(folder), options.parallel, options.preset)
        else:
            soak(options.source, Path(folder), options.minutes, options.preset)


if __name__ == "__main__":
    main()
