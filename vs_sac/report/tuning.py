"""The page of `tune`: one self-contained HTML file with curves, tables and the profile."""

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from .. import __version__
from ..core.outputs import workspace
from ..experiments.provenance import encoder_versions
from ..experiments.tune import Tuning
from ..experiments.tune_rows import candidate_table, held_out_table, profile_comments, tuned_sentence
from ..experiments.tuning import BASELINE, Outcome, Trial
from ..pipeline.profile import profile_text
from .figures import STYLE, save_figure
from .page import asset, environment, file_uri

__all__ = ["draw_agreement", "write_tuning_page"]

#: Number of candidates beside the uniform encode that are drawn, and their colours (after Okabe and Ito).
_COLOURS = ("#0a7bc2", "#d55e00", "#009e73", "#cc79a7")
_UNIFORM = "#767b84"


def write_tuning_page(tuning: Tuning, out: Path, *, profile: Path, command: str) -> None:
    """Write the page.

    Args:
        tuning: Result of `tune`.
        out: The HTML file to write. The figure is written beside it. Both replace older ones.
        profile: The profile, which the page names.
        command: The command line, for people who want to repeat the run.

    Raises:
        SacError: A file cannot be written.
    """
    figure = out.with_name(f"{out.stem}-curves.png")
    draw_agreement(tuning, figure)
    settings = tuning.settings
    text = environment().get_template("tuning.html.j2").render(
        tuning=tuning, summary=tuned_sentence(tuning), curves=file_uri(figure),
        facts=[f"{len(set(tuning.names))} clip{'s' * (len(set(tuning.names)) > 1)}, {tuning.frames} frames judged",
               f"{tuning.encodes} settings tried", f"{settings.codec}, preset {settings.preset}"],
        candidates=candidate_table(tuning), held_out=held_out_table(tuning), profile=shlex.quote(str(profile)),
        text=profile_text(tuning.options, profile_comments(tuning)), command=command,
        versions={"vs-sac": __version__, **encoder_versions()}, date=time.strftime("%Y-%m-%d"), style=asset("page.css"),
    )  # fmt: skip
    with workspace(out, force=True, func="tune") as work:
        work.result.write_text(text)


def draw_agreement(tuning: Tuning, out: Path) -> None:
    """Draw agreement over bytes: of the uniform encode, and of the candidates with the fewest bytes at the goal."""
    drawn = [outcome for outcome in tuning.outcomes if outcome.candidate == BASELINE]
    others = [outcome for outcome in tuning.outcomes if outcome.candidate != BASELINE and len(outcome.trials) > 1]
    with matplotlib.rc_context(STYLE):
        figure = Figure((9.0, 3.6), layout="constrained")
        for axes, (key, name) in zip(
            figure.subplots(1, 2), (("all", "all frames"), ("lowest", "lowest 5 % of the frames")), strict=True
        ):
            colours = (_UNIFORM, *_COLOURS)
            for outcome, colour in zip([*drawn, *others][: len(colours)], colours, strict=False):
                points = _points(outcome.trials, key)
                axes.plot(*zip(*points, strict=True), color=colour, marker="o", ms=3.5, lw=1.3, label=_label(outcome))
                if outcome is tuning.best and outcome.best:
                    chosen = outcome.best
                    axes.plot(chosen.bytes, getattr(chosen, key), color=colour, marker="o", ms=9, mfc="none", ls="")
            axes.axhline(getattr(tuning.goal, key), color=_UNIFORM, lw=0.8, ls="--")
            axes.set(xscale="log", xlabel="bytes", title=f"Agreement (mean IoU), {name}")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.grid(alpha=0.3, which="both")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False)
        save_figure(figure, out)


def _points(trials: Sequence[Trial], key: str) -> list[tuple[int, float]]:
    return sorted((trial.bytes, getattr(trial, key)) for trial in trials)


def _label(outcome: Outcome) -> str:
    return "uniform" if outcome.candidate == BASELINE else outcome.candidate.label
