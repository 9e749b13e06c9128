"""The type of the callbacks to which long-running functions report progress."""

from collections.abc import Callable

__all__ = ["Progress"]

#: Called with the number of finished frames and the total number of frames, which is 0 if it is unknown.
type Progress = Callable[[int, int], None]
