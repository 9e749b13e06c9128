"""External programs that are fed frames: start, feed, drain and stop them, and report errors. Knows no codec."""

import contextlib
import fcntl
import logging
import os
import queue
import shlex
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from .errors import SacMissingError, SacProcessError
from .supervisor import claim_group, release_group
from .watchdog import StallWatch, group_activity

__all__ = ["QUEUE_DEPTH", "Packet", "ProcessGroup", "StdinProcess", "end", "kill_all", "run", "spawn"]

#: Number of packets that may wait for a program: enough that a short pause on one side does not stop the other.
QUEUE_DEPTH = 4

_log = logging.getLogger(__name__)

_TAIL_LINES = 12
_PIPE_BYTES = 1 << 20
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Packet:
    """Bytes to write.

    Attributes:
        chunks: Returns the bytes.
        release: Called after the bytes are written or dropped.
    """

    chunks: Callable[[], Iterable[bytes | memoryview]]
    release: Callable[[], None] = lambda: None


class _Drain(threading.Thread):
    """Reads the messages of a program, so that the program never blocks on a full pipe, and keeps the last lines."""

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.program, self.stream = name, stream
        self.lines: deque[str] = deque(maxlen=_TAIL_LINES)
        self.start()

    def run(self) -> None:
        """Read until the program closes its end of the pipe."""
        rest = b""
        with self.stream as stream:
            while block := os.read(stream.fileno(), 1 << 14):
                # Programs overwrite their progress by carriage returns. A line without an end is cut to 4096 bytes.
                *lines, rest = (rest + block).replace(b"\r", b"\n").split(b"\n")
                rest = rest[-(1 << 12) :]
                self._keep(lines)
        self._keep([rest])

    def _keep(self, lines: Iterable[bytes]) -> None:
        said = [line.decode(errors="replace").strip()[:300] for line in lines if line.strip()]
        self.lines.extend(said)
        for line in said:
            _log.debug("%s says: %s", self.program, line)


def spawn(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a program in its own session, with pipes for standard input and standard error."""
    # In its own session, because Ctrl-C in the terminal must reach only this process, which stops the others in order.
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    claim_group(process.pid)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and the processes that it started, and close its pipes."""
    _kill_group(process)
    _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(OSError):
            if pipe:
                pipe.close()


class StdinProcess:
    """A program that reads a stream from its standard input.

    One thread writes the stream and one drains the messages. A bounded queue connects the caller and the writer, so a
    slow program slows down the caller instead of filling the memory.

    Args:
        name: Name for error messages.
        argv: Program and arguments; no shell is involved.
        depth: Number of packets that the queue holds. With 1, the pipe keeps the system's default size; otherwise the
            pipe has 1 MiB.
        process: The process, if `spawn` has started it already.

    Raises:
        SacMissingError: The program cannot be started.
        SacProcessError: The system has no more threads for the program.
    """

    def __init__(
        self, name: str, argv: Sequence[str], depth: int = QUEUE_DEPTH, process: subprocess.Popen[bytes] | None = None
    ) -> None:
        self.name, self.argv = name, list(argv)
        _log.info("%s: %s", name, shlex.join(self.argv))
        try:
            self._process = process or spawn(self.argv)
        except OSError as error:
            raise SacMissingError(f"cannot start {self.argv[0]}: {error.strerror or error}", name) from error
        assert self._process.stdin
        assert self._process.stderr
        with contextlib.suppress(OSError, AttributeError):
            if depth > 1:
                fcntl.fcntl(self._process.stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._watch = StallWatch(lambda: group_activity(self._process.pid))
        self._queue: queue.Queue[Packet | None] = queue.Queue(depth)
        self._broken = threading.Event()
        self._writer = threading.Thread(target=self._write, daemon=True)
        try:
            self._drain = _Drain(name, self._process.stderr)
            self._writer.start()
        except RuntimeError as error:
            # The system cannot start more threads.
            self._process.stdin.close()
            _kill_group(self._process)
            raise SacProcessError(f"cannot watch {self.argv[0]}: {error}", name) from error

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def put(self, packet: Packet) -> None:
        """Put a packet into the queue; wait while the queue is full.

        Raises:
            SacProcessError: The program has ended, has closed its input or hangs.
        """
        while True:
            if self._broken.is_set():
                packet.release()
                self._raise_failed()
            try:
                self._queue.put(packet, timeout=_POLL_SECONDS)
            except queue.Full:
                self._check_alive(packet.release)
            else:
                return self._watch.restart()

    def finish(self) -> None:
        """Close the input of the program, wait until it ends and check its exit status.

        Raises:
            SacProcessError: The program failed or hangs.
        """
        while self._writer.is_alive():
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=_POLL_SECONDS)
                break
            self._check_alive()
        while self._writer.is_alive():
            self._writer.join(_POLL_SECONDS)
            self._check_alive()
        while self._process.poll() is None:
            # The drain thread ends when the program does, so `join` returns at once. `wait` with a timeout only polls.
            self._drain.join(_POLL_SECONDS)
            if not self._drain.is_alive():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_POLL_SECONDS)
            self._check_alive()
        if self._process.returncode or self._broken.is_set():
            self._raise_failed()

    def kill(self) -> None:
        """Kill the program and the processes that it started; safe to call at any time."""
        self._broken.set()
        _kill_group(self._process)
        self._writer.join(5)
        self._drain.join(5)
        with contextlib.suppress(queue.Empty):
            while packet := self._queue.get_nowait():
                packet.release()

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe
        try:
            while packet := self._next():
                try:
                    for chunk in packet.chunks():
                        pipe.write(chunk)
                finally:
                    packet.release()
        except (OSError, ValueError):
            self._broken.set()
        finally:
            try:
                pipe.close()
            except OSError:
                self._broken.set()

    def _next(self) -> Packet | None:
        while not self._broken.is_set():
            try:
                return self._queue.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                # The program may end while nothing is written to it.
                if self._process.poll() is not None:
                    self._broken.set()
        return None

    def _check_alive(self, release: Callable[[], None] = lambda: None) -> None:
        """Raise an error if the program hangs, after calling `release`."""
        if why := self._watch.hangs():
            release()
            raise SacProcessError(_message(self.argv[0], why, list(self._drain.lines)), self.name)

    def _raise_failed(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self._drain.join(2)
        raise SacProcessError(_failure(self.argv[0], self._process.poll(), list(self._drain.lines)), self.name)


class ProcessGroup:
    """Programs that run together: all of them are killed if an error leaves the ``with`` block."""

    def __init__(self) -> None:
        self._members: list[StdinProcess] = []

    def start(
        self, name: str, argv: Sequence[str], depth: int = QUEUE_DEPTH, process: subprocess.Popen[bytes] | None = None
    ) -> StdinProcess:
        """Start a program in the group, or add a running one; the arguments are those of `StdinProcess`."""
        member = StdinProcess(name, argv, depth, process)
        self._members.append(member)
        return member

    def finish(self) -> None:
        """Finish every program of the group.

        Raises:
            SacProcessError: A program failed; the others are killed when the block is left.
        """
        for member in self._members:
            member.finish()

    def kill(self) -> None:
        """Kill every program of the group; safe to call at any time and from any thread."""
        for member in list(self._members):
            member.kill()

    def __enter__(self) -> Self:
        _live.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        _live.discard(self)


#: Groups whose ``with`` block is active.
_live: set[ProcessGroup] = set()


def kill_all() -> None:
    """Kill the programs of all groups; for an interrupt while other threads wait for these programs."""
    for group in list(_live):
        group.kill()


def run(
    name: str,
    argv: Sequence[str],
    ok: Iterable[int] = (0,),
    folder: Path | None = None,
    process: subprocess.Popen[bytes] | None = None,
) -> str:
    """Run a program until it ends; it is killed if the caller is interrupted.

    Args:
        name: Name for error messages.
        argv: Program and arguments; no shell is involved.
        ok: Exit codes that mean success.
        folder: Working directory of the program; by default that of this process.
        process: The process, if `spawn` has started it already.

    Returns:
        Standard output and standard error of the program together; only standard error if `process` is given.

    Raises:
        SacMissingError: The program cannot be started.
        SacProcessError: The program failed or hangs; the message contains its last lines of output.
    """
    _log.info("%s: %s", name, shlex.join(argv))
    try:
        if process is None:
            process = subprocess.Popen(
                list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True, cwd=folder,
            )  # fmt: skip
            claim_group(process.pid)
    except OSError as error:
        raise SacMissingError(f"cannot start {argv[0]}: {error.strerror or error}", name) from error
    try:
        printed = _wait(name, process).decode(errors="replace")
    finally:
        end(process)
    if process.returncode not in set(ok):
        raise SacProcessError(_failure(argv[0], process.returncode, printed.splitlines()), name)
    return printed


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that has not ended yet, together with the processes that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    release_group(process.pid)


def _wait(name: str, process: subprocess.Popen[bytes]) -> bytes:
    """Wait until a program ends, and return its output."""
    watch = StallWatch(lambda: group_activity(process.pid))
    while True:
        try:
            out, said = process.communicate(timeout=_POLL_SECONDS)
            return out or said or b""
        except subprocess.TimeoutExpired as waiting:
            if why := watch.hangs():
                lines = (waiting.stdout or waiting.stderr or b"").decode(errors="replace").splitlines()
                raise SacProcessError(_message(str(process.args[0]), why, lines), name) from None  # type: ignore[index]


def _failure(program: str, code: int | None, lines: list[str]) -> str:
    if code is None:
        how = "closed its input"
    elif code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
    else:
        how = f"exited early with code {code}"
    return _message(program, how, lines)


def _message(program: str, how: str, lines: Iterable[str]) -> str:
    """Return an error message: how a program failed, and its last lines of output."""
    words = [line.strip() for line in lines if line.strip()]
    return f"{Path(program).name} {how}" + (f"; it said: {' | '.join(words[-3:])}" if words else "")
