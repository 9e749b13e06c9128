"""Profiles: options of an encode in a TOML file, as `vs-sac tune` writes it and `vs-sac encode --profile` reads it."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..core.arguments import check_path
from ..core.errors import SacError, SacFileError, SacValueError
from ..core.outputs import workspace
from .options import EncodeOptions

__all__ = ["profile_text", "read_profile", "write_profile"]

#: Name of the table with the options.
_TABLE = "encode"


def read_profile(path: str | Path) -> dict[str, Any]:
    """Read the options of a profile.

    Args:
        path: A TOML file with the table ``encode``. Its keys are names of options of `vs_sac.encode`.

    Returns:
        Value by name of option, for example for ``vs_sac.encode(source, out, **read_profile(path))``.

    Raises:
        SacFileError: The file cannot be read, or is not TOML.
        SacValueError: An option does not exist or has a value that is not accepted. The message names the file.
    """
    check_path(path, "path", "read_profile")
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SacFileError(f"cannot read the profile {path}: {error.strerror}", "read_profile") from error
    except ValueError as error:  # also not UTF-8
        raise SacFileError(f"the profile {path} is not TOML: {error}", "read_profile") from error
    values = content.pop(_TABLE, None)
    if content or not isinstance(values, dict):
        others = f"; it has {', '.join(map(repr, content))}" if content else ""
        raise SacValueError(f"the profile {path} must have one table, [{_TABLE}]{others}", "read_profile")
    known = EncodeOptions.flat_defaults()
    for name in values:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else "accepted: the options of vs_sac.encode"
            raise SacValueError(f"the profile {path} has the unknown option {name!r}; {hint}", "read_profile")
        _check(path, name, values[name], known[name])
    try:
        EncodeOptions.from_flat(**values)
    except SacError as error:
        raise SacValueError(f"the profile {path} is wrong: {str(error).partition(') ')[2]}", "read_profile") from error
    return values


def profile_text(options: Mapping[str, Any], comments: Sequence[str] = ()) -> str:
    """Return a profile as TOML.

    Args:
        options: Value by name of option: text, numbers and booleans. None stands for the default and is left out.
        comments: Lines for the top of the file.

    Example:
        >>> print(profile_text({"codec": "x264", "crf_roi": 20.5}, ["for the front camera"]), end="")
        # for the front camera
        [encode]
        codec = "x264"
        crf_roi = 20.5
    """
    # Control characters, as in the name of a file, have no place in TOML's comments.
    printable = ("".join(c if c.isprintable() else " " for c in line) for line in comments)
    lines = [f"# {line}".rstrip() for line in printable]
    # TOML's basic strings have JSON's escapes, and so have numbers and booleans JSON's syntax.
    lines += [f"[{_TABLE}]", *(f"{name} = {_literal(value)}" for name, value in options.items() if value is not None)]
    return "\n".join(lines) + "\n"


def write_profile(path: Path, options: Mapping[str, Any], comments: Sequence[str] = (), *, force: bool = False) -> None:
    """Write a profile; see `profile_text`.

    Raises:
        SacFileError: The file cannot be written, or exists (without `force`).
    """
    with workspace(path, force=force, func="tune") as work:
        work.result.write_text(profile_text(options, comments), encoding="utf-8")


def _check(path: str | Path, name: str, value: Any, default: Any) -> None:
    """Check one option by itself; its type too, which `EncodeOptions` takes for granted."""
    wanted = bool if isinstance(default, bool) else str | int | float
    if isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
        try:
            EncodeOptions.from_flat(**{name: value})
        except SacError:
            # It may need another option of the file.
            return
        except (TypeError, ValueError, AttributeError):
            pass
        else:
            return
    raise SacValueError(f"the profile {path} has {name} = {value!r}, which is not accepted", "read_profile")


def _literal(value: Any) -> str:
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
