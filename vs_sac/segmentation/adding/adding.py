"""`add_model`: the steps of the package in order, and the files that it writes."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from ...core.errors import SacFileError, SacValueError
from ...core.labels import CLASS_NAMES, EVEN_ODDS, SemanticClass
from ...core.outputs import check_outputs, workspace
from ...source.opening import open_clip
from ...source.synthetic import street_scene
from ..network_facts import Finding, InputSpec, NetworkOptions, OutputKind, OutputSpec
from ..registry import STRIDE, WORKING_AREA, Decision, Model, shipped_models, user_models_folder
from .checking import Check, check_model
from .classes import ClassList, read_classes
from .inspection import inspect_input
from .loading import load_network
from .outputs import inspect_output
from .prepare import prepared
from .trials import try_network

__all__ = ["Added", "add_model", "place_of"]

_FUNC = "add_model"

#: A name that is a file name everywhere and needs no quotes in a shell.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

#: Width and height of the synthetic test frame in pixels.
_STREET = (320, 192)

_AS_IT_IS = NetworkOptions()


@dataclass(frozen=True)
class Added:
    """What `add_model` has written.

    Attributes:
        path: The prepared ONNX file. Its card is beside it, with the ending ``.json``.
        classes: The classes of the network.
        findings: What the network expects and gives, and how that was found.
        check: The result on the test frame.
    """

    path: Path
    classes: ClassList
    findings: tuple[Finding, ...]
    check: Check


def place_of(network: Path, name: str | None, out: Path | None) -> Path:
    """Return the ONNX file that `add_model` writes.

    Args:
        network: The network of the user.
        name: Name in the user's folder of models; None for that of the file.
        out: A file elsewhere, without `name`.

    Raises:
        SacFileError: There is no folder for models.
        SacValueError: The name is not accepted, or is that of a shipped model.
    """
    if out is not None:
        if name is not None:
            raise SacValueError("name and out are both given; give one of them", _FUNC)
        if out.suffix.lower() != ".onnx":
            raise SacValueError(f"{out} must end in .onnx", _FUNC)
        return out
    name = network.stem if name is None else name
    if not _NAME.fullmatch(name):
        hint = "; give another with --name" if name == network.stem else ""
        accepted = "up to 64 letters, digits, dots, hyphens and underscores, a letter or digit first"
        raise SacValueError(f"name {name!r}; accepted: {accepted}{hint}", _FUNC)
    if name.lower().endswith(".onnx"):
        raise SacValueError(f"name {name!r}; accepted: a name without .onnx", _FUNC)
    if name in shipped_models():
        raise SacValueError(f"name {name!r} is that of a shipped model; give another with --name", _FUNC)
    if (folder := user_models_folder()) is None:
        raise SacFileError("there is no home folder for models; set VS_SAC_MODELS, or give a file with -o", _FUNC)
    return folder / f"{name}.onnx"


def add_model(
    network: str | Path,
    classes: str,
    *,
    options: NetworkOptions = _AS_IT_IS,
    out: Path | None = None,
    name: str | None = None,
    threshold: float | None = None,
    test_frame: str | Path | None = None,
    force: bool = False,
    report: Callable[[Sequence[Finding]], None] | None = None,
) -> Added:
    """Prepare a segmentation network for `segment`, test it on a frame, and write it with a card.

    Args:
        network: ONNX file of the network; weights in other files beside it are included.
        classes: Class list, see `classes.read_classes`.
        options: What is known of the network; the rest is found out.
        out: ONNX file to write. Default: `name` in the user's folder of models.
        name: Name of the model. Default: that of `network`.
        threshold: Threshold for the card, in (0, 1]. Default: 0.5.
        test_frame: Image or video whose first frame is segmented as a test. Default: a synthetic street.
        force: Whether existing files may be overwritten.
        report: Called with the findings before the test, so that they are known if it fails.

    Raises:
        SacFileError: A file cannot be read or written, or the network cannot be prepared.
        SacValueError: An argument is not accepted or contradicts the network.
    """
    network = Path(network)
    chosen = read_classes(classes)
    if threshold is not None and not 0 < threshold <= 1:
        raise SacValueError(f"threshold {threshold!r} is outside (0, 1]", _FUNC)
    if not network.is_file():
        raise SacFileError(f"{network} does not exist, or is no file", _FUNC)
    path = place_of(network, name, out)
    if out is None:
        _make_folder(path.parent)
    card = path.with_suffix(".json")
    check_outputs({"out": path, "card": card}, {"network": network, "classes": classes}, force=force, func=_FUNC)
    clip = street_scene(*_STREET, 1)[0] if test_frame is None else open_clip(test_frame)
    model = load_network(network)
    given, findings = inspect_input(model, options)
    given, trials, tried = try_network(model, given, clip)
    output, seen = inspect_output(trials, len(chosen.names), options, given.layout)
    findings += [*tried, *seen]
    if report is not None:
        report(findings)
    if threshold is not None and output.kind is OutputKind.ARGMAX:
        raise SacValueError(f"threshold {threshold:g} has no meaning for {path.stem}, whose output is argmax", _FUNC)
    settings = _settings(chosen, given, output, threshold)
    with workspace(path, force=force, func=_FUNC) as work:
        onnx.save(prepared(model, given, output, chosen), str(work.result))
        try:
            check = check_model(Model(name=path.stem, path=work.result, **settings), clip)
        except SacFileError as error:
            # The file has its name only when the test has passed.
            reason = str(error).partition(") ")[2].replace(f"model {work.result}", "the prepared network")
            reason = reason.removesuffix("; prepare the network with vs-sac add-model")
            raise SacFileError(reason, _FUNC) from error
        content = {"name": path.stem, **_digest(work.result), **settings, **_origin(network, chosen, findings),
                   "test_frame": {"source": str(test_frame or "synthetic street"), "shares": check.shares}}  # fmt: skip
        with workspace(card, force=force, func=_FUNC) as card_work:
            card_work.result.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return Added(path, chosen, tuple(findings), check)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SacFileError(
            f"cannot make the folder of models {folder} ({error.strerror}); set VS_SAC_MODELS, or give a file with -o",
            _FUNC,
        ) from error


def _settings(classes: ClassList, given: InputSpec, output: OutputSpec, threshold: float | None) -> dict[str, Any]:
    """The settings of a card."""
    settings: dict[str, Any] = {"classes": list(classes.names)}
    if given.size:
        settings["input_size"] = list(given.size)
    else:
        settings["working_area"] = WORKING_AREA
        if given.multiple_of != STRIDE:
            settings["multiple_of"] = given.multiple_of
    if output.kind is OutputKind.ARGMAX:
        return {**settings, "decision": str(Decision.ARGMAX)}
    return {**settings, "threshold": EVEN_ODDS if threshold is None else threshold}


def _digest(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _origin(network: Path, classes: ClassList, findings: Sequence[Finding]) -> dict[str, Any]:
    """What a card says of the network from which a model was made."""
    return {
        "groups": {CLASS_NAMES[group]: classes.members(group) for group in SemanticClass},
        "network": {"file": network.name, **_digest(network)},
        "found": {finding.name: f"{finding.value} ({finding.origin}{f': {finding.why}' if finding.why else ''})"
                  for finding in findings},
    }  # fmt: skip
