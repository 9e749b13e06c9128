"""The errors of this package.

Every error a user can cause is a `SacError` and also the builtin it is closest to, so that both
``except SacError`` and ``except ValueError`` work. The message starts with the function that raised it
and says what arrived and what is accepted.
"""

__all__ = [
    "SacDamageError",
    "SacError",
    "SacFileError",
    "SacFormatError",
    "SacMissingError",
    "SacProcessError",
    "SacValueError",
    "SacWarning",
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
