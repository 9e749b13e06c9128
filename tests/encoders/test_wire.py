"""What the package and the ROI worker send each other, and the workers that wait for a task."""

import io
import json
import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_sac.core.macroblocks import BLOCK, grid_size
from vs_sac.encoders import wire, worker_pool
from vs_sac.encoders.wire import Task, pack_arguments, read_arguments, read_grid, read_task
from vs_sac.encoders.worker_pool import WorkerPool, worker_program

offsets = st.fractions(-51, 51, max_denominator=1000)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
names = words.filter(lambda name: name and "=" not in name)
tasks = st.builds(
    Task,
    codec=st.sampled_from(["libx264", "libx265"]),
    options=st.lists(st.tuples(names, words), max_size=6).map(tuple),
    roi_offset=offsets,
    non_roi_offset=offsets,
    group=st.integers(1, 8),
    block=st.sampled_from([8, 16, 32]),
)
paths = names.filter(lambda name: not name.startswith("-")).map(Path)


@given(tasks, paths)
def test_a_task_is_read_as_it_was_written(task, out):
    assert read_task([*task.arguments(), str(out)]) == (task, out, None)
    assert read_task([*task.arguments(), "--probe", "yuv420p10le"]) == (task, None, "yuv420p10le")


@given(tasks)
def test_arguments_reach_a_waiting_worker_unchanged(task):
    arguments = [*task.arguments(), "a file\n.mkv"]
    packed = pack_arguments(arguments)
    assert packed.count(b"\n") == 1
    # What follows, the frames, stays in the stream.
    stream = io.BytesIO(packed + b"YUV4MPEG2")
    assert read_arguments(stream) == arguments
    assert stream.read() == b"YUV4MPEG2"


@given(st.lists(words))
def test_any_arguments_are_one_line(arguments):
    packed = pack_arguments(arguments)
    assert packed.endswith(b"\n")
    assert packed.count(b"\n") == 1
    assert read_arguments(io.BytesIO(packed)) == arguments


def test_a_stream_that_ends_says_that_nobody_needs_the_worker():
    assert read_arguments(io.BytesIO()) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--codec"),
        (["--codec", "libx266", "a.mkv"], "libx266"),
        (["--codec", "libx264"], "either a file to write or --probe"),
        (["--codec", "libx264", "a.mkv", "--probe", "yuv420p"], "either a file to write or --probe"),
        (["--codec", "libx264", "a.mkv", "--roi-offset", "much"], "--roi-offset"),
        (["--codec", "libx264", "a.mkv", "--group", "1.5"], "--group"),
    ],
)
def test_arguments_that_are_wrong_end_the_program(capsys, arguments, said):
    with pytest.raises(SystemExit) as caught:
        read_task(arguments)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_defaults_need_not_be_given():
    task, out, probe = read_task(["--codec", "libx264", "a.mkv"])
    assert task == Task(codec="libx264", options=())
    assert (task.roi_offset, task.non_roi_offset, task.group, task.block) == (Fraction(0), Fraction(0), 1, BLOCK)
    assert (out, probe) == (Path("a.mkv"), None)


@given(st.integers(16, 200), st.integers(16, 200), st.sampled_from([8, 16, 32]), st.integers(0, 99))
def test_a_grid_is_read_by_rows(width, height, block, seed):
    columns, rows = grid_size(width, height, block)
    grid = np.random.default_rng(seed).integers(0, 256, (rows, columns), np.uint8)
    stream = io.BytesIO(grid.tobytes() + b"FRAME\n")
    got = read_grid(stream, width, height, block)
    assert [len(line) for line in got] == [columns] * rows
    np.testing.assert_array_equal(np.array([list(line) for line in got]), grid)
    assert stream.read() == b"FRAME\n"


def test_a_stream_that_ends_within_a_grid():
    with pytest.raises(ValueError, match="within a frame"):
        read_grid(io.BytesIO(bytes(11)), 64, 48, 16)
    buffer = memoryview(bytearray(4))
    wire.fill(io.BytesIO(b"abcd"), buffer)
    assert bytes(buffer) == b"abcd"
    with pytest.raises(ValueError, match="within a frame"):
        wire.fill(io.BytesIO(b"abc"), buffer)


def test_the_wire_needs_the_standard_library_alone():
    code = "import sys; before = set(sys.modules); import vs_sac.encoders.wire; print(*set(sys.modules) - before)"
    loaded = {
        name.partition(".")[0] for name in subprocess.check_output([sys.executable, "-c", code], text=True).split()
    }
    assert loaded - set(sys.stdlib_module_names) == {"vs_sac"}


#: Stands for the ROI worker: notes its process id, its arguments, and how much it was fed.
STAND_IN = """
import json, os, sys
words = sys.argv[1:]
if words == ["--later"]:
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit()
    words = json.loads(line)
with open(words[0], "w") as file:
    json.dump([os.getpid(), words[1:], len(sys.stdin.buffer.read())], file)
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Takes the place of the worker's program."""
    program = tmp_path / "worker.py"
    program.write_text(STAND_IN)
    monkeypatch.setattr(worker_pool, "_WORKER", program)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def finish(process):
    process.stdin.close()
    process.wait(20)
    process.stderr.close()


@pytest.mark.usefixtures("stand_in")
def test_workers_that_wait_get_their_arguments_later(tmp_path):
    with WorkerPool() as pool:
        pool.prewarm(2)
        ready = [process.pid for process in pool._waiting]
        assert len(ready) == 2
        taken = []
        for n in range(2):
            taken.append(pool.take([*worker_program(), str(tmp_path / f"{n}"), "ü\n"]))
            taken[n].stdin.write(b"12345")
        assert pool.take([*worker_program(), "a"]) is None, "none waits any more"
        for process in taken:
            finish(process)
    assert [process.pid for process in taken] == ready
    assert [json.loads((tmp_path / f"{n}").read_text()) for n in range(2)] == [[pid, ["ü\n"], 5] for pid in ready]


@pytest.mark.usefixtures("stand_in")
def test_only_the_workers_own_command_line_takes_one():
    with WorkerPool() as pool:
        pool.prewarm(1)
        for argv in (["x264", "-"], [sys.executable, "-c", "pass"], [sys.executable], []):
            assert pool.take(argv) is None
        assert len(pool._waiting) == 1


@pytest.mark.usefixtures("stand_in")
def test_a_pool_leaves_no_process_behind(tmp_path):
    with pytest.raises(RuntimeError, match="elsewhere"), WorkerPool() as pool:
        pool.prewarm(2)
        pool.prewarm(2)
        assert len(pool._waiting) == 2, "as many as asked for, not twice"
        pool.prewarm(1)
        assert len(pool._waiting) == 2
        pids = [process.pid for process in pool._waiting]
        raise RuntimeError("elsewhere")
    assert not pool._waiting
    assert not any(map(alive, pids))
    # Closing again changes nothing, and a closed pool can be filled again.
    pool.close()
    pool.prewarm(1)
    (process,) = pool._waiting
    pool.close()
    assert not alive(process.pid)


@pytest.mark.usefixtures("stand_in")
def test_a_worker_that_has_died_is_passed_over(tmp_path):
    with WorkerPool() as pool:
        pool.prewarm(2)
        first, second = pool._waiting
        first.kill()
        first.wait()
        taken = pool.take([*worker_program(), str(tmp_path / "a")])
        assert taken is second
        finish(taken)
        assert first.stdin.closed


def test_workers_that_cannot_be_started_are_left_out(monkeypatch):
    def refuse(argv):
        raise OSError("no more processes")

    monkeypatch.setattr(worker_pool, "spawn", refuse)
    with WorkerPool() as pool:
        pool.prewarm(3)
        assert pool.take([*worker_program(), "a"]) is None


@pytest.mark.encoder
def test_a_real_worker_that_nobody_needs_ends_by_itself():
    """As it does when the program that started it is killed."""
    worker = subprocess.Popen([*worker_program(), wire.WAIT], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.1)
    _, said = worker.communicate(timeout=20)
    assert (worker.returncode, said) == (0, b"")
