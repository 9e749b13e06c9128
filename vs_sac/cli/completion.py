"""``vs-sac --install-completion``: completion of commands and options by the shell."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..core.errors import SacFileError, SacValueError
from .console import summary

__all__ = ["install_completion"]


def install_completion(
    *,
    shell: Literal["bash", "zsh", "fish"] | None = None,
    output: Annotated[Path | None, Parameter(name=("-o", "--output"))] = None,
) -> None:
    """Install the completion of commands and options for your shell.

    The script is written below your home folder: for bash to .local/share/bash-completion/completions, for zsh to
    .zsh/completions (with oh-my-zsh, to its folder of completions), for fish to .config/fish/completions. For bash and
    zsh, a line that loads it is added to .bashrc or .zshrc, once. Nothing else is written.

    Args:
        shell: The shell. [default: the one that runs this command]
        output: Write only the script, to this file, and leave the configuration of the shell as it is.
    """
    from cyclopts.completion.detect import ShellDetectionError

    from .program import app

    try:
        place = app.install_completion(shell=shell, output=output, add_to_startup=output is None)
    except ShellDetectionError:
        raise SacValueError("the shell is unknown; name it with --shell bash, zsh or fish", "completion") from None
    except (OSError, RuntimeError) as error:
        # `Path.home` raises RuntimeError if there is no home folder.
        reason = getattr(error, "strerror", None) or error
        raise SacFileError(f"cannot install the completion: {reason}", "completion") from error
    summary(f"{place}: start a new shell to use it")
