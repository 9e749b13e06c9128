"""Interrupt encodes at random moments, and check that nothing is left behind.

    python benchmarks/interrupts.py --count 200

Each run encodes a short clip and sends SIGINT or SIGTERM to the command at a random moment between its start and
shortly after its end. It checks that the exit code is 1 and that the only output is the line "vs-sac: interrupted"; if
the encode had finished before the signal, it checks that the exit code is 0 and that the file is intact. It also checks
that the folder contains nothing else, and that 5 s later no process refers to the folder.
"""

import argparse
import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


def interrupt(source: Path, masks: Path, folder: Path, *, seed: int, longest: float) -> str:
    """Interrupt one encode.

    Args:
        source: Video that is encoded.
        masks: A SAC file with masks for it.
        folder: Empty folder for the output.
        seed: Seed for the moment and the signal.
        longest: Latest moment, in seconds after the start.

    Returns:
        "interrupted", or "done" if the encode had finished before the signal.
    """
    rng = random.Random(seed)
    out = folder / "a.mkv"
    command = [sys.executable, "-m", "vs_sac", "encode", str(source), "-o", str(out), "--masks", str(masks)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while running.poll() is None and not catches(running.pid, signal.SIGTERM):
        # In the first hundredths of a second the interpreter starts and runs no code of ours yet.
        time.sleep(0.001)
    time.sleep(rng.uniform(0, longest))
    number = rng.choice((signal.SIGINT, signal.SIGTERM))
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    done = running.returncode == 0
    assert running.returncode in (0, 1), (number, running.returncode, said)
    assert said == ("" if done else "vs-sac: interrupted\n"), (number, said)
    left = [path.name for path in folder.iterdir()]
    # The interrupt may arrive when the complete file exists already.
    assert left in (["a.mkv"], [] if not done else ["a.mkv"]), left
    if left:
        subprocess.run([sys.executable, "-m", "vs_sac", "verify", str(out)], stdout=subprocess.DEVNULL, check=True)
        out.unlink()
    until = time.monotonic() + 5
    while (alive := processes_about(folder)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive, alive
    return "done" if done else "interrupted"


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def processes() -> Iterator[tuple[int, str]]:
    """Running processes: id, and command line with open files, since encoders may receive their task later."""
    for path in Path("/proc").glob("[0-9]*"):
        words = []
        with contextlib.suppress(OSError):
            words.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            for link in (path / "fd").iterdir():
                with contextlib.suppress(OSError):
                    words.append(str(link.readlink()))
        yield int(path.name), " ".join(words)


def processes_about(folder: Path) -> list[str]:
    """Processes that refer to a folder, and encoders that wait for a parent that has exited."""
    lost = "roi_worker.py --later"
    return [about for pid, about in processes() if str(folder) in about or (lost in about and orphan(pid))]


def orphan(pid: int) -> bool:
    """Whether a process has lost its parent."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "PPid:\t1\n" in status


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, help="latest moment in seconds [default: 1.1 times an encode]")
    options = parser.parse_args()
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as out:
        demo = [sys.executable, "-m", "vs_sac", "demo", "-o", made, "--frames", "40", "--size", "192x112"]
        subprocess.run(demo, stdout=subprocess.DEVNULL, check=True)
        masks = source = Path(made, "street.mkv")
        decode = [sys.executable, "-m", "vs_sac", "decode", str(masks), "-o", f"{made}/in.mkv"]
        subprocess.run(decode, stdout=subprocess.DEVNULL, check=True)
        source = Path(made, "in.mkv")
        started = time.monotonic()
        again = [sys.executable, "-m", "vs_sac", "encode", str(source), "-o", f"{made}/b.mkv", "--masks", str(masks)]
        subprocess.run(again, stdout=subprocess.DEVNULL, check=True)
        longest = options.longest or 1.1 * (time.monotonic() - started)
        for number in range(options.count):
            outcomes[interrupt(source, masks, Path(out), seed=options.seed + number, longest=longest)] += 1
            if number % 20 == 19:
                print(f"{number + 1}: {dict(outcomes)}", file=sys.stderr, flush=True)
    print(f"{options.count} signals up to {longest:.1f} s after the start: {dict(outcomes)}, nothing left behind")


if __name__ == "__main__":
    main()
