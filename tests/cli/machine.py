"""The program as a process, under the conditions that a machine sets."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from vs_sac.segmentation.registry import find_model

CHECKOUT = Path(__file__).resolve().parents[2]

#: Variables under which onnxruntime keeps silent anyway, and those that the runs below set themselves.
_UNSET = ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "TF_BUILD", "NUMBA_CACHE_DIR",
          "XDG_CACHE_HOME", "MPLCONFIGDIR")  # fmt: skip


def vs_sac(*arguments, env=None, unset=(), before=(), cwd=None, **options):
    """Run the program; `before` is what the command line starts with, a tracer for example."""
    variables = {key: value for key, value in os.environ.items() if key not in (*_UNSET, *unset)}
    command = [*before, sys.executable, "-m", "vs_sac", *map(str, arguments)]
    return subprocess.run(
        command, env={**variables, **(env or {})}, cwd=cwd, timeout=240, check=False,
        **{"capture_output": True, "text": True, **options},
    )  # fmt: skip


def write_video(path, width=96, height=64, frames=6):
    """A moving gradient as YUV4MPEG."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\n".encode())
        for n in range(frames):
            file.write(b"FRAME\n")
            file.write(((x + y + 5 * n) % 220 + 16).astype(np.uint8).tobytes())
            file.write(bytes([120]) * (width * height // 2))
    return path


def copy_package(folder):
    """An installation as pip makes it, with the models inside the package; on PYTHONPATH it hides every other."""
    from shutil import copytree, ignore_patterns

    copytree(CHECKOUT / "vs_sac", folder / "vs_sac", ignore=ignore_patterns("__pycache__", "models"))
    copytree(find_model().path.parent, folder / "vs_sac/models")
    return folder
