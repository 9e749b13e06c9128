"""The command ``vs-sac add-model``.

The modules that need onnx are imported when the command runs, so that its help can be read without onnx.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, Token
from rich.text import Text

from ..core.errors import SacValueError
from ..core.labels import CLASS_NAMES, SemanticClass
from ..segmentation.network_facts import NetworkOptions, Origin
from .console import listing, messages, note, results, summary
from .parameters import FILES, Force

if TYPE_CHECKING:
    from ..segmentation.adding import Added, ClassList, Finding

__all__ = ["add_model"]


def _triple(kind: Any, tokens: Sequence[Token]) -> tuple[float, float, float]:
    """Three numbers for red, green and blue."""
    del kind
    try:
        red, green, blue = (float(number) for number in tokens[0].value.split(","))
    except ValueError:
        raise SacValueError(
            f"{tokens[0].keyword} {tokens[0].value}; accepted: R,G,B, three numbers", "add-model"
        ) from None
    return red, green, blue


_Triple = Annotated[
    tuple[float, float, float] | None, Parameter(converter=_triple, n_tokens=1, negative="", metavar="R,G,B")
]


@dataclass(frozen=True, kw_only=True)
class _Network(NetworkOptions):
    mean: _Triple = None
    std: _Triple = None


#: The facts to look at are the guesses.
_COLOURS = {Origin.GIVEN: "green", Origin.READ: "green", Origin.GUESSED: "yellow"}

_Network.__doc__ = NetworkOptions.__doc__
_FOUND_OUT = _Network()


def add_model(
    network: Path,
    /,
    *,
    classes: str,
    about: Annotated[_Network, Parameter(name="*")] = _FOUND_OUT,
    name: Annotated[str | None, Parameter(group=FILES)] = None,
    out: Annotated[Path | None, Parameter(name=("-o", "--out"), group=FILES)] = None,
    threshold: float | None = None,
    test_frame: Annotated[Path | None, Parameter(group=FILES)] = None,
    force: Force = False,
) -> None:
    """Prepare a segmentation network of your own for --model, with a card, and test it on a frame.

    Any ONNX network that scores or names the classes of every pixel will do. All but the class list is found out from
    the file and from a run on a frame. A table says what was found and why; correct a wrong guess with the option.
    Normalisation, order of channels, softmax, grouping of the classes and scaling become part of the written network,
    so all backends and all commands with --model can use it:

    vs-sac encode drive.mp4 -o drive.mkv --model street

    Needs the extra "models": pip install 'vs-sac[models]'.

    Example: vs-sac add-model street.onnx --classes cityscapes19 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225

    Args:
        network: ONNX file of the network. Weights in other files beside it are included.
        classes: The classes in the order of the network's planes: cityscapes19, camvid11, mapillary66, or a file with
            one name on each line, optionally as "name: group" with the group roi, construction, nature or sky.
        about: What is known of the network.
        name: Name of the model in your folder of models: VS_SAC_MODELS, else vs_sac/models in XDG_DATA_HOME or
            ~/.local/share. [default: that of the file]
        out: Write this .onnx file instead, and its card beside it.
        threshold: Probability, 0-1, from which a pixel counts as non-ROI. Stored in the card; not for argmax. [default:
            0.5]
        test_frame: Image or video whose first frame is segmented as a test. [default: a synthetic street]
        force: Overwrite existing files.
    """
    from ..segmentation.adding import add_model as add

    made = add(network, classes, options=about, out=out, name=name, threshold=threshold, test_frame=test_frame,
               force=force, report=_show_findings)  # fmt: skip
    _show_classes(made.classes)
    for warning in made.check.warnings:
        note(f"vs-sac: warning: {warning}")
    shares = ", ".join(f"{label} {share:.0%}" for label, share in made.check.shares.items())
    results.print(f"test frame: {shares}; backends: {', '.join(made.check.backends)}", markup=False)
    summary(f"{made.path}: use it with --model {_shown(made, out)}")


def _show_findings(findings: "Sequence[Finding]") -> None:
    rows = [(found.name, found.value, Text(found.origin, _COLOURS[found.origin]), found.why) for found in findings]
    messages.print(listing(rows))


def _show_classes(classes: "ClassList") -> None:
    for group in list(SemanticClass)[1:]:
        note(f"{CLASS_NAMES[group]}: {', '.join(classes.members(group)) or 'none'}")
    note(f"roi: the other {len(classes.members(SemanticClass.ROI))} classes")
    if classes.unknown:
        note(f"vs-sac: warning: no group is known of {', '.join(classes.unknown)}, so they are ROI; give another as"
             " 'name: group'")  # fmt: skip


def _shown(made: "Added", out: Path | None) -> str:
    return str(made.path) if out is not None else made.path.stem
