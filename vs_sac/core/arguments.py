"""Checks of argument types, so that a wrong argument is an error that names it."""

from pathlib import Path

import vapoursynth as vs

from .errors import SacTypeError

__all__ = ["check_clip", "check_path", "check_source"]


def check_clip(value: object, name: str, func: str) -> None:
    """Check that an argument is a clip.

    Raises:
        SacTypeError: `value` is not a clip. The message names the argument.
    """
    if not isinstance(value, vs.VideoNode):
        hint = f", as open_clip({str(value)!r}) gives it" if isinstance(value, str | Path) else ""
        raise SacTypeError(f"{name} is {_shown(value)}; accepted: a clip (vapoursynth.VideoNode){hint}", func)


def check_path(value: object, name: str, func: str) -> None:
    """Check that an argument is a path.

    Raises:
        SacTypeError: `value` is not a path. The message names the argument.
    """
    if not isinstance(value, str | Path):
        raise SacTypeError(f"{name} is {_shown(value)}; accepted: a path (str or pathlib.Path)", func)


def check_source(value: object, name: str, func: str) -> None:
    """Check that an argument is a path or a clip.

    Raises:
        SacTypeError: `value` is neither. The message names the argument.
    """
    if not isinstance(value, str | Path | vs.VideoNode):
        accepted = "a path (str or pathlib.Path) or a clip (vapoursynth.VideoNode)"
        raise SacTypeError(f"{name} is {_shown(value)}; accepted: {accepted}", func)


def _shown(value: object) -> str:
    """A value for a message: its type, and its text if that is short."""
    if value is None:
        return "None"
    if isinstance(value, vs.VideoNode):
        return "a clip"
    text = repr(value)
    return f"the {type(value).__name__} {text}" if len(text) <= 80 and "\n" not in text else f"a {type(value).__name__}"
