"""Repeat the paper's experiments and write the tables and figures of docs/results.md.

    python benchmarks/results.py --data ../shared/data --store runs/results

Every result is made once and kept in the store, so the command can be interrupted and started again. With
``--finished`` nothing is run and the results that exist are written; missing results are shown as a dash and counted.
The command replaces only the text between the ``<!-- name -->`` marks of the page.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vs_sac.core.choices import Codec
from vs_sac.core.clips import set_cache_limit
from vs_sac.experiments.artefacts import find_artefacts
from vs_sac.experiments.compare import Study, compare
from vs_sac.experiments.footage import find_footage
from vs_sac.experiments.method_run import Settings
from vs_sac.experiments.methods import Method, ladder, matched, uniform_anchors
from vs_sac.experiments.reproduce import paper_table, plan
from vs_sac.experiments.rows import bd_table, flat_rows, gains, pooled, summary
from vs_sac.experiments.store import Store
from vs_sac.experiments.table import Column, Table
from vs_sac.report import figures
from vs_sac.report.pictures import Scene, scenes

DOCS = Path(__file__).resolve().parent.parent / "docs"

#: The network in single precision, so that the figures do not depend on the kind of processor.
MODEL = "ccnet-lite"

GAINS = (
    Column("method", "method"), Column("against", "at the bytes of"), Column("psnr_roi", "ROI dB", 2, sign=True),
    Column("psnr_non_roi", "non-ROI dB", 2, sign=True), Column("psnr_ring", "ring dB", 2, sign=True),
    Column("sa_psnr", "SA-PSNR fair dB", 2, sign=True),
    Column("paper_sa_psnr", "SA-PSNR paper's way dB", 2, sign=True),
    Column("paper_masked_sa_psnr", "masked alike dB", 2, sign=True), Column("miou", "mIoU", 4, sign=True),
    Column("match_error", "size difference", 2, sign=True, percent=True),
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A part of the page: the footage, the methods and the tables that are written."""

    name: str
    inputs: tuple[str, ...]
    methods: tuple[Method, ...]
    frames: int
    tables: tuple[str, ...]


def parts(frames: int) -> list[Part]:
    """All parts of the page, the cheapest first; the large clips are cut to `frames`."""
    equal_bytes = (*uniform_anchors(), *matched())
    return [
        Part("camvid", ("camvid:{data}/camvid:val",), (*plan("table2"), *ladder((Codec.X264,))), 101, ("table2",)),
        Part("kitti-step", ("kitti-step:{data}/kitti_step_mini:train",), tuple(plan("table3")), 30, ("table3",)),
        Part("cityscapes", ("cityscapes-sequence:{data}/cityscapes_mini:train",),
             (*plan("table2"), *plan("table4", curves=False)), frames, ("table2", "table4")),
        Part("clips", ("{data}/clips/vd_test_small1.mp4", "{data}/clips/udacity_solidWhiteRight.mp4"),
             equal_bytes, frames, ()),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--store", type=Path, default=Path("runs/results"))
    parser.add_argument("--frames", type=int, default=30, help="frames of each of the larger clips")
    parser.add_argument("--finished", action="store_true")
    parser.add_argument("--only", help="name of one part")
    arguments = parser.parse_args()
    set_cache_limit(512, give_back=False)
    store = Store(arguments.store)
    write("command", "```sh\npython benchmarks/results.py --data ../shared/data --store runs/results"
          f" --frames {arguments.frames}\n```")  # fmt: skip
    missing = 0
    for part in parts(arguments.frames):
        if arguments.only in (None, part.name):
            missing += run(part, arguments.data, store, finished=arguments.finished)
    return 1 if missing else 0


def run(part: Part, data: str, store: Store, *, finished: bool) -> int:
    """Make the results of a part and write its tables and figures; return the number of missing results."""
    footage = [item for text in part.inputs for item in find_footage(text.format(data=data), frames=part.frames)]
    settings = Settings(masks=MODEL, models=(MODEL,))

    def study(methods: list[Method], *, finished: bool) -> Study:
        return compare(footage, methods, settings, store, finished=finished, progress=tell(part.name))

    if not finished:
        # One codec after the other, so that an interrupted run has complete tables of the faster one.
        for codec in Codec:
            study([method for method in part.methods if method.codec is codec], finished=False)
    found = study(list(part.methods), finished=True)
    rows = flat_rows(found)
    texts = [paper_table(table, found).to_markdown() for table in part.tables if found.results]
    equal = gains(rows)
    if equal:
        texts.append(Table("Gain at equal bytes, mean over the clips", GAINS, tuple(equal)).to_markdown())
        texts.append(f"{summary(rows)}\n")
    if bd := bd_table(rows):
        texts.append(bd.to_markdown())
    if found.failures:
        texts.append(f"{len(found.failures)} of {len(found.failures) + len(found.results)} results of this part are"
                     " missing; rows that need them show dashes or are left out.\n")  # fmt: skip
    write(part.name, "\n".join(texts) or "Not run yet.\n")
    draw(part, found, store, rows)
    return len(found.failures)


def draw(part: Part, found: Study, store: Store, rows: list[dict[str, Any]]) -> None:
    """Draw the figures of a part."""
    pictures = []
    if part.name == "camvid" and rows:
        caption = "Quality and segmentation accuracy over rate, CamVid; each line joins encodes of one CRF distance"
        pictures.append((caption, "curves.png", partial(figures.draw_curves, pooled(rows))))
    if part.name == "cityscapes":
        for scene in scenes(found, store)[:1]:
            pictures += of_scene(scene, store)
    (DOCS / "results").mkdir(exist_ok=True)
    shown = []
    for caption, kind, make in pictures:
        out = DOCS / "results" / f"{part.name}-{kind}"
        make(out)
        shown.append(f"![{caption}](results/{out.name})\n\n*{caption}*\n")
    if shown:
        write(f"{part.name}-figures", "\n".join(shown))


def of_scene(scene: Scene, store: Store) -> list[tuple[str, str, Callable[[Path], object]]]:
    """The figures of a clip, the paper's and our own: caption, file name and drawing function."""
    flashes = find_artefacts(scene.prepared.clip, scene.prepared.grid, store.root / "encodes", scene.name)
    write("artefacts", flashes.table.to_markdown())
    number, maps = scene.number, figures.bits_maps(scene, store)
    return [
        (f"Counterpart of the paper's Fig. 6: {scene.name}", "fig6.jpg", partial(figures.draw_overview, scene)),
        ("Counterpart of Fig. 7: two decoded streams, added and selected by mask", "fig7.png",
         partial(figures.draw_flashes, flashes, scene)),
        (f"Counterpart of Fig. 8: the sharpest detail of the ROI, frame {number}", "fig8.jpg",
         partial(figures.draw_details, scene)),
        (f"Counterpart of Fig. 9: segmentation by {MODEL}, frame {number}", "fig9.jpg",
         partial(figures.draw_segmentations, scene, MODEL)),
        ("PSNR of every frame at equal bytes", "frames.png", partial(figures.draw_strips, scene)),
        (f"Estimated distribution of the bits of frame {number}", "bits.png", partial(figures.draw_bits, scene, maps)),
    ]  # fmt: skip


def write(name: str, text: str) -> None:
    """Replace the text between the marks of a name."""
    page = DOCS / "results.md"
    marked = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(\n<!-- end -->)", re.DOTALL)
    content, count = marked.subn(lambda match: f"{match[1]}{text.rstrip()}{match[2]}", page.read_text())
    if count != 1:
        raise SystemExit(f"docs/results.md has {count} places for {name}")
    page.write_text(content)


def tell(name: str) -> Callable[[float, str], None]:
    """Report the progress on stderr."""
    width = shutil.get_terminal_size().columns - 1

    def progress(share: float, text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{f'{name} {share:4.0%} {text}'[:width]:<{width}}", end="", file=sys.stderr, flush=True)

    return progress


if __name__ == "__main__":
    sys.exit(main())
