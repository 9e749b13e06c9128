"""`--profile`: a file with options of ``vs-sac encode``. Options on the command line override it."""

from dataclasses import fields
from typing import TYPE_CHECKING

from cyclopts import App
from cyclopts.config import Dict

if TYPE_CHECKING:
    from cyclopts.argument import ArgumentCollection

__all__ = ["from_profile"]


def from_profile(app: App, commands: tuple[str, ...], arguments: "ArgumentCollection") -> None:
    """Add the options of the profile to those of a command line that names one (a ``config`` of cyclopts).

    Where the command line sets the rate, the profile does not, because two ways to set it contradict each other.

    Raises:
        SacError: The profile cannot be read.
    """
    given = {argument.name.removeprefix("--").replace("-", "_"): argument.tokens for argument in arguments}
    tokens = given.get("profile")
    if not tokens:
        return
    # Only with a profile, because help and errors must not wait for VapourSynth.
    from ..pipeline.options import RateControl
    from ..pipeline.profile import read_profile

    values = read_profile(tokens[-1].value)
    rate = {option.name for option in fields(RateControl)}
    if any(given.get(name) for name in rate):
        values = {name: value for name, value in values.items() if name not in rate}
    Dict(values, source=tokens[-1].value, use_commands_as_keys=False)(app, commands, arguments)
