"""The errors of this package.

Every error that a user can cause is a `SacError` and also the closest builtin error, so that both ``except SacError``
and ``except ValueError`` work. The message starts with the name of the function that raised the error, and names the
value that was given and the values that are accepted.
"""

import re

__all__ = [
    "SacDamageError",
    "SacDamageWarning",
    "SacError",
    "SacFileError",
    "SacFormatError",
    "SacMissingError",
    "SacProcessError",
    "SacTypeError",
    "SacValueError",
    "SacWarning",
    "error_of_filter",
]


class SacError(Exception):
    """Base class of all errors that this package raises deliberately.

    Args:
        message: One line that names the problem and the remedy.
        func: Name of the function that raises the error; it is put in front of the message.
    """

    def __init__(self, message: str, func: str | None = None) -> None:
        super().__init__(f"({func}) {message}" if func else message)


class SacValueError(SacError, ValueError):
    """An argument has a value that is not accepted."""


class SacTypeError(SacError, TypeError):
    """An argument has a type that is not accepted, for example None instead of a path or a clip."""


class SacFormatError(SacError, TypeError):
    """A clip or an array has a format, size or length that the function does not accept."""


class SacFileError(SacError, OSError):
    """A file is missing, unreadable, unwritable or of the wrong kind."""


class SacDamageError(SacFileError):
    """A SAC file is damaged: its content differs from what was written.

    Args:
        message: As for `SacError`.
        func: As for `SacError`.
        frames: Number of intact frames before the damage, counted from the first frame.
    """

    def __init__(self, message: str, func: str | None = None, *, frames: int = 0) -> None:
        super().__init__(message, func)
        self.frames = frames


class SacMissingError(SacError, ImportError):
    """A required plugin, Python package or program is not installed."""


class SacProcessError(SacError, RuntimeError):
    """An external program failed; the message contains its exit status and its last lines of output."""


class SacWarning(UserWarning):
    """A problem that does not stop the operation, for example because the caller chose to continue."""


class SacDamageWarning(SacWarning):
    """A source is damaged, and what could be decoded of it was used. The command line then exits with 1."""


#: The last line of a traceback that ends in one of these errors.
_RAISED = re.compile(rf"^{re.escape(__name__)}\.(\w+): ((?:.(?!^Traceback ))*)\Z", re.MULTILINE | re.DOTALL)


def error_of_filter(error: Exception) -> SacError | None:
    """Return the error of this package that a filter written in Python raised.

    VapourSynth raises it when the frame is requested, as an exception type of its own with the traceback as its text.

    Args:
        error: A `vapoursynth.Error`.

    Returns:
        The error, of its own class; None if the text describes another error.
    """
    found = _RAISED.search(str(error).rstrip())
    kind = globals().get(found[1]) if found else None
    if found is None or not (isinstance(kind, type) and issubclass(kind, SacError)):
        return None
    return kind(" ".join(found[2].split()))
