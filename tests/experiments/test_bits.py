import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import given
from hypothesis import strategies as st

from vs_sac import container, encode
from vs_sac.core.errors import SacFileError
from vs_sac.experiments.bits import _dct, _moved, coded_bytes, estimate_bits

from ..helpers import clip_of, mask_clip, noise_clip


def grey(pictures: list[np.ndarray]) -> vs.VideoNode:
    return clip_of([[p.clip(0, 255).astype(np.uint8)] for p in pictures], vs.GRAY8)


def texture(seed: int, rows: int = 48, columns: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns)).astype(float)


def test_the_transform_is_orthonormal():
    np.testing.assert_allclose(_dct(8) @ _dct(8).T, np.eye(8), atol=1e-12)


@given(st.integers(0, 999), st.integers(1, 10**6))
def test_each_part_sums_to_its_bytes(seed, size):
    source = texture(seed)
    got = source + np.random.default_rng(seed + 1).normal(0, 4, source.shape)
    roi = np.zeros((3, 4), np.bool_)
    roi[:, :2] = True
    bits = estimate_bits(grey([source]), grey([got]), 0, [(roi, size), (~roi, 2 * size)])
    assert bits.shape == roi.shape
    assert bits[roi].sum() == pytest.approx(8 * size)
    assert bits[~roi].sum() == pytest.approx(16 * size)


@pytest.mark.parametrize("shift", [(0, 0), (0, 6), (4, -10), (3, 5)])
def test_what_the_frame_before_predicts_costs_nothing(shift):
    """All but one block moved by whole pixels; that one is new."""
    wide = np.kron(texture(3, 40, 48), np.ones((4, 4)))
    before = wide[40:104, 40:136]
    now = wide[40 + shift[0] : 104 + shift[0], 40 + shift[1] : 136 + shift[1]].copy()
    now[32:48, 48:64] = texture(9, 16, 16)
    got = now + np.random.default_rng(0).normal(0, 3, now.shape)
    bits = estimate_bits(grey([before, now]), grey([before, got]), 1, [(np.ones((4, 6), np.bool_), 1000)])
    inner = bits[1:3, 1:5]
    assert bits[2, 3] == bits.max()
    assert np.delete(inner.ravel(), 6).sum() < 0.05 * bits[2, 3]


def test_better_quality_costs_more_of_the_frame():
    source = texture(1)
    error = np.full(source.shape, 12.0)
    error[:, :32] = 2
    got = source + np.random.default_rng(2).choice([-1, 1], source.shape) * error
    bits = estimate_bits(grey([source]), grey([got]), 0, [(np.ones((3, 4), np.bool_), 500)])
    assert bits[:, :2].min() > bits[:, 2:].max()


def test_motion_outside_of_the_frame_takes_its_edge():
    picture = texture(0, 16, 16)
    assert (_moved(picture, np.array([[[-99, -99]]])) == picture[0, 0]).all()


@pytest.mark.slow_except(r"two")
@pytest.mark.encoder
@pytest.mark.parametrize("mode", ["two-stream", "single-stream"])
def test_coded_bytes_are_those_of_the_tracks(tmp_path, mode):
    clip = noise_clip(96, 64, 9, smooth=True)
    grid = mask_clip(np.arange(24).reshape(1, 4, 6).repeat(9, 0) % 2 == 0)
    encode(clip, tmp_path / "a.mkv", mode=mode, masks=grid)
    info = container.probe(tmp_path / "a.mkv")
    sizes = info.track_bytes()
    got = coded_bytes(tmp_path / "a.mkv", 9)
    assert [got[n].sum() for n in sorted(got)] == [sizes[name] for name in info.tracks]
    assert got[0].argmax() == 0
    with pytest.raises(SacFileError, match="coded frames"):
        coded_bytes(tmp_path / "a.mkv", 8)
