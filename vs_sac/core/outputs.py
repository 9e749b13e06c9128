"""Outputs that appear whole or not at all, and never in the place of an input."""

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

    A symbolic link stands for the file it points to, as with cp and ffmpeg: that file is written and the link stays.

    Raises:
        SacFileError: It exists (without `force`), is a folder or a device, is not UTF-8, or its folder is missing or
            not writable.
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
    """Refuse outputs that cannot be written, that are an input or that are each other, before any work is done.

    Two names of one file count as the same, be it through `..`, a symbolic link or a hard link.

    Args:
        outputs: The output files by argument name; None for those that are not asked for.
        inputs: The inputs by argument name: a path or a sequence of paths. Clips, and whatever else is no path, are
            passed over.
        force: See `check_output`.
        func: The function that raises.

    Raises:
        SacFileError: See `check_output`.
        SacValueError: An output is an input or another output.
    """
    wanted = {name: Path(out) for name, out in outputs.items() if out is not None}
    # The inputs first: "use --force" is no advice where force would replace the source.
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
    """A folder to work in, on the output's own file system so that the last step is a rename.

    A file that is overwritten keeps its permission bits, and its owner where the system allows that; a new one has
    what the umask leaves. See `check_output` on symbolic links.

    Raises:
        SacFileError: See `check_output`; or the rename failed.
    """
    check_output(out, force=force, func=func)
    target = _target(out)
    try:
        folder = make_folder(target.parent, f".{target.name[:40]}.", ".part")
    except OSError as error:
        raise SacFileError(f"cannot write next to {target}: {error.strerror}", func) from error
    try:
        work = Workspace(folder, folder / f"result{out.suffix}")
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
    """The file that is written: where the symbolic links of the name lead."""
    return Path(os.path.realpath(out))


def _take_mode(result: Path, target: Path) -> None:
    """Give a finished file the owner and the permissions of the one that it will replace."""
    if not target.exists():
        return
    before, now = target.stat(), result.stat()
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
        # Only the superuser may give files away.
        with contextlib.suppress(OSError):
            os.chown(result, before.st_uid, before.st_gid)
    result.chmod(stat.S_IMODE(before.st_mode) & 0o777)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file apart, by whatever name; None where there is none that could be overwritten."""
    try:
        # "-" is standard input, which may be a file.
        found = os.stat(0) if str(path) == "-" else path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def _paths(given: object) -> Iterator[Path]:
    if isinstance(given, str | Path):
        yield Path(given)
    elif isinstance(given, list | tuple):
        yield from (Path(each) for each in given if isinstance(each, str | Path))
