"""Faults of every stage: one line that says why, exit 1, nothing left behind."""

import contextlib
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import vapoursynth as vs

from benchmarks.interrupts import catches, interrupt
from vs_sac import SacError, decode, encode, open_clip
from vs_sac.container import writer
from vs_sac.core.clips import frames
from vs_sac.core.errors import SacProcessError
from vs_sac.core.processes import Packet, StdinProcess, run
from vs_sac.encoders import find_encoder

from ..helpers import mask_clip, noise_clip, nothing_left, python, write_ffv1

pytestmark = pytest.mark.encoder

#: What a faulty program does once it has read a little; `{real}` is the program it stands for.
FAULTS = {
    "exits": "sys.stdin.buffer.read(99); print('bad day', file=sys.stderr); sys.exit(9)",
    "exits with 0": "sys.stdin.buffer.read(99); sys.exit(0)",
    "is killed": "sys.stdin.buffer.read(99); os.kill(os.getpid(), 9)",
    "hangs": "sys.stdin.buffer.read(99); time.sleep(99)",
    "hangs at the end": "sys.stdin.buffer.read(); time.sleep(99)",
    "closes its input": "os.close(0); time.sleep(99)",
    "reads all, writes nothing": "sys.stdin.buffer.read()",
    "writes garbage and fails": "sys.stderr.buffer.write(bytes(range(256)) * 9999); sys.exit(1)",
    "finds the disk full": "print('No space left on device', file=sys.stderr); sys.exit(1)",
}


def fake(folder, name, body):
    """A program of that name, first on the path."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def job(length=60):
    clip = noise_clip(64, 64, length)
    return clip, mask_clip(np.random.default_rng(0).random((length, 4, 4)) < 0.5)


@pytest.mark.parametrize("stage", ["x264", "x265", "ffmpeg"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_program_is_one_error_and_leaves_the_disk_as_it_was(tmp_path, monkeypatch, stage, fault):
    """Both encoders and the mask's encoder (ffmpeg)."""
    monkeypatch.setenv("PATH", f"{fake(tmp_path / 'bin', stage, FAULTS[fault])}:{os.environ['PATH']}")
    monkeypatch.setenv("VS_SAC_STALL_SECONDS", "1")
    # The installed programs, which stand in where PyAV has no such encoder.
    monkeypatch.setattr("vs_sac.pipeline.coded_streams.plain_encoder", lambda codec, _: find_encoder(codec))
    codec = "x265" if stage == "x265" else "x264"
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.mkv").write_text("precious")
    clip, mask = job()
    with pytest.raises(SacError) as caught:
        encode(clip, out / "a.mkv", codec=codec, masks=mask, fill="grey", force=True)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1500
    if "hangs" in fault:
        assert "no sign of life for 1 s" in str(caught.value)
    assert [path.name for path in out.iterdir()] == ["a.mkv"]
    assert (out / "a.mkv").read_text() == "precious"
    assert nothing_left(out)


def test_a_worker_that_fails_in_single_stream(tmp_path, monkeypatch):
    monkeypatch.setattr("vs_sac.encoders.RoiEncoder.check", lambda *_: None)
    monkeypatch.setattr("vs_sac.encoders.worker_pool._WORKER", tmp_path / "none.py")
    clip, mask = job()
    with pytest.raises(SacError, match=r"\(video encoder\) .*No such file"):
        encode(clip, tmp_path / "a.mkv", masks=mask, mode="single-stream")
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_drops_frames_silently_is_caught(tmp_path, monkeypatch):
    import shutil

    real = shutil.which("x264")
    body = f"os.execv({real!r}, [{real!r}, '--frames', '7', *sys.argv[1:]])"
    monkeypatch.setenv("PATH", f"{fake(tmp_path / 'bin', 'x264', body)}:{os.environ['PATH']}")
    clip, mask = job(8)
    with pytest.raises(SacError, match=r"wrote 7 of 8 frames|exited early with code 0"):
        # The installed x264 codes no coarse fill.
        encode(clip, tmp_path / "a.mkv", masks=mask, fill="grey")
    assert not list(tmp_path.glob("*.mkv"))


def test_a_multiplexer_that_damages_what_it_writes_is_caught(tmp_path, monkeypatch):
    real = writer.multiplex

    def damaging(out, *words, **named):
        real(out, *words, **named)
        with out.open("r+b") as file:
            file.seek(-3000, 2)
            file.write(bytes(900))

    monkeypatch.setattr(writer, "multiplex", damaging)
    clip, mask = job(8)
    with pytest.raises(SacError, match="is not what was to be written"):
        encode(clip, tmp_path / "a.mkv", masks=mask)
    assert not list(tmp_path.glob("*.mkv"))


def test_a_multiplexer_that_fails_is_one_error_and_leaves_the_disk_as_it_was(tmp_path, monkeypatch):
    def failing(self, packet):
        raise av.error.OSError(28, "No space left on device")

    monkeypatch.setattr(av.container.OutputContainer, "mux", failing, raising=False)
    clip, mask = job(8)
    with pytest.raises(SacError, match="No space left"):
        encode(clip, tmp_path / "a.mkv", masks=mask)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("when", [0, 5])
def test_a_source_that_fails(tmp_path, when):
    clip, mask = job(12)

    def fail(n, f):
        if n >= when:
            raise ValueError("broken pixel")
        return f.copy()

    broken = clip.std.ModifyFrame(clip, fail)
    with pytest.raises(vs.Error, match="broken pixel"):
        encode(broken, tmp_path / "a.mkv", masks=mask)
    assert not list(tmp_path.iterdir())
    assert nothing_left(tmp_path)


def test_a_source_or_network_that_hangs(tmp_path, monkeypatch):
    import threading

    monkeypatch.setenv("VS_SAC_STALL_SECONDS", "2")
    clip, mask = job(12)
    release = threading.Event()

    def hang(n, f):
        if n == 5:
            release.wait(60)
        return f.copy()

    try:
        with pytest.raises(SacProcessError, match=r"no frame [345] comes .* no sign of life for 2 s"):
            encode(clip.std.ModifyFrame(clip, hang), tmp_path / "a.mkv", masks=mask)
        assert not list(tmp_path.iterdir())
    finally:
        release.set()


def test_a_slow_source_and_a_slow_encoder_are_waited_for(tmp_path, monkeypatch):
    """Slower than the limit, but at work."""
    monkeypatch.setenv("VS_SAC_STALL_SECONDS", "1.5")

    def slow(n, f):
        until = time.thread_time() + (1.8 if n == 2 else 0)
        while time.thread_time() < until:
            pass
        return f.copy()

    clip = noise_clip(64, 48, 4)
    assert len(list(frames(clip.std.ModifyFrame(clip, slow)))) == 4
    busy = "import sys, time\nsys.stdin.buffer.read()\nwhile time.process_time() < 3: pass"
    program = StdinProcess("x", python(busy))
    program.put(Packet(lambda: [b"x"]))
    program.finish()
    program.kill()
    assert "done" in run("x", python("import time\nwhile time.process_time() < 3: pass\nprint('done')"))


# The command, in processes of its own.


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    clip, mask = job(60)
    write_ffv1(clip, folder / "in.mkv")
    encode(clip, folder / "sac.mkv", masks=mask, preset="ultrafast")
    return folder


def command(*arguments, limits=(), **options):
    def limit():
        for which, most in limits:
            resource.setrlimit(which, (most, most))

    words = [sys.executable, "-m", "vs_sac", *map(str, arguments)]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=limit if limits else None, **options,
    )  # fmt: skip


def encode_command(source, out, **options):
    more = ["--masks", source / "sac.mkv", "--force"]
    return command("encode", source / "in.mkv", "-o", out / "a.mkv", *more, **options)


def check_failed(running, out, said):
    _, stderr = running.communicate(timeout=60)
    assert running.returncode == 1, stderr
    assert "Traceback" not in stderr
    # Python's own last words may break off before the end of their line.
    assert stderr.count("vs-sac: ") == 1, stderr
    line = stderr.partition("vs-sac: ")[2].splitlines()[0]
    assert any(part in line for part in said), stderr
    assert [path.name for path in out.iterdir()] == []
    assert nothing_left(out)


def test_an_interrupt_lost_in_a_destructor_comes_again():
    """What a destructor raises, Python prints and forgets."""
    code = """
import os, signal, sys, time
from vs_sac.cli import program as cli

class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

signal.signal(signal.SIGTERM, cli._interrupt)
sys.unraisablehook = cli._interrupt_again
try:
    dying = Dying()
    del dying
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        # Larger than the mask's track, smaller than the others.
        ([(resource.RLIMIT_FSIZE, 20_000)], ["SIGXFSZ", "File too large", "wrote", "exited early"]),
        ([(resource.RLIMIT_NOFILE, 6)], ["Too many open files"]),
        ([(resource.RLIMIT_NOFILE, 14)], ["Too many open files"]),
        ([(resource.RLIMIT_AS, 100 << 20)], ["cannot start", "out of memory"]),
        ([(resource.RLIMIT_AS, 300 << 20)], ["native code", "cannot start", "out of memory"]),
        ([(resource.RLIMIT_AS, 500 << 20)], ["memory", "cannot", "native code"]),
    ],
    ids=["disk", "6 files", "14 files", "100 MiB", "300 MiB", "500 MiB"],
)
def test_limits_of_the_system(source, tmp_path, limits, said):
    check_failed(encode_command(source, tmp_path, limits=limits), tmp_path, said)


def test_memory_that_may_just_do_gives_a_whole_file_or_none(source, tmp_path):
    """How much an encode takes, and which optional part it goes without, depends on what is installed, and on luck."""
    running = encode_command(source, tmp_path, limits=[(resource.RLIMIT_AS, 600 << 20)])
    if running.wait(timeout=60) == 0:
        assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]
        assert command("verify", tmp_path / "a.mkv").wait(timeout=60) == 0
    else:
        check_failed(running, tmp_path, ["memory", "cannot", "native code"])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_a_full_disk(source, tmp_path):
    out = tmp_path / "small"
    out.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", out], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        check_failed(encode_command(source, out), out, ["No space left", "exited early", "wrote", "Error"])
        running = command("decode", source / "sac.mkv", "-o", out / "a.y4m")
        check_failed(running, out, ["No space left"])
    finally:
        subprocess.run(["umount", out], check=True)


def descendants(pid):
    """A process and all below it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            # A thread may end in between.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += [int(child) for child in task.read_text().split()]
    return found


@pytest.mark.parametrize("victim", ["guard", "work"])
def test_the_command_itself_is_killed(source, tmp_path, victim):
    """By SIGKILL, which nobody can catch; the other one clears up."""
    slow = ["--preset", "placebo"]
    running = command("encode", source / "in.mkv", "-o", tmp_path / "a.mkv", "--masks", source / "sac.mkv", *slow)
    until = time.monotonic() + 60
    while len(descendants(running.pid)) < 5 and time.monotonic() < until:
        time.sleep(0.01)
    work = descendants(running.pid)[1]
    os.kill(running.pid if victim == "guard" else work, signal.SIGKILL)
    _, stderr = running.communicate(timeout=30)
    assert running.returncode == (-9 if victim == "guard" else 1)
    assert stderr.strip() == (
        "vs-sac: interrupted"
        if victim == "guard"
        else "vs-sac: killed by SIGKILL, as the system does when memory runs out; no output was written"
    )
    assert nothing_left(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_crash_in_native_code_is_one_line(tmp_path):
    code = f"""
import ctypes
from vs_sac.core.supervisor import guarded, make_folder
from pathlib import Path
def work():
    make_folder(Path({str(tmp_path)!r}), "x")
    ctypes.string_at(0)
guarded(work)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("vs-sac: native code crashed (SIGSEGV)")
    assert not list(tmp_path.iterdir())


def test_an_interrupt_while_a_folder_is_made(tmp_path):
    script = f"""
from pathlib import Path
from vs_sac.core.supervisor import guarded, make_folder

class Interrupting(type(Path())):
    def mkdir(self, *how, **more):
        super().mkdir(*how, **more)
        raise KeyboardInterrupt

def work():
    try:
        make_folder(Interrupting({str(tmp_path)!r}), "x")
    except KeyboardInterrupt:
        return 1

guarded(work)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (1, b"")
    assert not list(tmp_path.iterdir())


def test_an_interrupt_behind_the_end_changes_nothing():
    # Module globals die after the interpreter has given up its signal handlers.
    script = """
import os, signal
from vs_sac.core.supervisor import guarded

class Late:
    def __init__(self, *call):
        self.call = call

    def __del__(self):
        self.call[0](*self.call[1:])

late = Late(os.kill, os.getpid(), signal.SIGINT)
guarded(lambda: 0)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("after", [0, 0.05, 0.2, 0.4])
def test_an_interrupt_while_modules_are_imported(source, tmp_path, after):
    running = encode_command(source, tmp_path)
    while not catches(running.pid, signal.SIGTERM):
        time.sleep(0.001)
    time.sleep(after)
    running.send_signal(signal.SIGINT)
    check_failed(running, tmp_path, ["interrupted"])


def test_work_that_does_not_end_is_ended(tmp_path):
    """Native code that never comes back does not see a signal."""
    code = f"""
import ctypes, signal, sys
from vs_sac.core import supervisor as guard
from pathlib import Path
guard._GRACE = 0.5
def work():
    guard.make_folder(Path({str(tmp_path)!r}), "x")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    print("here", flush=True)
    ctypes.CDLL(None).sleep(60)
guard.guarded(work)
"""
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "here\n"
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=20)
    assert (running.returncode, stderr) == (1, "vs-sac: interrupted\n")
    assert not list(tmp_path.iterdir())


def test_random_interrupts_leave_nothing(source, tmp_path):
    """A few of the many that `benchmarks/interrupts.py` gives."""
    for number in range(4):
        interrupt(source / "in.mkv", source / "sac.mkv", tmp_path, seed=number, longest=1.5)


def test_decoding_to_a_reader_that_goes_away_leaves_nothing(source):
    running = command("decode", source / "sac.mkv", "-o", "-")
    running.stdout.close()
    running.stdout = None
    _, stderr = running.communicate(timeout=30)
    assert running.returncode == 1
    assert stderr == ""


def test_a_full_output_of_decode_is_an_error(source):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with pytest.raises(OSError, match="No space"), Path("/dev/full").open("wb") as full:
        decode(source / "sac.mkv", full)
    assert open_clip(source / "in.mkv").num_frames == 60
