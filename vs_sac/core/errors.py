"""The errors of this package.

Every error a user can cause is a `SacError` and also the builtin it is closest to, so that both
``except SacError`` and ``except ValueError`` work. The message starts with the function that raised it
and says what arrived and what is accepted.
"""

import re

__all__ = [
    "SacDamageError",
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
    """Base of every error this package raises on purpose.

    Args:
        message: What went wrong and what to do, in one line.
        func: The function that raises; written in front of the message.
    """

    def __init__(self, message: str, func: str | None = None) -> None:
        super().__init__(f"({func}) {message}" if func else message)


class SacValueError(SacError, ValueError):
    """An argument has a value outside of what is accepted."""


class SacTypeError(SacError, TypeError):
    """An argument is neither a path nor a clip, or whatever else is accepted."""


class SacFormatError(SacError, TypeError):
    """A clip or an array has a format, size or length that the function does not take."""


class SacFileError(SacError, OSError):
    """A file is missing, unreadable, unwritable or not what it should be."""


class SacDamageError(SacFileError):
    """A SAC file is not what was written.

    Args:
        message: As for `SacError`.
        func: As for `SacError`.
        frames: How many frames from the first on are whole.
    """

    def __init__(self, message: str, func: str | None = None, *, frames: int = 0) -> None:
        super().__init__(message, func)
        self.frames = frames


class SacMissingError(SacError, ImportError):
    """A plugin, Python package or program that is needed is not installed."""


class SacProcessError(SacError, RuntimeError):
    """An external program failed; the message carries its exit status and last lines."""


class SacWarning(UserWarning):
    """Something is not as it should be, and the caller asked to go on."""


#: The last line of a traceback in which one of these errors ends.
_RAISED = re.compile(rf"^{re.escape(__name__)}\.(\w+): ((?:.(?!^Traceback ))*)\Z", re.MULTILINE | re.DOTALL)


def error_of_filter(error: Exception) -> SacError | None:
    """The error of this package that a filter written in Python raised.

    VapourSynth reports it at the frame that was asked for, as its own kind of error with the traceback as text.

    Args:
        error: A `vapoursynth.Error`.

    Returns:
        The error, of its own class; None if the text is of something else.
    """
    found = _RAISED.search(str(error).rstrip())
    kind = globals().get(found[1]) if found else None
    if found is None or not (isinstance(kind, type) and issubclass(kind, SacError)):
        return None
    return kind(" ".join(found[2].split()))
