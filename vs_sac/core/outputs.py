"""Outputs that appear whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import SacFileError
from .supervisor import make_folder, release_folder

__all__ = ["Workspace", "check_name", "check_output", "workspace"]


@dataclass(frozen=True)
class Workspace:
    """A temporary folder beside an output.

    Attributes:
        folder: For temporary files; gone when the block is left.
        result: Where to write the output; it takes its final name when the block is left without an error.
    """

    folder: Path
    result: Path


def check_name(path: Path, func: str) -> None:
    """Refuse names that are not UTF-8: neither VapourSynth nor JSON can hold them.

    Raises:
        SacFileError: It is such a name.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise SacFileError(f"the name {str(path)!a} is not UTF-8; rename it", func) from None


def check_output(out: Path, *, force: bool, func: str) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Raises:
        SacFileError: It exists (without `force`), is a folder, is not UTF-8, or its folder is missing or not writable.
    """
    check_name(out, func)
    if out.is_dir():
        raise SacFileError(f"{out} is a folder; give a file name", func)
    if out.exists() and not force:
        raise SacFileError(f"{out} exists; use --force to overwrite it", func)
    folder = out.absolute().parent
    if not folder.is_dir():
        raise SacFileError(f"the folder {folder} does not exist", func)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SacFileError(f"the folder {folder} is not writable", func)


@contextlib.contextmanager
def workspace(out: Path, *, force: bool, func: str) -> Iterator[Workspace]:
    """A folder to work in, on the output's own file system so that the last step is a rename.

    Raises:
        SacFileError: See `check_output`; or the rename failed.
    """
    check_output(out, force=force, func=func)
    try:
        folder = make_folder(out.absolute().parent, f".{out.name[:40]}.", ".part")
    except OSError as error:
        raise SacFileError(f"cannot write next to {out}: {error.strerror}", func) from error
    try:
        work = Workspace(folder, folder / f"result{out.suffix[:16]}")
        yield work
        check_output(out, force=force, func=func)
        try:
            work.result.replace(out)
        except OSError as error:
            raise SacFileError(f"cannot write {out}: {error.strerror}", func) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        release_folder(folder)
