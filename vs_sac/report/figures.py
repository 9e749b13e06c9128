"""The paper's figures and our own as image files."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..core.choices import Fill
from ..core.labels import label_table
from ..core.outputs import workspace
from ..experiments.artefacts import MERGES, Artefacts
from ..experiments.bits import coded_bytes, estimate_bits
from ..experiments.rows import on_curve
from ..experiments.store import Store
from ..masks.class_maps import grey_tones
from ..masks.grid import expand_grid
from ..segmentation.network import segment
from ..streams.splitting import split
from .pictures import Scene, frame_plane, frame_rgb, paint
from .style import look_of

__all__ = ["STYLE", "bits_maps", "draw_bits", "draw_curves", "draw_details", "draw_flashes", "draw_overview",
           "draw_segmentations", "draw_strips", "save_figure", "scales"]  # fmt: skip

_MARKERS = {"circle": "o", "square": "s"}
_DASHES = {"": "-", "6 4": "--", "2 3": ":", "6 3 2 3": "-."}

#: Colour of the border of a picture.
_FRAME = "#8a8f96"

#: Width of a figure in inches, and its resolution in dots per inch.
_WIDTH, _DPI = 9.0, 110

#: Letters of a caption that are no wider than a picture of three in a row.
_CAPTION = 44

_QUALITIES = (("psnr_roi", "ROI PSNR (dB)"), ("psnr_non_roi", "non-ROI PSNR (dB)"), ("miou", "mIoU"))


def draw_overview(scene: Scene, out: Path) -> None:
    """Draw the paper's Fig. 6: original, class map, non-ROI, ROI, uniform and SA reconstruction of three frames.

    The two reconstructions have equal bytes if there is a byte-matched comparison.
    """
    prepared, total = scene.prepared, scene.prepared.clip.num_frames
    numbers = list(dict.fromkeys([total // 6, total // 2, total * 5 // 6]))
    mask = expand_grid(prepared.grid, prepared.clip.width, prepared.clip.height)
    roi, non_roi = split(prepared.clip, mask, fill=Fill.BLACK)
    greys = grey_tones(prepared.class_map)
    rows: list[tuple[str, list[npt.NDArray[Any]]]] = [
        ("original", [frame_rgb(prepared.clip, n) for n in numbers]),
        ("class map", [np.stack([frame_plane(greys, n)] * 3, -1) for n in numbers]),
        ("non-ROI", [frame_rgb(non_roi, n) for n in numbers]),
        ("ROI", [frame_rgb(roi, n) for n in numbers]),
        *((scene.described(label), [frame_rgb(scene.decoded[label], n) for n in numbers]) for label in scene.pair),
    ]
    save_figure(_sheet(rows, [f"frame {n}" for n in numbers]), out)


def draw_details(scene: Scene, out: Path) -> None:
    """Draw the paper's Fig. 8: one detail from every reconstruction, without interpolation, with its PSNR."""
    source = scene.detail.of(frame_rgb(scene.prepared.clip, scene.number))
    pictures = [("original", source)]
    for label, clip in scene.decoded.items():
        got = scene.detail.of(frame_rgb(clip, scene.number))
        error = np.square(source.astype(float) - got).mean()
        psnr = 10 * np.log10(255**2 / error) if error else np.inf
        pictures.append((f"{textwrap.fill(_short(scene.described(label)), _CAPTION)}\n{psnr:.2f} dB (RGB)", got))
    save_figure(_gallery(pictures), out)


def draw_segmentations(scene: Scene, model: str, out: Path) -> None:
    """Draw the paper's Fig. 9: a network's class maps of the original and of every reconstruction."""
    prepared, number = scene.prepared, scene.number
    pictures = [("original", frame_rgb(prepared.clip, number))]
    if prepared.truth and number in prepared.truth.frames:
        values = frame_plane(prepared.truth.values, prepared.truth.frames.index(number))
        table = label_table(prepared.truth.labels, scoring=True)
        pictures.append(("labels (black: void)", paint(table[values].astype(np.uint8))))
    for label, clip in {"original": prepared.clip, **scene.decoded}.items():
        seen = frame_plane(segment(clip[number : number + 1], model=model), 0)
        pictures.append((textwrap.fill(f"seen in {_short(label)}", _CAPTION), paint(seen)))
    save_figure(_gallery(pictures), out)


def draw_curves(rows: Sequence[dict[str, Any]], out: Path) -> None:
    """Draw rate–distortion and rate–accuracy curves. The rate axis is logarithmic."""
    with matplotlib.rc_context(STYLE):
        figure = Figure((_WIDTH, 3.1), layout="constrained")
        for axes, (key, name) in zip(figure.subplots(1, len(_QUALITIES)), _QUALITIES, strict=True):
            for family in dict.fromkeys(row["method"] for row in rows):
                held = [row for row in rows if row["method"] == family and row[key] is not None]
                points = sorted((row["kbps"], row[key]) for row in held if on_curve(row))
                if not points:
                    continue
                look = look_of(held[0])
                marker = _MARKERS[look.marker]
                axes.plot(*zip(*points, strict=True), color=look.colour, marker=marker, ms=3.5, lw=1.3,
                          ls=_DASHES[look.dash], label=family)  # fmt: skip
                for row in held:
                    if not on_curve(row):
                        axes.plot(row["kbps"], row[key], color=look.colour, marker=marker, ms=4, mfc="none", ls="")
            axes.set(xscale="log", xlabel="kbit/s", title=name)
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.grid(alpha=0.3, which="both")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(3, max(1, len(labels))), frameon=False)
        save_figure(figure, out)


def draw_strips(scene: Scene, out: Path) -> None:
    """Draw the PSNR of every frame, by region."""
    with matplotlib.rc_context(STYLE):
        figure = Figure((_WIDTH, 3.0), layout="constrained")
        for axes, (region, name) in zip(figure.subplots(1, 2), (("roi", "ROI"), ("non_roi", "non-ROI")), strict=True):
            for label, result in scene.results.items():
                look = look_of(result["method"])
                series = [value if isinstance(value, float) else np.nan for value in result["frame_psnr"][region]]
                axes.plot(series, color=look.colour, ls=_DASHES[look.dash], lw=1.3, label=label)
            axes.set(xlabel="frame", title=f"{name} PSNR (dB)")
            axes.grid(alpha=0.3)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
        save_figure(figure, out)


def bits_maps(scene: Scene, store: Store) -> dict[str, npt.NDArray[np.float64]]:
    """Estimated bits of every macroblock of the scene's frame, by label. Empty if the video does not have 8 bits."""
    if scene.prepared.clip.format.bits_per_sample != 8:
        return {}
    grid = frame_plane(scene.prepared.grid, scene.number) > 0
    maps = {}
    for label, result in scene.results.items():
        sizes = coded_bytes(store.root / result["file"], scene.prepared.clip.num_frames)
        whole = np.ones_like(grid)
        parts = [(whole, int(sizes[0][scene.number]))]
        if result["method"]["mode"] == "two-stream":
            # Each region has a stream of its own, so its number of bytes is known.
            parts = [(region, int(sizes[n][scene.number])) for n, region in ((0, grid), (1, ~grid))]
        maps[label] = estimate_bits(scene.prepared.clip, scene.decoded[label], scene.number, parts)
    return maps


def scales(scene: Scene, maps: dict[str, npt.NDArray[np.float64]]) -> dict[str, float]:
    """The number of bits that is drawn brightest, by label. It is the same for all methods of a codec."""
    codec = {label: result["method"]["codec"] for label, result in scene.results.items()}
    tops: dict[str, float] = {}
    for label, bits in maps.items():
        tops[codec[label]] = max(tops.get(codec[label], 1.0), float(np.quantile(bits, 0.995)))
    return {label: tops[codec[label]] for label in maps}


def draw_bits(scene: Scene, maps: dict[str, npt.NDArray[np.float64]], out: Path) -> None:
    """Draw the estimated bits of every macroblock, with one scale for all methods of a codec."""
    tops = scales(scene, maps)
    with matplotlib.rc_context(STYLE):
        columns = 2 if len(maps) > 1 else 1
        rows = -(-len(maps) // columns)
        shape = next(iter(maps.values())).shape
        figure = Figure(
            (_WIDTH, rows * _WIDTH / columns * shape[0] / shape[1] + 0.35 * rows + 0.3), layout="constrained"
        )
        axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
        for place, (label, bits) in zip(axes, maps.items(), strict=False):
            image = place.imshow(bits, cmap="magma", vmin=0, vmax=tops[label])
            place.set_title(label)
            figure.colorbar(image, ax=place, label="bits a macroblock (estimate)", shrink=0.8)
        for place in axes:
            place.axis("off")
        save_figure(figure, out)


def draw_flashes(found: Artefacts, scene: Scene, out: Path) -> None:
    """Draw the paper's Fig. 7: a detail with flashes, for each of the three ways to combine the streams."""
    pictures = {kind: _whole(clip, found.worst) for kind, clip in zip(MERGES, found.clips, strict=True)}
    error = np.abs(pictures[MERGES[0]].astype(int) - pictures[MERGES[2]]).max(-1)
    rows, columns = error.shape
    height, width = max(16, rows // 5), max(16, columns // 5)
    centre = np.unravel_index(int(error.argmax()), error.shape)
    top = min(max(int(centre[0]) - height // 2, 0), rows - height)
    left = min(max(int(centre[1]) - width // 2, 0), columns - width)
    window = (slice(top, top + height), slice(left, left + width))
    original = frame_rgb(scene.prepared.clip, found.worst)
    save_figure(_gallery([("original", original[window]), *((kind, p[window]) for kind, p in pictures.items())]), out)


def _whole(clip: Any, number: int) -> npt.NDArray[np.uint8]:
    """A frame of an RGB clip as (H, W, 3)."""
    with clip.get_frame(number) as frame:
        return np.stack([np.asarray(frame[plane]) for plane in range(3)], axis=-1)


def _sheet(rows: list[tuple[str, list[npt.NDArray[Any]]]], heads: list[str]) -> Figure:
    height, width = rows[0][1][0].shape[:2]
    with matplotlib.rc_context(STYLE):
        figure = Figure((_WIDTH, len(rows) * _WIDTH / len(heads) * height / width + 0.3), layout="constrained")
        axes = figure.subplots(len(rows), len(heads), squeeze=False)
        for line, (name, pictures) in zip(axes, rows, strict=True):
            for place, picture in zip(line, pictures, strict=True):
                _show(place, picture)
            # The rotated label is wrapped so that it is no longer than the row is high.
            line[0].set_ylabel(textwrap.fill(name, 16), fontsize=7)
        for place, head in zip(axes[0], heads, strict=True):
            place.set_title(head)
        return figure


def _gallery(pictures: Sequence[tuple[str, npt.NDArray[Any]]], columns: int = 3) -> Figure:
    height, width = pictures[0][1].shape[:2]
    # The number of columns is chosen so that the rows are as full as possible.
    columns = 4 if len(pictures) in (4, 7, 8) else min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure((_WIDTH, rows * (_WIDTH / columns * height / width + 0.42)), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for place in axes:
            place.axis("off")
        for place, (name, picture) in zip(axes, pictures, strict=False):
            _show(place, picture)
            place.axis("on")
            place.set_title(name)
        return figure


def _show(place: Axes, picture: npt.NDArray[Any]) -> None:
    place.imshow(picture, interpolation="none")
    place.set(xticks=[], yticks=[])
    # Without a border, white parts of a picture would merge with the page.
    for spine in place.spines.values():
        spine.set(visible=True, color=_FRAME, linewidth=0.6)


def _short(label: str) -> str:
    return label.replace(", bytes of ", " = ")


def save_figure(figure: Figure, out: Path) -> None:
    """Write a figure; an older one is replaced."""
    with workspace(out, force=True, func="report") as work:
        quality = {"quality": 88} if out.suffix in (".jpg", ".webp") else None
        figure.savefig(work.result, dpi=_DPI, pil_kwargs=quality)


#: matplotlib's settings for all figures.
STYLE: Any = {"font.size": 8, "axes.titlesize": 8, "axes.spines.top": False, "axes.spines.right": False,
          "font.family": "DejaVu Sans", "legend.fontsize": 7.5}  # fmt: skip
