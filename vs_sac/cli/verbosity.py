"""How much the program says: the options that every command accepts, and the log file.

The package logs what it runs to loggers below ``vs_sac``, and configures none of them. The program shows these records
with --verbose, and writes them to a file with --log. Records of ``vs_sac.cli`` repeat what the program prints anyway,
so only the file gets them.
"""

import logging
import re
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from .. import __version__
from ..core.errors import SacFileError, SacValueError
from .console import messages

__all__ = ["LogFile", "Quiet", "Verbose", "start_logging", "stop_logging"]

_MESSAGES = Group("Messages", sort_key=100)

_ROOT = logging.getLogger("vs_sac")
# Without any handler, Python would print errors a second time.
_ROOT.addHandler(logging.NullHandler())

#: A line of a log file begins with the time.
_LINE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


Quiet = Annotated[bool, Parameter(negative="", group=_MESSAGES)]
Verbose = Annotated[bool, Parameter(negative="", group=_MESSAGES)]
LogFile = Annotated[Path | None, Parameter(group=_MESSAGES)]


class _Shown(logging.Handler):
    """Prints the records of the package to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record that the program does not print itself."""
        if not record.name.startswith("vs_sac.cli"):
            messages.print(record.getMessage(), markup=False, soft_wrap=True)


def start_logging(command: str, *, quiet: bool, verbose: bool, log: Path | None) -> None:
    """Set up what is printed and logged.

    Args:
        command: The command line, for the log file.
        quiet: Print errors only.
        verbose: Also print what is run.
        log: The log file; it is appended to.

    Raises:
        SacFileError: The log file cannot be written, or it is a file of another kind.
        SacValueError: Options contradict each other.
    """
    if quiet and verbose:
        raise SacValueError("--quiet and --verbose contradict each other; give one of them", "vs-sac")
    messages.quiet = quiet
    if verbose:
        _add(_Shown(logging.INFO))
    if log is not None:
        handler = _opened(log)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        _add(handler)
        logging.getLogger(__name__).info("vs-sac %s: %s", __version__, command)


def stop_logging() -> None:
    """Undo `start_logging`, and close the log file."""
    messages.quiet = False
    for handler in list(_ROOT.handlers):
        if not isinstance(handler, logging.NullHandler):
            _ROOT.removeHandler(handler)
            handler.close()
    _ROOT.setLevel(logging.NOTSET)
    _ROOT.propagate = True


def _add(handler: logging.Handler) -> None:
    _ROOT.addHandler(handler)
    _ROOT.setLevel(logging.DEBUG)
    # The root logger may have handlers of libraries, which would print the records again.
    _ROOT.propagate = False


def _opened(path: Path) -> logging.Handler:
    """A handler that appends to a log file. A file of another kind, such as a video, is not touched."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(32)
            if head and not _LINE.match(head):
                raise SacFileError(f"{path} exists and is not a log of vs-sac; give another file", "--log")
        return logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except SacFileError:
        raise
    except OSError as error:
        raise SacFileError(f"cannot write {path}: {error.strerror}", "--log") from error
