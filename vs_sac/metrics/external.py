"""VMAF and XPSNR, computed by an installed ffmpeg that has the filters."""

import json
import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import vapoursynth as vs

from ..core.errors import SacMissingError, SacProcessError
from .clips import check_pair

__all__ = ["ExternalScore", "ffmpeg_with", "parse_vmaf", "parse_xpsnr", "vmaf", "xpsnr"]

_XPSNR_LINE: Final = re.compile(r"\] XPSNR\s+(?:average, \d+ frames\s+)?(y:.*)")
_XPSNR_FIGURE: Final = re.compile(r"\b([yuv]):\s*(inf|[\d.]+)")


@dataclass(frozen=True)
class ExternalScore:
    """A score that ffmpeg computed.

    Attributes:
        name: ``vmaf`` or ``xpsnr``.
        value: VMAF in [0, 100], or luma XPSNR in dB (infinite for identical luma), over the whole clip.
        details: Further figures, under the filter's own names.
        version: First line of the version text of the ffmpeg that computed the score.
    """

    name: str
    value: float
    details: Mapping[str, float]
    version: str


def ffmpeg_with(name: str) -> Path | None:
    """Find an ffmpeg that has a filter: first on PATH, then in imageio-ffmpeg. None if neither has the filter."""
    return next((path for path in _candidates() if name in _filters(path)), None)


def vmaf(reference: vs.VideoNode, distorted: vs.VideoNode) -> ExternalScore:
    """Compute VMAF with the filter's default model.

    Args:
        reference: YUV or GRAY, 8 to 16 bits.
        distorted: Clip of the same format, size and length.

    Raises:
        SacFormatError: The clips do not match.
        SacMissingError: No ffmpeg with libvmaf is installed.
        SacProcessError: ffmpeg failed.
    """
    with tempfile.TemporaryDirectory(prefix="vs_sac-") as folder:
        program = _run(reference, distorted, "libvmaf", "log_fmt=json:log_path=vmaf.json", Path(folder))[0]
        log = (Path(folder) / "vmaf.json").read_text(encoding="utf-8")
    value, details = parse_vmaf(log)
    return ExternalScore("vmaf", value, details, _version(program))


def xpsnr(reference: vs.VideoNode, distorted: vs.VideoNode) -> ExternalScore:
    """Compute XPSNR, the perceptually weighted PSNR of Helmrich et al. (ITU-T H.Sup.80).

    Args:
        reference: YUV or GRAY, 8 to 16 bits.
        distorted: Clip of the same format, size and length.

    Raises:
        SacFormatError: The clips do not match.
        SacMissingError: No ffmpeg with the filter is installed.
        SacProcessError: ffmpeg failed.
    """
    with tempfile.TemporaryDirectory(prefix="vs_sac-") as folder:
        program, log = _run(reference, distorted, "xpsnr", "", Path(folder))
    details = parse_xpsnr(log)
    return ExternalScore("xpsnr", details["y"], details, _version(program))


def parse_vmaf(log: str) -> tuple[float, dict[str, float]]:
    """Read the mean VMAF and all pooled VMAF figures from libvmaf's JSON log.

    Raises:
        SacProcessError: The text is not such a log.
    """
    try:
        pooled = json.loads(log)["pooled_metrics"]["vmaf"]
        return float(pooled["mean"]), {name: float(value) for name, value in pooled.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise SacProcessError(f"libvmaf's log cannot be read: {error!r}", "vmaf") from error


def parse_xpsnr(log: str) -> dict[str, float]:
    """Read the XPSNR of each plane in dB from the filter's message; infinite for identical planes.

    Raises:
        SacProcessError: The log contains no such message.
    """
    lines = [match[1] for match in map(_XPSNR_LINE.search, log.splitlines()) if match]
    figures = {
        name: math.inf if text == "inf" else float(text) for line in lines for name, text in _XPSNR_FIGURE.findall(line)
    }
    if "y" not in figures:
        raise SacProcessError(f"no XPSNR in ffmpeg's output: {log.strip()[-300:]}", "xpsnr")
    return figures


def _candidates() -> list[Path]:
    """Installed ffmpeg programs: the one on PATH, then the one of imageio-ffmpeg."""
    on_path = shutil.which("ffmpeg")
    found = [Path(on_path)] if on_path else []
    try:
        import imageio_ffmpeg

        found.append(Path(imageio_ffmpeg.get_ffmpeg_exe()))
    except (ImportError, RuntimeError):
        pass
    return found


def _ask(program: Path, question: str) -> str:
    try:
        answer = subprocess.run(
            [str(program), "-hide_banner", question], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError:
        # A program that cannot be started has no filters.
        return ""
    return answer.stdout.decode(errors="replace")


@lru_cache
def _filters(program: Path) -> frozenset[str]:
    """Names of an ffmpeg's filters. The name is the second word of each line of ``-filters``."""
    return frozenset(words[1] for words in map(str.split, _ask(program, "-filters").splitlines()) if len(words) > 2)


@lru_cache
def _version(program: Path) -> str:
    return _ask(program, "-version").partition("\n")[0].strip()


def _run(reference: vs.VideoNode, distorted: vs.VideoNode, name: str, options: str, folder: Path) -> tuple[Path, str]:
    """Stack both clips vertically, pipe them to ffmpeg and let the filter compare the halves."""
    check_pair(reference, distorted, name)
    program = ffmpeg_with(name)
    if program is None:
        raise SacMissingError(f"no ffmpeg with the filter {name} found; one way: pip install imageio-ffmpeg", name)
    graph = (
        "split[a][b];[a]crop=iw:ih/2:0:0[reference];[b]crop=iw:ih/2:0:ih/2[distorted];"
        f"[distorted][reference]{name}" + (f"={options}" if options else "")
    )
    command = [str(program), "-hide_banner", "-nostdin", "-f", "yuv4mpegpipe", "-i", "-"]
    command += ["-lavfi", graph, "-f", "null", "-"]
    # The output goes to a file. With a pipe that nobody reads while frames are written, both processes would block.
    with (folder / "log.txt").open("w+b") as output:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, cwd=folder)
        try:
            _feed(vs.core.std.StackVertical([reference, distorted]), process)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        output.seek(0)
        log = output.read().decode(errors="replace")
    if code:
        raise SacProcessError(f"ffmpeg exited with {code}: {' | '.join(log.strip().splitlines()[-3:])}", name)
    return program, log


def _feed(clip: vs.VideoNode, process: "subprocess.Popen[bytes]") -> None:
    if not clip.fps_num:
        # The y4m header needs a frame rate. The filters do not use it.
        clip = clip.std.AssumeFPS(fpsnum=25)
    assert process.stdin is not None
    try:
        with process.stdin:
            clip.output(process.stdin, y4m=True)
    except (BrokenPipeError, vs.Error):
        # If ffmpeg exited early, its log and exit status give the reason. Otherwise the clip itself failed.
        if process.wait() == 0:
            raise
