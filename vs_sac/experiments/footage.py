"""Footage: videos, image sequences and sequences of datasets, with ground truth if there is any."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import vapoursynth as vs

from ..core.errors import SacFileError, SacValueError
from ..core.labels import LabelSet
from ..segmentation.label_images import open_label_values, open_labels
from ..source.datasets import DatasetKind, DatasetRef, Sample, list_samples
from ..source.images import image_files
from ..source.opening import open_clip

__all__ = ["Footage", "Truth", "dataset_footage", "find_footage"]

#: Frame rate of the datasets' cameras. A dataset that keeps every nth frame has an nth of this rate.
_CAMERA = {DatasetKind.CAMVID: 30, DatasetKind.CAMVID_COLOUR: 30, DatasetKind.KITTI_STEP: 10}
_CITYSCAPES_FPS = 17

#: Images whose numbers differ by more than this are samples of a drive, not consecutive frames of a video.
_WIDEST_STEP = 5

_NUMBERED = re.compile(r"(.*?)(\d+)")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Truth:
    """Ground truth of some frames.

    Attributes:
        values: Original label values, GRAY8, one frame per labelled frame.
        labels: Encoding of the labels.
        frames: Numbers of the labelled frames of the footage, in order.
    """

    values: vs.VideoNode
    labels: LabelSet
    frames: tuple[int, ...]

    def of(self, clip: vs.VideoNode) -> vs.VideoNode:
        """The labelled frames of a clip that has the length of the footage."""
        if self.frames == tuple(range(clip.num_frames)):
            return clip
        return vs.core.std.Splice([clip[n] for n in self.frames])


@dataclass(frozen=True)
class Footage:
    """A video or an image sequence, with its labels if there are any.

    Attributes:
        name: Name for reports and files.
        source: Video file, or images in order.
        fps: Frame rate of images.
        labels: Label image by frame number.
        label_set: Encoding of the labels.
        limit: Use only this many frames of a video file.
        argument: The command-line argument that names the footage; None if no argument does.
    """

    name: str
    source: Path | tuple[Path, ...]
    fps: Fraction | None = None
    labels: dict[int, Path] = field(default_factory=dict, repr=False)
    label_set: LabelSet | None = None
    limit: int | None = None
    argument: str | None = None

    def encode_words(self, frames: int) -> list[str] | None:
        """Return the input and the options for ``vs-sac encode`` that select this footage; None if there are none.

        Args:
            frames: Length of the footage.
        """
        if isinstance(self.source, Path):
            return [str(self.source), *(["--frames", str(frames)] if self.limit else [])]
        argument = self.argument or _pattern(self.source)
        if argument is None:
            return None
        cut = len(image_files(Path(argument))) > len(self.source)
        rate = ["--fps", str(self.fps)] if self.fps else []
        return [argument, *rate, *(["--frames", str(frames)] if cut else [])]

    def mask_words(self) -> list[str] | None:
        """Return the options for ``vs-sac encode`` that select the labels as masks; None if there are none."""
        files = tuple(self.labels[n] for n in sorted(self.labels))
        pattern = _pattern(files) if files and self.label_set else None
        if pattern is None or len(image_files(Path(pattern))) != len(files):
            return None
        return ["--masks", pattern, "--labels", str(self.label_set)]

    def open(self) -> vs.VideoNode:
        """Open the clip; raises what `open_clip` raises."""
        clip = open_clip(self.source, fps=self.fps)
        return clip[: self.limit] if self.limit and self.limit < clip.num_frames else clip

    def truth(self) -> Truth | None:
        """Ground truth for scores; raises what `open_labels` raises."""
        if self.label_set is None or not self.labels:
            return None
        frames = tuple(sorted(self.labels))
        files = [self.labels[n] for n in frames]
        return Truth(open_label_values(files, self.label_set, fps=self.fps), self.label_set, frames)

    def labelled_masks(self) -> vs.VideoNode:
        """Class map of the labels, for masks.

        Raises:
            SacValueError: Some frames have no label.
        """
        if self.label_set is None or isinstance(self.source, Path) or len(self.labels) < len(self.source):
            raise SacValueError(f"not every frame of {self.name} has a label; let a network make the masks", "masks")
        return open_labels([self.labels[n] for n in sorted(self.labels)], self.label_set, fps=self.fps)

    @cached_property
    def sha256(self) -> str:
        """Digest of the bytes of the source, the limit and the frame rate."""
        digest = hashlib.sha256(f"{self.limit}:{self.fps}".encode())
        for path in (self.source,) if isinstance(self.source, Path) else self.source:
            with path.open("rb") as file:
                while block := file.read(_CHUNK):
                    digest.update(block)
        return digest.hexdigest()


def find_footage(text: str, *, frames: int | None = None, fps: str | None = None) -> list[Footage]:
    """Find the footage that an argument names.

    Args:
        text: Video file, folder of images, printf pattern, or ``KIND:ROOT[:SPLIT]`` for all sequences of a dataset.
        frames: Use only this many frames from the start of each.
        fps: Frame rate of image sequences that do not belong to a dataset.

    Raises:
        SacFileError: The path does not exist, or does not have the expected layout.
        SacValueError: The name or the rate is malformed.
    """
    if text.partition(":")[0] in set(DatasetKind):
        ref = DatasetRef.parse(text)
        return dataset_footage(ref.kind, ref.root, ref.split, frames=frames)
    path = Path(text)
    if not (files := image_files(path)):
        if not path.is_file():
            raise SacFileError(f"{path} does not exist", "compare")
        return [Footage(path.stem, path, limit=frames)]
    try:
        rate = Fraction(fps or 25)
    except (ValueError, ZeroDivisionError):
        raise SacValueError(f"frame rate {fps!r} is not a number such as 25 or 30000/1001", "compare") from None
    name = path.name if path.is_dir() else re.sub(r"%0?\d*d", "", path.stem).strip("_-.") or path.parent.name
    return [Footage(name, tuple(files[:frames]), rate, argument=text)]


def dataset_footage(kind: DatasetKind, root: Path, split: str, *, frames: int | None = None) -> list[Footage]:
    """Find the sequences of consecutive frames in a dataset, with their labels if they have any.

    Raises:
        SacFileError: The layout is not found, or contains no two consecutive frames.
    """
    samples = list_samples(kind, root, split)
    found = [_footage(kind, name, step, run, frames) for name, step, run in _runs(samples)]
    if not found:
        raise SacFileError(
            f"the {len(samples)} images of split {split!r} in {root} are samples of drives, none of them a video of"
            f" consecutive frames (numbers at most {_WIDEST_STEP} apart)", "compare",
        )  # fmt: skip
    return found


def _runs(samples: Sequence[Sample]) -> Iterator[tuple[str, int, list[Sample]]]:
    """Yield name, step and samples of each run of evenly numbered images of one recording."""
    recordings: dict[tuple[Path, str], list[tuple[int, Sample]]] = defaultdict(list)
    for sample in samples:
        stem = sample.image.stem.removesuffix("_leftImg8bit")
        if match := _NUMBERED.fullmatch(stem):
            recordings[sample.image.parent, match[1]].append((int(match[2]), sample))
    for (folder, prefix), numbered in recordings.items():
        numbered.sort(key=lambda pair: pair[0])
        step = min((b[0] - a[0] for a, b in pairwise(numbered)), default=0)
        if not 1 <= step <= _WIDEST_STEP:
            continue
        runs = [[numbered[0]]]
        for before, pair in pairwise(numbered):
            if pair[0] - before[0] == step:
                runs[-1].append(pair)
            else:
                runs.append([pair])
        name = prefix.strip("_-.") or folder.name
        for run in runs:
            if len(run) > 1:
                # The name of the first frame distinguishes several snippets of one recording.
                first = f"_{run[0][0]:06d}" if len(runs) > 1 else ""
                yield f"{name}{first}", step, [sample for _, sample in run]


def _footage(kind: DatasetKind, name: str, step: int, run: list[Sample], frames: int | None) -> Footage:
    run = run[:frames]
    labels = {n: label for n, sample in enumerate(run) for label in [_label(sample)] if label.is_file()}
    label_set = run[0].labels
    rate = Fraction(_CAMERA[kind], step) if kind in _CAMERA else Fraction(_CITYSCAPES_FPS)
    known = label_set if isinstance(label_set, LabelSet) else None
    return Footage(name, tuple(sample.image for sample in run), rate, labels if known else {}, known)


def _pattern(files: Sequence[Path]) -> str | None:
    """Return a printf pattern whose first images are these; None if there is none."""
    first = files[0]
    for number in reversed(list(re.finditer(r"\d+", first.name))):
        head, tail = first.name[: number.start()], first.name[number.end() :]
        if "%" in str(first):
            return None
        pattern = first.parent / f"{head}%0{len(number[0])}d{tail}"
        if image_files(pattern)[: len(files)] == list(files):
            return str(pattern)
    return None


def _label(sample: Sample) -> Path:
    """Path of a label. Cityscapes labels one frame of each snippet and stores the label with its single frames."""
    if sample.label.is_file():
        return sample.label
    parts = ["gtFine" if part == "gtFine_sequence" else part for part in sample.label.parts]
    return Path(*parts)
