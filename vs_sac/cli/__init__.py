"""The command line ``vs-sac``: one module per group of commands."""

from .program import app, main, run

__all__ = ["app", "main", "run"]
