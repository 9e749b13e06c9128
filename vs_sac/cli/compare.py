"""The commands ``vs-sac compare`` and ``vs-sac reproduce``."""

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..core.choices import BlockMap, Codec, Mode
from ..core.clips import set_cache_limit
from ..core.errors import SacError, SacValueError
from ..core.outputs import workspace
from ..experiments.compare import JOBS, Failure, Study
from ..experiments.compare import compare as run_study
from ..experiments.footage import Footage, dataset_footage, find_footage
from ..experiments.method_run import Settings
from ..experiments.methods import Method, Variants, compare_plan
from ..experiments.perception_tables import perception_tables
from ..experiments.reproduce import paper_table, plan
from ..experiments.rows import bd_table, comparison, flat_rows, pooled, summary
from ..experiments.store import Store
from ..experiments.table import Table
from ..experiments.times import time_table
from ..segmentation.registry import DEFAULT_MODEL
from ..source.datasets import DatasetKind
from .console import LINE_SECONDS, fail, messages, results

__all__ = ["compare", "reproduce", "share_bar", "write_table"]

_WHAT = Group("Comparison")
_MASKS = Group("Region of interest (ROI)")
_FILES = Group("Files")

#: Ends of the names of tables with a row for every encode, which are written and not printed.
_ONLY_WRITTEN = ("-clips", "-scores")


@dataclass(frozen=True, kw_only=True)
class StudyArguments:
    """Options that `compare` and `reproduce` have in common.

    Attributes:
        codec: x264, x265 or both. [default: both]
        frames: Use only this many frames from the start of each clip.
        preset: Encoder preset.
        model: Networks that segment the reconstruction, by name or as .onnx files. Can be given several times.
            [default: ccnet-lite-int8]
        map: Maps of QP offsets that single streams are coded with: roi, tiers, task. Can be given several times; for
            "reproduce", with table4. [default: roi]
        coded_size: Sizes in which the picture is coded: native, 1/2 or WxH such as 1024x512. Can be given several
            times; for "reproduce", with table4. [default: native]
        judge: Networks, by name or as .onnx files, whose card names their classes. What they see in the reconstruction
            is compared with what they see in the source, and with the labels. They should not be the network that makes
            the masks. Can be given several times; for "reproduce", with table4. [default: none]
        judge_frames: Number of frames of each clip that a judge sees, evenly spread.
        masks: Network that makes the masks and maps, or "labels" to make the masks from the labels of a dataset.
        jobs: Number of encodes that run at the same time; "reproduce timing" runs one.
        force: Ignore earlier results and compute everything again.
    """

    codec: Annotated[tuple[Codec, ...] | None, Parameter(negative="", group=_WHAT)] = None
    frames: Annotated[int | None, Parameter(group=_WHAT)] = None
    preset: Annotated[str, Parameter(group=_WHAT)] = "medium"
    model: Annotated[tuple[str, ...] | None, Parameter(negative="", group=_WHAT)] = None
    map: Annotated[tuple[BlockMap, ...] | None, Parameter(negative="", group=_WHAT)] = None
    coded_size: Annotated[tuple[str, ...] | None, Parameter(negative="", group=_WHAT)] = None
    judge: Annotated[tuple[str, ...] | None, Parameter(negative="", group=_WHAT)] = None
    judge_frames: Annotated[int, Parameter(group=_WHAT)] = 10
    masks: Annotated[str, Parameter(group=_MASKS)] = DEFAULT_MODEL
    jobs: Annotated[int, Parameter(group=_FILES)] = JOBS
    force: Annotated[bool, Parameter(negative="", group=_FILES)] = False

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """The requested encoders."""
        return self.codec or tuple(Codec)

    @property
    def variants(self) -> Variants:
        """The requested maps and coded sizes."""
        return Variants.of(self.map, self.coded_size)

    def settings(self, encoder_args: str = "") -> Settings:
        """The settings of all runs."""
        return Settings(preset=self.preset, masks=None if self.masks == "labels" else self.masks,
                        encoder_args=encoder_args, models=self.model or (DEFAULT_MODEL,), judges=self.judge or (),
                        judge_frames=self.judge_frames)  # fmt: skip


_STUDY = StudyArguments()


def compare(
    inputs: list[str],
    /,
    *,
    report: Annotated[Path, Parameter(group=_FILES)],
    study: Annotated[StudyArguments, Parameter(name="*")] = _STUDY,
    mode: Annotated[list[Mode] | None, Parameter(negative="", group=_WHAT)] = None,
    ladder: Annotated[bool, Parameter(negative="", group=_WHAT)] = False,
    fps: Annotated[str | None, Parameter(group=_WHAT)] = None,
    encoder_args: Annotated[str, Parameter(group=_WHAT, allow_leading_hyphen=True)] = "",
) -> None:
    """Compare uniform and semantic-aware coding on your own footage, and write a report for a browser.

    The methods are H.264, SA-X264, H.265 and SA-X265, in two streams and in one, at the paper's CRFs and at equal
    bytes. Every result is stored in DIR/results and computed only once, so an interrupted run continues where it
    stopped.

    Needs the extra "report": pip install 'vs-sac[report]'.

    Example: vs-sac compare drive1.mp4 drive2.mp4 --report out

    Args:
        inputs: Videos, folders of images, printf patterns, or KIND:ROOT[:SPLIT] for all sequences of a dataset, with
            its labels (kinds: camvid, camvid-colour, cityscapes-sequence, kitti-step and others, see "train --help").
        report: Output folder DIR. It gets report.html and figures/, results/ (JSON), tables as .md, .csv and .json, and
            encodes/.
        study: What is coded, with which encoders and networks.
        mode: two-stream, single-stream or both. [default: both]
        ladder: Add encodes down to a compression of about 1:2000, for rate curves and BD-rates.
        fps: Frame rate of image sequences that do not belong to a dataset. [default: 25]
        encoder_args: Further options for every encoder.
    """
    # Not at the end of hours of work.
    from ..report.page import write_report

    methods = compare_plan(study.codecs, tuple(mode or Mode), study.variants, curves=ladder)
    failures: list[Failure] = []
    footage: list[Footage] = []
    for text in inputs:
        try:
            footage += find_footage(text, frames=study.frames, fps=fps)
        except SacValueError:
            raise
        except SacError as error:
            failures.append(Failure(text, None, str(error)))
    store = Store(report, force=study.force)
    made = _run_study(footage, methods, study.settings(encoder_args), store, study.jobs, failures)
    if made.results:
        rows = flat_rows(made)
        tables = {
            "pooled": comparison(pooled(rows), "Mean over all clips" if len(made.clips()) > 1 else made.clips()[0]),
            "clips": comparison(rows, "By clip"),
        }
        if bd := bd_table(rows):
            tables["bd-rate"] = bd
        seen = perception_tables(made.results)
        tables |= seen
        for name, table in tables.items():
            write_table(table, report / name)
        results.print(tables["pooled"].to_markdown(), markup=False)
        for name in (name for name in seen if not name.endswith(_ONLY_WRITTEN)):
            results.print(seen[name].to_markdown(), markup=False)
        results.print(summary(rows), markup=False)
        page = write_report(made, store, command=shlex.join(["vs-sac", *sys.argv[1:]]), perception=seen)
        results.print(f"\n{page}", markup=False)
    _raise_for(made.failures)


def reproduce(
    table: Literal["table2", "table3", "table4", "timing"],
    /,
    *,
    dataset: Annotated[DatasetKind, Parameter(group=_WHAT)],
    root: Annotated[Path, Parameter(group=_WHAT)],
    split: Annotated[str, Parameter(group=_WHAT)] = "train",
    output: Annotated[Path, Parameter(name=("-o", "--output"), group=_FILES)] = Path("reproduction"),
    curves: Annotated[bool, Parameter(group=_WHAT)] = True,
    study: Annotated[StudyArguments, Parameter(name="*")] = _STUDY,
) -> None:
    """Run an experiment of the paper on a dataset, and print the paper's rows next to ours.

    table2 measures quality on Cityscapes, table3 quality on KITTI-STEP, table4 how well a network segments the
    reconstruction, and timing the seconds per frame (Sec. V). Each experiment accepts any dataset.

    Example: vs-sac reproduce table2 --dataset cityscapes-sequence --root cityscapes --split val -o paper

    Args:
        table: Experiment to run.
        dataset: Layout of the data: cityscapes-sequence, kitti-step, camvid, camvid-colour and others.
        root: Folder of the dataset.
        split: For example train or val. train/PATTERN selects only images whose path ends with PATTERN.
        output: Folder for the tables as .md, .csv and .json, and for results/ and encodes/, which are reused.
        curves: For table4, also make rate curves down to a compression of about 1:2000, and BD-rates.
        study: What is coded, with which encoders and networks.
    """
    if table != "table4" and (study.map or study.coded_size or study.judge):
        raise SacValueError(f"--map, --coded-size and --judge belong to table4, not to {table}", "reproduce")
    variants = study.variants
    footage = dataset_footage(dataset, root, split, frames=study.frames)
    store, settings = Store(output, force=study.force), study.settings()
    if table == "timing":
        set_cache_limit(256, give_back=False)
        clips = [(item.name, item.open()) for item in footage]
        with share_bar() as progress:
            timed = time_table(clips, settings.models[0], output / "encodes", progress, study.codecs)
        write_table(timed, output / table)
        results.print(timed.to_markdown(), markup=False)
        return
    methods = [method for method in plan(table, curves=curves, variants=variants) if method.codec in study.codecs]
    made = _run_study(footage, methods, settings, store, study.jobs, [])
    if made.results:
        tables: dict[str, Table] = {table: paper_table(table, made)}
        if table == "table4":
            rows = flat_rows(made)
            others = {m: f"{table}-{Path(m).stem}" for m in settings.models[1:]}
            tables |= {name: paper_table(table, made, Path(m).stem) for m, name in others.items()}
            tables[f"{table}-clips"] = comparison(rows, "By clip")
            if bd := bd_table(rows, "BD-rate against uniform, mIoU included"):
                tables[f"{table}-bd-rate"] = bd
            tables |= {f"{table}-{name}": seen for name, seen in perception_tables(made.results).items()}
        for name, content in tables.items():
            write_table(content, output / name)
            if not name.endswith(_ONLY_WRITTEN):
                results.print(content.to_markdown(), markup=False)
    _raise_for(made.failures)


def _run_study(
    footage: list[Footage], methods: list[Method], settings: Settings, store: Store, jobs: int, failures: list[Failure]
) -> Study:
    if jobs < 1:
        raise SacValueError(f"--jobs {jobs} must be at least 1", "compare")
    set_cache_limit(256 * jobs, give_back=False)
    with share_bar() as progress:
        study = run_study(footage, methods, settings, store, jobs=jobs, progress=progress)
    study.failures[:0] = failures
    return study


def _raise_for(failures: list[Failure]) -> None:
    if not failures:
        return
    for failure in failures:
        fail(f"{failure.clip}{f', {failure.method}' if failure.method else ''}: {failure.message}")
    raise SacError(f"{len(failures)} of the clips or encodes failed, see above; all others are done", "compare")


def write_table(table: Table, path: Path) -> None:
    """Write a table as Markdown, CSV and JSON. Existing files are replaced, because they are derived from results."""
    for suffix, text in ((".md", table.to_markdown()), (".csv", table.to_csv()), (".json", table.to_json())):
        with workspace(path.with_suffix(suffix), force=True, func="compare") as work:
            work.result.write_text(text)


@contextlib.contextmanager
def share_bar() -> Iterator[Callable[[float, str], None]]:
    """One progress bar for the whole study on stderr. If stderr is not a terminal, a line every 15 s."""
    if messages.quiet:
        yield lambda share, text: None
        return
    if not messages.is_terminal:
        last = time.monotonic()

        def tell(share: float, text: str) -> None:
            nonlocal last
            if time.monotonic() - last > LINE_SECONDS:
                last = time.monotonic()
                messages.print(f"{share:4.0%} {text}", markup=False)

        yield tell
        return
    columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
               TextColumn("{task.description}", markup=False))  # fmt: skip
    with Progress(*columns, console=messages, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share, text: bar.update(task, completed=share, description=text)
