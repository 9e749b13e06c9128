"""What hangs is found out, and what is slow is waited for."""

import time

import pytest

from vs_sac.core.errors import SacValueError
from vs_sac.core.processes import StdinProcess
from vs_sac.core.watchdog import Activity, StallWatch, group_activity, own_activity, stall_limit

from ..helpers import python


def test_stalls_are_counted_in_looks_not_by_the_clock(monkeypatch):
    """A machine that slept for a day has not hung; who computes has longer; who moves begins anew."""
    clock, seen = [0.0], [Activity(0.0, 0)]
    monkeypatch.setattr("vs_sac.core.watchdog.time.monotonic", lambda: clock[0])

    def after(seconds, activity=None):
        clock[0] += seconds
        if activity:
            seen[0] = activity
        return watch.hangs()

    watch = StallWatch(lambda: seen[0])
    assert not after(86400)
    assert not any(after(1) for _ in range(117))
    assert not after(1, Activity(0.0, 1))
    assert not any(after(1) for _ in range(119))
    assert "no sign of life for 120 s" in after(1)
    watch.restart()
    assert not any(after(1, Activity(float(n), 1)) for n in range(3599))
    assert "computes for 3600 s" in after(1, Activity(9999.0, 1))
    monkeypatch.setenv("VS_SAC_STALL_SECONDS", "0")
    watch = StallWatch(lambda: Activity(0.0, 0))
    assert not any(after(1) for _ in range(9999))


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "nan"])
def test_a_bad_limit(monkeypatch, text):
    monkeypatch.setenv("VS_SAC_STALL_SECONDS", text)
    with pytest.raises(SacValueError, match="is not a number of seconds"):
        stall_limit()


def test_activity_sees_work_of_a_whole_session_and_only_that():
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    program = StdinProcess("x", python(code))
    try:
        until = time.monotonic() + 20
        while group_activity(program.pid).cpu < 20 and time.monotonic() < until:
            time.sleep(0.1)
        assert group_activity(program.pid).cpu >= 20
        assert group_activity(program.pid).bytes > 0
        assert group_activity(-1) == Activity(0, 0)
    finally:
        program.kill()
    activity = own_activity()
    before = activity()
    while time.process_time() < 0:
        pass
    time.sleep(0.5)
    assert activity().cpu - before.cpu < 0.1
