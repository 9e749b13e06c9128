"""The paper's Fig. 7: adding the decoded streams, compared with selecting by the mask."""

from dataclasses import dataclass
from pathlib import Path

import vapoursynth as vs

from .. import container, pipeline
from ..core.choices import Codec, Fill
from ..core.errors import SacFormatError
from ..masks.grid import expand_grid
from ..metrics.artefacts import flashes
from ..metrics.clips import measure
from ..metrics.quality import Region
from ..source.opening import open_raw
from ..streams.merging import merge
from .table import Column, Table

__all__ = ["MERGES", "Artefacts", "find_artefacts"]

#: Ways to combine two decoded streams.
MERGES = ("added, 8 bits wrap", "added, clamped", "selected by mask")

#: CRFs from the caption of the paper's Fig. 6. Fig. 7 shows the same scheme.
_CRF = (23.0, 28.0)


@dataclass(frozen=True)
class Artefacts:
    """Results of the three ways to combine the streams.

    Attributes:
        table: Flash pixels and ring PSNR of each.
        clips: The reconstructions as RGB, in the order of `MERGES`.
        worst: Number of the frame with the most flash pixels.
    """

    table: Table
    clips: tuple[vs.VideoNode, ...]
    worst: int


def find_artefacts(clip: vs.VideoNode, grid: vs.VideoNode, folder: Path, name: str) -> Artefacts:
    """Encode a clip in two streams as in the paper, and combine the decoded streams in three ways.

    The paper's code adds the decoded streams as 8-bit RGB arrays. Where one stream is nearly black, the sum is nearly
    the other stream. Near mask edges neither stream is black, and a sum above 255 wraps around to nearly 0.

    Args:
        clip: 8-bit YUV.
        grid: Block grid of the clip.
        folder: Folder in which the encode is kept.
        name: Name of the clip.

    Raises:
        SacFormatError: The clip has more than 8 bits.
        SacError: The encode failed.
    """
    if clip.format.bits_per_sample != 8:
        raise SacFormatError(f"{name} is {clip.format.name}; 8-bit sums are of 8-bit video", "artefacts")
    path = folder / f"{name}-fig7.mkv"
    if not path.is_file():
        pipeline.encode(clip, path, codec=Codec.X265, crf_roi=_CRF[0], crf_non_roi=_CRF[1], fill=Fill.BLACK, masks=grid)
    info = container.probe(path)
    roi, non_roi = (open_raw(path, fps=info.fps, track=info.tracks[track])
                    for track in (container.ROI_TRACK, container.NON_ROI_TRACK))  # fmt: skip
    selected = merge(roi, non_roi, expand_grid(grid, clip.width, clip.height))
    reference, a, b = (_rgb(node, clip) for node in (clip, roi, non_roi))
    clips = (
        vs.core.std.Expr([a, b], "x y + 255 > x y + 256 - x y + ?"),
        vs.core.std.Expr([a, b], "x y +"),
        _rgb(selected, clip),
    )
    rows, worst = [], 0
    for kind, result in zip(MERGES, clips, strict=True):
        count = flashes(reference, result, grid)
        quality = measure(_yuv(reference, clip), _yuv(result, clip), grid, ssim=False).luma
        rows.append({
            "merge": kind, "flashes": count.total, "per_frame": count.total / clip.num_frames,
            "share": count.share, "ring": quality.psnr(Region.RING), "all": quality.psnr(Region.ALL),
        })  # fmt: skip
        if kind == MERGES[0]:
            worst = max(range(clip.num_frames), key=count.per_frame.__getitem__)
    columns = (
        Column("merge", "decoded streams"), Column("flashes", "flash pixels"),
        Column("per_frame", "a frame", 1), Column("share", "of the ring", 3, percent=True),
        Column("ring", "ring PSNR", 2), Column("all", "PSNR", 2),
    )  # fmt: skip
    notes = (f"{name}: SA-X265 two-stream {_CRF[0]:g}/{_CRF[1]:g}, black fill, put together as RGB.",)
    return Artefacts(Table("Flashes (paper Fig. 7)", columns, tuple(rows), notes), clips, worst)


def _rgb(node: vs.VideoNode, like: vs.VideoNode) -> vs.VideoNode:
    """Convert to RGB with the colour properties of the source, because some encoders do not pass them on."""
    with like.get_frame(0) as frame:
        props = {name: int(frame.props[name]) for name in ("_Matrix", "_Range") if name in frame.props}
    return node.std.SetFrameProps(**props).resize.Bicubic(format=vs.RGB24)


def _yuv(node: vs.VideoNode, like: vs.VideoNode) -> vs.VideoNode:
    with like.get_frame(0) as frame:
        matrix, full = int(frame.props["_Matrix"]), int(frame.props.get("_Range", 0))
    return node.resize.Bicubic(format=vs.YUV444P8, matrix=matrix, range=full)
