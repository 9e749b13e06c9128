"""Public names of packages, imported when they are asked for."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["names_on_demand"]


def names_on_demand(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """What a package calls ``__getattr__`` (PEP 562).

    Args:
        package: Its name.
        homes: Public name → the submodule it lives in; a submodule lives in itself.
    """

    def named(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f".{homes[name]}", package)
        return module if homes[name] == name else getattr(module, name)

    return named
