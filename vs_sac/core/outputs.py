"""Output files that appear complete or not at all."""

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
    """A temporary folder beside an output file.

    Attributes:
        folder: Folder for temporary files; it is removed when the ``with`` block is left.
        result: Path to write the output to; it is renamed to the final name if the block is left without an error.
    """

    folder: Path
    result: Path


def check_name(path: Path, func: str) -> None:
    """Check that a file name is UTF-8; neither VapourSynth nor JSON supports other names.

    Raises:
        SacFileError: The name is not UTF-8.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise SacFileError(f"the name {str(path)!a} is not UTF-8; rename it", func) from None


def check_output(out: Path, *, force: bool, func: str) -> None:
    """Check that an output file can be written, before any work is done.

    Args:
        out: Path of the output.
        force: Whether an existing file may be overwritten.
        func: Name of the calling function, for the error message.

    Raises:
        SacFileError: The file exists (without `force`), `out` is a folder, its name is not UTF-8, or its folder is
            missing or not writable.
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
    """Make a temporary folder beside the output, on the same file system, so that the last step is a rename.

    Args:
        out: Path of the output.
        force: Whether an existing file may be overwritten.
        func: Name of the calling function, for the error message.

    Raises:
        SacFileError: The output cannot be written (see `check_output`), or the rename fails.
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
