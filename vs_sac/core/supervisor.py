"""The supervisor: a process that cleans up after a command, however the command ends.

The process forks. The child does the work, and the parent is the supervisor. The child claims every temporary folder
and process group that must not be left behind, before or as soon as it exists. When the child ends (normally, by a
signal, by a crash in native code or by a kill), the supervisor removes everything that is still claimed, and reports an
abnormal end in one line. If the supervisor ends first, the child ends too. Without a supervisor, as in programs that
use the library, claims do nothing and cost nothing.

This module runs before anything else is loaded, so it imports only light modules of the standard library.
"""

import atexit
import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import FrameType
from typing import NoReturn

__all__ = ["claim_folder", "claim_group", "guarded", "make_folder", "release_folder", "release_group"]

#: Seconds that the child has to exit after a request to end; then it is killed.
_GRACE = 3.0

#: Seconds between two checks of the child; a message from the child wakes the supervisor at once.
_POLL = 0.2

#: Seconds within which a second request to end counts as the first one, sent to the whole process group.
_SAME_REQUEST = 0.5

_REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_claims: set[str] = set()
#: Reentrant, because a request to end may arrive while something is being claimed.
_lock = threading.RLock()
_to_guard: int | None = None


def make_folder(parent: Path, prefix: str, suffix: str = "") -> Path:
    """Make a temporary folder; it is claimed before it exists, so that it cannot be left behind.

    Raises:
        OSError: The folder cannot be made.
    """
    folder = parent / f"{prefix}{os.urandom(6).hex()}{suffix}"
    claim_folder(folder)
    try:
        folder.mkdir(mode=0o700)
    except OSError:
        release_folder(folder)
        raise
    # Only an OSError releases the claim: after an interrupt, the folder may exist.
    return folder


def claim_folder(folder: Path) -> None:
    """Claim a folder: the supervisor removes it if the child ends before `release_folder` is called."""
    _tell("+", f"folder {folder.absolute()}")


def release_folder(folder: Path) -> None:
    """Give up the claim on a folder, because it has been removed or is to stay."""
    _tell("-", f"folder {folder.absolute()}")


def claim_group(leader: int) -> None:
    """Claim a process group: the supervisor kills it if the child ends before `release_group` is called."""
    _tell("+", f"group {leader}")


def release_group(leader: int) -> None:
    """Give up the claim on a process group, because it has ended."""
    _tell("-", f"group {leader}")


def guarded(work: Callable[[], int]) -> NoReturn:
    """Run `work` in a forked child under the supervisor, and exit with its exit code.

    The exit code is 1 if the child ends without reporting one, for example by a crash.

    Args:
        work: Returns the exit code. Every request to end reaches the child as SIGTERM. The first one raises
            KeyboardInterrupt if `cli.program.run` has installed its handler; before that, it ends the child at once.
    """
    # Requests to end are blocked until both processes have installed their handlers.
    signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)
    try:
        from_work, to_guard = os.pipe()
        guard_lives, guard_end = os.pipe()
        pid = os.fork()
    except OSError as error:
        os.write(2, f"vs-sac: cannot start: {error.strerror}\n".encode())
        sys.exit(1)
    if pid:
        os.close(to_guard)
        os.close(guard_lives)
        code = _stand_guard(pid, from_work)
        # The interpreter removes its handlers before it ends. A signal after that would replace the exit code.
        signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)
        sys.exit(code)
    os.close(from_work)
    os.close(guard_end)
    for number in _REQUESTS:
        if number is not signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    # The child may end at once while modules are imported: the supervisor cleans up everything claimed until then.
    signal.signal(signal.SIGTERM, _end_at_once)
    global _to_guard
    _to_guard = to_guard
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)
    threading.Thread(target=_follow, args=(guard_lives,), daemon=True).start()
    code = work()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _send(f"={code}")
    _leave(code)


def _leave(code: int) -> NoReturn:
    """Exit without freeing modules, graphs and networks, which would take 0.1 s; they end with the process anyway."""
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        for stream in (sys.stdout, sys.stderr):
            if stream:
                stream.flush()
        os._exit(code)
    sys.exit(code)


def _end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    os.write(2, b"vs-sac: interrupted\n")
    _send("=1")
    os._exit(1)


def _follow(guard_lives: int) -> None:
    """End the child when the supervisor ends."""
    with contextlib.suppress(OSError):
        os.read(guard_lives, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    _clear(_claims.copy())
    os._exit(1)


def _tell(sign: str, claim: str) -> None:
    if _to_guard is None:
        return
    (_claims.add if sign == "+" else _claims.discard)(claim)
    _send(sign + claim)


def _send(note: str) -> None:
    # If the supervisor has ended, the note is dropped; `_follow` then ends the child.
    with _lock, contextlib.suppress(OSError):
        os.write(_to_guard or -1, os.fsencode(note) + b"\0")


def _stand_guard(pid: int, from_work: int) -> int:
    """Wait until the child ends, pass on requests to end, and clean up. Returns the exit code."""
    requests: list[float] = []

    def note_request(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not requests or now - requests[-1] > _SAME_REQUEST:
            requests.append(now)

    for number in _REQUESTS:
        # A signal that was ignored when the command was started stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, note_request)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _REQUESTS)
    claims: set[str] = set()
    rest, passed, ending, status, code = b"", 0, None, None, None
    os.set_blocking(from_work, False)
    while status is None:
        readable, _, _ = select.select([from_work], [], [], _POLL)
        block = b""
        with contextlib.suppress(BlockingIOError):
            block = os.read(from_work, 1 << 16) if readable else b""
        *notes, rest = (rest + block).split(b"\0")
        for note in map(os.fsdecode, notes):
            if note[0] == "=":
                code, ending = int(note[1:]), time.monotonic()
            else:
                (claims.add if note[0] == "+" else claims.discard)(note[1:])
        if len(requests) > passed:
            os.kill(pid, signal.SIGTERM if not passed else signal.SIGKILL)
            passed, ending = len(requests), time.monotonic()
        elif ending is not None and time.monotonic() - ending > _GRACE:
            os.kill(pid, signal.SIGKILL)
        ended, waited = os.waitpid(pid, os.WNOHANG)
        if ended:
            status = waited
        elif readable and not block:
            # The child has closed its end of the pipe and is about to end, unless its own forks hold the pipe open.
            time.sleep(0.005)
    _clear(claims)
    return _report(os.waitstatus_to_exitcode(status), code, interrupted=bool(requests))


def _clear(claims: Collection[str]) -> None:
    if not claims:
        return
    import shutil

    # Process groups come first, because they could still write into the folders.
    for kind, _, what in sorted((claim.partition(" ") for claim in claims), reverse=True):
        if kind == "group":
            with contextlib.suppress(OSError):
                os.killpg(int(what), signal.SIGKILL)
        else:
            shutil.rmtree(what, ignore_errors=True)


def _report(ended: int, code: int | None, *, interrupted: bool) -> int:
    """Return the exit code; write a line to standard error if the child could not do so itself."""
    if code is not None:
        # The child had finished and reported its exit code, even if it then had to be killed in native code.
        return code
    if os.isatty(2):
        # A progress bar may have hidden the cursor.
        os.write(2, b"\x1b[?25h\r")
    name = signal.Signals(-ended).name if ended < 0 else f"exit code {ended}"
    if interrupted:
        why = "interrupted"
    elif name == "SIGKILL":
        why = "killed by SIGKILL, as the system does when memory runs out; no output was written"
    else:
        why = f"native code crashed ({name}), in a decoder, a filter or the network; no output was written"
    os.write(2, f"vs-sac: {why}\n".encode())
    return 1
