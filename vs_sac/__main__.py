"""``python -m vs_sac`` and the command ``vs-sac``: run the command line under a supervisor process."""

import os
import sys
from typing import NoReturn

from .core.supervisor import guarded

#: Number of ROI workers that every encode with the default options needs: one for the probe, one for encoding.
_WORKERS = 2


def main() -> NoReturn:
    """Run the command line and exit: 0 on success, 1 if the run failed, 2 on wrong usage."""
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
                # OpenBLAS, which NumPy uses for linear algebra, would start threads that busy-wait. Nothing here needs
                # them.
                os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
                workers.prewarm(_WORKERS)
            # If memory runs out during an import, Python would print an incomplete message before ours. `bool` as hook
            # prints nothing and needs no memory. The command line sets its own hook later.
            sys.unraisablehook = bool
            # This import takes half a second. The supervisor is already running.
            from .cli.program import run
        except (ImportError, MemoryError, OSError, SystemError) as error:
            # Python raises SystemError for an allocation that failed without setting an exception.
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
