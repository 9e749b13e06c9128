"""Seconds per frame of every step (paper Sec. V)."""

import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import vapoursynth as vs

from .. import pipeline
from ..core.choices import Codec, Mode
from ..segmentation.network import segment
from .methods import ANCHOR, uniform
from .paper import TIMES
from .table import Column, Table

__all__ = ["time_table"]

#: Our name of a step → the paper's name.
_PRINTED = {
    "segmentation": "segmentation",
    "H.265 (encoder of two-stream), encode": "H.265",
    "SA-X265 two-stream, encode": "SA-X265, both streams coded and decoded",
    "SA-X265 two-stream, encode with segmentation": "SA-X265 with segmentation",
}


def time_table(
    clips: Sequence[tuple[str, vs.VideoNode]],
    model: str,
    folder: Path,
    progress: Callable[[float, str], None],
    codecs: Sequence[Codec] = tuple(Codec),
) -> Table:
    """Measure the seconds per frame of every step. The steps run one after another with nothing else in parallel.

    Args:
        clips: Names and clips.
        model: Network.
        folder: Folder for the encodes, which are overwritten.
        progress: Called with the share that is done and the current step.
        codecs: Encoders to time.

    Raises:
        SacError: A step failed.
    """
    made = []
    for number, (name, clip) in enumerate(clips):
        watch = _Watch(lambda text, n=number, name=name: progress(n / len(clips), f"{name}: {text}"))  # type: ignore[misc]
        _time_steps(watch, clip, model, folder / f"{name}.mkv", codecs)
        made += [{"clip": name, "step": step, "seconds": took / clip.num_frames, "paper": _printed(step)}
                 for step, took in watch.rows.items()]  # fmt: skip
    columns = (Column("clip", "clip"), Column("step", "step"), Column("seconds", "s a frame", 4),
               Column("paper", "paper, s a frame"))  # fmt: skip
    notes = (
        "The paper's times are of its own machine (Quadro P5000) and of 2048×1024 frames: ratios can be compared, not"
        " times. Encoding includes reading the source; “with segmentation” runs the network in the same pass.",
    )
    return Table("Times (paper Sec. V)", columns, tuple(made), notes)


class _Watch:
    """Times steps. `rows` holds the seconds by step."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.rows: dict[str, float] = {}

    def time(self, step: str, run: Callable[[], object]) -> None:
        self._tell(step)
        started = time.perf_counter()
        run()
        self.rows[step] = time.perf_counter() - started


def _time_steps(watch: _Watch, clip: vs.VideoNode, model: str, out: Path, codecs: Sequence[Codec]) -> None:
    watch.time("reading the source", lambda: _render(clip))
    watch.time("segmentation", lambda: _render(segment(clip, model=model)))
    watch.rows["segmentation"] -= watch.rows["reading the source"]
    masks = out.with_suffix(".masks.mkv")
    pipeline.write_masks(clip, masks, model=model, force=True)
    for codec, mode in product(codecs, Mode):
        _time_codec(watch, clip, model, masks, out, codec, mode)


def _time_codec(
    watch: _Watch, clip: vs.VideoNode, model: str, masks: Path, out: Path, codec: Codec, mode: Mode
) -> None:
    crf = ANCHOR[codec]
    plain, name = f"{uniform(codec, crf).name} (encoder of {mode})", f"SA-{codec.upper()} {mode}"
    watch.time(f"{plain}, encode",
               lambda: pipeline.encode_uniform(clip, out, codec=codec, crf=crf, mode=mode, force=True))  # fmt: skip
    watch.time(f"{name}, encode",
               lambda: pipeline.encode(clip, out, codec=codec, mode=mode, masks=masks, force=True))  # fmt: skip
    watch.time(f"{name}, decode", lambda: _render(pipeline.open_sac(out)))
    watch.time(f"{name}, encode with segmentation",
               lambda: pipeline.encode(clip, out, codec=codec, mode=mode, model=model, force=True))  # fmt: skip


def _render(clip: vs.VideoNode) -> None:
    for _ in clip.frames(close=True):
        pass


def _printed(step: str) -> str:
    if step not in _PRINTED:
        return ""
    low, high = TIMES[_PRINTED[step]]
    return f"{low:.3f}" if low == high else f"{low:.3f} to {high:.3f}"
