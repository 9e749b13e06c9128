"""The files of image sequences: finding them in order, and numbering them by links so that a reader can open them."""

import atexit
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import SacFileError, SacFormatError
from ..core.supervisor import make_folder

__all__ = ["image_files", "linked_pattern"]

_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
_PRINTF = re.compile(r"%0?\d*d")


def image_files(path: Path) -> list[Path]:
    """List the images of a folder or of a printf pattern in order.

    Returns:
        Paths of the images; empty if `path` is a single file.

    Raises:
        SacFileError: The folder holds no images, or the pattern matches none.
    """
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in _IMAGES)
        if not found:
            raise SacFileError(f"{path} holds no images ({', '.join(sorted(_IMAGES))})", "open_clip")
    elif not path.exists() and (match := _PRINTF.search(path.name)):
        head, tail = re.escape(path.name[: match.start()]), re.escape(path.name[match.end() :])
        # %d matches only numbers as printf writes them: %05d does not match the 7 of frame7.png.
        number = re.compile(f"{head}(\\d+){tail}")
        numbered = {}
        for file in path.parent.iterdir() if path.parent.is_dir() else ():
            hit = number.fullmatch(file.name)
            if hit and path.name.replace(match[0], match[0] % int(hit[1])) == file.name:
                numbered[int(hit[1])] = file
        found = [numbered[n] for n in sorted(numbered)]
        if not found:
            raise SacFileError(f"no file matches the pattern {path}", "open_clip")
    else:
        return []
    return found


def linked_pattern(files: Sequence[Path]) -> Path:
    """Make numbered links to images of any names, and return the printf pattern of the links.

    The links exist until the process ends, because frames may be requested until then.

    Raises:
        SacFileError: The links cannot be made.
        SacFormatError: The images are of more than one type.
    """
    suffixes = {file.suffix.lower() for file in files}
    if len(suffixes) > 1:
        kinds = ", ".join(sorted(suffixes))
        raise SacFormatError(f"the folder mixes image types ({kinds}); keep one type", "open_clip")
    suffix = suffixes.pop()
    try:
        links = make_folder(Path(tempfile.gettempdir()), "vs-sac-images-")
        atexit.register(shutil.rmtree, links, ignore_errors=True)
        for number, file in enumerate(files):
            (links / f"{number:08d}{suffix}").symlink_to(file.resolve())
    except OSError as error:
        raise SacFileError(f"cannot make links to the images: {error.strerror}", "open_clip") from error
    # In the folder's own name a % stands for itself.
    return Path(str(links.absolute()).replace("%", "%%"), f"%08d{suffix}")
