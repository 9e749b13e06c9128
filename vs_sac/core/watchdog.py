"""Distinguishing a process that hangs from a process that is slow.

A process is active if it reads or writes bytes, or uses processor time. A process hangs if it is not active for
`stall_limit` seconds. For a process that computes but neither reads nor writes, the limit is `_BUSY` times as long: an
encoder that empties its lookahead of large pictures at its slowest preset needs many minutes before it writes again.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .errors import SacValueError

__all__ = ["StallWatch", "group_activity", "own_activity", "stall_limit"]

_DEFAULT_LIMIT = 120.0
_VARIABLE = "VS_SAC_STALL_SECONDS"
_BUSY = 30

#: Seconds between two measurements. A longer gap, in which the machine slept or this process was stopped, counts as at
#: most two of these intervals.
_LOOK = 1.0

#: Share of one processor that waiting itself and a progress bar may use in this process without counting as activity.
_OWN_NOISE = 0.05


class Activity(NamedTuple):
    """Activity of a process or a group of processes up to now.

    Attributes:
        cpu: Processor time; only differences matter. Clock ticks in `group_activity`, seconds in `own_activity`.
        bytes: Number of bytes read and written.
    """

    cpu: float
    bytes: int


class StallWatch:
    """Adds up the time in which a process is not active.

    Args:
        activity: Returns the activity of the process that is watched.
    """

    def __init__(self, activity: Callable[[], Activity]) -> None:
        self._activity = activity
        self._limit = stall_limit()
        self.restart()

    def restart(self) -> None:
        """Start the measurement again, because the caller has seen progress."""
        self._idle = self._busy = 0.0
        self._last: Activity | None = None
        self._looked = time.monotonic()

    def hangs(self) -> str:
        """Measure the activity and compare it with the limits; to be called repeatedly while the caller waits.

        Returns:
            Once a limit is exceeded, the limit in words for an error message; an empty string before.
        """
        now = time.monotonic()
        if not self._limit or now - self._looked < _LOOK:
            return ""
        passed, self._looked = min(now - self._looked, 2 * _LOOK), now
        seen, last = self._activity(), self._last
        self._last = seen
        if last is not None and seen.bytes != last.bytes:
            self._idle = self._busy = 0.0
            return ""
        self._busy += passed
        self._idle = 0.0 if last is not None and seen.cpu > last.cpu else self._idle + passed
        if self._idle >= self._limit:
            return f"shows no sign of life for {self._limit:g} s ({_VARIABLE} sets the limit)"
        if self._busy >= _BUSY * self._limit:
            return f"computes for {_BUSY * self._limit:g} s without reading or writing ({_VARIABLE} sets the limit)"
        return ""


def stall_limit() -> float:
    """Return the limit in seconds without activity: ``VS_SAC_STALL_SECONDS``, by default 120; 0 means no limit.

    Raises:
        SacValueError: The variable is not a number from 0 up.
    """
    text = os.environ.get(_VARIABLE, "") or str(_DEFAULT_LIMIT)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise SacValueError(f"{_VARIABLE}={text!r} is not a number of seconds from 0")
    return seconds


def group_activity(session: int) -> Activity:
    """Return the activity of all processes of a session; always zero on a system without /proc."""
    cpu, moved = 0, 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            # proc(5): field 6 is the session; fields 14 to 17 are the clock ticks of the process and of its ended
            # children. `fields` starts at field 3.
            if int(fields[3]) != session:
                continue
            cpu += sum(map(int, fields[11:15]))
            # The first two lines of io count all bytes of read and write calls.
            moved += sum(int(line.split()[1]) for line in stat.with_name("io").read_text().splitlines()[:2])
        except (OSError, IndexError, ValueError):
            continue
    return Activity(float(cpu), moved)


def own_activity() -> Callable[[], Activity]:
    """Return a function that measures the activity of this process, without the activity of waiting itself.

    The number of bytes is always 0, because the measurement itself would read files.
    """
    working, last, since = 0.0, time.process_time(), time.monotonic()

    def activity() -> Activity:
        nonlocal working, last, since
        cpu, now = time.process_time(), time.monotonic()
        if cpu - last > _OWN_NOISE * (now - since):
            working += cpu - last
        last, since = cpu, now
        return Activity(working, 0)

    return activity
