"""Results on disk: one JSON file per clip and method, named after a digest of everything that decides the result."""

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
    """A folder of results and of the files that they describe.

    Args:
        root: The folder; it is created if it does not exist.
        force: Ignore existing results.

    Raises:
        SacFileError: The folder cannot be created.
    """

    def __init__(self, root: Path, *, force: bool = False) -> None:
        self.root = root
        self._force = force
        try:
            for name in ("results", "judged", "encodes", "masks"):
                (root / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SacFileError(f"cannot make {root}: {error.strerror}", "compare") from error

    def path(self, kind: str, name: str, key: str, suffix: str) -> Path:
        """Path of a file of the store, whether it exists or not."""
        return self.root / kind / f"{name}-{key}{suffix}"

    def load(self, name: str, key: str, kind: str = "results") -> dict[str, Any] | None:
        """Load a result whose file exists too. None if the result has to be computed.

        Args:
            name: Base name.
            key: Digest of what decides the result.
            kind: Folder: results, or judged for what a judge sees in them.
        """
        path = self.path(kind, name, key, ".json")
        if self._force or not path.is_file():
            return None
        try:
            result: dict[str, Any] = json.loads(path.read_text())
            return result if (self.root / result["file"]).is_file() else None
        except (OSError, ValueError, KeyError, TypeError):
            # A truncated or changed file is computed again.
            return None

    def save(self, name: str, key: str, result: dict[str, Any], kind: str = "results") -> None:
        """Write a result, completely or not at all. The arguments are those of `load`.

        Raises:
            SacFileError: The result cannot be written.
        """
        with workspace(self.path(kind, name, key, ".json"), force=True, func="compare") as work:
            work.result.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
