"""Time, processor time and memory that ROI coding needs in addition to an ordinary encode, as ratios of pairs.

    python benchmarks/speed.py drive.mp4 --out benchmarks/results/speed.json

A case is a pair of whole commands on the same file: a uniform encode, and ``vs-sac encode`` including the network. The
two run in turn, so that other load on the machine affects both. The uniform encode has the same preset and threads, and
the CRF of the ROI. With x264 it is ``ffmpeg -c:v libx264``. The releases of x265 differ much in speed, so with x265 it
is the same library in the same settings, used through PyAV and decoded and encoded in one process. Times include all
processes that a command starts. The results are medians of the ratios of the pairs.

The other parts measure each stage alone for several sizes and lengths, the cost of options, the delay from the reading
of a frame to its packet, and the memory of the process tree by length.

The source is looped to the length and scaled to the size that a part needs. The tables are written beside the JSON
(``.md``). Parts that are not measured keep their figures in both files.
"""

import argparse
import json
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

PARTS = ("cases", "stages", "options", "delay", "memory")

#: Worker that records the time at which each packet leaves the encoder.
_STAMPED = Path(__file__).with_name("stamped_worker.py")


class Cost(NamedTuple):
    """The cost of a command: seconds, and processor seconds including all processes that it started."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Case:
    """A pair of commands, and the largest ratio wanted.

    Attributes:
        name: Name in the table.
        codec: Encoder of both commands.
        mode: Mode of ``vs-sac encode``.
        size: Width and height.
        crf: CRFs of ROI and non-ROI.
        wall: Largest ratio of wall times wanted; None if another figure has a limit.
        share: Share of the frames that is encoded; less than 1 for slow encoders.
        preset: Preset of both commands.
        uniform: Additional library parameters of the uniform encode.
    """

    name: str
    codec: str
    mode: str
    size: tuple[int, int]
    crf: tuple[int, int]
    wall: float | None
    share: float = 1.0
    preset: str = "medium"
    uniform: str = ""


HD = (1280, 720)
CASES = (
    Case("x264 single-stream", "x264", "single-stream", HD, (23, 27), 1.25, uniform="aq-strength=0.6"),
    # A single stream has settings of its own: see `vs_sac.encoders.roi`.
    Case("x265 single-stream", "x265", "single-stream", HD, (28, 32), 1.10, 0.5, uniform="rskip=0"),
    Case("x264 two-stream", "x264", "two-stream", HD, (23, 27), 1.45),
    Case("x265 two-stream", "x265", "two-stream", (2048, 1024), (28, 32), 1.25, 0.3),
    Case(
        "x264 veryfast single-stream",
        "x264",
        "single-stream",
        HD,
        (23, 27),
        None,
        preset="veryfast",
        uniform="aq-strength=0.6",
    ),
)

#: Limits: the share of segmentation and masks in the processor time of a single stream by x264, the frames per second
#: of the veryfast case, and the MiB at 1920x1080.
MOST_SHARE, LEAST_FPS, MOST_MIB = 0.15, 25.0, 1024

#: Options whose cost is measured, with x264 medium.
OPTIONS = (
    "--mode single-stream",
    "--mode single-stream --threads 1",
    "--mode single-stream --low-latency",
    "--mode single-stream --chunk 2",
    "--mode single-stream --chunk 2 --jobs 2",
    "--mode single-stream --roi-hold 8",
    "--mode single-stream --non-roi-filter 1.5",
    "--mode two-stream",
    "--mode two-stream --threads 2",
    "--mode two-stream --fill grey",
    "--mode two-stream --fill hold",
)

#: Heading of each part in the generated page, and what its table means.
MEANINGS = {
    "cases": """\
## Whole commands

Each row compares a whole `vs-sac encode`, network included, with a uniform encode of the same file. `wall`, `CPU` and
`bytes` are ratios: `vs-sac encode` divided by uniform. The ratios of wall time and of processor time are medians over
pairs of commands that ran in turn.
""",
    "stages": """\
## Stages

Processor time of each stage of a single stream by x264 medium, measured alone: milliseconds per frame, and in brackets
the seconds at the start. Both come from a line through two lengths, so either can be slightly negative. `whole` is the
complete command. The last column is the share of `segment` and `masks` in the time per frame of `whole`, with the aim.
""",
    "options": """\
## Options

The cost of options with x264 medium at 1280×720. The figures are ratios against an encode with the options of the first
row. It ran in turn with the encode of each row.
""",
    "delay": """\
## Delay

The time from the reading of a frame to the packet that leaves the encoder, at 640×360 and preset veryfast, with a
source that delivers 25 frames per second. The third column is the largest number of frames that are read in the
meantime.
""",
    "memory": """\
## Memory

Peak memory of the process tree at 1920×1080: the sum of the proportional set sizes (PSS) of all processes, sampled four
times a second.
""",
}

#: Sizes at which the stages are measured, and the names of the stages.
SIZES = ((640, 360), HD, (1920, 1080))
STAGES = ("start", "decode", "segment", "masks", "pipe", "encode")


def run(command: Sequence[str | Path], **how: Any) -> Cost:
    """Run a command to its end and return its cost."""
    start = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, **how)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {shlex.join(map(str, command))}")
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime)


def ffmpeg(*words: str | Path) -> Cost:
    """Run ffmpeg: the installed one, or the one that comes with the package."""
    from vs_sac.encoders import find_ffmpeg

    return run([find_ffmpeg(), "-nostdin", "-v", "error", "-y", *words])


def encode(source: Path, out: Path, *words: str) -> Cost:
    """Run ``vs-sac encode`` with compiled modules, as in an installation."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return run([sys.executable, "-m", "vs_sac", "encode", source, "-o", out, "--force", *words], env=env)


class Sources:
    """The given video at any size and length, as ordinary H.264, which decodes as fast as that of a camera."""

    def __init__(self, given: Path, folder: Path) -> None:
        self._given, self.folder = given, folder

    def at(self, size: tuple[int, int], frames: int) -> Path:
        """The file of this size and length; it is made if it does not exist."""
        path = self.folder / f"{size[0]}x{size[1]}-{frames}.mp4"
        if not path.exists():
            ffmpeg("-stream_loop", "-1", "-i", self._given, "-an", "-frames:v", str(frames), "-vf",
                   f"scale={size[0]}:{size[1]},setsar=1,format=yuv420p", "-r", "25", "-c:v", "libx264", "-preset",
                   "veryfast", "-crf", "18", path)  # fmt: skip
        return path


def transcode(source: str, out: str, codec: str, preset: str, params: str) -> None:
    """Decode and encode in one process: an ordinary encode by the library that ``vs-sac encode`` uses."""
    import av
    import av.logging

    av.logging.set_level(av.logging.ERROR)
    with av.open(source) as file, av.open(out, "w", format="matroska") as made:
        read = file.streams.video[0]
        read.thread_type = "AUTO"
        written: Any = made.add_stream(f"lib{codec}", rate=read.average_rate)
        context = written.codec_context
        context.width, context.height, context.pix_fmt = read.width, read.height, "yuv420p"
        context.thread_count, context.thread_type = 0, "FRAME"
        context.options = {"preset": preset, f"{codec}-params": params}
        for number, frame in enumerate(file.decode(read)):
            frame.pts, frame.time_base = number, 1 / Fraction(read.average_rate or 25)
            made.mux(written.encode(frame))
        made.mux(written.encode(None))


def uniform(case: Case, source: Path, out: Path) -> Cost:
    """Run the uniform encode of a case."""
    if case.codec == "x264":
        return ffmpeg("-i", source, "-an", "-c:v", "libx264", "-preset", case.preset, "-crf", str(case.crf[0]), out)
    params = f"log-level=error:crf={case.crf[0]}" + (f":{case.uniform}" if case.uniform else "")
    return run([sys.executable, __file__, "--transcode", source, out, case.codec, case.preset, params])


def compare(case: Case, source: Path, frames: int, repeat: int, more: Sequence[str]) -> dict[str, Any]:
    """Run both commands of a case in turn."""
    theirs, ours = [], []
    made = [source.with_name("uniform.mkv"), source.with_name("sac.mkv")]
    for _ in range(repeat):
        theirs.append(uniform(case, source, made[0]))
        ours.append(encode(source, made[1], "--codec", case.codec, "--mode", case.mode, "--preset", case.preset,
                           "--crf-roi", str(case.crf[0]), "--crf-non-roi", str(case.crf[1]), *more))  # fmt: skip
    return {**asdict(case), "frames": frames, "limit": case.wall, **ratios(theirs, ours),
            "bytes": made[1].stat().st_size / made[0].stat().st_size,
            "fps": frames / statistics.median(cost.wall for cost in ours),
            "uniform_fps": frames / statistics.median(cost.wall for cost in theirs)}  # fmt: skip


def ratios(theirs: Sequence[Cost], ours: Sequence[Cost]) -> dict[str, Any]:
    """Medians of the ratios, and the ratios themselves."""
    wall, cpu = ([b[n] / a[n] for a, b in zip(theirs, ours, strict=True)] for n in range(2))
    return {"wall": statistics.median(wall), "cpu": statistics.median(cpu), "walls": wall, "cpus": cpu,
            "uniform_seconds": statistics.median(c.cpu for c in theirs),
            "seconds": statistics.median(c.cpu for c in ours)}  # fmt: skip


def time_stages(source: str) -> dict[str, float]:
    """Processor seconds of each stage of a single stream by x264, measured alone in its own process."""
    spent = [0.0]

    def lap() -> float:
        before, spent[0] = spent[0], sum(os.times()[:4])
        return spent[0] - before

    import numpy as np
    import vapoursynth as vs

    from vs_sac.core.choices import Codec
    from vs_sac.core.clips import frames, set_cache_limit
    from vs_sac.core.processes import ProcessGroup
    from vs_sac.encoders import EncoderSettings, PictureFormat, RoiEncoder
    from vs_sac.encoders.y4m import FRAME_HEADER, frame_planes, stream_header
    from vs_sac.masks.class_maps import roi_mask
    from vs_sac.masks.grid import blank_grid
    from vs_sac.masks.propagation import default_every, propagate_mask
    from vs_sac.pipeline.feeding import Stream, feed
    from vs_sac.segmentation.network import segment
    from vs_sac.source.opening import open_clip

    set_cache_limit()
    settings = EncoderSettings(codec=Codec.X264)
    encoder = RoiEncoder(Codec.X264, Fraction(4))
    clip = open_clip(source, sequential=True)
    encoder.check(PictureFormat.of(clip), settings)
    classes = segment(clip)
    classes.get_frame(0).close()
    made = {"start": lap()}

    def pull(node: vs.VideoNode) -> float:
        for frame in frames(node):
            frame.close()
        return lap()

    made["decode"] = pull(clip)
    # The frames between are only decoded.
    made["segment"] = pull(classes[:: default_every(clip.fps)]) - made["decode"]
    # The cost of masks and pipes does not depend on their content.
    none = roi_mask(vs.core.std.BlankClip(classes, keep=True))
    made["masks"] = pull(propagate_mask(clip, none)) - made["decode"]
    grids = [np.asarray(frame[0]).tobytes() for frame in frames(propagate_mask(clip, roi_mask(classes)))]
    lap()
    blank = vs.core.std.BlankClip(clip, keep=True)
    grid = blank_grid(blank)
    with ProcessGroup() as group:
        sink = group.start("sink", ["sh", "-c", "exec cat > /dev/null"])
        feed([Stream("video", blank, encoder, settings, 23, grid).fed, grid], [sink])
        group.finish()
    made["pipe"] = lap()
    raw = Path(source).with_suffix(".raw")
    with raw.open("wb") as file:
        file.write(stream_header(clip))
        for frame, block in zip(frames(clip), grids, strict=True):
            file.writelines([FRAME_HEADER, *frame_planes(frame), block])
    lap()
    with raw.open("rb") as file:
        command = encoder.command(PictureFormat.of(clip), settings, 23, raw.with_suffix(".mkv"))
        subprocess.run(command, stdin=file, check=True)
    made["encode"] = lap()
    raw.unlink()
    return made


def grow(points: Sequence[tuple[int, float]]) -> dict[str, float]:
    """Fit a line to processor seconds over frames: milliseconds per frame, and seconds at the start."""
    (a, x), (b, y) = points[0], points[-1]
    slope = (y - x) / (b - a)
    return {"ms_per_frame": 1000 * slope, "seconds_at_start": x - slope * a}


def measure_stages(sources: Sources, frames: int) -> list[dict[str, Any]]:
    """Measure every stage and the whole command at every size and at two lengths."""
    rows = []
    for size in SIZES:
        lengths = (frames // 2, frames)
        found = []
        for length in lengths:
            source = sources.at(size, length)
            said = subprocess.run(
                [sys.executable, __file__, "--stages", str(source)], stdout=subprocess.PIPE, check=True
            )
            stages = json.loads(said.stdout)
            stages["whole"] = encode(source, sources.folder / "whole.mkv", "--mode", "single-stream",
                                     "--crf-roi", "23", "--crf-non-roi", "27").cpu  # fmt: skip
            found.append(stages)
        rows.append({"size": size, "lengths": lengths, "seconds": found,
                     **{name: grow([(n, s[name]) for n, s in zip(lengths, found, strict=True)])
                        for name in (*STAGES, "whole")}})  # fmt: skip
    return rows


def measure_options(source: Path, frames: int, repeat: int, more: Sequence[str]) -> list[dict[str, Any]]:
    """Measure the cost of each entry of `OPTIONS` against the first entry, in turn."""
    rows = []
    made = [source.with_name("plain.mkv"), source.with_name("option.mkv")]
    common = ["--crf-roi", "23", "--crf-non-roi", "27", *more]
    for words in OPTIONS:
        plain, changed = [], []
        for _ in range(repeat):
            plain.append(encode(source, made[0], *common, *shlex.split(OPTIONS[0])))
            changed.append(encode(source, made[1], *common, *shlex.split(words)))
        rows.append({"options": words, **ratios(plain, changed), "frames": frames,
                     "bytes": made[1].stat().st_size / made[0].stat().st_size})  # fmt: skip
    return rows


def delays(read: Sequence[float], left: Sequence[tuple[int, float]]) -> dict[str, float]:
    """The delay of the frames in milliseconds, and the number of frames that are read in the meantime."""
    waited = sorted(1000 * (at - read[number]) for number, at in left)
    behind = [sum(other <= at for other in read) - number - 1 for number, at in left]
    return {"ms_median": statistics.median(waited), "ms_95": waited[math.ceil(0.95 * len(waited)) - 1],
            "ms_most": waited[-1], "frames_most": max(behind)}  # fmt: skip


def measure_delay(source: Path, folder: Path, fps: float, **how: Any) -> dict[str, float]:
    """Measure the delay from the reading of a frame to its packets.

    Args:
        source: The video.
        folder: Folder for temporary files.
        fps: Frames per second that the source delivers; 0 delivers each frame when it is requested.
        **how: Arguments of `vs_sac.encode`.
    """
    import vapoursynth as vs

    from vs_sac import encode, open_clip

    clip, began = open_clip(source, sequential=True), [0.0]
    read = [0.0] * clip.num_frames

    def note(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        if began[0] and not read[n]:
            time.sleep(max(0.0, began[0] + n / fps - time.monotonic()) if fps else 0)
            read[n] = time.monotonic()
        return f

    def start(*words: Any) -> Any:
        # Frames requested before the encoders run are only requested for their properties.
        began[0] = began[0] or time.monotonic()
        return feed(*words[:-1], **words[-1])

    from vs_sac.pipeline.feeding import feed

    live = clip.std.ModifyFrame(clip, note)
    read[0] = time.monotonic()
    stamps = folder / "stamps"
    with (
        mock.patch("vs_sac.encoders.worker_pool._WORKER", _STAMPED),
        mock.patch.dict(os.environ, STAMPS=str(stamps)),
        mock.patch("vs_sac.pipeline.feeding.feed", lambda *words, **more: start(*words, more)),
    ):
        encode(live, folder / "delay.mkv", force=True, **how)
    read[0] = began[0]
    left = []
    for path in folder.glob("stamps.*"):
        left += [(int(number), float(at)) for number, at in map(str.split, path.read_text().splitlines())]
        path.unlink()
    return delays(read, left)


def tree_memory(source: Path, out: Path, *words: str) -> dict[str, float]:
    """Peak MiB of the process tree (sum of the proportional set sizes), and the seconds of the encode."""
    from memory import proportional_set_size, tree

    command = [sys.executable, "-m", "vs_sac", "encode", str(source), "-o", str(out), "--force", *words]
    started, peak = time.perf_counter(), 0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, sum(map(proportional_set_size, tree(process.pid))))
        time.sleep(0.25)
    if process.returncode:
        raise SystemExit(f"failed: {shlex.join(command)}")
    return {"peak_mib": peak / 2**20, "seconds": time.perf_counter() - started}


def measure_memory(sources: Sources, lengths: Sequence[int], more: Sequence[str]) -> list[dict[str, Any]]:
    """Memory at 1920x1080: both modes at medium with the shortest length, one mode at veryfast with every length."""
    jobs = [
        (codec, mode, "medium", lengths[0]) for codec in ("x264", "x265") for mode in ("two-stream", "single-stream")
    ]
    jobs += [("x264", "two-stream", "veryfast", length) for length in lengths]
    rows = []
    for codec, mode, preset, length in jobs:
        source = sources.at((1920, 1080), length)
        got = tree_memory(
            source, sources.folder / "memory.mkv", "--codec", codec, "--mode", mode, "--preset", preset, *more
        )
        rows.append({"codec": codec, "mode": mode, "preset": preset, "frames": length, **got})
    return rows


def machine() -> dict[str, Any]:
    """The machine and the versions of the programs."""
    from vs_sac.encoders import find_ffmpeg
    from vs_sac.experiments.provenance import encoder_versions

    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
    said = subprocess.run([find_ffmpeg(), "-version"], capture_output=True, text=True, check=True).stdout
    return {"cpu": model, "cores": len(os.sched_getaffinity(0)), "system": platform.platform(terse=True),
            "ffmpeg": said.split()[2], **encoder_versions()}  # fmt: skip


def verdict(value: float, limit: float | None, *, least: bool = False) -> str:
    """The limit, and a mark that says whether the value keeps it."""
    if limit is None:
        return ""
    kept = value >= limit if least else value <= limit
    return f"{'≥' if least else '≤'} {limit:g} {'✓' if kept else '✗'}"


def segmentation_share(row: dict[str, Any]) -> float:
    """The share of network and masks in the processor time per frame of a whole encode."""
    return float((row["segment"]["ms_per_frame"] + row["masks"]["ms_per_frame"]) / row["whole"]["ms_per_frame"])


def markdown(report: dict[str, Any]) -> str:
    """All tables of a report, each behind a sentence that says what it means."""
    made: dict[str, list[str]] = {}
    for part, by in report["made"].items():
        where = by["machine"]
        said = f"{where['cpu']}, {where['cores']} cores; {where['system']}; ffmpeg {where['ffmpeg']}. `{by['command']}`"
        made.setdefault(said, []).append(part)
    lines = [line for said, parts in made.items() for line in (f"{', '.join(parts).capitalize()}: {said}", "")][:-1]

    def table(part: str, head: str, rows: Sequence[Sequence[Any]]) -> None:
        columns = head.split("|")
        lines.extend(["", MEANINGS[part], f"| {head.replace('|', ' | ')} |", "|---" * len(columns) + "|"])
        lines.extend("| " + " | ".join(map(str, row)) + " |" for row in rows)

    if rows := report.get("cases"):
        table(
            "cases",
            "case|size|frames|wall|aim|CPU|bytes|fps|uniform fps",
            [(f"{r['name']} {r['crf'][0]}/{r['crf'][1]}", "×".join(map(str, r["size"])), r["frames"],
              f"{r['wall']:.2f}", verdict(r["wall"], r["limit"]) or verdict(r["fps"], LEAST_FPS, least=True) + " fps",
              f"{r['cpu']:.2f}", f"{r['bytes']:.2f}", f"{r['fps']:.1f}", f"{r['uniform_fps']:.1f}") for r in rows],
        )  # fmt: skip
    if rows := report.get("stages"):
        table(
            "stages",
            "size|" + "|".join((*STAGES, "whole")) + "|network and masks",
            [("×".join(map(str, r["size"])),
              *(f"{r[name]['ms_per_frame']:.1f} ({r[name]['seconds_at_start']:.1f})" for name in (*STAGES, "whole")),
              f"{segmentation_share(r):.0%} {verdict(segmentation_share(r), MOST_SHARE)}") for r in rows],
        )  # fmt: skip
    if rows := report.get("options"):
        table(
            "options", "options|wall|CPU|bytes",
            [(f"`{r['options']}`", f"{r['wall']:.2f}", f"{r['cpu']:.2f}", f"{r['bytes']:.3f}") for r in rows],
        )  # fmt: skip
    if rows := report.get("delay"):
        table("delay", "encoder|options|frames read meanwhile, at most|ms, median|ms, 95 %",
              [(f"{r['codec']} {r['mode']}", "`--low-latency`" if r["low_latency"] else "", r["frames_most"],
                f"{r['ms_median']:.0f}", f"{r['ms_95']:.0f}") for r in rows])  # fmt: skip
    if rows := report.get("memory"):
        table("memory", "encode|frames|MiB|aim|fps",
              [(f"{r['codec']} {r['mode']}, {r['preset']}", r["frames"], f"{r['peak_mib']:.0f}",
                verdict(r["peak_mib"], MOST_MIB), f"{r['frames'] / r['seconds']:.1f}") for r in rows])  # fmt: skip
    return "\n".join(lines) + "\n"


def measure(options: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure the requested parts."""
    sources, more = Sources(options.source, folder), shlex.split(options.encode_args)
    by = {"machine": machine(), "command": shlex.join(["python", "benchmarks/speed.py", *sys.argv[1:]])}
    report: dict[str, Any] = {"made": {part: by for part in PARTS if part in options.parts}}
    if "cases" in options.parts:
        report["cases"] = []
        for case in CASES:
            length = max(2, round(options.frames * case.share))
            say(case.name)
            report["cases"].append(compare(case, sources.at(case.size, length), length, options.repeat, more))
    if "stages" in options.parts:
        say("stages")
        report["stages"] = measure_stages(sources, options.frames // 3)
    if "options" in options.parts:
        say("options")
        report["options"] = measure_options(sources.at(HD, options.frames // 3), options.frames // 3, 1, more)
    if "delay" in options.parts:
        report["delay"] = []
        for codec in ("x264", "x265"):
            for mode in ("single-stream", "two-stream"):
                for low in (False, True):
                    say(f"delay {codec} {mode}")
                    how = {"codec": codec, "mode": mode, "low_latency": low}
                    got = measure_delay(sources.at((640, 360), 100), folder, 25, preset="veryfast", **how)
                    report["delay"].append({**how, **got})
    if "memory" in options.parts:
        say("memory")
        report["memory"] = measure_memory(sources, options.memory_frames, more)
    return report


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["--stages"]:
        print(json.dumps(time_stages(sys.argv[2])))
        return
    if sys.argv[1:2] == ["--transcode"]:
        transcode(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a driving video")
    parser.add_argument("--out", type=Path, help="write the JSON to this file, and the tables beside it")
    parser.add_argument("--frames", type=int, default=300, help="length of the pairs; slow encoders get a share of it")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each command")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--memory-frames", type=int, nargs="+", default=[60, 600], help="lengths, in ascending order")
    parser.add_argument("--encode-args", default="", help="additional options of vs-sac encode, as one argument")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vs_sac-") as name:
        report = measure(options, Path(name), lambda what: print(what, file=sys.stderr, flush=True))
    if options.out and options.out.exists():
        known = json.loads(options.out.read_text(encoding="utf-8"))
        report = {**known, **report, "made": {**known["made"], **report["made"]}}
    print(markdown(report), end="")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        options.out.with_suffix(".md").write_text(markdown(report), encoding="utf-8")


if __name__ == "__main__":
    main()
