"""Output files that appear complete or not at all, and that never replace an input."""

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import SacFileError, SacValueError
from .supervisor import make_folder, release_folder

__all__ = ["Workspace", "check_name", "check_output", "check_outputs", "workspace"]


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

    A symbolic link stands for the file it points to, as with cp and ffmpeg: that file is written and the link stays.

    Args:
        out: Path of the output.
        force: Whether an existing file may be overwritten.
        func: Name of the calling function, for the error message.

    Raises:
        SacFileError: The file exists (without `force`), `out` is a folder or a device, its name is not UTF-8, or its
            folder is missing or not writable.
    """
    check_name(out, func)
    target = _target(out)
    check_name(target, func)
    shown = f"{out}, a link to {target}," if out.is_symlink() else f"{out}"
    if target.is_symlink():
        raise SacFileError(f"{out} is a symbolic link that points to itself; remove it", func)
    if target.is_dir():
        raise SacFileError(f"{shown} is a folder; give a file name", func)
    if target.exists() and not target.is_file():
        raise SacFileError(f"{shown} is a device or pipe; outputs are ordinary files, give another name", func)
    if target.exists() and not force:
        raise SacFileError(f"{shown} exists; use --force to overwrite it", func)
    folder = target.parent
    if not folder.is_dir():
        raise SacFileError(f"the folder {folder} does not exist", func)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SacFileError(f"the folder {folder} is not writable", func)


def check_outputs(
    outputs: Mapping[str, str | Path | None], inputs: Mapping[str, object], *, force: bool, func: str
) -> None:
    """Check all outputs of a command, before any work is done: each can be written and none is an input.

    Two names of one file are recognised, whether they differ by `..`, a symbolic link or a hard link.

    Args:
        outputs: The output files by argument name. None for an output that is not requested.
        inputs: The inputs by argument name, each a path or a sequence of paths. Clips and other values are ignored.
        force: Whether existing files may be overwritten.
        func: Name of the calling function, for the error message.

    Raises:
        SacFileError: An output cannot be written (see `check_output`).
        SacValueError: An output is an input or another output.
    """
    wanted = {name: Path(out) for name, out in outputs.items() if out is not None}
    # Inputs come first: the advice "use --force" would be wrong if it replaced the source.
    for name, out in wanted.items():
        own = _identity(out)
        for role, given in inputs.items() if own else ():
            for path in _paths(given):
                if _identity(path) == own:
                    same = f"{out} is" if path == out else f"{out} and {path} are one file,"
                    raise SacValueError(f"{same} both {role} and {name}; give {name} another name", func)
    targets: dict[Path, str] = {}
    for name, out in wanted.items():
        if (other := targets.setdefault(_target(out), name)) != name:
            raise SacValueError(f"{out} is both {other} and {name}; give one of them another name", func)
        check_output(out, force=force, func=func)


@contextlib.contextmanager
def workspace(out: Path, *, force: bool, func: str) -> Iterator[Workspace]:
    """Make a temporary folder beside the output, on the same file system, so that the last step is a rename.

    An overwritten file keeps its permission bits and, if the system allows it, its owner. A new file has the
    permissions that the umask allows. `check_output` describes symbolic links.

    Args:
        out: Path of the output.
        force: Whether an existing file may be overwritten.
        func: Name of the calling function, for the error message.

    Raises:
        SacFileError: The output cannot be written (see `check_output`), or the rename fails.
    """
    check_output(out, force=force, func=func)
    target = _target(out)
    try:
        folder = make_folder(target.parent, f".{target.name[:40]}.", ".part")
    except OSError as error:
        raise SacFileError(f"cannot write next to {target}: {error.strerror}", func) from error
    try:
        work = Workspace(folder, folder / f"result{out.suffix[:16]}")
        yield work
        check_output(out, force=force, func=func)
        try:
            _take_mode(work.result, target)
            work.result.replace(target)
        except OSError as error:
            raise SacFileError(f"cannot write {out}: {error.strerror}", func) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        release_folder(folder)


def _target(out: Path) -> Path:
    """Return the file that is written: the one to which the symbolic links of a name lead."""
    return Path(os.path.realpath(out))


def _take_mode(result: Path, target: Path) -> None:
    """Give a finished file the owner and the permissions of the file that it will replace."""
    if not target.exists():
        return
    before, now = target.stat(), result.stat()
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        # Only the superuser may change the owner.
        with contextlib.suppress(OSError):
            os.chown(result, before.st_uid, before.st_gid)
    result.chmod(stat.S_IMODE(before.st_mode) & 0o777)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a regular file; None if there is no such file."""
    try:
        # "-" is standard input, which may be redirected from a file.
        found = os.stat(0) if str(path) == "-" else path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _paths(given: object) -> Iterator[Path]:
    if isinstance(given, str | Path):
        yield Path(given)
    elif isinstance(given, list | tuple):
        yield from (Path(each) for each in given if isinstance(each, str | Path))
