"""ROI workers that are started before it is known what they are to do, so that no encode waits for their start."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ..core.processes import end, spawn
from .wire import WAIT, pack_arguments

__all__ = ["WorkerPool", "command_line_workers", "worker_program"]

_WORKER = Path(__file__).with_name("roi_worker.py")


def worker_program() -> list[str]:
    """How every worker's command line begins."""
    # By its path: the worker loads nothing that it does not need, and the current folder stays out of the search.
    return [sys.executable, str(_WORKER)]


class WorkerPool:
    """Owns the workers that wait for a task; leaving the block, or `close`, ends those that nobody took."""

    def __init__(self) -> None:
        self._waiting: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def prewarm(self, count: int) -> None:
        """Start workers until `count` of them wait.

        A worker that cannot be started is left out: whoever needs one starts it and reports the error.
        """
        with contextlib.suppress(OSError):
            for _ in range(count - len(self._waiting)):
                process = spawn([*worker_program(), WAIT])
                with self._lock:
                    self._waiting.append(process)

    def take(self, argv: Sequence[str]) -> subprocess.Popen[bytes] | None:
        """A waiting worker that has been told its arguments.

        Args:
            argv: The whole command line.

        Returns:
            The running process, or None if this is no worker's command line or none waits.
        """
        begin = worker_program()
        if list(argv[: len(begin)]) != begin:
            return None
        while True:
            with self._lock:
                if not self._waiting:
                    return None
                process = self._waiting.pop(0)
            assert process.stdin
            try:
                process.stdin.write(pack_arguments(argv[len(begin) :]))
                process.stdin.flush()
            except OSError:
                end(process)
            else:
                return process

    def close(self) -> None:
        """End the workers that still wait."""
        with self._lock:
            left, self._waiting = self._waiting, []
        for process in left:
            end(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


#: The pool that the command line fills before it loads the rest of the package.
command_line_workers = WorkerPool()
