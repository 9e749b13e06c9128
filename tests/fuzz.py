"""Coverage-guided mutation of SAC files and of videos.

    python -m tests.fuzz --cases 10000 --seed 1

Every case is opened and decoded in a child process that has a time and a memory limit. A case passes where it is
decoded or refused by one of the package's own errors, within the limits; of a SAC file, every frame that came must be
the one that was coded. What reaches a line of the package or a message of FFmpeg that none reached before joins the
corpus.
"""

import argparse
import contextlib
import io
import json
import os
import random
import re
import resource
import select
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SECONDS, BYTES = 20, 2 << 30
_PER_WORKER = 250
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


@dataclass
class Seed:
    """A file to begin with.

    Attributes:
        name: What it is; a SAC file where it begins with ``sac``.
        content: The file.
        frames: CRC-32 of every decoded frame of a SAC file.
    """

    name: str
    content: bytes = field(repr=False)
    frames: list[int] = field(default_factory=list, repr=False)


@dataclass
class Result:
    """What came of all cases.

    Attributes:
        outcomes: How often a case was decoded, decoded in part, or refused.
        failures: What must not happen, with the file that did it.
        corpus: Files that reached something new, seeds included.
        peak: Largest resident set of a child, in bytes.
    """

    outcomes: Counter = field(default_factory=Counter)
    failures: list[tuple[str, Path]] = field(default_factory=list)
    corpus: int = 0
    peak: int = 0


def make_seeds(folder: Path) -> list[Seed]:
    """SAC files of every kind and multiplexer, and videos in several formats."""
    import numpy as np

    from vs_sac import encode, encoders

    from .helpers import mask_clip, noise_clip

    clip = noise_clip(48, 48, 36, smooth=True)
    mask = mask_clip(np.random.default_rng(0).random((36, 3, 3)) < 0.5)
    seeds = []
    ways = {"x264": {}, "x265": {"codec": "x265"}, "single": {"mode": "single-stream"}}
    for name, how in ways.items():
        for tools in ("native", "pip"):
            before = os.environ["PATH"]
            os.environ["PATH"] = before if tools == "native" else ""
            try:
                encode(
                    clip, folder / "seed.mkv", masks=mask, preset="superfast", crf_roi=30, crf_non_roi=40,
                    encoder_args="--aq-mode 1", force=True, **how,
                )  # fmt: skip
            finally:
                os.environ["PATH"] = before
            seeds.append(Seed(f"sac {name} {tools}", (folder / "seed.mkv").read_bytes(), _frames(folder / "seed.mkv")))
    with (folder / "seed.y4m").open("wb") as file:
        clip[:6].output(file, y4m=True)
    for suffix, codec in (
        ("mp4", "libx264"),
        ("avi", "mpeg4"),
        ("mov", "mjpeg"),
        ("ts", "mpeg2video"),
        ("mkv", "ffv1"),
    ):
        out = folder / f"video.{suffix}"
        command = [encoders.find_ffmpeg(), "-v", "error", "-y", "-i", str(folder / "seed.y4m"), "-c:v", codec, str(out)]
        subprocess.run([*command[:-1], "-strict", "-1", command[-1]], check=True)
        seeds.append(Seed(f"video {suffix}", out.read_bytes()))
    seeds.append(Seed("video y4m", (folder / "seed.y4m").read_bytes()))
    return seeds


def mutate(rng: random.Random, content: bytes, other: bytes) -> bytes:
    """A few changes to a file; `other` is one to take pieces from."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not data:
            break
        # Headers and the attachment come first and are worth more than the frames behind.
        at = rng.randrange(len(data) if rng.random() < 0.5 else min(len(data), 8192))
        size = min(1 << rng.randrange(10), len(data) - at)
        way = rng.randrange(8)
        if way == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            data[at] = rng.choice(_INTERESTING)
        elif way == 2:
            data[at : at + size] = rng.randbytes(size)
        elif way == 3:
            del data[at : at + size]
        elif way == 4:
            data[at:at] = data[at : at + size]
        elif way == 5:
            where = rng.randrange(max(1, len(other) - size))
            data[at : at + size] = other[where : where + size]
        elif way == 6:
            del data[at:]
        else:
            data[at : at + 4] = rng.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1)).to_bytes(
                4, rng.choice(("big", "little"))
            )
    return bytes(data)


def run(cases: int, seed: int, folder: Path, report=lambda done, result: None) -> Result:
    """Run that many cases.

    Args:
        cases: How many.
        seed: Of the random numbers; the same gives the same cases.
        folder: For files; those of failures stay there.
        report: Called after every case.
    """
    rng, result = random.Random(seed), Result()
    seeds = make_seeds(folder)
    corpus = [(one, one.content) for one in seeds]
    seen: set[str] = set()
    worker = None
    for done in range(cases):
        # Every seed goes in as it is first.
        origin, content = corpus[done] if done < len(seeds) else rng.choice(corpus)
        if done >= len(seeds):
            if rng.random() < 0.5:
                # Files that were changed again and again are refused at the first look.
                content = origin.content
            content = mutate(rng, content, rng.choice(corpus)[1])
        path = folder / f"case{'.mkv' if origin.name.startswith('sac') else '.' + origin.name.split()[1]}"
        path.write_bytes(content)
        if worker is None or worker.cases >= _PER_WORKER:
            if worker:
                worker.end()
            worker = _Worker()
        answer = worker.ask({"path": str(path), "frames": origin.frames, "allow": done % 4 == 3})
        if worker.process.poll() is not None:
            worker.end()
            worker = None
        result.outcomes[answer["outcome"]] += 1
        result.peak = max(result.peak, answer.get("peak", 0))
        if answer["outcome"] == "failure":
            kept = folder / f"failure-{seed}-{done}{path.suffix}"
            kept.write_bytes(content)
            result.failures.append((answer["what"], kept))
        new = set(answer.get("reached", ())) - seen
        if new and done >= len(seeds):
            corpus.append((origin, content))
        seen |= new
        result.corpus = len(corpus)
        report(done + 1, result)
    if worker:
        worker.end()
    return result


class _Worker:
    """A child that takes cases until it ends."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.fuzz", "--worker"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parent.parent,
        )  # fmt: skip
        self.cases = 0

    def ask(self, case: dict) -> dict:
        """What came of a case; a child that crashes or hangs has failed it."""
        self.cases += 1
        self.process.stdin.write(json.dumps(case).encode() + b"\n")
        self.process.stdin.flush()
        # The first one imports everything.
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS + (40 if self.cases == 1 else 0))
        line = self.process.stdout.readline() if ready else b""
        if line:
            return json.loads(line)
        if not ready:
            self.process.kill()
        code = self.process.wait()
        return {"outcome": "failure", "what": f"exit {code}" if ready else f"more than {SECONDS} s"}

    def end(self) -> None:
        """Let it go."""
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def _peak() -> int:
    """Largest resident set of this process in bytes.

    Not ru_maxrss: that includes what the parent held when it started this process.
    """
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def _work() -> None:
    import av.logging

    resource.setrlimit(resource.RLIMIT_AS, (2 * BYTES, 2 * BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    reached: set[str] = set()
    _trace_lines(reached)
    av.logging.set_level(av.logging.WARNING)
    for line in sys.stdin:
        reached.clear()
        with av.logging.Capture() as said:
            answer = _judge(**json.loads(line))
        reached |= {_template(text) for _, _, text in said} | {_template(answer["what"])}
        answer["peak"] = _peak()
        if answer["peak"] > BYTES:
            answer |= {"outcome": "failure", "what": f"{answer['peak']} bytes of memory"}
        print(json.dumps({**answer, "reached": sorted(reached)}), flush=True)


def _judge(path: str, frames: list[int], allow: bool) -> dict:
    import warnings

    import vapoursynth as vs

    from vs_sac import SacError, container, open_clip

    warnings.simplefilter("ignore")
    try:
        if not frames:
            for frame in open_clip(path).frames(close=True):
                zlib.crc32(memoryview(frame[0]).tobytes())
            return {"outcome": "decoded", "what": ""}
        with contextlib.suppress(SacError):
            container.probe(path).track_bytes()
        what, complete = "", True
        got = io.BytesIO()
        try:
            _decode(path, got, allow)
        except (SacError, vs.Error) as error:
            what, complete = str(error), False
        shown = _crcs(got.getvalue())
        if not allow and (shown != frames[: len(shown)] or (complete and len(shown) != len(frames))):
            return {"outcome": "failure", "what": f"wrong frames: {len(shown)} of {len(frames)}, {what or 'no error'}"}
        return {"outcome": "decoded" if complete else "decoded in part" if shown else "refused", "what": what}
    except (SacError, vs.Error) as error:
        return {"outcome": "refused", "what": str(error)}
    except BaseException as error:
        return {"outcome": "failure", "what": f"{type(error).__name__}: {error}"}


def _decode(path: str | Path, out: io.BytesIO, allow_missing: bool = False) -> None:
    from vs_sac import decode

    decode(path, out, allow_missing=allow_missing)


def _frames(path: Path) -> list[int]:
    out = io.BytesIO()
    _decode(path, out)
    return _crcs(out.getvalue())


def _crcs(y4m: bytes) -> list[int]:
    """CRC-32 of every frame of a 4:2:0 y4m stream of 8 bits."""
    header, _, rest = y4m.partition(b"\n")
    if not rest:
        return []
    width, height = (int(re.search(side + rb"(\d+)", header)[1]) for side in (b" W", b" H"))
    step = len(b"FRAME\n") + width * height * 3 // 2
    return [zlib.crc32(rest[n : n + step]) for n in range(0, len(rest) - step + 1, step)]


def _trace_lines(reached: set[str]) -> None:
    """Note every line of the package that runs for the first time."""
    monitoring, package = sys.monitoring, str(Path(__file__).parent.parent / "vs_sac")

    def note(code, line):
        if code.co_filename.startswith(package):
            reached.add(f"{code.co_filename[len(package) :]}:{line}")
        return monitoring.DISABLE

    monitoring.use_tool_id(monitoring.COVERAGE_ID, "fuzz")
    monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.LINE, note)
    monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE)


def _template(text: str) -> str:
    """A message without what differs between files."""
    return re.sub(r"/\S+|'[^']*'|0x[0-9a-f]+|-?\d+", "#", text)[:120]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the files of failures")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        _work()
        return

    def report(done: int, result: Result) -> None:
        if done % 100 == 0:
            print(done, dict(result.outcomes), f"corpus {result.corpus}, failures {len(result.failures)}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        if given.keep:
            given.keep.mkdir(parents=True, exist_ok=True)
        result = run(given.cases, given.seed, given.keep or Path(folder), report)
    print(f"{given.cases} cases, {dict(result.outcomes)}, corpus {result.corpus}, peak {result.peak / 2**20:.0f} MiB")
    for what, path in result.failures:
        print(f"{path}: {what}")
    sys.exit(bool(result.failures))


if __name__ == "__main__":
    main()
