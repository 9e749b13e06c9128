"""How long-running functions report progress."""

from collections.abc import Callable

__all__ = ["Progress"]

#: Called with the number of frames done and the number of frames in all.
type Progress = Callable[[int, int], None]
