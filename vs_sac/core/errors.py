"""The errors of this package.

Every error that a user can cause is a `SacError` and also the closest builtin error, so that both ``except SacError``
and ``except ValueError`` work. The message starts with the name of the function that raised the error, and names the
value that was given and the values that are accepted.
"""

__all__ = [
    "SacDamageError",
    "SacDamageWarning",
    "SacError",
    "SacFileError",
    "SacFormatError",
    "SacMissingError",
    "SacProcessError",
    "SacValueError",
    "SacWarning",
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
