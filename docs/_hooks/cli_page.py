"""Prints the page cli.md: the help of every command of the program, as Markdown.

Commands of the extras ``report`` and ``train`` import packages that need not be installed for a docs build (torch alone
is larger than all the others together). Help texts need signatures and docstrings only, so in this process every
missing package is replaced by a stand-in that accepts everything.
"""

import importlib
import importlib.abc
import importlib.machinery
import re
import sys
import types
from pathlib import Path
from typing import Any

_INTRODUCTION = """# Command line

This page is generated from the program: `vs-sac COMMAND --help` prints the same text. `python -m vs_sac` is the same
program as `vs-sac`.

Results are written to standard output, progress and messages to standard error. The exit code is 0 on success, 1 if a
run failed or was interrupted, and 2 if the command line is wrong.

Every command accepts `--quiet` (errors only), `--verbose` (also the plan and the command line of every program that is
run) and `--log FILE` (all of this, with times, appended to a file), before or after its name.
`vs-sac --install-completion` installs the completion for bash, zsh or fish.
[Pipes, scripts and parts of a recording](guides/pipes-and-scripts.md#what-is-printed) has the details.

`compare` and `reproduce` need the extra `report` (`pip install '.[report]'`). `train`, `export`, `quantize` and
`test-model` need the extra `train` (`pip install '.[train]'`).
"""

#: Comes with a main dependency, and itself imports packages of the extra ``train``.
_NEEDS_MISSING = "onnxruntime.quantization"


def page() -> str:
    """The page's Markdown."""
    text = _imported_app().generate_docs(max_heading_level=3)
    # cyclopts begins with a title, a usage line and two lists of commands, which the site has anyway.
    commands = text[text.index("\n## ", text.index("**Commands**")) :]
    # Links to a command are cli.md#encode.
    commands = re.sub(r"^## vs-sac (\S+)$", r"## vs-sac \1 { #\1 }", commands, flags=re.MULTILINE)
    commands = re.sub(r"^Example: (.+)$", r"Example:\n\n```sh\n\1\n```", commands, flags=re.MULTILINE)
    return f"{_INTRODUCTION}\n{commands.strip()}\n"


def _imported_app() -> Any:
    """The program's app; all its commands can be imported."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    # Called without a command the program has shorter descriptions.
    sys.argv = ["vs-sac", "--help-of-all-commands"]
    missing = {_NEEDS_MISSING}
    sys.meta_path.insert(0, _Finder(missing))
    app = importlib.import_module("vs_sac.cli").app
    while True:
        try:
            app.generate_docs()
        except ImportError as error:
            name = _missing_package(error)
            if not name or name in missing or name == "vs_sac":
                raise
            missing.add(name)
        else:
            return app


def _missing_package(error: BaseException | None) -> str:
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__ or error.__context__
    return ((error and error.name) or "").partition(".")[0]


class _AnyClass(type):
    """A class whose attributes are classes of the same kind."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _AnyClass(name, (), {})

    def __getitem__(cls, item: object) -> Any:
        return cls

    def __call__(cls, *args: Any, **options: object) -> Any:
        # Decorators leave a function as it is.
        return args[0] if len(args) == 1 and callable(args[0]) else cls


class _StandIn(types.ModuleType):
    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _AnyClass(name, (), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, modules: set[str]) -> None:
        self.modules = modules

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> Any:
        if any(fullname == module or fullname.startswith(f"{module}.") for module in self.modules):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


if __name__ == "__main__":
    sys.stdout.write(page())
