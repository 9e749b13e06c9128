from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st

from vs_sac import merge, split
from vs_sac.core.errors import SacFormatError, SacValueError
from vs_sac.masks import expand_grid_array
from vs_sac.metrics import flash_pixels, flashes, ring

from ..helpers import clip_of
from .pictures import Frames, encoded, frame_pairs, mask_of
from .strategies import Array, picture

GRID = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], bool)
WIDTH, HEIGHT = 64, 48


def streams(reference: Frames, grids: list[Array], seed: int, leak: float) -> tuple[Frames, Frames]:
    """Both streams as a codec returns them: black where masked out, but for ringing near the edges."""
    rng = np.random.default_rng(seed)
    decoded: tuple[Frames, Frames] = ([], [])
    for planes, grid in zip(reference, grids, strict=True):
        mask = expand_grid_array(grid, WIDTH, HEIGHT)
        edge = ring(mask)
        for stream, side in zip(decoded, (mask, ~mask), strict=True):
            kept = [np.where(side, plane, 0) + np.where(edge, rng.normal(0, leak, mask.shape), 0) for plane in planes]
            stream.append([np.clip(np.round(plane), 0, 255).astype(np.uint8) for plane in kept])
    return decoded


def bright(seed: int, length: int) -> Frames:
    rng = np.random.default_rng(seed)
    return [[np.maximum(picture(rng, (HEIGHT, WIDTH)), 235) for _ in range(3)] for _ in range(length)]


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_wrapping_addition_trips_and_selection_does_not(seed: int) -> None:
    reference = bright(seed, 4)
    grids = [np.roll(GRID, n, 1) for n in range(4)]
    roi, rest = streams(reference, grids, seed, leak=12)
    # The paper's eq. 7 on 8-bit samples: numpy wraps modulo 256, as the published code does.
    added = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(roi, rest, strict=True)]
    chosen = [
        [np.where(expand_grid_array(grid, WIDTH, HEIGHT), a, b) for a, b in zip(x, y, strict=True)]
        for x, y, grid in zip(roi, rest, grids, strict=True)
    ]
    mask = mask_of(grids)
    for fmt in (vs.RGB24, vs.YUV444P8):
        original = clip_of(reference, fmt)
        tripped = flashes(original, clip_of(added, fmt), mask)
        assert tripped.total > 50
        assert tripped.share > 0
        assert tripped.ring_pixels == sum(int(ring(expand_grid_array(grid, WIDTH, HEIGHT)).sum()) for grid in grids)
        assert flashes(original, clip_of(chosen, fmt), mask).total == 0


@pytest.mark.encoder
def test_on_a_real_codec(tmp_path: Path) -> None:
    # As the paper's authors do it: decode both streams, convert to RGB, add.
    grids = [expand_grid_array(np.roll(GRID, n, 1), WIDTH, HEIGHT) for n in range(4)]
    mask = mask_of(grids)
    source = clip_of([planes for planes in bright(3, 1) for _ in grids], vs.YUV444P8)
    parts = split(source, mask, fill="black")
    decoded = [encoded(part, tmp_path, f"{n}", "-c:v", "libx264", "-crf", "40") for n, part in enumerate(parts)]
    rgb = [clip.resize.Point(format=vs.RGB24, matrix_in=6, range_in=0) for clip in (source, *decoded)]
    added = vs.core.std.Expr(rgb[1:], "x y + dup 255 > 256 0 ? -")
    assert flashes(rgb[0], added, mask).total > 0
    assert flashes(rgb[0], merge(*rgb[1:], mask), mask).total == 0


def test_what_a_flash_is() -> None:
    calm = np.zeros((3, 1, 4), bool)
    gross = calm.copy()
    gross[0, 0, 0] = True  # one channel
    gross[:, 0, 1] = True  # every channel, this frame only
    gross[:, 0, 2] = True  # every channel, all three frames
    lasting = calm.copy()
    lasting[:, 0, 2] = True
    assert flash_pixels(gross, lasting, lasting).tolist() == [[True, True, False, False]]
    assert flash_pixels(gross, lasting, calm).tolist() == [[True, True, False, False]]
    assert flash_pixels(gross).tolist() == [[True, True, True, False]]
    near = np.array([[False, True, True, True]])
    assert flash_pixels(gross, lasting, lasting, near).tolist() == [[False, True, False, False]]
    # Grey video has no other channel to compare with.
    assert flash_pixels(gross[:1], gross[:1], gross[:1]).tolist() == [[False] * 4]


def test_only_pixels_near_an_edge_count() -> None:
    reference = frame_pairs(vs.GRAY8, WIDTH, HEIGHT, 3)[0]
    wrong = [[plane ^ np.uint8(128) if n == 1 else plane for plane in planes] for n, planes in enumerate(reference)]
    pair = clip_of(reference, vs.GRAY8), clip_of(wrong, vs.GRAY8)
    counts = flashes(*pair, mask_of([GRID] * 3), threshold=0.4)
    assert counts.per_frame == (0, int(ring(expand_grid_array(GRID, WIDTH, HEIGHT)).sum()), 0)
    nowhere = flashes(*pair, mask_of([np.ones_like(GRID)] * 3), threshold=0.4)
    assert (nowhere.total, nowhere.share) == (0, 0)
    full = flashes(*pair, mask_of([expand_grid_array(GRID, WIDTH, HEIGHT)] * 3), threshold=0.4)
    assert full == counts


def test_subsampled_chroma_and_depth() -> None:
    for fmt, top in ((vs.YUV420P8, 255), (vs.YUV420P10, 1023)):
        info = vs.core.get_video_format(fmt)
        dtype = np.uint8 if info.bits_per_sample == 8 else np.uint16
        shapes = [(HEIGHT, WIDTH)] + [(HEIGHT // 2, WIDTH // 2)] * 2
        planes = [np.zeros(shape, dtype) for shape in shapes]
        spoilt = [plane.copy() for plane in planes]
        spoilt[2][4, 7] = top  # covers luma rows 8, 9 and columns 14, 15, beside the edge at column 16
        count = flashes(clip_of([planes] * 2, fmt), clip_of([spoilt] * 2, fmt), mask_of([GRID] * 2))
        assert count.per_frame == (4, 4)


def test_refusals() -> None:
    clip = vs.core.std.BlankClip(width=64, height=48, format=vs.YUV420P8, length=2)
    mask = vs.core.std.BlankClip(width=4, height=3, format=vs.GRAY8, length=2)
    with pytest.raises(SacValueError, match="threshold"):
        flashes(clip, clip, mask, threshold=1)
    with pytest.raises(SacFormatError, match="agree"):
        flashes(clip, clip[:1], mask)
    with pytest.raises(SacFormatError, match="mask"):
        flashes(clip, clip, mask[:1])
    with pytest.raises(SacFormatError, match="mask"):
        flashes(clip, clip, clip)
    with pytest.raises(SacFormatError, match="one shape"):
        flash_pixels(np.zeros((2, 2), bool))
