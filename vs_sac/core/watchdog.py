"""Telling what hangs from what is slow.

A sign of life is a byte read or written, or processor time used. Whoever gives none for `stall_limit` seconds hangs.
Whoever computes but neither reads nor writes has `_BUSY` times as long: an encoder that empties its lookahead of large
pictures at its slowest preset needs many minutes before it writes again.
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

#: Seconds between two looks. A longer gap, in which the machine slept or we were stopped, counts as one.
_LOOK = 1.0

#: Share of one processor that waiting itself, and a progress bar, may use in this process.
_OWN_NOISE = 0.05


class Activity(NamedTuple):
    """What a process or group has done so far.

    Attributes:
        cpu: Seconds of processor time, or of what counts as such.
        bytes: Read and written.
    """

    cpu: float
    bytes: int


class StallWatch:
    """Adds up the time in which something shows no sign of life.

    Args:
        activity: What is watched.
    """

    def __init__(self, activity: Callable[[], Activity]) -> None:
        self._activity = activity
        self._limit = stall_limit()
        self.restart()

    def restart(self) -> None:
        """It has moved, as far as the caller can see."""
        self._idle = self._busy = 0.0
        self._last: Activity | None = None
        self._looked = time.monotonic()

    def hangs(self) -> str:
        """Look at it; to be called again and again while the caller waits.

        Returns:
            What it has not done for how long, once that is too long; empty until then.
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
    """Seconds without a sign of life that are allowed: ``VS_SAC_STALL_SECONDS``, or 120; 0 allows any.

    Raises:
        SacValueError: The variable is no number from 0.
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
    """What the processes of a session have done; nothing where the system has no /proc."""
    cpu, moved = 0, 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            # proc(5): 6 session, 14 to 17 ticks of it and its ended children; here from field 3 on.
            if int(fields[3]) != session:
                continue
            cpu += sum(map(int, fields[11:15]))
            # The first two lines: all bytes through read and write calls.
            moved += sum(int(line.split()[1]) for line in stat.with_name("io").read_text().splitlines()[:2])
        except (OSError, IndexError, ValueError):
            continue
    return Activity(float(cpu), moved)


def own_activity() -> Callable[[], Activity]:
    """What this process does, apart from waiting. Looking reads files, so bytes cannot be told."""
    working, last, since = 0.0, time.process_time(), time.monotonic()

    def activity() -> Activity:
        nonlocal working, last, since
        cpu, now = time.process_time(), time.monotonic()
        if cpu - last > _OWN_NOISE * (now - since):
            working += cpu - last
        last, since = cpu, now
        return Activity(working, 0)

    return activity
