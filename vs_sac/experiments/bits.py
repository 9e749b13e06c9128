"""Estimate of the bits that each macroblock of a frame took. None of the encoders used here reports them.

The bits of a block follow from the rate-distortion function of its prediction residual. If a block is coded at mean
squared error D, a coefficient with energy s² takes ½·log2(s² / D) bits if s² exceeds D, and no bits otherwise (reverse
water-filling; Cover and Thomas, *Elements of Information Theory*, Sec. 10.3.3). D is measured on the reconstruction.
The residual is the source minus a prediction: either the mean of the block, or a block-matched prediction from the
previous reconstructed frame, whichever is better. The sum over the frame is scaled to the frame's coded bytes, which
are known. If each region has its own stream, each region's sum is scaled to the bytes of its stream.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import vapoursynth as vs

from ..core.errors import SacFileError
from ..core.macroblocks import BLOCK

__all__ = ["coded_bytes", "estimate_bits"]

type FloatArray = npt.NDArray[np.float64]

#: Search range of the block matching in pixels. The search runs at half size and is then refined by one pixel.
_REACH = (32, 16)

#: Side of the transform in pixels, and the smallest distortion that rounding to 8 bits leaves.
_TRANSFORM, _ROUNDING = 8, 1 / 12


def coded_bytes(path: Path, frames: int) -> dict[int, npt.NDArray[np.int64]]:
    """Coded bytes of each frame in display order, by index of the video track.

    Raises:
        SacFileError: The file cannot be read, or has a different number of frames.
    """
    sizes: dict[int, list[tuple[int, int]]] = {}
    try:
        with av.open(f"file:{path}") as file:
            order = {stream.index: n for n, stream in enumerate(file.streams.video)}
            for packet in file.demux(video=list(range(len(order)))):
                if packet.size and packet.pts is not None:
                    sizes.setdefault(order[packet.stream.index], []).append((packet.pts, packet.size))
    except (av.FFmpegError, OSError) as error:
        raise SacFileError(f"cannot read {path}: {error}", "coded_bytes") from error
    if not sizes or any(len(track) != frames for track in sizes.values()):
        raise SacFileError(f"{path} has {[len(t) for t in sizes.values()]} coded frames, not {frames}", "coded_bytes")
    return {number: np.array([size for _, size in sorted(track)]) for number, track in sizes.items()}


def estimate_bits(
    source: vs.VideoNode, decoded: vs.VideoNode, number: int, parts: Sequence[tuple[npt.NDArray[np.bool_], int]]
) -> FloatArray:
    """Estimate the bits of each macroblock of a frame.

    Args:
        source: YUV, 8 bits.
        decoded: Reconstruction of the source.
        number: Number of the frame. Frame 0 is estimated without prediction from another frame.
        parts: Block grids (ceil(H / 16), ceil(W / 16)) that together cover the frame, each with its known number of
            bytes.

    Returns:
        Shape (ceil(H / 16), ceil(W / 16)). The sum over each part is 8 times its bytes, unless no block of the part
        needs any bits.
    """
    target, got = (_padded(clip, number) for clip in (source, decoded))
    distortion = np.maximum(_per_block(np.square(target - got)) / BLOCK**2, _ROUNDING)
    intra = target - _spread(_per_block(target) / BLOCK**2)
    bits = _block_bits(intra, distortion)
    if number:
        bits = np.minimum(bits, _block_bits(target - _matched(target, _padded(decoded, number - 1)), distortion))
    for grid, size in parts:
        if total := bits[grid].sum():
            bits[grid] *= 8 * size / total
    return bits


def _block_bits(residual: FloatArray, distortion: FloatArray) -> FloatArray:
    """Bits of each block, from the transform of its residual and its distortion."""
    rows, columns = residual.shape
    k = _TRANSFORM
    blocks = residual.reshape(rows // k, k, columns // k, k).transpose(0, 2, 1, 3)
    basis = _dct(k)
    energy = np.square(basis @ blocks @ basis.T)
    level = np.repeat(np.repeat(distortion, BLOCK // k, 0), BLOCK // k, 1)[..., None, None]
    bits = 0.5 * np.log2(np.maximum(energy / level, 1)).sum((2, 3))
    per = BLOCK // k
    return np.asarray(bits.reshape(rows // BLOCK, per, columns // BLOCK, per).sum((1, 3)))


def _matched(target: FloatArray, before: FloatArray) -> FloatArray:
    """Prediction of each block from the previous frame: full search at half size, then a refinement by one pixel."""
    small, past = (a[::2, ::2] / 2 + a[1::2, 1::2] / 2 for a in (target, before))
    reach = tuple(r // 2 for r in _REACH)
    past = np.pad(past, ((reach[1],) * 2, (reach[0],) * 2), mode="edge")
    shape = (target.shape[0] // BLOCK, target.shape[1] // BLOCK)
    best = np.full(shape, np.inf)
    vector = np.zeros((*shape, 2), np.int64)
    for dy in range(-reach[1], reach[1] + 1):
        for dx in range(-reach[0], reach[0] + 1):
            top, left = reach[1] + dy, reach[0] + dx
            shifted = past[top : top + small.shape[0], left : left + small.shape[1]]
            cost = _per_block(np.abs(small - shifted), BLOCK // 2)
            # A longer motion vector costs bits of its own.
            cost += abs(dx) + abs(dy)
            better = cost < best
            best[better] = cost[better]
            vector[better] = (2 * dy, 2 * dx)
    result, least = before, _per_block(np.abs(target - before))
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            moved = _moved(before, vector + np.array([dy, dx]))
            cost = _per_block(np.abs(target - moved))
            result = np.where(_spread(cost < least), moved, result)
            least = np.minimum(cost, least)
    return result


def _moved(picture: FloatArray, vector: npt.NDArray[np.int64]) -> FloatArray:
    """The picture in which each block is taken from the position that its vector points to."""
    rows, columns = np.indices(picture.shape, dtype=np.int32)
    dy, dx = (_spread(vector[..., axis].astype(np.int32)) for axis in (0, 1))
    taken: FloatArray = picture[(rows + dy).clip(0, len(picture) - 1), (columns + dx).clip(0, picture.shape[1] - 1)]
    return taken


def _padded(clip: vs.VideoNode, number: int) -> FloatArray:
    """Luma of a frame, with its edges repeated up to whole macroblocks."""
    with clip.get_frame(number) as frame:
        luma = np.asarray(frame[0]).astype(np.float64)
    rows, columns = luma.shape
    return np.pad(luma, ((0, -rows % BLOCK), (0, -columns % BLOCK)), mode="edge")


def _per_block(samples: FloatArray, block: int = BLOCK) -> FloatArray:
    rows, columns = samples.shape
    sums: FloatArray = samples.reshape(rows // block, block, columns // block, block).sum((1, 3))
    return sums


def _spread(blocks: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)


def _dct(size: int) -> FloatArray:
    """Orthonormal DCT-II matrix."""
    k, n = np.mgrid[:size, :size]
    basis: FloatArray = np.cos(np.pi * (2 * n + 1) * k / (2 * size)) * np.sqrt(2 / size)
    basis[0] /= np.sqrt(2)
    return basis
