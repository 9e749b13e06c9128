"""Versions of the programs, models and files that a result was made with."""

import hashlib
import subprocess
from functools import cache
from pathlib import Path

import av

from ..core.choices import Codec
from ..encoders.registry import find_encoder
from ..segmentation.registry import find_model

__all__ = ["encoder_versions", "file_sha256", "model_id"]


@cache
def encoder_versions() -> dict[str, str]:
    """Builds of the encoders and of the multiplexer.

    Raises:
        SacMissingError: An encoder is missing.
    """
    versions = {}
    for codec in Codec:
        encoder = find_encoder(codec)
        program = str(getattr(encoder, "program", codec))
        option = "--version" if Path(program).stem == codec else "-version"
        said = subprocess.run([program, option], capture_output=True, text=True, timeout=30, check=False)
        lines = [line.strip() for line in (said.stdout + said.stderr).splitlines() if line.strip()]
        versions[str(codec)] = lines[0].removeprefix("x265 [info]: ") if lines else encoder.name
    library = ".".join(map(str, av.library_versions["libavcodec"]))
    versions["single stream"] = f"PyAV {av.__version__}, libavcodec {library}"
    versions["multiplexer"] = versions["single stream"]
    return versions


@cache
def model_id(model: str) -> str:
    """Name, digest and threshold of a model.

    Raises:
        SacFileError: The model does not exist.
    """
    found = find_model(model)
    return f"{found.name} {file_sha256(found.path)[:12]} at {found.threshold:g}"


@cache
def file_sha256(path: Path) -> str:
    """SHA-256 digest of a file. It is cached, so the file must not change while the program runs."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
