"""ROI workers that are started before their task is known, so that no encode waits until a worker has started."""

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
    """Return the first words of the command line of every worker: the interpreter and the program."""
    # The worker is started by its path, so that it loads only the modules that it needs, and Python does not search the
    # current folder for modules.
    return [sys.executable, str(_WORKER)]


class WorkerPool:
    """The workers that wait for a task; `close`, or leaving the ``with`` block, ends the workers that still wait."""

    def __init__(self) -> None:
        self._waiting: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def prewarm(self, count: int) -> None:
        """Start workers until `count` of them wait.

        An error at the start of a worker is ignored. The code that needs the worker starts it again and reports the
        error.
        """
        with contextlib.suppress(OSError):
            for _ in range(count - len(self._waiting)):
                process = spawn([*worker_program(), WAIT])
                with self._lock:
                    self._waiting.append(process)

    def take(self, argv: Sequence[str]) -> subprocess.Popen[bytes] | None:
        """Send arguments to a waiting worker and return its process.

        Args:
            argv: The whole command line.

        Returns:
            The running process; None if `argv` is not the command line of a worker, or no worker waits.
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
        """Kill the workers that still wait."""
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


#: The pool that the command line fills with workers before it loads the rest of the package.
command_line_workers = WorkerPool()
