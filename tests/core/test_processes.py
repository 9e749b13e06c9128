import os
import threading
import time

import pytest

from vs_sac import SacError
from vs_sac.core.processes import Packet, ProcessGroup, StdinProcess, end, run, spawn

from ..helpers import python


def feed(process, count=200, size=1 << 16):
    for _ in range(count):
        process.put(Packet(lambda: [bytes(size)]))


def gone(pid):
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_what_is_put_arrives_in_order(tmp_path):
    out = tmp_path / "out"
    code = f"import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, open({str(out)!r}, 'wb'))"
    released = []
    with ProcessGroup() as group:
        process = group.start("copy", python(code))
        for n in range(50):
            process.put(Packet(lambda n=n: [bytes([n]) * 1000, b"|"], lambda n=n: released.append(n)))
        group.finish()
    assert out.read_bytes() == b"".join(bytes([n]) * 1000 + b"|" for n in range(50))
    assert released == list(range(50))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; print('out of\\rmemory', file=sys.stderr); sys.exit(3)", "exited early with code 3.*memory"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
        ("import sys; sys.stdin.buffer.read(10)", "exited early with code 0|closed its input"),
        ("import sys; sys.stderr.write('x' * 10**7); sys.exit(1)", "exited early with code 1"),
    ],
)
def test_a_program_that_fails_is_reported_once_with_its_words(code, said):
    with pytest.raises(SacError, match=said) as caught, ProcessGroup() as group:
        process = group.start("ROI encoder", python(code))
        feed(process)
        group.finish()
    assert str(caught.value).startswith("(ROI encoder) ")
    assert len(str(caught.value)) < 1500
    assert "\n" not in str(caught.value)


def test_failing_at_the_very_end_counts():
    with pytest.raises(SacError, match="code 7"), ProcessGroup() as group:
        process = group.start("x", python("import sys; sys.stdin.buffer.read(); sys.exit(7)"))
        feed(process, 3)
        group.finish()


def test_a_talkative_program_does_not_hang():
    code = (
        "import sys\nfor b in iter(lambda: sys.stdin.buffer.read(65536), b''): sys.stderr.write('progress\\r' * 9999)"
    )
    with ProcessGroup() as group:
        feed(group.start("x", python(code)), 50)
        group.finish()


@pytest.mark.slow
def test_an_error_elsewhere_kills_everything_even_grandchildren(tmp_path):
    note = tmp_path / "pid"
    child = f"import time, os; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]).wait()"
    with pytest.raises(RuntimeError, match="elsewhere"), ProcessGroup() as group:
        process = group.start("x", python(code))
        for _ in range(100):
            if note.exists() and note.read_text():
                break
            time.sleep(0.05)
        raise RuntimeError("elsewhere")
    assert gone(process.pid)
    assert gone(int(note.read_text()))


def test_a_slow_program_slows_the_caller_instead_of_filling_the_memory():
    process = StdinProcess("slow", python("import time; time.sleep(60)"), depth=2)
    done = []
    packets = threading.Thread(
        target=lambda: (suppress(lambda: feed(process, 50, 1 << 20)), done.append(1)), daemon=True
    )
    packets.start()
    time.sleep(0.7)
    assert not done
    assert process._queue.qsize() <= 2
    process.kill()
    packets.join(5)
    assert not packets.is_alive()


def suppress(function):
    try:
        function()
    except SacError:
        return


def test_every_packet_is_released_even_when_the_program_dies():
    released = []
    process = StdinProcess("x", python("pass"))
    made = []
    with pytest.raises(SacError):
        while True:
            made.append(1)
            process.put(Packet(lambda: [bytes(1 << 16)], lambda: released.append(1)))
    process.kill()
    assert len(released) == len(made)


def test_a_missing_program():
    with pytest.raises(SacError, match="cannot start /no/such") as caught:
        StdinProcess("x", ["/no/such"])
    assert isinstance(caught.value, ImportError)
    with pytest.raises(SacError, match="cannot start /no/such"):
        run("x", ["/no/such"])


def test_run_returns_what_was_printed_and_reports_failure():
    assert run("x", python("print('hello')")).strip() == "hello"
    assert run("x", python("import sys; sys.exit(1)"), ok=(0, 1)) == ""
    with pytest.raises(SacError, match=r"\(mux\) python\S* exited early with code 5; it said: bad"):
        run("mux", python("import sys; print('bad'); sys.exit(5)"))


def test_a_program_that_runs_already_is_taken_in(tmp_path):
    """By a group, which then owns it, and by `run`, which returns its messages."""
    code = "import sys; print('went', len(sys.stdin.buffer.read()), file=sys.stderr); sys.exit(int(sys.argv[1]))"
    ready = spawn([*python(code), "0"])
    with ProcessGroup() as group:
        member = group.start("x", ["unused"], process=ready)
        assert member.pid == ready.pid
        feed(member, 2)
        group.finish()
    assert gone(ready.pid)
    ready = spawn([*python(code), "0"])
    assert run("x", ["unused"], process=ready).strip() == "went 0"
    assert ready.stdin.closed
    with pytest.raises(SacError, match="exited early with code 3; it said: went 0"):
        run("x", ["unused"], process=spawn([*python(code), "3"]))


@pytest.mark.slow
def test_ending_a_program_ends_what_it_started_and_may_be_done_twice(tmp_path):
    note = tmp_path / "pid"
    child = f"import time, os; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]).wait()"
    process = spawn(python(code))
    until = time.monotonic() + 10
    while not (note.exists() and note.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    end(process)
    end(process)
    assert process.stdin.closed
    assert process.stderr.closed
    assert gone(process.pid)
    assert gone(int(note.read_text()))
