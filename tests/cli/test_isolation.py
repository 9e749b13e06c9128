"""No command opens a connection or writes outside of its outputs' folder and the temporary folder."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import vapoursynth as vs

from .machine import CHECKOUT, vs_sac, write_video

pytestmark = pytest.mark.encoder

_CALLS = ("%network,open,openat,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,link,linkat,symlink,"
          "symlinkat,unlink,unlinkat,rmdir,truncate")  # fmt: skip

#: Compiled Python and numba's compiled kernels lie beside the sources (docs/reliability.md).
_CACHES = re.compile(r"/__pycache__(/|$)")


@pytest.fixture(scope="module")
def strace():
    """The command line of a tracer that follows every process."""
    if not (found := shutil.which("strace")):
        pytest.skip("strace is not installed")
    if subprocess.run([found, "-qq", "-e", "trace=none", "true"], capture_output=True, check=False).returncode:
        pytest.skip("ptrace is not permitted here")
    return [found, "-f", "-qq", "-y", "-s", "1000", "-e", f"trace={_CALLS}"]


def _opened_sockets(calls):
    # A socket in the file system reaches no other machine: the name service cache daemon, for example.
    return [call for call in calls if re.search(r"\bsocket\((?!AF_UNIX)", call)]


def _written_paths(calls, folder):
    for call in calls:
        name, _, rest = call.partition("(")
        name = name.split()[-1]
        if " = -1 " in call or not re.match(r"open|creat|mk|rename|link|symlink|unlink|rmdir|truncate", name):
            continue
        if name in ("open", "openat") and not re.search(r"O_WRONLY|O_RDWR|O_CREAT", call):
            continue
        base = re.match(r"(?:AT_FDCWD|\d+)<([^>]*)>", rest)
        paths = re.findall(r'"([^"]*)"', rest)
        # Of a symbolic link the first is what it says, not a place.
        for path in paths[1:] if name.startswith("symlink") else paths:
            yield os.path.normpath(Path(base[1] if base else folder, path))


@pytest.fixture(scope="module")
def run(strace, tmp_path_factory):
    """Run a command; gives what it said, its system calls, and its home and working folder."""
    folder = tmp_path_factory.mktemp("isolated")
    for name in ("home", "tmp", "out"):
        (folder / name).mkdir()
    write_video(folder / "out/scene.y4m")

    def traced(*arguments, env=None):
        log = folder / "trace"
        done = vs_sac(
            *arguments, before=[*strace, "-o", log], cwd=folder / "out",
            env={"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), **(env or {})},
        )  # fmt: skip
        return done, log.read_text(errors="replace").splitlines(), folder

    return traced


COMMANDS = {
    "segment": ["segment", "scene.y4m", "-o", "m.mkv", "--overlay", "o.mkv"],
    "segment with a plugin": ["segment", "scene.y4m", "-o", "p.mkv", "--backend", "ort"],
    "encode": ["encode", "scene.y4m", "-o", "a.mkv", "--preset", "ultrafast"],
    "encode in one stream, in chunks": ["encode", "scene.y4m", "-o", "b.mkv", "--mode", "single-stream", "--preset",
                                        "ultrafast", "--chunk", "0.1", "--jobs", "2"],
    "decode": ["decode", "a.mkv", "-o", "a.y4m"],
    "evaluate": ["evaluate", "scene.y4m", "a.mkv", "--xpsnr", "--json", "q.json"],
    "verify": ["verify", "a.mkv"],
    "doctor": ["doctor"],
    "unknown": ["encod"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_no_connection_and_no_file_outside_the_outputs(run, name):
    if "plugin" in name and not hasattr(vs.core, "ort"):
        pytest.skip("the VapourSynth plugin ort is not installed")
    done, calls, folder = run(*COMMANDS[name])
    assert done.returncode == (2 if name == "unknown" else 0), done.stderr
    assert _opened_sockets(calls) == []
    written = set(_written_paths(calls, folder / "out"))
    inside = tuple(f"{folder / name}/" for name in ("out", "tmp"))
    outside = {path for path in written if not path.startswith((*inside, "/dev/", "/proc/"))}
    assert {path for path in outside if not _CACHES.search(path)} == set()
    assert all(path.startswith((str(CHECKOUT), *map(str, _site_packages()))) for path in outside)
    assert list((folder / "home").iterdir()) == []
    assert list((folder / "tmp").iterdir()) == []


def _site_packages():
    import sysconfig

    import numpy as np

    return {*sysconfig.get_paths().values(), Path(np.__file__).parents[1]}


@pytest.mark.slow
def test_the_test_sees_what_it_is_to_see(strace, tmp_path):
    """A connection that is refused, and a file in the home."""
    log = tmp_path / "trace"
    code = f"import socket; open({str(tmp_path / 'deviceid')!r}, 'w'); socket.socket().connect_ex(('127.0.0.1', 9))"
    import sys

    subprocess.run([*strace, "-o", log, sys.executable, "-c", code], check=True)
    calls = log.read_text(errors="replace").splitlines()
    assert _opened_sockets(calls)
    assert str(tmp_path / "deviceid") in set(_written_paths(calls, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("value", [None, "0"])
def test_telemetry_is_off_whatever_the_environment_says(run, value):
    """Also where another library has loaded onnxruntime, as its own switch then comes too late."""
    _, calls, folder = run("segment", "scene.y4m", "-o", "t.mkv", "--force",
                           env={} if value is None else {"ORT_DISABLE_TELEMETRY": value})  # fmt: skip
    assert not [path for path in _written_paths(calls, folder) if "Microsoft" in path]
    assert list((folder / "home").iterdir()) == []


@pytest.mark.slow
def test_only_one_module_loads_onnxruntime():
    """Training's quantizer is the library's own, and opens sessions itself; the environment reaches it."""
    loads = re.compile(r"^\s*(import onnxruntime\b|from onnxruntime\b(?!\.quantization))", re.MULTILINE)
    modules = [path for part in ("vs_sac", "benchmarks", "scripts") for path in (CHECKOUT / part).rglob("*.*py")]
    assert [path.name for path in modules if loads.search(path.read_text())] == ["inference.py"]
