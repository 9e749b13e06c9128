"""The effect of the number of threads: files of the same encode, run twice and on one processor only.

    python benchmarks/threads.py

The benchmark prints a table. Within one kind of encode, equal letters in the last column mean that the decoded videos
are equal sample by sample. The files may still differ, because encoders write their options into the stream. x265
counts the processors of the machine and not those that it may use. Its result on one processor is therefore only
meaningful if the number of threads is given.
"""

import argparse
import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

X264 = ("", "--threads 1", "--threads 2", "--threads 4", "--threads 8")
X265 = ("", *(f"--pools {pools} --frame-threads {frames}" for pools in (1, 4) for frames in (1, 4)))

#: Options of `vs-sac encode` → arguments for its encoders.
KINDS = {
    "--codec x264": X264,
    "--codec x264 --mode single-stream": X264,
    "--codec x264 --fill black": X264,
    "--codec x265": X265,
    "--codec x265 --mode single-stream": X265,
}


def vs_sac(*arguments: object) -> None:
    command = [sys.executable, "-m", "vs_sac", *map(str, arguments), "--force"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


@contextlib.contextmanager
def one_processor() -> Iterator[None]:
    """Restrict programs that are started inside to a single processor."""
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usual)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usual)


def repeated(out: Path, *command: object) -> list[str]:
    """Make a file three times; compare the second, and the one made on one processor, with the first."""
    made = []
    for where in (one_processor(), contextlib.nullcontext(), contextlib.nullcontext()):
        with where:
            vs_sac(*command, "-o", out)
        made.append(out.read_bytes())
    alone, first, second = made
    return ["same" if other == first else "differs" for other in (second, alone)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--size", default="320x192")
    options = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} processors\n")
    print(
        "| `vs-sac encode` | `--encoder-args` | run twice | on one processor | decoded video |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        vs_sac("demo", "-o", folder, "--frames", options.frames, "--size", options.size)
        source, masks = folder / "in.mkv", folder / "street.mkv"
        vs_sac("decode", masks, "-o", source)
        for kind, told in KINDS.items():
            seen: dict[str, str] = {}
            for args in told:
                out, video = folder / "out.mkv", folder / "out.y4m"
                files = repeated(out, "encode", source, "--masks", masks, *kind.split(), "--encoder-args", args)
                vs_sac("decode", out, "-o", video)
                digest = hashlib.sha256(video.read_bytes()).hexdigest()
                letter = seen.setdefault(digest, "ABCDEFGH"[len(seen)])
                print("|", " | ".join([f"`{kind}`", f"`{args}`" if args else "", *files, letter]), "|", flush=True)
        print("| (`vs-sac segment`) | |", " | ".join(repeated(folder / "m.mkv", "segment", source)), "| |")


if __name__ == "__main__":
    main()
