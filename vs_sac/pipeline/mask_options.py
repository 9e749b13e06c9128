"""The options that decide which macroblocks are region of interest, and the QP offset of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import vapoursynth as vs

from ..core.arguments import check_source
from ..core.choices import BlockMap, Caution, parse_choice
from ..core.errors import SacValueError
from ..core.labels import LabelSet
from ..masks.morphology import LONGEST_HOLD, WIDEST_GAP
from ..masks.propagation import LONGEST_EVERY
from ..segmentation.registry import DEFAULT_MODEL
from ..segmentation.runtimes import Backend

__all__ = ["STRONGEST_MAP", "MaskOptions"]

#: Largest factor of the offsets of importance; measured factors above 1 cost more than they gain (docs/perception.md).
STRONGEST_MAP = 2.0


@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    """Which macroblocks are region of interest (ROI).

    Attributes:
        masks: Use these masks instead of the network: a mask video (255 = ROI, as "segment" writes it), a SAC file, or,
            together with labels, a folder of label images. From Python also a mask clip.
        labels: Encoding of the label images.
        model: Segmentation network: the name of a shipped model or the path of an .onnx file.
        threshold: Probability, 0-1, from which a pixel counts as non-ROI. A higher threshold makes the ROI larger.
            [default: the model's own]
        caution: Operating point of the network in place of a threshold: low (a smaller ROI), normal, or high (fewer
            doubtful objects are lost). [default: normal]
        backend: Runtime of the network: python (onnxruntime; auto selects it), cuda (onnxruntime-gpu), or one of the
            VapourSynth plugins ort (onnxruntime) and ov (OpenVINO).
        every: Segment every Nth frame, 1-32. Between these frames the mask is propagated by motion, in doubt in favour
            of the ROI. [default: one frame every 0.3 s, which is every 8th at 25 fps]
        roi_hold: Number of frames, 0-16, for which a macroblock stays ROI after it has left the ROI. This reduces
            flicker and makes the ROI larger.
        roi_close: Close gaps in the ROI that are up to twice this many macroblocks wide, 0-8. This removes mask edges
            and makes the ROI larger. [default: with the network's masks in two streams from 540 rows on, 1 (x264) or 2
            (x265), or 4 if the CRF of the non-ROI is not above that of the ROI; else 0; 0 with fill black]

        map: Where the quantizer of a macroblock comes from: roi (its region, as in the paper), tiers (the classes in
            it, by a table), task (its importance for a perception network, and the tiers), or none (the same for the
            whole picture). With all but roi, a single stream has one CRF (--crf); with tiers and task, two streams
            split where the QP offset is above 0. From Python also a
            clip of offsets: GRAY8, one pixel per macroblock, 128 + 2 · offset.
        tiers: QP offset by class for --map tiers and task: a table by name (driving), entries such as
            "person=-3,road=0", or a TOML file with such entries. Classes that it does not name have the offset 0.
        map_strength: Factor of the offsets of importance with --map task, 0-2.
        importance: Predictor of importance for --map task, as train-importance writes it. [default: the model's own, or
            the shipped one]

    Raises:
        SacValueError: A value is out of range, or an option cannot be combined with another.
    """

    masks: str | Path | vs.VideoNode | None = None
    labels: LabelSet | str | None = None
    model: str | Path = DEFAULT_MODEL
    threshold: float | None = None
    caution: Caution | None = None
    backend: Backend = Backend.AUTO
    every: int | None = None
    roi_hold: int = 0
    roi_close: int | None = None
    map: BlockMap | vs.VideoNode = BlockMap.ROI
    tiers: str | Path | Mapping[str, float] = "driving"
    map_strength: float = 1.0
    importance: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "backend", parse_choice(Backend, self.backend, "segment"))
        if not isinstance(self.map, vs.VideoNode):
            object.__setattr__(self, "map", parse_choice(BlockMap, self.map, "encode"))
        if not 0 <= self.map_strength <= STRONGEST_MAP:
            raise SacValueError(f"map_strength {self.map_strength!r} is outside 0-{STRONGEST_MAP:g}", "encode")
        if self.importance is not None and self.map is not BlockMap.TASK:
            raise SacValueError("importance is the predictor of --map task; give --map task too", "encode")
        if self.caution is not None:
            object.__setattr__(self, "caution", parse_choice(Caution, self.caution, "segment"))
            if self.threshold is not None:
                raise SacValueError("threshold and caution both choose the operating point; give one", "encode")
        if self.masks is not None:
            check_source(self.masks, "masks", "encode")
        elif self.labels is not None:
            message = "labels is the encoding of the label images given as masks, and there are no masks; give masks"
            raise SacValueError(message, "encode")
        if self.masks is not None and self.every is not None and not self.needs_classes:
            raise SacValueError("every has no meaning where masks are given: each frame has its own", "encode")
        ranges = {"every": (1, LONGEST_EVERY), "roi_hold": (0, LONGEST_HOLD), "roi_close": (0, WIDEST_GAP)}
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise SacValueError(f"{name} {value!r} is outside {least}-{most}", "encode")

    @property
    def needs_classes(self) -> bool:
        """Whether the map is made from the classes of the network."""
        return self.map in (BlockMap.TIERS, BlockMap.TASK)
