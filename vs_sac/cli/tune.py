"""The command ``vs-sac tune``."""

import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from ..core.choices import Codec
from ..core.clips import set_cache_limit
from ..core.errors import SacValueError
from ..core.outputs import check_outputs
from ..experiments.coded_sizes import SIZES
from ..experiments.footage import Footage, find_footage
from ..experiments.store import Store
from ..experiments.tune import TuneSettings
from ..experiments.tune import tune as run_tuning
from ..experiments.tune_rows import candidate_table, held_out_table, profile_comments, tuned_sentence
from ..pipeline.profile import write_profile
from .compare import share_bar, write_table
from .console import results, summary

__all__ = ["tune"]

_GOAL = Group("Goal")
_WHAT = Group("Candidates")
_FOOTAGE = Group("Footage")
_FILES = Group("Files")


@dataclass(frozen=True, kw_only=True)
class FootageArguments:
    """Which frames are used and judged.

    Attributes:
        frames: Use at most this many frames from the start of each clip.
        judge_frames: Judge at most this many frames of each clip, evenly spread.
        holdout: Footage that is not used for the choice but for its check. Can be given several times. [default: the
            last third of every clip]
        fps: Frame rate of image sequences that do not belong to a dataset. [default: 25]
    """

    frames: int = 300
    judge_frames: int = 60
    holdout: Annotated[tuple[str, ...] | None, Parameter(negative="")] = None
    fps: str | None = None

    def find(self, words: Iterable[str]) -> list[Footage]:
        """The footage that arguments name."""
        if self.frames < 1:
            raise SacValueError(f"frames {self.frames}; accepted: from 1", "tune")
        return [item for text in words for item in find_footage(text, frames=self.frames, fps=self.fps)]


@dataclass(frozen=True, kw_only=True)
class CandidateArguments:
    """What is tried.

    Attributes:
        codec: Encoder.
        preset: Encoder preset.
        sizes: Coded sizes to try: native, a fraction of both sides, auto (the size in which the network reads), or
            WIDTHxHEIGHT. Sizes that are not below the source, or far below what the network reads, are left out.
        strengths: Factors of the importance map's QP offsets to try.
    """

    codec: Codec = Codec.X264
    preset: str = "medium"
    sizes: str = ",".join(SIZES)
    strengths: str = "0.5,1"


_MATERIAL, _TRIED = FootageArguments(), CandidateArguments()


def tune(
    inputs: list[str],
    /,
    *,
    task_model: Annotated[str, Parameter(group=_GOAL)],
    like_crf: Annotated[float | None, Parameter(group=_GOAL)] = None,
    agree: Annotated[float | None, Parameter(group=_GOAL)] = None,
    candidates: Annotated[CandidateArguments, Parameter(name="*", group=_WHAT)] = _TRIED,
    material: Annotated[FootageArguments, Parameter(name="*", group=_FOOTAGE)] = _MATERIAL,
    output: Annotated[Path, Parameter(name=("-o", "--output"), group=_FILES)] = Path("profile.toml"),
    report: Annotated[Path | None, Parameter(group=_FILES)] = None,
    force: Annotated[bool, Parameter(negative="", group=_FILES)] = False,
) -> None:
    """Find the settings with which a perception network needs the fewest bytes, and write them as a profile.

    Your footage is coded in several sizes and with several maps. Your network judges the decoded video: its output
    there is compared with its output on the source, so no labels are needed. The chosen settings have the fewest bytes
    among those that agree as well as a uniform encode at a CRF (--like-crf), or by a mean IoU (--agree), over all
    classes that occur and in the lowest 5 % of the frames. The profile is for "encode --profile".

    Every encode is made once and kept, so an interrupted run continues where it stopped.

    Needs the extra "report": pip install 'vs-sac[report]'.

    Example: vs-sac tune drive1.mp4 drive2.mp4 --task-model street --like-crf 28 -o front.toml

    Args:
        inputs: Videos, folders of images, printf patterns, or KIND:ROOT[:SPLIT] for all sequences of a dataset.
        task_model: The network that judges, as "add-model" prepares it: its name, or the path of an .onnx file.
        like_crf: Agree as well as a uniform encode of the source's size at this CRF, 1-51.
        agree: Agree by this mean IoU, above 0 and below 1.
        candidates: What is tried.
        material: Which frames are used and judged.
        output: The profile to write.
        report: Folder for tune.html, the tables and the kept results. [default: a folder beside the profile, such as
            profile.tune]
        force: Overwrite an existing profile. Kept results are used all the same.
    """
    # Not at the end of hours of work.
    from ..report.tuning import write_tuning_page

    settings = TuneSettings(
        task_model=task_model, like_crf=like_crf, agree=agree, codec=candidates.codec, preset=candidates.preset,
        sizes=_words(candidates.sizes), strengths=_numbers(candidates.strengths), judge_frames=material.judge_frames,
    )  # fmt: skip
    read = {"inputs": [*inputs, *(material.holdout or ())], "task_model": task_model}
    check_outputs({"output": output}, read, force=force, func="tune")
    footage, held = material.find(inputs), material.find(material.holdout or ())
    folder = report or output.with_suffix(".tune")
    store = Store(folder)
    set_cache_limit(256, give_back=False)
    with share_bar() as progress:
        tuning = run_tuning(footage, settings, store, holdout=held, progress=progress)
    write_profile(output, tuning.options, profile_comments(tuning), force=force)
    table, check = candidate_table(tuning), held_out_table(tuning)
    for name, made in (("tune", table), ("held-out", check)):
        if made:
            write_table(made, folder / name)
            results.print(made.to_markdown(), markup=False)
    results.print(tuned_sentence(tuning), markup=False)
    write_tuning_page(tuning, folder / "tune.html", profile=output, command=shlex.join(["vs-sac", *sys.argv[1:]]))
    summary(f"{output}, {folder / 'tune.html'}")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in _words(text))
    except ValueError:
        raise SacValueError(
            f"strengths {text!r}; accepted: numbers separated by commas, such as 0.5,1", "tune"
        ) from None
