"""A second process that outlives the work, whatever ends that, and clears up behind it.

The work runs in a fork. What it must not leave behind, it claims first: temporary folders and process groups. However
the work ends, by itself, by a signal, by a crash in native code or killed, the guard then removes what is still
claimed and says in one line what happened. The work in turn ends when its guard is gone. Claims made without a guard,
as by the library's users, cost nothing and do nothing.

Imports the standard library's light parts only: it runs before anything else is loaded.
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

#: Seconds that the work has for ending by itself once it is asked to.
_GRACE = 3.0

#: Seconds between looks at the work; what it says wakes the guard at once.
_POLL = 0.2

#: A second request within this time is the same one, sent to the whole group.
_SAME_REQUEST = 0.5

_REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_claims: set[str] = set()
#: Reentrant, as a request to end may come while something is being claimed.
_lock = threading.RLock()
_to_guard: int | None = None


def make_folder(parent: Path, prefix: str, suffix: str = "") -> Path:
    """Make a temporary folder that is claimed before it exists, so that no moment is left in which it could be lost.

    Raises:
        OSError: It cannot be made.
    """
    folder = parent / f"{prefix}{os.urandom(6).hex()}{suffix}"
    claim_folder(folder)
    try:
        folder.mkdir(mode=0o700)
    except OSError:
        release_folder(folder)
        raise
    # An interrupt may come when it is made already, so that it stays claimed.
    return folder


def claim_folder(folder: Path) -> None:
    """Have a folder removed if the work ends before it is released."""
    _tell("+", f"folder {folder.absolute()}")


def release_folder(folder: Path) -> None:
    """The folder is gone, or is to stay."""
    _tell("-", f"folder {folder.absolute()}")


def claim_group(leader: int) -> None:
    """Have a process group killed if the work ends before it is released."""
    _tell("+", f"group {leader}")


def release_group(leader: int) -> None:
    """The group has ended."""
    _tell("-", f"group {leader}")


def guarded(work: Callable[[], int]) -> NoReturn:
    """Run the work in a fork and exit as it does; 1 where it could not end by itself.

    Args:
        work: Returns the exit code. It gets SIGTERM for every request to end; the first one raises KeyboardInterrupt
            once `cli.run` has set that up, and ends it on the spot before.
    """
    # Requests wait until both processes know what to do about them.
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
        # The interpreter gives up its handlers before it ends, and what came then would take the place of the code.
        signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)
        sys.exit(code)
    os.close(from_work)
    os.close(guard_end)
    for number in _REQUESTS:
        if number is not signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    # While modules are being imported nothing is claimed that the guard would not clear up.
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
    """Exit without taking apart what ends with the process: modules, graphs and networks, a tenth of a second."""
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
    """End when the guard does."""
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
    # A guard that is gone has nothing to be told; `_follow` sees to the rest.
    with _lock, contextlib.suppress(OSError):
        os.write(_to_guard or -1, os.fsencode(note) + b"\0")


def _stand_guard(pid: int, from_work: int) -> int:
    """Wait for the work to end, pass on requests to end, and clear up."""
    requests: list[float] = []

    def note_request(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not requests or now - requests[-1] > _SAME_REQUEST:
            requests.append(now)

    for number in _REQUESTS:
        # What was started to ignore a signal goes on ignoring it.
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
            # It closed its end, so it is about to end, but where forks of its own kept it.
            time.sleep(0.005)
    _clear(claims)
    return _report(os.waitstatus_to_exitcode(status), code, interrupted=bool(requests))


def _clear(claims: Collection[str]) -> None:
    if not claims:
        return
    import shutil

    # Programs first: they could write into the folders.
    for kind, _, what in sorted((claim.partition(" ") for claim in claims), reverse=True):
        if kind == "group":
            with contextlib.suppress(OSError):
                os.killpg(int(what), signal.SIGKILL)
        else:
            shutil.rmtree(what, ignore_errors=True)


def _report(ended: int, code: int | None, *, interrupted: bool) -> int:
    """The exit code, and a line on stderr where the work could not say it itself."""
    if code is not None:
        # It was done and had said so, whether or not it then got out of native code.
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
