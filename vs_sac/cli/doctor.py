"""The command ``vs-sac doctor``: list installed and missing programs, plugins and models."""

import importlib.metadata
import importlib.util
import platform
from collections.abc import Callable
from dataclasses import dataclass

import vapoursynth as vs
from rich.text import Text

from ..core.choices import Codec
from ..core.errors import SacError
from ..encoders.registry import find_encoder, find_ffmpeg, find_mkvmerge
from ..encoders.roi import RoiEncoder
from ..segmentation.registry import DEFAULT_MODEL, added_models, find_model, shipped_models, user_models_folder
from .console import listing, results

__all__ = ["Finding", "doctor", "examine"]


def doctor() -> None:
    """Show which programs, plugins, encoders and models are installed, which are missing, and how to install those."""
    findings = examine()
    rows = []
    for finding in findings:
        mark = Text("ok", "green") if finding.found else Text("MISSING" if finding.needed else "absent", "yellow")
        rows.append((finding.name, mark, Text(finding.found or finding.remedy)))
    results.print(listing(rows))
    if any(finding.needed and not finding.found for finding in findings):
        raise SacError("something that the main job needs is missing, see above", "doctor")


@dataclass(frozen=True)
class Finding:
    """One program, plugin or model that was looked for.

    Attributes:
        name: Name of the component.
        found: Version or path; empty if the component is missing.
        remedy: How to install the component.
        needed: Whether encoding and decoding need it.
    """

    name: str
    found: str
    remedy: str
    needed: bool = True


def examine() -> list[Finding]:
    """Look for everything that the package uses."""
    return [
        Finding("Python", platform.python_version(), ""),
        Finding("VapourSynth", f"R{vs.__version__.release_major}", ""),
        _plugin("source: ffms2", "ffms2", "vapoursynth-ffms2", needed=False),
        _plugin("source: BestSource", "bs", "vapoursynth-bestsource", needed=not hasattr(vs.core, "ffms2")),
        _plugin("source: L-SMASH", "lsmas", "vapoursynth-lsmas", needed=False),
        _plugin("motion: MVTools", "mv", "vapoursynth-mvtools", needed=False),
        _package("network: Python", "onnxruntime", "onnxruntime", needed=True),
        _plugin("network: plugin ort", "ort", "vapoursynth-mlrt-ort", needed=False),
        _plugin("network: plugin ov", "ov", "vapoursynth-mlrt-ov", needed=False),
        Finding(f"model {DEFAULT_MODEL}", _try(lambda: str(find_model().path)), "reinstall vs-sac"),
        Finding("other models", ", ".join(m for m in shipped_models() if m != DEFAULT_MODEL), "none shipped", False),
        _added(),
        *(Finding(f"encoder {codec}", _try(lambda codec=codec: find_encoder(codec).name),  # type: ignore[misc]
                  f"install {codec}, or pip install imageio-ffmpeg") for codec in Codec),
        *(Finding(f"lib{codec} in PyAV", _try(RoiEncoder.without_offsets(codec).find),
                  "pip install av, whose wheels have it", False) for codec in Codec),
        Finding("ffmpeg", _try(find_ffmpeg), "install ffmpeg, or pip install imageio-ffmpeg"),
        Finding("mkvmerge", find_mkvmerge() or "", "install mkvtoolnix (only the x265 program needs it)", False),
        _package("adding models: onnx", "onnx", "vs-sac[models]", needed=False),
        _package("training: torch", "torch", "vs-sac[train]", needed=False),
    ]  # fmt: skip


def _added() -> Finding:
    """The models of the user, with their folder."""
    names = [name if _try(lambda name=name: find_model(name).name) else f"{name} (its card is wrong)"  # type: ignore[misc]
             for name in added_models()]  # fmt: skip
    folder = user_models_folder()
    where = f"{folder}" if folder else "the folder in VS_SAC_MODELS, as there is no home"
    return Finding("added models", f"{', '.join(names)} in {folder}" if names else "",
                   f"vs-sac add-model writes to {where}", False)  # fmt: skip


def _plugin(name: str, namespace: str, package: str, *, needed: bool) -> Finding:
    found = _version(package) or "loaded" if hasattr(vs.core, namespace) else ""
    return Finding(name, found, f"pip install {package}", needed)


def _package(name: str, module: str, package: str, *, needed: bool) -> Finding:
    found = (_version(module) or "installed") if importlib.util.find_spec(module) else ""
    return Finding(name, found, f"pip install '{package}'", needed)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _try(find: Callable[[], str]) -> str:
    try:
        return find()
    except SacError:
        return ""
