"""Contact sheets of what a model makes of labelled images, for looking at: ``test-model --picture`` and ``--sheet``."""

import io
import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from ..core.labels import SemanticClass
from ..core.macroblocks import BLOCK
from ..masks.grid import block_grid_array
from ..segmentation.registry import Model
from ..source.datasets import DatasetRef, find_samples
from .evaluate import decide
from .model_scores import Picture, read_pictures

__all__ = ["draw_scored", "draw_sheet", "jpeg_within"]

#: Colours of a drawn class map (ROI, construction, nature, sky, void), and the width of a panel in pixels.
_COLOURS = np.array([(255, 255, 255), (178, 102, 76), (60, 140, 60), (110, 160, 220), (0, 0, 0)], np.uint8)
_PANEL = 300

#: Width of a small panel, height of its caption, and columns of frames on a sheet.
_SMALL, _CAPTION, _COLUMNS = 240, 14, 2

#: JPEG qualities to choose from.
_QUALITIES = (85, 80, 70, 60, 50, 40, 30)

type Pixels = npt.NDArray[np.uint8]


def draw_scored(model: Model, dataset: list[str], threshold: float) -> Image.Image:
    """Draw one row per set: source, labels, class map and macroblock mask of the set's middle image.

    Args:
        model: The network.
        dataset: Labelled sets, ``KIND:ROOT[:SPLIT]``.
        threshold: Probability from which a pixel is non-ROI.

    Raises:
        SacError: See `read_pictures`.
    """
    rows = []
    for text in dataset:
        picture = _middle(model, text)
        class_map = decide(picture.probabilities, threshold)
        labels = _COLOURS[np.minimum(picture.truth, len(SemanticClass))]
        panels = (np.asarray(picture.image), labels, _COLOURS[class_map], _dimmed(picture, class_map))
        rows.append(_side_by_side(panels, _PANEL))
    return _grid(rows, 1)


def draw_sheet(model: Model, dataset: list[str], threshold: float) -> Image.Image:
    """Draw every image of the sets, small: source, class map over it, and the coded macroblocks with the rest darkened.

    The name of the image is under it. Arguments and errors are those of `draw_scored`.
    """
    cells = []
    for text in dataset:
        for picture in read_pictures(model, text):
            class_map = decide(picture.probabilities, threshold)
            source = np.asarray(picture.image)
            tint = np.where((class_map == SemanticClass.ROI)[..., None], source, _COLOURS[class_map])
            over = ((source.astype(np.uint16) + tint) // 2).astype(np.uint8)
            row = _side_by_side((source, over, _dimmed(picture, class_map)), _SMALL)
            cells.append(_captioned(row, picture.sample.image.stem))
    return _grid(cells, min(_COLUMNS, len(cells)))


def jpeg_within(sheet: Image.Image, limit: int) -> bytes:
    """Encode an image as JPEG of at most `limit` bytes, or at the lowest of the qualities if none is small enough."""
    content = b""
    for quality in _QUALITIES:
        out = io.BytesIO()
        sheet.save(out, "JPEG", quality=quality, optimize=True)
        content = out.getvalue()
        if len(content) <= limit:
            break
    return content


def _middle(model: Model, text: str) -> Picture:
    """The middle picture of a set."""
    ref = DatasetRef.parse(text)
    middle = len(find_samples(ref.kind, ref.root, ref.split)) // 2
    return next(read_pictures(model, text, only=middle))


def _dimmed(picture: Picture, class_map: Pixels) -> Pixels:
    """The image with all macroblocks but those of the ROI darkened."""
    source = np.asarray(picture.image)
    roi = np.kron(block_grid_array(class_map == SemanticClass.ROI), np.ones((BLOCK, BLOCK), np.bool_))
    return np.where(roi[: source.shape[0], : source.shape[1], None], source, source // 4).astype(np.uint8)


def _side_by_side(panels: tuple[Pixels, ...], width: int) -> Image.Image:
    """Panels of one size in a row, each scaled to a width."""
    height = max(1, round(width * panels[0].shape[0] / panels[0].shape[1]))
    row = Image.new("RGB", (len(panels) * width, height))
    for column, panel in enumerate(panels):
        row.paste(Image.fromarray(panel).resize((width, height), Image.Resampling.BOX), (column * width, 0))
    return row


def _captioned(row: Image.Image, text: str) -> Image.Image:
    made = Image.new("RGB", (row.width, row.height + _CAPTION), "white")
    made.paste(row, (0, 0))
    ImageDraw.Draw(made).text((2, row.height), text, fill="black", font=ImageFont.load_default(10))
    return made


def _grid(cells: list[Image.Image], columns: int) -> Image.Image:
    """Cells of one width from left to right, row by row. A row is as high as its highest cell."""
    rows = [cells[n * columns : (n + 1) * columns] for n in range(math.ceil(len(cells) / columns))]
    heights = [max(cell.height for cell in row) for row in rows]
    sheet = Image.new("RGB", (columns * cells[0].width, sum(heights)), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            sheet.paste(cell, (column * cell.width, top))
        top += height
    return sheet
