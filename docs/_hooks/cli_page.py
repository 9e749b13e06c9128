"""Prints the page cli.md: the help of every command of the program, as Markdown.

Help texts need no extra, so neither torch nor matplotlib has to be installed for a docs build.
"""

import importlib
import re
import sys
from pathlib import Path

_INTRODUCTION = """# Command line

This page is generated from the program: `vs-sac COMMAND --help` prints the same text. `python -m vs_sac` is the same
program as `vs-sac`.

Results are written to standard output, progress and messages to standard error. The exit code is 0 on success, 1 if a
run failed or was interrupted, and 2 if the command line is wrong.

Every command accepts `--quiet` (errors only), `--verbose` (also the plan and the command line of every program that is
run) and `--log FILE` (all of this, with times, appended to a file), before or after its name.
`vs-sac --install-completion` installs the completion for bash, zsh or fish.
[Pipes, scripts and parts of a recording](guides/pipes-and-scripts.md#what-is-printed) has the details.

`compare` and `tune` need the extra `report` (`pip install '.[report]'`). `train`, `export`, `quantize`, `test-model`
and `train-importance` need the extra `train` (`pip install '.[train]'`), and `add-model` the extra `models`. Their help
can be read without.
"""


def page() -> str:
    """The page's Markdown."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    # Called without a command the program has shorter descriptions.
    sys.argv = ["vs-sac", "--help-of-all-commands"]
    text = importlib.import_module("vs_sac.cli").app.generate_docs(max_heading_level=3)
    # cyclopts begins with a title, a usage line and two lists of commands, which the site has anyway.
    commands = text[text.index("\n## ", text.index("**Commands**")) :]
    # Links to a command are cli.md#encode.
    commands = re.sub(r"^## vs-sac (\S+)$", r"## vs-sac \1 { #\1 }", commands, flags=re.MULTILINE)
    commands = re.sub(r"^Example: (.+)$", r"Example:\n\n```sh\n\1\n```", commands, flags=re.MULTILINE)
    return f"{_INTRODUCTION}\n{commands.strip()}\n"


if __name__ == "__main__":
    sys.stdout.write(page())
