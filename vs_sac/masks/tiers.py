"""Tiers: a QP offset for each class of a network, by tables that users can read and change."""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from ..core.errors import SacFileError, SacValueError

__all__ = ["DRIVING", "LARGEST_TIER", "TIERS", "read_tiers", "tier_offsets"]

#: Largest QP offset of a class.
LARGEST_TIER = 10.0

#: Objects that are small or vulnerable, and cars, get 2 QP less. Road and sidewalk get 1 and 2 QP less: a network has
#: no doubt about them in the source and loses them first at low rates. Large vehicles are seen anyway.
DRIVING: Final[Mapping[str, float]] = MappingProxyType(
    {
        **dict.fromkeys(("person", "rider", "motorcycle", "bicycle"), -2.0),
        **dict.fromkeys(("car", "traffic light", "traffic sign", "pole"), -2.0),
        **dict.fromkeys(("truck", "bus", "train"), 0.0),
        "road": -1.0,
        "sidewalk": -2.0,
        "building": 1.0,
        "vegetation": 1.0,
        "sky": 2.0,
        **dict.fromkeys(("wall", "fence", "terrain"), -1.0),
    }
)

#: Tables by name.
TIERS: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType({"driving": DRIVING})

#: An entry of a table on a command line: a class, and its offset.
_ENTRY = re.compile(r"\s*([^=,]+?)\s*=\s*([^=,]+?)\s*")


def read_tiers(tiers: str | Path | Mapping[str, float], func: str) -> Mapping[str, float]:
    """Return a table of QP offsets by class.

    Args:
        tiers: Name of a table (`TIERS`), entries such as ``person=-3,road=0``, path of a TOML file with such entries,
            or a mapping. Classes have the names of Cityscapes.
        func: Name of the calling function, for messages.

    Raises:
        SacFileError: The file cannot be read.
        SacValueError: An entry is not a class with an offset of -10 to 10.

    Example:
        >>> dict(read_tiers('person=-3,traffic light=-2.5', 'encode'))
        {'person': -3.0, 'traffic light': -2.5}
    """
    if isinstance(tiers, Mapping):
        return _checked(tiers, "tiers", func)
    if str(tiers) in TIERS:
        return TIERS[str(tiers)]
    if "=" in str(tiers):
        return _checked(dict(_entries(str(tiers), func)), "tiers", func)
    try:
        table = tomllib.loads(Path(tiers).read_text("utf-8"))
    except FileNotFoundError:
        raise SacFileError(
            f"tiers {str(tiers)!r} is no file; accepted: {', '.join(TIERS)}, entries such as person=-3,road=0, or a"
            " TOML file with such entries", func,
        ) from None  # fmt: skip
    except (OSError, ValueError) as error:
        raise SacFileError(f"cannot read the tiers {tiers}: {error}", func) from error
    return _checked(table, str(tiers), func)


def _entries(text: str, func: str) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for word in text.split(","):
        match = _ENTRY.fullmatch(word)
        try:
            found.append((match[1], float(match[2])) if match else (word, None))
        except ValueError:
            found.append((word, None))
    bad = next((name for name, value in found if value is None), None)
    if bad is not None:
        raise SacValueError(f"tiers has {bad!r}; accepted: CLASS=OFFSET, separated by commas", func)
    return found


def _checked(table: Mapping[str, object], name: str, func: str) -> Mapping[str, float]:
    checked: dict[str, float] = {}
    for key, value in table.items():
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        if not abs(number) <= LARGEST_TIER:
            raise SacValueError(f"{name} has {key} = {value!r}; accepted: -{LARGEST_TIER:g} to {LARGEST_TIER:g}", func)
        checked[key] = number
    if not checked:
        raise SacValueError(f"{name} has no entry; accepted: CLASS=OFFSET", func)
    return MappingProxyType(checked)


def tier_offsets(classes: Sequence[str], tiers: Mapping[str, float], func: str) -> npt.NDArray[np.float32]:
    """Return the QP offsets of a network's classes; 0 for a class that the table does not name.

    Args:
        classes: Names of the K classes.
        tiers: Offsets by class, see `read_tiers`.
        func: Name of the calling function, for messages.

    Returns:
        Shape (K,), float32.

    Raises:
        SacValueError: The network has none of the classes of the table.
    """
    if not set(classes) & set(tiers):
        raise SacValueError(
            f"tiers names {', '.join(sorted(tiers))}; the network has none of them, but {', '.join(classes)}", func
        )
    return np.array([tiers.get(name, 0.0) for name in classes], np.float32)
