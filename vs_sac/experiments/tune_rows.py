"""What `tune` found, for people: the table of candidates, one sentence, and the comments of the profile."""

from typing import Any

from .. import __version__
from ..core.choices import BlockMap
from .provenance import file_sha256
from .table import Column, Table
from .tune import Tuning
from .tuning import BASELINE, Goal, Outcome, Trial

__all__ = ["candidate_table", "held_out_table", "profile_comments", "tuned_sentence"]

_COLUMNS = (
    Column("size", "size"), Column("map", "map"), Column("strength", "strength", 1), Column("crf", "CRF", 1),
    Column("bytes", "bytes"), Column("ratio", "of uniform", 1, percent=True),
    Column("all", "agreement", 3, note="Mean IoU over all classes that occur"),
    Column("lowest", "lowest 5 %", 3, note="Mean over the 5 % of the frames with the lowest mean IoU"),
    Column("reached", "goal"),
)  # fmt: skip
_HELD_COLUMNS = (
    Column("encode", "encode"), Column("crf", "CRF", 1), Column("bytes", "bytes"),
    Column("ratio", "of uniform", 1, percent=True), Column("all", "agreement", 3), Column("lowest", "lowest 5 %", 3),
)  # fmt: skip


def candidate_table(tuning: Tuning) -> Table:
    """The uniform encode and every candidate; of one that was left out early, what its trials let expect."""
    rows = [{"size": "native", "map": "uniform", **_row(tuning.uniform, tuning.uniform.bytes), "reached": "is the goal"
             if tuning.settings.like_crf is not None else "reached"}]  # fmt: skip
    for outcome in tuning.outcomes:
        candidate = outcome.candidate
        if candidate == BASELINE or not outcome.trials:
            continue
        if outcome.best and not outcome.dropped:
            row = _row(outcome.best, tuning.uniform.bytes)
            row["reached"] = "chosen" if outcome is tuning.best else "reached"
        else:
            crf, size = outcome.estimate or (None, None)
            row = {"crf": crf, "bytes": size, "ratio": size / tuning.uniform.bytes if size else None,
                   "reached": "left out, estimated" if outcome.dropped else "missed"}  # fmt: skip
        rows.append({
            "size": candidate.size, "map": str(candidate.map or "uniform"),
            "strength": candidate.strength if candidate.map is BlockMap.TASK else None, **row,
        })  # fmt: skip
    rows[1:] = sorted(rows[1:], key=lambda row: (row["reached"] == "missed", row["bytes"] or 0))
    return Table(
        f"Agreement of {tuning.model.name} on {tuning.frames} frames of {', '.join(tuning.names)}", _COLUMNS,
        tuple(rows),
        (f"Goal: {tuning.goal.all:.3f}, and {tuning.goal.lowest:.3f} in the lowest 5 % of the frames. Candidates that"
         " were left out need more bytes; their CRF and bytes are read from the curve through their trials.",),
    )  # fmt: skip


def held_out_table(tuning: Tuning) -> Table | None:
    """The uniform encode and the profile on footage that was held out; None if there was none."""
    if (check := tuning.check) is None:
        return None
    return Table(
        f"Held out: {check.frames} frames of {', '.join(dict.fromkeys(check.names))}", _HELD_COLUMNS,
        ({"encode": "uniform", **_row(check.uniform, check.uniform.bytes)},
         {"encode": "profile", **_row(check.tuned, check.uniform.bytes)}),
    )  # fmt: skip


def tuned_sentence(tuning: Tuning) -> str:
    """The result in a sentence."""
    best, chosen = _reached(tuning.best), tuning.best.candidate
    text = (
        f"The choice is {chosen.label} at CRF {best.crf:g}: {_share(best, tuning.uniform)} of the bytes of the uniform"
        f" encode at CRF {tuning.uniform.crf:g}, with at least the wanted agreement"
    )
    if (check := tuning.check) is None:
        return f"{text}; nothing was held out to check this."
    goal = Goal(check.uniform.all, check.uniform.lowest)
    short = "" if check.tuned.margin(goal) >= 0 else " This is less than the uniform encode; tune on more footage."
    return (
        f"{text}. On {check.frames} frames held out, it needs {_share(check.tuned, check.uniform)} and agrees by"
        f" {check.tuned.all:.3f} (uniform {check.uniform.all:.3f}), in the lowest frames by {check.tuned.lowest:.3f}"
        f" ({check.uniform.lowest:.3f}).{short}"
    )


def profile_comments(tuning: Tuning) -> list[str]:
    """What a profile was tuned on, and what it reached."""
    best, settings = _reached(tuning.best), tuning.settings
    goal = f"like a uniform encode at CRF {settings.like_crf:g}" if settings.like_crf is not None else "as given"
    lines = [
        f"Written by vs-sac {__version__} tune, for: vs-sac encode --profile FILE",
        f"footage: {', '.join(tuning.names)}; {tuning.frames} frames judged",
        f"network: {tuning.model.name}, SHA-256 {file_sha256(tuning.model.path)}",
        f"goal: agreement {tuning.goal.all:.4f}, lowest 5 % of the frames {tuning.goal.lowest:.4f} ({goal})",
        f"reached: {best.all:.4f}, {best.lowest:.4f}, with {_share(best, tuning.uniform)} of the bytes of a"
        f" uniform encode at CRF {tuning.uniform.crf:g}",
    ]
    if check := tuning.check:
        lines.append(
            f"held out: {check.tuned.all:.4f}, {check.tuned.lowest:.4f} (uniform {check.uniform.all:.4f},"
            f" {check.uniform.lowest:.4f}), with {_share(check.tuned, check.uniform)} of the bytes"
        )
    if tuning.best.candidate.size == "auto":
        lines.append("coded_size: the size in which the network reads this footage")
    return lines


def _reached(outcome: Outcome) -> Trial:
    assert outcome.best is not None, "the chosen candidate reaches the goal"
    return outcome.best


def _share(trial: Trial, of: Trial) -> str:
    return f"{trial.bytes / of.bytes:.0%}".replace("%", " %")


def _row(trial: Trial, uniform: int) -> dict[str, Any]:
    return {"crf": trial.crf, "bytes": trial.bytes, "ratio": trial.bytes / uniform, "all": trial.all,
            "lowest": trial.lowest}  # fmt: skip
