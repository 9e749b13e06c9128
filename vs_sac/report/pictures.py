"""Frames as arrays, selected details, and pictures for embedding in a page."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import vapoursynth as vs
from PIL import Image

from ..core.choices import Mode
from ..core.rgb import convertible
from ..experiments.compare import Study
from ..experiments.method_run import PreparedClip, open_decoded
from ..experiments.store import Store

__all__ = ["Crop", "Scene", "data_uri", "frame_rgb", "paint", "scenes"]

type Picture = npt.NDArray[np.uint8]

#: Colours of a painted class map: ROI, construction, nature, sky, void.
_CLASS_COLOURS = np.array([(245, 245, 245), (178, 102, 76), (60, 140, 60), (110, 160, 220), (20, 20, 20)], np.uint8)

#: Side of a detail as a share of the frame's side, and the smallest share of the detail that has to be ROI.
_DETAIL, _DETAIL_ROI = 0.2, 0.8


@dataclass(frozen=True)
class Crop:
    """A rectangle of a frame, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def of(self, picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The rectangle of a picture that has the size of the frame."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Scene:
    """A clip with its reconstructions, at the frame that is shown.

    Attributes:
        prepared: The clip.
        number: Number of the frame.
        results: Results by label. If there is a byte-matched comparison, only its encodes, each after the uniform
            encode whose bytes it matches.
        decoded: Reconstructions by label.
        detail: The enlarged detail: among the windows that are ROI, the one with the most detail in the source.
    """

    prepared: PreparedClip
    number: int
    results: dict[str, dict[str, Any]]
    decoded: dict[str, vs.VideoNode]
    detail: Crop

    @property
    def name(self) -> str:
        """The clip's name."""
        return self.prepared.footage.name

    @property
    def pair(self) -> tuple[str, ...]:
        """Labels of the two encodes that are shown first: a byte-matched pair, with a single stream if there is one."""
        aware = [label for label, r in self.results.items() if not r["method"]["uniform"]]
        aware.sort(key=lambda label: self.results[label]["method"]["mode"] != Mode.SINGLE_STREAM)
        for label in aware:
            wanted = self.results[label]["method"]["baseline"]
            if base := next((b for b, r in self.results.items() if r["method"]["slug"] == wanted), None):
                return base, label
        return (*(label for label in self.results if label not in aware), *aware)[:2]

    def described(self, label: str) -> str:
        """A label followed by the size of the encode, as not all encodes have the same size."""
        return f"{label}, {self.results[label]['bytes']['total']:,} bytes" if label in self.results else label


def scenes(study: Study, store: Store) -> list[Scene]:
    """One scene per clip that has results.

    Raises:
        SacError: An encode cannot be opened.
    """
    made = []
    for prepared in study.prepared_clips:
        results = _chosen(study, prepared.footage.name)
        if not results:
            continue
        decoded = {label: open_decoded(store.root / r["file"], prepared.clip) for label, r in results.items()}
        number = prepared.clip.num_frames // 2
        made.append(Scene(prepared, number, results, decoded, _detail(prepared, number)))
    return made


def _chosen(study: Study, clip: str) -> dict[str, dict[str, Any]]:
    """The byte-matched encodes, each after its uniform encode. Without any, all results of the clip."""
    held = [result for result in study.results if result["clip"]["name"] == clip]
    pairs = [
        result for matched in held if matched["method"]["matched"]
        for result in (study.of(clip, matched["method"]["baseline"]), matched) if result
    ]  # fmt: skip
    return {result["method"]["label"]: result for result in pairs or held}


def frame_rgb(clip: vs.VideoNode, number: int) -> Picture:
    """A frame of a YUV clip as RGB, uint8 of shape (H, W, 3)."""
    with convertible(clip[number]).resize.Bicubic(format=vs.RGB24).get_frame(0) as frame:
        return np.stack([np.asarray(frame[plane]) for plane in range(3)], axis=-1)


def frame_plane(clip: vs.VideoNode, number: int) -> npt.NDArray[Any]:
    """The first plane of a frame."""
    with clip.get_frame(number) as frame:
        return np.asarray(frame[0]).copy()


def paint(class_map: npt.NDArray[np.uint8]) -> Picture:
    """A class map in colours. Void is black."""
    painted: Picture = _CLASS_COLOURS[np.minimum(class_map, len(_CLASS_COLOURS) - 1)]
    return painted


def data_uri(picture: Picture, *, width: int | None = None, quality: int = 84) -> str:
    """A picture as a data URI (WebP), scaled down to `width` pixels if it is wider."""
    image = Image.fromarray(picture)
    if width and image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "WEBP", quality=quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(data.getvalue()).decode()}"


def _detail(prepared: PreparedClip, number: int) -> Crop:
    """The window of the source with the steepest edges, among the windows that are nearly all ROI."""
    luma = frame_plane(prepared.clip, number).astype(np.float64)
    rows, columns = luma.shape
    height, width = (max(16, int(side * _DETAIL) // 16 * 16) for side in (rows, columns))
    edges = np.zeros_like(luma)
    edges[:, 1:] += np.abs(np.diff(luma, axis=1))
    edges[1:] += np.abs(np.diff(luma, axis=0))
    roi = (frame_plane(prepared.grid, number) > 0).repeat(16, 0).repeat(16, 1)[:rows, :columns]
    best, place = -1.0, (0, 0)
    # The lowest eighth is left out, because it shows the car's own bonnet.
    for top in range(0, rows - rows // 8 - height + 1, max(1, height // 4)):
        for left in range(0, columns - width + 1, max(1, width // 4)):
            window = (slice(top, top + height), slice(left, left + width))
            share = roi[window].mean()
            score = float(edges[window].mean()) + (1000 if share >= _DETAIL_ROI else 500 * share)
            if score > best:
                best, place = score, (left, top)
    return Crop(*place, width, height)
