"""``python -m vs_sac`` and the command ``vs-sac``: the command line under a supervisor."""

import os
import sys
from typing import NoReturn

from .core.supervisor import guarded

#: ROI workers that every encode with the default options needs: one that is probed, and one that codes.
_WORKERS = 2


def main() -> NoReturn:
    """Run the command line and exit: 0 on success, 1 on a failed run, 2 on wrong usage."""
    _open_closed_streams()
    guarded(_work)


def _open_closed_streams() -> None:
    """Let standard streams that were closed (``>&-``) lead nowhere: other files would be opened under their numbers."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # It gets the lowest free number, which is this one. Encoders inherit it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def _work() -> int:
    from .encoders.worker_pool import command_line_workers

    with command_line_workers as workers:
        try:
            if sys.argv[1:2] == ["encode"] and len(sys.argv) > 3:
                # NumPy's algebra would start threads that wait busily and that nothing here uses.
                os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
                workers.prewarm(_WORKERS)
            # If memory runs out during an import, Python's own words about it break off in the middle and stand before
            # ours. `bool` says nothing and needs no memory. The command line sets a hook of its own.
            sys.unraisablehook = bool
            # Takes half a second, during which the supervisor already stands.
            from .cli.program import run
        except (ImportError, MemoryError, OSError, SystemError) as error:
            # A SystemError is Python's own for an allocation that failed without saying so.
            why = "" if isinstance(error, SystemError) else str(error)
            sys.stderr.write(f"vs-sac: cannot start: {why or 'out of memory'}\n")
            return 1
        try:
            return run()
        except Exception as error:
            # No error of the user's: the traceback is for a report, the last line says what it is.
            sys.excepthook(type(error), error, error.__traceback__)
            sys.stderr.write(f"vs-sac: internal error ({type(error).__name__}): please report it\n")
            return 1


if __name__ == "__main__":
    main()
