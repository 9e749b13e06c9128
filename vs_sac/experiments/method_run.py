"""One method on one clip: encode, decode, measure, segment."""

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import vapoursynth as vs

from .. import __version__, container, pipeline
from ..core.choices import BlockMap
from ..core.errors import SacError, SacValueError
from ..core.labels import EVEN_ODDS, GREY_TONES, LabelSet, fine_table, label_names, label_table
from ..masks.class_maps import roi_mask
from ..metrics.classes import ClassScore, ClassTable
from ..metrics.report import ByteCount, evaluation, plain
from ..segmentation.class_probabilities import open_classes, segment_classes
from ..segmentation.registry import DEFAULT_MODEL, Decision, Model, find_model
from ..source.opening import open_clip, open_raw
from .agreement import chosen_frames, pick
from .footage import Footage, Truth
from .judging import Reference, find_judges, judge
from .methods import GAP, Method
from .perception import perceive, perceive_classes
from .provenance import encoder_versions, file_sha256, model_id
from .store import Store, digest

__all__ = ["MethodRun", "PreparedClip", "Settings", "open_decoded"]

#: Version of the results. It increases if the layout or meaning of a result changes, or if the package encodes
#: differently without a new version.
_SCHEMA = 2

#: If the correlation of neighbouring downscaled frames is below this, the frames do not belong to one video.
_UNRELATED = 0.5

#: Share of a run's time that encoding takes, for progress reports.
_ENCODING = 0.7

#: Share of a run's time that is not spent by judges, if there are any.
_MEASURED = 0.8

#: Called with the share that is done, 0-1.
type OnShare = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that all runs have in common.

    Attributes:
        preset: Encoder preset.
        masks: Name or path of the network that makes the masks; None for masks from the labels.
        models: Networks that segment the reconstruction.
        encoder_args: Further encoder options.
        roi_weight: Weight of the ROI in the fair SA figures.
        judges: Networks whose view of the reconstruction is compared with their view of the source, and with labels.
        judge_frames: Number of frames of a clip that judges see at most, evenly spread.
        map_model: Network that makes the maps of QP offsets if the masks come from the labels; the default network by
            default.
    """

    preset: str = "medium"
    masks: str | None
    models: tuple[str, ...]
    encoder_args: str = ""
    roi_weight: float = 0.6
    judges: tuple[str, ...] = ()
    judge_frames: int = 10
    map_model: str | None = None

    def __post_init__(self) -> None:
        if self.judge_frames < 1:
            raise SacValueError(f"judge_frames {self.judge_frames}; accepted: from 1", "compare")

    @property
    def map_network(self) -> str:
        """The network that makes the maps of QP offsets."""
        return self.masks or self.map_model or DEFAULT_MODEL

    def networks_of(self, method: Method) -> tuple[str, ...]:
        """Return the networks that decide where a method spends its bits."""
        if method.uniform:
            return ()
        masks = (self.masks,) if self.masks else ()
        return (*masks, self.map_network) if method.map in (BlockMap.TIERS, BlockMap.TASK) else masks


class PreparedClip:
    """An opened clip with its masks and with the reference for its segmentations.

    Args:
        footage: The footage.
        settings: Settings of all runs.
        store: Store in which masks and class maps are kept.
        progress: Called with the share that is done.

    Raises:
        SacError: The footage cannot be opened or segmented.
    """

    def __init__(self, footage: Footage, settings: Settings, store: Store, progress: OnShare) -> None:
        self.footage, self.settings = footage, settings
        self._store = store
        self.clip = footage.open()
        self.truth = footage.truth()
        for model in settings.models:
            if (found := find_model(model)).classes:
                # A network that cannot give its own classes is refused before the encodes.
                open_classes(found)
        judges = find_judges(settings.judges)
        maps = [*([settings.masks] if settings.masks else []), *([] if self.truth else settings.models)]
        self._maps = {
            model: self._own_map(model, lambda share, n=n: progress((n + share) / len(maps)))  # type: ignore[misc]
            for n, model in enumerate(dict.fromkeys(maps))
        }
        self.class_map = self._maps[settings.masks] if settings.masks else footage.labelled_masks()
        self.grid = pipeline.open_masks(roi_mask(self.class_map), self.clip)
        numbers = chosen_frames(self.clip.num_frames, settings.judge_frames)
        self.references = tuple(
            Reference.of(model, numbers, self._own_classes(model, numbers), self.truth, settings.judge_frames)
            for model in judges
        )

    def truth_for(self, model: str) -> Truth:
        """The labels. Without labels, the network's own class map of the source."""
        return self.truth or Truth(self._maps[model], LabelSet.CLASS_MAP, tuple(range(self.clip.num_frames)))

    def perceived_classes(self, decoded: vs.VideoNode, model: Model, progress: OnShare) -> ClassScore:
        """Score what a network sees in a reconstruction, at the network's own classes.

        The truth are the labels. Without labels, it is what the network sees in the source.

        Args:
            decoded: The reconstruction, of the length of the clip.
            model: A network whose card names its classes.
            progress: Called with the share that is done.

        Raises:
            SacError: The network cannot be used.
        """

        def shown(done: int, total: int) -> None:
            progress(done / total)

        if self.truth is None:
            own = ClassTable.identity(model.classes)
            return perceive_classes(decoded, self._own_classes(model), own, model, progress=shown)
        labels = self.truth.labels
        table = ClassTable.of(model.classes, label_names(labels), fine_table(labels), label_table(labels, scoring=True))
        return perceive_classes(self.truth.of(decoded), self.truth.values, table, model, progress=shown)

    @cached_property
    def is_video(self) -> bool:
        """Whether neighbouring frames are similar. If not, they are single pictures and cannot predict each other."""
        grey = vs.core.std.ShufflePlanes(self.clip[:8], 0, vs.GRAY)
        small = grey.resize.Bilinear(max(16, grey.width // 16), max(16, grey.height // 16))
        frames = [np.asarray(frame[0], np.float64).ravel() for frame in small.frames(close=True)]
        flat = min(float(frame.std()) for frame in frames) == 0
        if len(frames) < 2 or flat:
            return len(frames) > 1
        return float(np.median([np.corrcoef(a, b)[0, 1] for a, b in pairwise(frames)])) > _UNRELATED

    def describe(self) -> dict[str, Any]:
        """Description of the clip for a report."""
        clip, footage = self.clip, self.footage
        first = footage.source if isinstance(footage.source, Path) else footage.source[0]
        return {
            "name": footage.name, "source": str(first), "sha256": footage.sha256, "frames": clip.num_frames,
            "width": clip.width, "height": clip.height, "fps": str(clip.fps), "video": self.is_video,
            "labelled_frames": len(self.truth.frames) if self.truth else 0,
            "masks": self.settings.masks or "labels",
        }  # fmt: skip

    def _own_map(self, model: str, progress: OnShare) -> vs.VideoNode:
        """A network's class map of the source, computed once and kept."""
        path = self._store.path("masks", self.footage.name, digest([self.footage.sha256, model_id(model)]), ".mkv")
        if not path.is_file():
            pipeline.write_masks(self.clip, path, model=model, progress=lambda done, total: progress(done / total))
        return self._open_grey(path).std.Lut(lut=[GREY_TONES.index(v) if v in GREY_TONES else 0 for v in range(256)])

    def _own_classes(self, model: Model, numbers: Sequence[int] | None = None) -> vs.VideoNode:
        """What a network sees in frames of the source, as indices of its own classes; computed once and kept."""
        chosen = [] if numbers is None else [numbers]
        key = digest([self.footage.sha256, model_id(str(model.path)), model.classes, *chosen])
        path = self._store.path("masks", f"{self.footage.name}-classes", key, ".mkv")
        if not path.is_file():
            clip = self.clip if numbers is None else pick(self.clip, numbers)
            pipeline.write_grey(segment_classes(clip, model=model), path)
        return self._open_grey(path)

    def _open_grey(self, path: Path) -> vs.VideoNode:
        return vs.core.std.ShufflePlanes(open_raw(path, fps=self.clip.fps), 0, vs.GRAY)


@dataclass(frozen=True)
class MethodRun:
    """One method on one prepared clip.

    Attributes:
        prepared: The clip.
        method: The method.
        target: Bytes of the uniform encode to match; None if the method has CRFs.
    """

    prepared: PreparedClip
    method: Method
    target: int | None = None

    @cached_property
    def key(self) -> str:
        """Digest of everything that decides the result."""
        prepared, settings = self.prepared, self.prepared.settings
        drawn = [model_id(settings.map_network)] if self.method.mapped else []
        labels = [(n, file_sha256(path)) for n, path in sorted(prepared.footage.labels.items())]
        return digest(
            [_SCHEMA, __version__, encoder_versions(), prepared.footage.sha256, self.method, self.target,
             settings.preset, settings.encoder_args, settings.roi_weight, labels,
             model_id(settings.masks) if settings.masks else "labels", [_scored_as(m) for m in settings.models],
             *drawn]
        )  # fmt: skip

    @property
    def name(self) -> str:
        """Base name of the run's files."""
        return f"{self.prepared.footage.name}-{self.method.slug}"

    def run(self, store: Store, progress: OnShare) -> dict[str, Any]:
        """Load the result from the store, or compute it. It includes what the judges see.

        Raises:
            SacError: A step failed. No result is stored.
        """
        references = self.prepared.references
        own = _MEASURED if references else 1.0
        result = store.load(self.name, self.key) or self._computed(store, lambda share: progress(own * share))
        if not references:
            return result
        seen = {}
        for n, reference in enumerate(references):
            start, length = own + (1 - own) * n / len(references), (1 - own) / len(references)
            seen[reference.model.name] = self._judged(
                store, result, reference,
                lambda share, start=start, length=length: progress(start + length * share),  # type: ignore[misc]
            )  # fmt: skip
        return {**result, "judges": seen}

    def _computed(self, store: Store, progress: OnShare) -> dict[str, Any]:
        path = store.path("encodes", self.name, self.key, ".mkv")
        started = time.monotonic()
        crfs, trials, encoder = self._encode(path, lambda share: progress(_ENCODING * share))
        encoded = time.monotonic()
        made = {
            **self._describe(crfs, trials),
            "encoder": encoder,
            "file": str(path.relative_to(store.root)),
            "file_sha256": file_sha256(path),
            "seconds": {"encode": encoded - started},
            **self._measure(path, crfs, lambda share: progress(_ENCODING + (1 - _ENCODING) * share)),
        }
        result: dict[str, Any] = plain(made)
        store.save(self.name, self.key, result)
        return result

    def _judged(self, store: Store, result: dict[str, Any], reference: Reference, progress: OnShare) -> dict[str, Any]:
        """What a judge sees in the encode; kept beside the result, so that a further judge needs no further encode."""
        prepared, model = self.prepared, reference.model
        key = digest([_SCHEMA, self.key, result["file_sha256"], _scored_as(str(model.path)), reference.numbers,
                      reference.labelled])  # fmt: skip
        name = f"{self.name}-{model.name}"
        if found := store.load(name, key, "judged"):
            return found
        decoded = open_decoded(store.root / result["file"], prepared.clip, sequential=True)
        sha256 = file_sha256(model.path)
        makers = [file_sha256(find_model(network).path) for network in prepared.settings.networks_of(self.method)]
        judged: dict[str, Any] = plain(
            {"file": result["file"], "clip": prepared.footage.name, "method": self.method.label,
             "judge": model_id(str(model.path)), "made_map": sha256 in makers, "numbers": reference.numbers,
             **judge(decoded, reference, progress).to_dict()}
        )  # fmt: skip
        store.save(name, key, judged, "judged")
        return judged

    def _encode(self, path: Path, progress: OnShare) -> tuple[tuple[float, float], int, str]:
        """Encode; returns the CRFs, the number of encodes and the name of the encoder."""
        method, prepared = self.method, self.prepared
        # Given only where it matters, so that ordinary encodes have ordinary arguments.
        more: dict[str, Any] = {"coded_size": method.coded_size} if method.coded_size else {}

        def shown(done: int, total: int) -> None:
            progress(done / total)

        if method.uniform and method.crf_roi is not None:
            plainly = pipeline.encode_uniform(
                prepared.clip, path, codec=method.codec, crf=method.crf_roi, mode=method.mode,
                preset=prepared.settings.preset, encoder_args=prepared.settings.encoder_args, force=True,
                progress=shown, **more,
            )  # fmt: skip
            return (method.crf_roi, method.crf_roi), 1, plainly.encoder
        kbps = self.target * 8 * float(prepared.clip.fps) / prepared.clip.num_frames / 1000 if self.target else None
        if method.mapped:
            more |= {"map": method.map} | ({"crf": method.crf_roi} if kbps is None else {})
        else:
            more |= {"crf_roi": method.crf_roi, "crf_non_roi": method.crf_non_roi, "crf_gap": GAP if kbps else None}
        made = pipeline.encode(
            prepared.clip, path, codec=method.codec, mode=method.mode, fill=method.fill,
            preset=prepared.settings.preset, encoder_args=prepared.settings.encoder_args, target_kbps=kbps, force=True,
            progress=shown, **self._masks(), **more,
        )  # fmt: skip
        return (made.info.crf_roi, made.info.crf_non_roi), max(1, len(made.trials)), made.encoder

    def _masks(self) -> dict[str, Any]:
        """The masks, as arguments of `encode`; `_command` has the same as words."""
        method, prepared, settings = self.method, self.prepared, self.prepared.settings
        if settings.masks and (method.mapped or method.coded_size):
            # A map needs more than the mask, and a smaller picture is segmented by itself.
            return {"model": settings.masks} | ({} if method.mapped else {"every": 1, "roi_close": 0})
        # The macroblocks of a smaller picture are others, so it needs the mask of every pixel.
        masks = {"masks": roi_mask(prepared.class_map) if method.coded_size else prepared.grid}
        return masks | ({"model": settings.map_network} if method.mapped else {})

    def _describe(self, crfs: tuple[float, float], trials: int) -> dict[str, Any]:
        method, prepared = self.method, self.prepared
        return {
            "clip": prepared.describe(),
            "method": {
                "name": method.name, "family": method.family, "label": method.label, "crfs": method.crfs,
                "slug": method.slug, "codec": method.codec, "mode": None if method.uniform else method.mode,
                "encoder_of": method.mode, "uniform": method.uniform, "crf_roi": crfs[0], "crf_non_roi": crfs[1],
                "fill": method.fill, "map": method.map, "coded_size": method.coded_size,
                "matched": method.match_crf, "target_bytes": self.target, "encodes": trials,
                "baseline": method.baseline.slug,
            },
            "command": self._command(crfs),
            "versions": {"vs-sac": __version__, **encoder_versions()},
        }  # fmt: skip

    def _command(self, crfs: tuple[float, float]) -> str | None:
        """The command line of the same encode. None for a uniform encode and for files that no argument names."""
        method, settings, footage = self.method, self.prepared.settings, self.prepared.footage
        source = footage.encode_words(self.prepared.clip.num_frames)
        # The grid is used as it is, so gaps are not closed.
        exact = [] if method.mapped else ["--every", "1", "--roi-close", "0"]
        masks = ["--model", settings.masks, *exact] if settings.masks else footage.mask_words()
        if masks and method.mapped and not settings.masks:
            masks = [*masks, "--model", settings.map_network]
        if method.uniform or source is None or masks is None:
            return None
        # All digits are needed: byte-matched CRFs are not round numbers.
        given = ["--crf-roi", f"{crfs[0]:.10g}", "--crf-non-roi", f"{crfs[1]:.10g}"]
        words = ["vs-sac", "encode", *source, "--no-audio", "-o", f"{self.name}.mkv", "--codec", method.codec,
                 "--mode", method.mode, *(["--crf", f"{crfs[0]:.10g}"] if method.mapped else given),
                 "--preset", settings.preset]  # fmt: skip
        words += ["--fill", method.fill] if method.fill else []
        words += ["--map", method.map] if method.mapped else []
        words += ["--coded-size", method.coded_size] if method.coded_size else []
        words += ["--encoder-args", settings.encoder_args] if settings.encoder_args else []
        return shlex.join([*words, *masks])

    def _measure(self, path: Path, crfs: tuple[float, float], progress: OnShare) -> dict[str, Any]:
        prepared, settings = self.prepared, self.prepared.settings
        decoded = open_decoded(path, prepared.clip, sequential=True)
        info = None if self.method.uniform else container.probe(path)
        size = pipeline.byte_count(info.track_bytes()) if info else ByteCount(total=path.stat().st_size)
        judged = evaluation(
            prepared.clip, decoded, prepared.grid, bytes=size, fps=float(prepared.clip.fps), crf_roi=crfs[0],
            crf_non_roi=crfs[1], weights=(settings.roi_weight, 1 - settings.roi_weight),
            progress=lambda done, total: progress(done / total * 0.5),
        )  # fmt: skip
        seen = {}
        for n, model in enumerate(settings.models):
            start, length = 0.5 + 0.5 * n / len(settings.models), 0.5 / len(settings.models)
            seen[find_model(model).name] = self._perceived(
                decoded,
                model,
                lambda share, start=start, length=length: progress(start + length * share),  # type: ignore[misc]
            )
        report = judged.to_dict()
        rows = judged.quality.rows()
        return {
            **{name: report[name] for name in ("frames", "width", "height", "fps", "roi_share", "bytes", "bitrate_kbps",
                                               "compression_ratio", "psnr", "ssim", "sa_psnr", "sa_ssim", "weights",
                                               "paper")},
            "fill": info.fill if info else None,
            "frame_psnr": {r: [row[f"psnr_y_{r}"] for row in rows] for r in ("all", "roi", "non_roi")},
            "perception": seen,
            "perception_truth": "labels" if prepared.truth else "own segmentation of the source",
        }  # fmt: skip

    def _perceived(self, decoded: vs.VideoNode, model: str, progress: OnShare) -> dict[str, Any]:
        """What a network sees in the reconstruction: at the four classes, and at its own if its card names them."""
        prepared, found = self.prepared, find_model(model)
        part = 0.5 if found.classes else 1.0
        # The network's own map of the source uses its threshold. Labels are compared at even odds, as argmax is anyway.
        even = prepared.truth is not None and found.decision is Decision.THRESHOLD
        four = perceive(decoded, prepared.truth_for(model), model, threshold=EVEN_ODDS if even else None,
                        progress=lambda done, total: progress(part * done / total))  # fmt: skip
        if not found.classes:
            return four.to_dict()
        own = prepared.perceived_classes(decoded, found, lambda share: progress(part + (1 - part) * share))
        return {**four.to_dict(), "classes": own.to_dict()}


def _scored_as(model: str) -> Any:
    """What decides how a network's scores come about."""
    classes = find_model(model).classes
    return [model_id(model), *classes] if classes else model_id(model)


def open_decoded(path: Path, source: vs.VideoNode, *, sequential: bool = False) -> vs.VideoNode:
    """Open the reconstruction of a SAC file, or an ordinary video, at the frame rate and the size of the source.

    Args:
        path: The file.
        source: The source clip.
        sequential: See `source.open_clip`.

    Raises:
        SacError: The file cannot be opened, or it is an ordinary video whose length differs from the source.
    """
    if container.is_sac(path):
        return pipeline.open_sac(path, sequential=sequential)
    clip = open_clip(path, fps=source.fps, sequential=sequential)
    if clip.num_frames != source.num_frames:
        raise SacError(f"{path} has {clip.num_frames} of {source.num_frames} frames", "compare")
    if (clip.width, clip.height) != (source.width, source.height):
        # As `open_sac` enlarges a picture that was coded smaller.
        clip = clip.resize.Spline36(source.width, source.height)
    return clip
