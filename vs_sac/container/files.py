"""Opening media files by PyAV."""

import contextlib
from pathlib import Path
from typing import Any

import av

from ..core.errors import SacFileError
from ..core.outputs import check_name

__all__ = ["opened"]


def opened(path: Path) -> Any:
    """A media file, opened by PyAV; closed when the block is left.

    Raises:
        SacFileError: It is missing or no media file.
    """
    check_name(path, "probe")
    if not path.exists():
        raise SacFileError(f"{path} does not exist", "probe")
    try:
        # "file:" keeps names such as "a:b" or "-" from being taken for a protocol.
        return contextlib.closing(av.open(f"file:{path}"))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SacFileError(f"{path} is no media file: {getattr(error, 'strerror', error)}", "probe") from error
