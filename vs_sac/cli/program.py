"""The program ``vs-sac``: its commands, and the exit codes of errors.

Commands are imported when they are called, so ``vs-sac --version`` loads neither VapourSynth nor torch.
"""

import logging
import shlex
import signal
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from types import FrameType
from typing import Annotated, Any, NoReturn, cast

from cyclopts import App, CycloptsError, Parameter

from .. import __version__
from ..core.errors import SacDamageWarning, SacError, SacValueError, SacWarning, error_of_filter
from .console import fail, messages, note, results
from .profiles import from_profile
from .verbosity import LogFile, Quiet, Verbose, start_logging, stop_logging

__all__ = ["app", "main", "run"]

app = App(
    name="vs-sac",
    help="Semantic-aware video compression for driving cameras: what matters for driving keeps its quality.",
    help_format="plaintext",
    version=__version__,
    console=results,
    error_console=messages,
    suppress_keyboard_interrupt=False,
)

#: Command → its place as ``module:function``, and its line in the overview.
COMMANDS = {
    "encode": ("vs_sac.cli.encode:encode", "Encode a driving video into a SAC file (Matroska)."),
    "decode": ("vs_sac.cli.decode:decode", "Decode a SAC file to y4m or lossless Matroska."),
    "segment": ("vs_sac.cli.segment:segment", "Segment a video into ROI, construction, nature and sky."),
    "evaluate": ("vs_sac.cli.evaluate:evaluate", "Compare a decoded video with its source."),
    "info": ("vs_sac.cli.decode:info", "Show what a SAC file holds."),
    "verify": ("vs_sac.cli.decode:verify", "Compare a SAC file with the checksums stored in it."),
    "compare": ("vs_sac.cli.compare:compare", "Encode videos by every method of the paper and write a report."),
    "tune": ("vs_sac.cli.tune:tune", "Find the settings with which a network needs the fewest bytes."),
    "reproduce": ("vs_sac.cli.compare:reproduce", "Print the paper's tables with ours beside them."),
    "train": ("vs_sac.cli.train:train", "Train the segmentation network."),
    "train-importance": (
        "vs_sac.cli.train_importance:train_importance",
        "Fit the importance of macroblocks to your network.",
    ),
    "export": ("vs_sac.cli.models:export", "Turn a trained network into ONNX with a model card."),
    "quantize": ("vs_sac.cli.models:quantize", "Round a network to 8 bits, for speed on a processor."),
    "test-model": ("vs_sac.cli.model_scores:test_model", "Score a segmentation model on labelled images."),
    "add-model": ("vs_sac.cli.add_model:add_model", "Prepare a segmentation network of your own for --model."),
    "doctor": ("vs_sac.cli.doctor:doctor", "Show what is installed, what is missing and how to get it."),
    "demo": ("vs_sac.cli.demo:demo", "Render a street scene, then encode, decode and evaluate it. Needs no input."),
}
#: Commands that need an extra when they run. Their help does not.
_EXTRAS = {"compare": "report", "tune": "report", "train": "train", "export": "train", "quantize": "train",
           "test-model": "train", "train-importance": "train", "add-model": "models"}  # fmt: skip
#: Commands of which the source, their only argument, may be "-".
_READS_STDIN = ("encode", "segment")
#: Commands with the option --profile.
_TAKES_PROFILE = ("encode",)

# Only the overview gets the line. In a command's own help, it would replace the docstring.
_overview = sys.argv[1:] in ([], ["--help"], ["-h"])
for _name, (_place, _line) in COMMANDS.items():
    _more: dict[str, Any] = {"config": from_profile} if _name in _TAKES_PROFILE else {}
    app.command(_place, name=_name, help=_line if _overview else None, **_more)
app.command(
    "vs_sac.cli.completion:install_completion", name="--install-completion",
    help="Install the completion of commands and options for bash, zsh or fish." if _overview else None,
)  # fmt: skip


@app.meta.default
def _launch(
    *words: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    quiet: Quiet = False,
    verbose: Verbose = False,
    log: LogFile = None,
) -> None:
    """Run a command, with the options that every command accepts.

    Args:
        words: The command and its arguments.
        quiet: Print errors only: no progress, no warnings, and not which files were written.
        verbose: Also print what is run: the plan, and the command line of every encoder.
        log: Append everything that --verbose prints, all messages and what the encoders say to this file, with times.
    """
    start_logging(shlex.join(words), quiet=quiet, verbose=verbose, log=log)
    app(_with_stdin_last(words), exit_on_error=False, print_error=False, result_action="return_value")


#: Options that are not those of one command.
_SEEN_FIRST = {"--quiet", "--verbose", "--log", "--help", "-h", "--version"}


def _with_stdin_last(words: Sequence[str]) -> list[str]:
    """The words of a command with its source "-" at the end, behind "--", as it would be taken for an option."""
    places = [n for n, word in enumerate(words) if word == "-" and words[n - 1] not in ("-o", "--output")]
    if not places or words[0] not in _READS_STDIN or "--" in words:
        return list(words)
    return [*words[: places[0]], *words[places[0] + 1 :], "--", "-"]


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line in this process, and exit with the code that `run` returns."""
    sys.exit(run(argv))


def run(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        Exit code: 0 on success, 1 if the run failed, 2 on wrong usage.
    """
    words = sys.argv[1:] if argv is None else argv
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        sys.unraisablehook = _interrupt_again
        warnings.showwarning = _warn
        # Every run reports its own damage, also if another one of this process has reported the same.
        warnings.simplefilter("always", SacDamageWarning)
        _damaged.clear()
        for stream in (sys.stdout, sys.stderr):
            # File names are not always valid text. A stream that was closed is None.
            if stream:
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        if words and not words[0].startswith("-") and words[0] not in COMMANDS:
            return _fail(_unknown(words[0]), 2)
        if words and not {word.partition("=")[0] for word in words} & _SEEN_FIRST:
            # Parsing twice would cost 10 ms.
            _launch(*words)
        else:
            app.meta(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(f"{error} (see vs-sac --help)", 2)
    except SacValueError as error:
        return _fail(str(error), 2)
    except SacError as error:
        return _fail(str(error), 1)
    except ImportError as error:
        return _fail(_missing(error, words), 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 1)
    except SystemExit as ended:
        # rich ends the program when the reader of our output went away.
        return int(ended.code or 0)
    except BrokenPipeError:
        # The process that reads our output has exited, as in `| head`.
        sys.stdout = cast(Any, None)
        return 1
    except MemoryError:
        return _fail("out of memory", 1)
    except OSError as error:
        return _fail(f"{error.filename or 'system'}: {error.strerror or error}", 1)
    except Exception as error:
        if isinstance(error, RuntimeError) and "new thread" in str(error):
            return _fail(f"out of memory or threads: {error}", 1)
        # VapourSynth raises errors of its filters, at any frame, as an exception type of its own.
        if type(error).__module__.partition(".")[0] != "vapoursynth":
            raise
        if ours := error_of_filter(error):
            return _fail(str(ours), 2 if isinstance(ours, SacValueError) else 1)
        # If Python code fails at a frame, VapourSynth passes on the whole traceback. Its last line is the actual error.
        text = str(error).strip()
        last = text.splitlines()[-1].strip() if "Traceback (most recent call last)" in text else text
        # A decoder could not start its threads.
        whose = "out of memory or threads" if "BlockingIOError" in last else "VapourSynth"
        return _fail(f"{whose}: {last}", 1)
    finally:
        stop_logging()
        if pool := sys.modules.get("vs_sac.encoders.worker_pool"):
            # Workers that no encode has taken, because it failed earlier.
            pool.command_line_workers.close()
    return 1 if _damaged else 0


def _unknown(word: str) -> str:
    """What to say about a first word that is no command; cyclopts would import every command to suggest one."""
    if near := get_close_matches(word, COMMANDS, n=1):
        hint = f"did you mean {near[0]}?"
    elif "." in word or "/" in word:
        hint = "give a command first, for example: vs-sac encode SOURCE -o OUT.mkv"
    else:
        hint = f"commands: {', '.join(COMMANDS)}"
    return f"unknown command {word!r}; {hint} (see vs-sac --help)"


def _missing(error: ImportError, words: list[str]) -> str:
    """What to say about a package that a command needs and that is not installed."""
    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    name = (cause.name or "").partition(".")[0] if isinstance(cause, ModuleNotFoundError) else ""
    if not name:
        # What the loader says of a library for which there is no memory.
        return f"out of memory: {cause}" if "map segment" in str(cause) else str(cause)
    extra = _EXTRAS.get(words[0]) if words else None
    return f"{name} is not installed; get it with: pip install {f"'vs-sac[{extra}]'" if extra else name}"


def _fail(message: str, code: int) -> int:
    fail(f"vs-sac: {' '.join(message.split())}")
    return code


def _warn(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
    text = f"warning: {message}"
    if issubclass(category, SacDamageWarning):
        # It decides the exit code, so it is printed as errors are.
        _damaged.append(_fail(text, 1))
    elif issubclass(category, SacWarning):
        note(f"vs-sac: {' '.join(text.split())}", logging.WARNING)


#: Damage that warnings have reported: the results are written, but the run does not count as a success.
_damaged: list[int] = []


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    # Only once: a second signal would interrupt the clean-up after the first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    raise KeyboardInterrupt


#: Seconds until a lost interrupt is raised again.
_AGAIN = 0.02


def _interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """Raise a lost KeyboardInterrupt again. One that occurs in a destructor or callback would only be printed."""
    if lost.exc_type is KeyboardInterrupt:
        # Raised later, because a signal that is sent now is handled before this function returns and would be lost too.
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
    else:
        sys.__unraisablehook__(lost)
