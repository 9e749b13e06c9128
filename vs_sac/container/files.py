"""Opening media files with PyAV."""

import contextlib
from pathlib import Path
from typing import Any

import av

from ..core.errors import SacFileError
from ..core.outputs import check_name

__all__ = ["opened"]


def opened(path: Path) -> Any:
    """Open a media file with PyAV, as a context manager that closes the file.

    Raises:
        SacFileError: The file is missing or is not a media file.
    """
    check_name(path, "probe")
    if not path.exists():
        raise SacFileError(f"{path} does not exist", "probe")
    try:
        # With "file:", FFmpeg does not interpret a name such as "a:b" or "-" as a protocol.
        return contextlib.closing(av.open(f"file:{path}"))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SacFileError(f"{path} is no media file: {getattr(error, 'strerror', error)}", "probe") from error
