"""Public names that a package imports on first use, and old names that still work with a warning."""

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from typing import Any

__all__ = ["lazy_names", "renamed_argument"]


def lazy_names(
    package: str, homes: Mapping[str, str], *, renamed: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """Make a ``__getattr__`` for a package (PEP 562) that imports a name when it is first used.

    Args:
        package: Name of the package.
        homes: Public name → module that defines it, relative to the package (``"grid"``, ``"..pipeline.encoding"``).
            For a submodule, the module is the submodule itself.
        renamed: Old name → new location as ``module:name``, with the module relative to the package. The use of an old
            name gives a DeprecationWarning that contains the new name.

    Returns:
        The function to assign to ``__getattr__``.
    """
    renamed = renamed or {}

    def named(name: str) -> Any:
        if name in homes:
            module = import_module(_relative(homes[name]), package)
            return module if homes[name] == name else getattr(module, name)
        if name in renamed:
            place, _, new = renamed[name].partition(":")
            module = import_module(_relative(place), package)
            warnings.warn(
                f"{package}.{name} is deprecated; use {module.__name__}.{new}", DeprecationWarning, stacklevel=2
            )
            return getattr(module, new)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return named


def renamed_argument[**Arguments, Result](
    old: str, new: str
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Make a function accept a keyword argument under its old name too, with a DeprecationWarning.

    Args:
        old: Old name of the argument.
        new: Present name of the argument.
    """

    def decorated(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @wraps(function)
        def called(*words: Arguments.args, **named: Arguments.kwargs) -> Result:
            if old in named:
                message = f"the argument {old} of {function.__name__} is deprecated; use {new}"
                warnings.warn(message, DeprecationWarning, stacklevel=2)
                named[new] = named.pop(old)
            return function(*words, **named)

        return called

    return decorated


def _relative(module: str) -> str:
    return module if module.startswith(".") else f".{module}"
