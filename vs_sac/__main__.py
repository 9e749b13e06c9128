"""``python -m vs_sac`` and the command ``vs-sac``: the command line under a guard."""

import contextlib
import os
import sys
from pathlib import Path
from typing import NoReturn

from .guard import guarded

#: Encoders that every encode in the usual way starts: one that is asked what it obeys, and one that codes.
_ENCODERS = 2


def main() -> NoReturn:
    """Run the command line and exit: 0 on success, 1 on a failed run, 2 on wrong usage."""
    guarded(_work)


def _work() -> int:
    with contextlib.ExitStack() as started:
        try:
            if sys.argv[1:2] == ["encode"] and len(sys.argv) > 3:
                from .process import started_ahead

                # NumPy's algebra would start threads that wait busily and that nothing here uses.
                os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
                worker = Path(__file__).with_name("encoders") / "roi_worker.py"
                started.enter_context(started_ahead([sys.executable, str(worker)], _ENCODERS))
            # Where memory does not suffice for an import, Python's words about it break off in the middle, before ours:
            # nothing is said by this, which needs no memory. The command line puts its own in place.
            sys.unraisablehook = bool
            # Takes half a second, in which the guard already stands.
            from .cli import run
        except (ImportError, MemoryError, OSError, SystemError) as error:
            # Python's own word for an allocation that failed without saying so is the last of them.
            why = "" if isinstance(error, SystemError) else str(error)
            sys.stderr.write(f"vs-sac: cannot start: {why or 'out of memory'}\n")
            return 1
        return run()


if __name__ == "__main__":
    main()
