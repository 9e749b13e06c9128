"""Results on disk: one JSON per clip and method, named by the content of everything that made it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ..core.errors import SacFileError
from ..core.outputs import workspace

__all__ = ["Store", "digest"]


def digest(content: Any) -> str:
    """Twelve hexadecimal digits that change with any part of the content (JSON's types)."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]


class Store:
    """A folder of results, and of the files they are about.

    Args:
        root: The folder; made if it is not there.
        force: Treat what is there as if it were not.

    Raises:
        SacFileError: It cannot be made.
    """

    def __init__(self, root: Path, *, force: bool = False) -> None:
        self.root = root
        self._force = force
        try:
            for name in ("results", "encodes", "masks"):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SacFileError(f"cannot make {root}: {error.strerror}", "compare") from error

    def path(self, kind: str, name: str, key: str, suffix: str) -> Path:
        """Where something lies, whether it is there or not."""
        return self.root / kind / f"{name}-{key}{suffix}"

    def load(self, name: str, key: str) -> dict[str, Any] | None:
        """A result that is complete, with the file it is about; None where it has to be made."""
        path = self.path("results", name, key, ".json")
        if self._force or not path.is_file():
            return None
        try:
            result: dict[str, Any] = json.loads(path.read_text())
            return result if (self.root / result["file"]).is_file() else None
        except (OSError, ValueError, KeyError, TypeError):
            # A file that somebody cut short or changed is made anew.
            return None

    def save(self, name: str, key: str, result: dict[str, Any]) -> None:
        """Write a result, whole or not at all.

        Raises:
            SacFileError: It cannot be written.
        """
        with workspace(self.path("results", name, key, ".json"), force=True, func="compare") as work:
            work.result.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
