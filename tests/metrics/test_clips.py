import csv
import io
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from vs_sac.core.errors import SacFormatError, SacValueError
from vs_sac.masks import expand_grid_array
from vs_sac.metrics import Pooling, Region, measure, psnr, psnr_from_mse, regions, squared_error, ssim
from vs_sac.metrics.quality import subsample_mask
from vs_sac.metrics.series import Lows

from ..helpers import clip_of
from .pictures import clips_of, encoded, ffmpeg, frame_pairs, mask_of, run, write_y4m
from .strategies import Array

FORMATS = [vs.GRAY8, vs.YUV420P8, vs.YUV444P8, vs.YUV422P10, vs.YUV420P12, vs.GRAY16, vs.YUV420P16, vs.YUV410P8]


def grids(width: int, height: int, length: int, seed: int = 0, block: int = 16) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.random((-(-height // block), -(-width // block))) < 0.5 for _ in range(length)]


@settings(max_examples=40)
@given(
    fmt=st.sampled_from(FORMATS),
    width=st.integers(3, 30).map(lambda n: 4 * n),
    height=st.integers(3, 20).map(lambda n: 4 * n),
    full=st.booleans(),
    block=st.sampled_from([16, 16, 8, 20]),
    radius=st.sampled_from([8, 8, 3, 6, 16, 0]),
    seed=st.integers(0, 2**32),
)
@example(fmt=vs.YUV410P8, width=64, height=48, full=False, block=20, radius=6, seed=1)
@example(fmt=vs.YUV420P8, width=64, height=48, full=False, block=9, radius=3, seed=1)
def test_equals_the_functions_on_arrays(
    fmt: int, width: int, height: int, full: bool, block: int, radius: int, seed: int
) -> None:
    pair = frame_pairs(fmt, width, height, 2, seed)
    masks = grids(width, height, 2, seed, 1 if full else block)
    quality = measure(*clips_of(pair, fmt), mask_of(masks), block=block, ring_radius=radius, planes=None)
    info = vs.core.get_video_format(fmt)
    bits = info.bits_per_sample
    for plane, series in enumerate(quality.planes):
        for n, (a, b) in enumerate(zip(*pair, strict=True)):
            parts = regions(masks[n] if full else expand_grid_array(masks[n], width, height, block), radius)
            for column, (region, part) in enumerate(parts.items()):
                inside = part
                if plane:
                    source = parts[Region.ROI] if region is Region.NON_ROI else part
                    inside = subsample_mask(source, info.subsampling_w, info.subsampling_h) ^ (region is Region.NON_ROI)
                assert series.sse[n, column] == squared_error(a[plane], b[plane], inside)
                assert series.pixels[n, column] == inside.sum()
                expected = psnr(a[plane], b[plane], inside, bits=bits)
                np.testing.assert_allclose(series.psnr_series(region)[n], expected, atol=1e-9)
                if min(a[plane].shape) < 11:
                    assert series.ssim_sum is None
                    assert math.isnan(series.ssim(region))
                    continue
                expected = ssim(a[plane], b[plane], inside, bits=bits)
                # A region may be a single pixel: rounding of the map, 1.6e-5, and single precision.
                np.testing.assert_allclose(series.ssim_series(region)[n], expected, atol=5e-5)


@pytest.mark.parametrize("fmt", FORMATS)
def test_identity_is_perfect_and_symmetry_holds(fmt: int) -> None:
    a, b = clips_of(frame_pairs(fmt, 64, 48, 2), fmt)
    mask = mask_of(grids(64, 48, 2))
    same = measure(a, a, mask, planes=None)
    for plane in same.planes:
        assert [plane.psnr(region) for region in Region] == [math.inf] * 4
        if plane.ssim_sum is not None:
            assert [plane.ssim(region) for region in Region] == [1] * 4
    forth, back = measure(a, b, mask).luma, measure(b, a, mask).luma
    np.testing.assert_array_equal(forth.sse, back.sse)
    np.testing.assert_allclose(forth.ssim_series(), back.ssim_series(), atol=1e-5)


@given(st.integers(0, 2**32))
@settings(max_examples=20)
def test_mse_of_the_whole_is_the_weighted_mean_of_the_regions(seed: int) -> None:
    luma = measure(
        *clips_of(frame_pairs(vs.YUV420P8, 72, 56, 2, seed), vs.YUV420P8), mask_of(grids(72, 56, 2, seed)), ssim=False
    ).luma
    parts = (Region.ROI, Region.NON_ROI)
    assert luma.total_sse() == sum(map(luma.total_sse, parts))
    assert luma.total_pixels() == sum(map(luma.total_pixels, parts)) == 72 * 56 * 2
    weighted = sum(luma.mse(part) * luma.total_pixels(part) for part in parts if luma.total_pixels(part))
    assert luma.mse() == pytest.approx(weighted / luma.total_pixels(), rel=1e-14)


def test_the_largest_error_does_not_overflow() -> None:
    black, white = (clip_of([[np.full((64, 512), v, np.uint16)]] * 2, vs.GRAY16) for v in (0, 65535))
    luma = measure(black, white).luma
    assert luma.total_sse() == 65535**2 * 64 * 512 * 2
    assert luma.psnr() == 0
    black, white = (clip_of([[np.full((64, 512), v, np.uint8)]], vs.GRAY8) for v in (0, 255))
    assert measure(black, white).luma.mse() == 255**2


def test_bright_flat_planes_keep_their_precision() -> None:
    # mean² is 4·10^4 times C2's share here: single precision without an offset would be off by 1e-3
    rng = np.random.default_rng(0)
    a = (250 + rng.integers(0, 2, (64, 64))).astype(np.uint8)
    b = (250 + rng.integers(0, 2, (64, 64))).astype(np.uint8)
    luma = measure(clip_of([[a]], vs.GRAY8), clip_of([[b]], vs.GRAY8)).luma
    assert luma.ssim() == pytest.approx(ssim(a, b), abs=1e-5)


def test_pooling_over_time() -> None:
    base = np.full((16, 16), 100, np.uint8)
    errors = [1, 2, 3, 4]
    reference = clip_of([[base]] * 4, vs.GRAY8)
    luma = measure(reference, clip_of([[base + e] for e in errors], vs.GRAY8)).luma
    each = [psnr_from_mse(e * e, 255) for e in errors]
    np.testing.assert_allclose(luma.psnr_series(), each)
    assert luma.psnr() == pytest.approx(psnr_from_mse(30 / 4, 255))
    assert luma.psnr(pooling="frames") == pytest.approx(sum(each) / 4)
    assert (luma.psnr_lows().one, luma.psnr_lows().five) == pytest.approx((each[3], each[3]))
    assert luma.ssim_lows().one == pytest.approx(min(luma.ssim_series()))
    perfect_once = measure(reference, clip_of([[base + e] for e in (0, 1, 1, 1)], vs.GRAY8)).luma
    assert perfect_once.psnr(pooling=Pooling.FRAMES) == math.inf
    assert perfect_once.psnr() == pytest.approx(psnr_from_mse(3 / 4, 255))


def test_lows_are_means_of_the_worst_frames() -> None:
    lows = Lows.of(np.array([float(n) for n in range(200)][::-1]))
    assert lows == Lows(0.5, 4.5)
    assert Lows.of(np.array([math.nan, 3.0])) == Lows(3, 3)
    assert math.isnan(Lows.of(np.array([math.nan])).one)


def test_a_region_that_comes_and_goes() -> None:
    frames = [[np.full((32, 32), v, np.uint8)] for v in (10, 12)]
    mask = mask_of([np.zeros((2, 2), bool), np.array([[1, 0], [0, 0]], bool)])
    quality = measure(clip_of([frames[0]] * 2, vs.GRAY8), clip_of(frames, vs.GRAY8), mask)
    luma = quality.luma
    assert math.isnan(luma.psnr_series(Region.ROI)[0])
    assert luma.psnr(Region.ROI) == luma.psnr(Region.ROI, Pooling.FRAMES) == pytest.approx(psnr_from_mse(4, 255))
    assert quality.roi_share == 256 / 2048
    never = measure(clip_of([frames[0]], vs.GRAY8), clip_of([frames[1]], vs.GRAY8), mask[0]).luma
    for region in (Region.ROI, Region.RING):
        assert math.isnan(never.psnr(region))
        assert math.isnan(never.ssim(region))
        assert math.isnan(never.psnr(region, Pooling.FRAMES))


def test_without_a_mask_only_the_whole_has_figures() -> None:
    quality = measure(*clips_of(frame_pairs(vs.YUV420P8, 64, 48, 1), vs.YUV420P8))
    assert math.isfinite(quality.luma.psnr())
    assert all(math.isnan(quality.luma.psnr(region)) for region in (Region.ROI, Region.NON_ROI, Region.RING))
    assert math.isnan(quality.roi_share)
    assert set(quality.rows()[0]) == {"frame", "psnr_y_all", "ssim_y_all"}


def test_series_as_csv_and_progress() -> None:
    steps: list[tuple[int, int]] = []
    quality = measure(
        *clips_of(frame_pairs(vs.YUV420P8, 64, 48, 3), vs.YUV420P8),
        mask_of(grids(64, 48, 3)),
        planes=[0, 2],
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]
    rows = list(csv.DictReader(io.StringIO(quality.to_csv())))
    assert [row["frame"] for row in rows] == ["0", "1", "2"]
    np.testing.assert_allclose([float(r["psnr_y_roi"]) for r in rows], quality.luma.psnr_series("roi"))
    np.testing.assert_allclose([float(r["ssim_v_ring"]) for r in rows], quality.planes[1].ssim_series("ring"))
    assert "psnr_u_all" not in rows[0]


def test_a_field_flag_changes_nothing() -> None:
    a, b = clips_of(frame_pairs(vs.YUV420P8, 64, 48, 1), vs.YUV420P8)
    flagged = [clip.std.SetFrameProps(_FieldBased=1) for clip in (a, b)]
    np.testing.assert_array_equal(measure(*flagged).luma.ssim_sum, measure(a, b).luma.ssim_sum)


@pytest.mark.encoder
@pytest.mark.parametrize("fmt", [vs.YUV420P8, vs.YUV444P8, vs.YUV420P10])
def test_psnr_equals_ffmpeg(fmt: int, tmp_path: Path) -> None:
    a, b = clips_of(frame_pairs(fmt, 96, 64, 4, sigma=6), fmt)
    for clip, name in ((a, "a.y4m"), (b, "b.y4m")):
        write_y4m(clip, tmp_path / name)
    log = run(
        ffmpeg(), "-i", "b.y4m", "-i", "a.y4m", "-lavfi", "psnr=stats_file=psnr.log", "-f", "null", "-", folder=tmp_path
    )
    stats = (tmp_path / "psnr.log").read_text().splitlines()
    assert len(stats) == 4
    quality = measure(a, b, planes=None)
    for plane in quality.planes:
        theirs = [float(re.search(rf"psnr_{plane.name}:(\S+)", line)[1]) for line in stats]  # type: ignore[index]
        # The log has two decimals of PSNR and of MSE.
        np.testing.assert_allclose(plane.psnr_series(), theirs, atol=0.0051)
        summary = re.search(rf"PSNR.* {plane.name}:(\S+)", log)
        assert summary
        assert plane.psnr() == pytest.approx(float(summary[1]), abs=0.001)
    # Six decimals per frame and plane, by a run on each frame alone.
    for n in range(4):
        for clip, name in ((a, "a.y4m"), (b, "b.y4m")):
            write_y4m(clip[n], tmp_path / name)
        log = run(ffmpeg(), "-i", "b.y4m", "-i", "a.y4m", "-lavfi", "psnr", "-f", "null", "-", folder=tmp_path)
        for plane in quality.planes:
            summary = re.search(rf"PSNR.* {plane.name}:(\S+)", log)
            assert summary
            assert plane.psnr_series()[n] == pytest.approx(float(summary[1]), abs=0.001)


@pytest.mark.parametrize("fmt", [vs.GRAY8, vs.GRAY10, vs.GRAY16])
def test_ssim_equals_scikit_image(fmt: int) -> None:
    pair = frame_pairs(fmt, 120, 88, 6, seed=5)
    bits = vs.core.get_video_format(fmt).bits_per_sample
    series = measure(*clips_of(pair, fmt)).luma.ssim_series()
    for n, (a, b) in enumerate(zip(*pair, strict=True)):
        expected = structural_similarity(
            a[0].astype(np.float64),
            b[0].astype(np.float64),
            data_range=(1 << bits) - 1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert series[n] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
@pytest.mark.encoder
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_figures_fall_as_crf_rises(codec: str, tmp_path: Path) -> None:
    reference = clip_of(frame_pairs(vs.YUV420P8, 128, 96, 1, seed=2)[0] * 6, vs.YUV420P8)
    mask = mask_of(grids(128, 96, 6))
    results = []
    for crf in (15, 25, 35, 45):
        distorted = encoded(reference, tmp_path, f"{codec}{crf}", "-c:v", codec, "-crf", str(crf))
        luma = measure(reference.std.RemoveFrameProps("_Range"), distorted, mask).luma
        results.append([luma.psnr(region) for region in Region] + [luma.ssim(region) for region in Region])
    assert np.diff(results, axis=0).max() < 0


@pytest.mark.data
def test_ssim_on_real_pictures(data: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    first, second = (
        np.asarray(image.open(path).convert("L")) for path in sorted((data / "camvid" / "val").glob("*.png"))[:2]
    )
    luma = measure(clip_of([[first]], vs.GRAY8), clip_of([[second]], vs.GRAY8)).luma
    expected = structural_similarity(
        first, second, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert luma.ssim() == pytest.approx(expected, abs=1e-6)
    assert luma.total_sse() == squared_error(first, second)


MEMORY = """
import resource, sys
import vapoursynth as vs
from vs_sac.metrics import measure
vs.core.max_cache_size = 64
clip = vs.core.std.BlankClip(width=320, height=192, format=vs.YUV420P8, length=int(sys.argv[1]), keep=True)
other = clip.std.Invert()
measure(clip, other)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is asked of getrusage")
def test_memory_does_not_grow_with_length() -> None:
    peaks = [
        int(subprocess.run([sys.executable, "-c", MEMORY, length], capture_output=True, check=True).stdout)
        for length in ("100", "1500")
    ]
    # 1400 frames of the pair and its maps are 700 MB.
    assert peaks[1] - peaks[0] < 40_000


def blank(**changes: object) -> vs.VideoNode:
    options: dict[str, object] = {"width": 64, "height": 48, "format": vs.YUV420P8, "length": 2}
    return vs.core.std.BlankClip(**options | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("distorted", "match"),
    [
        (blank(format=vs.YUV420P10), "formats differ"),
        (blank(width=66), "sizes differ"),
        (blank(length=3), "lengths differ"),
        (blank(format=vs.RGB24), "RGB24"),
        (blank(format=vs.YUV444PS), "YUV444PS"),
        (vs.core.std.Splice([blank(length=1), blank(length=1, width=32)], mismatch=True), "changes"),
    ],
)
def test_pairs_that_cannot_be_compared_are_refused(distorted: vs.VideoNode, match: str) -> None:
    with pytest.raises(SacFormatError, match=rf"^\(measure\) .*{match}"):
        measure(blank(), distorted)


def test_different_ranges_are_refused() -> None:
    full, limited = (blank().std.SetFrameProps(_Range=value) for value in (1, 0))
    with pytest.raises(SacFormatError, match="range"):
        measure(full, limited)
    assert measure(blank().std.RemoveFrameProps("_Range"), full).luma.psnr() == math.inf


@pytest.mark.parametrize(
    ("mask", "match"),
    [
        (blank(format=vs.GRAY16, width=4, height=3), "GRAY8"),
        (blank(format=vs.GRAY8, width=4, height=4), "4x3 blocks"),
        (blank(format=vs.GRAY8, width=4, height=3, length=1), "lengths differ"),
    ],
)
def test_masks_that_do_not_fit_are_refused(mask: vs.VideoNode, match: str) -> None:
    with pytest.raises(SacFormatError, match=match):
        measure(blank(), blank(), mask)


def test_bad_arguments_are_refused() -> None:
    for arguments in ({"block": 0}, {"ring_radius": -1}, {"planes": [3]}, {"planes": []}, {"planes": [-1]}):
        with pytest.raises(SacValueError, match=r"^\(measure\)"):
            measure(blank(), blank(), **arguments)  # type: ignore[arg-type]
    luma = measure(blank(), blank()).luma
    with pytest.raises(SacValueError, match="unknown region"):
        luma.psnr("sky")
    with pytest.raises(SacValueError, match="unknown pooling"):
        luma.psnr(pooling="median")
