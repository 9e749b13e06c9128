"""VapourSynth scripts as sources: output 0 of a script, evaluated in this process as vspipe does."""

import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

import vapoursynth as vs

from ..core.errors import SacFileError

__all__ = ["SUFFIX", "is_script", "open_script"]

#: Suffix of a VapourSynth script.
SUFFIX = ".vpy"

#: `__name__` in a script, as in vspipe.
_RUN_NAME = "__vapoursynth__"


def is_script(source: object) -> TypeGuard[str | Path]:
    """Whether a source is the path of a VapourSynth script."""
    return isinstance(source, str | Path) and Path(source).suffix.lower() == SUFFIX and Path(source).is_file()


def open_script(path: Path) -> vs.VideoNode:
    """Evaluate a script and return its output 0.

    The script runs with its folder as working directory and with `__name__` equal to ``__vapoursynth__``. Its other
    outputs, among them audio, are ignored. Outputs that the caller has set are kept.

    Raises:
        SacFileError: The script cannot be read, raises an error, or has no video as output 0.
    """
    place = path.absolute()
    try:
        code = compile(path.read_bytes(), str(path), "exec")
    except OSError as error:
        raise SacFileError(f"cannot read {path}: {error.strerror}", "open_clip") from error
    except (SyntaxError, ValueError) as error:
        raise SacFileError(_in_one_line(path, error), "open_clip") from error
    before = dict(vs.get_outputs())
    vs.clear_outputs()
    try:
        with _in_folder(place.parent):
            exec(code, {"__name__": _RUN_NAME, "__file__": str(place)})
        found = vs.get_outputs().get(0)
    except (Exception, SystemExit) as error:
        raise SacFileError(_in_one_line(path, error), "open_clip") from error
    finally:
        vs.clear_outputs()
        for index, output in before.items():
            _set_output(index, output)
    if found is None:
        raise SacFileError(f"{path} sets no output 0; end it with: clip.set_output()", "open_clip")
    if not isinstance(found, vs.VideoOutputTuple):
        raise SacFileError(f"output 0 of {path} is audio; it must be video", "open_clip")
    return found.clip


def _set_output(index: int, output: Any) -> None:
    if isinstance(output, vs.VideoOutputTuple):
        output.clip.set_output(index, output.alpha, output.alt_output)
    else:
        output.set_output(index)


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    """Make a folder the working directory and the first place of imports within a ``with`` block."""
    sys.path.insert(0, str(folder))
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder))


def _in_one_line(path: Path, error: BaseException) -> str:
    """Which line of a script failed, and why."""
    lines = [step.lineno for step in traceback.extract_tb(error.__traceback__) if step.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    where = f"{path}, line {line}" if line else str(path)
    if isinstance(error, SystemExit):
        return f"{where}: the script ended itself with exit code {error.code}"
    reason = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
    return f"{where}: {type(error).__name__}: {reason}" if reason else f"{where}: {type(error).__name__}"
