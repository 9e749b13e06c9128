"""Running the program as a user does."""

import os
import subprocess
import sys

from vs_sac.encoders import find_ffmpeg


def vs_sac(*arguments, stdin=subprocess.DEVNULL, cwd=None, env=None):
    """The ended process, with its output as text."""
    command = [sys.executable, "-m", "vs_sac", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, stdin=stdin, cwd=cwd,
                          env={**os.environ, **(env or {})}, timeout=120, check=False)  # fmt: skip


def ffmpeg(*words):
    """Run ffmpeg to its end."""
    subprocess.run([find_ffmpeg(), "-v", "error", "-nostdin", "-y", *map(str, words)], check=True)


def street(path, *words, seconds=0.8):
    """A film of moving shapes with a tone."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size=96x64:rate=25:duration={seconds}", "-f", "lavfi", "-i",
           f"sine=sample_rate=48000:duration={seconds}", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac",
           *words, path)  # fmt: skip
    return path
