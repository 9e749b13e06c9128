"""The class list of a network: a known list, or a file of the user's."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import SacFileError, SacValueError
from ...core.labels import CITYSCAPES_ID, CLASS_LISTS, CLASS_NAMES, SemanticClass, group_of

__all__ = ["ClassList", "read_classes"]

_FUNC = "add_model"


@dataclass(frozen=True)
class ClassList:
    """The classes of a network in the order of its planes, and the semantic class of each.

    Attributes:
        names: Names of the classes.
        groups: Semantic class by position in `names`.
        unknown: Names that are ROI only because the grouping does not have them.
    """

    names: tuple[str, ...]
    groups: tuple[SemanticClass, ...]
    unknown: tuple[str, ...] = ()

    def members(self, group: SemanticClass) -> list[str]:
        """Return the names of the classes of a group."""
        return [name for name, own in zip(self.names, self.groups, strict=True) if own is group]


def read_classes(given: str) -> ClassList:
    """Read a class list.

    A file is text with a class on each line, ``name`` or ``name: group``, or JSON: a list of such words, or an object
    from name to group. A group is roi, construction, nature or sky. A name without a group has the group of the class
    table of the package, or is ROI.

    Args:
        given: A name of `core.labels.CLASS_LISTS`, or the path of a file.

    Raises:
        SacFileError: The file does not exist or cannot be read.
        SacValueError: The list is not accepted: a group is unknown, a name occurs twice, there are fewer than two
            classes, or none of them is non-ROI.
    """
    if given in CLASS_LISTS:
        names = CLASS_LISTS[given]
        return ClassList(names, tuple(group_of(name) for name in names))
    rows = _rows_of_file(given)
    names = tuple(name for name, _ in rows)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise SacValueError(f"{given} has the class {twice[0]!r} twice; accepted: different names", _FUNC)
    if len(names) < 2 or "" in names:
        raise SacValueError(f"{given} has {len(names)} classes; accepted: from 2, each with a name", _FUNC)
    groups = tuple(_group(name, word, given) for name, word in rows)
    if not any(groups):
        groups_shown = ", ".join(CLASS_NAMES[1:])
        raise SacValueError(f"{given} has no class that is {groups_shown}; give one as 'name: group'", _FUNC)
    table = {*CITYSCAPES_ID.values(), *(name for known in CLASS_LISTS.values() for name in known)}
    unknown = tuple(name for name, word in rows if not word and name not in table)
    return ClassList(names, groups, unknown)


def _group(name: str, word: str, given: str) -> SemanticClass:
    if not word:
        return group_of(name)
    if word.lower() not in CLASS_NAMES:
        raise SacValueError(f"{given} gives {name!r} the group {word!r}; accepted: {', '.join(CLASS_NAMES)}", _FUNC)
    return SemanticClass(CLASS_NAMES.index(word.lower()))


def _rows_of_file(given: str) -> list[tuple[str, str]]:
    """Name and group of every class; the group is empty if the file does not give one."""
    path = Path(given)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        known = ", ".join(CLASS_LISTS)
        raise SacFileError(f"no class list {given!r}; known: {known}; or give the path of a file", _FUNC) from None
    except (OSError, ValueError) as error:
        raise SacFileError(f"cannot read the class list {given}: {error}", _FUNC) from error
    if path.suffix.lower() == ".json" or text.lstrip()[:1] in ("[", "{"):
        return _rows_of_json(text, given)
    return [_split(line) for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _rows_of_json(text: str, given: str) -> list[tuple[str, str]]:
    try:
        # Pairs instead of a dict, so that a name that occurs twice is noticed.
        content = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    except (ValueError, RecursionError) as error:
        raise SacFileError(f"cannot read the class list {given}: {error}", _FUNC) from error
    if isinstance(content, list) and all(isinstance(entry, str) for entry in content):
        return [_split(entry) for entry in content]
    if isinstance(content, list) and all(isinstance(e, tuple) and all(isinstance(x, str) for x in e) for e in content):
        return [(name.strip(), group.strip()) for name, group in content]
    accepted = "a list of names, or an object from name to group"
    raise SacFileError(f"the class list {given} is not accepted; accepted: {accepted}", _FUNC)


def _split(line: str) -> tuple[str, str]:
    name, _, group = line.partition(":")
    return name.strip(), group.strip()
