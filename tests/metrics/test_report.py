import json
import math
from fractions import Fraction

import numpy as np
import pytest
import vapoursynth as vs

from vs_sac.core.errors import SacFormatError, SacValueError
from vs_sac.masks import expand_grid_array
from vs_sac.metrics import ByteCount, Weights, evaluation, psnr_from_mse, squared_error, ssim

from ..helpers import clip_of
from .pictures import clips_of, frame_pairs, mask_of

CONTRACT = {
    "frames": None,
    "width": None,
    "height": None,
    "fps": None,
    "roi_share": None,
    "bytes": {"total", "roi", "non_roi", "mask", "container"},
    "bitrate_kbps": None,
    "compression_ratio": None,
    "psnr": {"all", "roi", "non_roi", "ring"},
    "ssim": {"all", "roi", "non_roi"},
    "sa_psnr": None,
    "sa_ssim": None,
    "weights": {"roi", "non_roi"},
    "paper": {"psnr_roi", "psnr_non_roi", "sa_psnr", "sa_ssim", "r_roi", "r_non"},
}
BYTES = ByteCount(total=1000, roi=600, non_roi=300, mask=20, container=80)
GRID = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], bool)
PAIR = frame_pairs(vs.YUV420P8, 64, 48, 3, seed=7)


def reports(**changes: object) -> dict[str, object]:
    options: dict[str, object] = {"bytes": BYTES, "fps": Fraction(25), "crf_roi": 18, "crf_non_roi": 27}
    report = evaluation(*clips_of(PAIR, vs.YUV420P8), mask_of([GRID] * 3), **options | changes)  # type: ignore[arg-type]
    text = report.to_json()
    parsed: dict[str, object] = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    return parsed


def test_keys_of_the_contract() -> None:
    report = reports()
    for key, inner in CONTRACT.items():
        assert key in report
        if inner:
            assert inner <= set(report[key])  # type: ignore[call-overload]


def test_figures_by_hand() -> None:
    report = reports()
    mask = expand_grid_array(GRID, 64, 48)
    luma = [(a[0], b[0]) for a, b in zip(*PAIR, strict=True)]
    inside, outside = (sum(squared_error(a, b, part) for a, b in luma) for part in (mask, ~mask))
    share = mask.mean()
    area = 64 * 48 * 3
    assert report["roi_share"] == pytest.approx(share)
    figures = {
        "all": psnr_from_mse((inside + outside) / area, 255),
        "roi": psnr_from_mse(inside / area / share, 255),
        "non_roi": psnr_from_mse(outside / area / (1 - share), 255),
    }
    for region, expected in figures.items():
        assert report["psnr"][region] == pytest.approx(expected)  # type: ignore[index]
    assert report["sa_psnr"] == pytest.approx(0.6 * figures["roi"] + 0.4 * figures["non_roi"])

    paper = report["paper"]
    assert isinstance(paper, dict)
    assert (paper["r_roi"], paper["r_non"]) == pytest.approx((18 / 45, 27 / 45))
    assert paper["psnr_roi"] == pytest.approx(psnr_from_mse(inside / area, 255))
    assert paper["psnr_non_roi"] == pytest.approx(psnr_from_mse(outside / area, 255))
    assert paper["sa_psnr"] == pytest.approx(0.6 * paper["psnr_roi"] + 0.4 * paper["psnr_non_roi"])
    masked = [np.mean([ssim(np.where(part, a, 0), np.where(part, b, 0)) for a, b in luma]) for part in (mask, ~mask)]
    assert paper["ssim_roi"] == pytest.approx(masked[0], abs=2e-5)
    assert paper["ssim_non_roi"] == pytest.approx(masked[1], abs=2e-5)
    assert paper["sa_ssim"] == pytest.approx(0.6 * masked[0] + 0.4 * masked[1], abs=2e-5)

    assert report["bytes"] == {"total": 1000, "roi": 600, "non_roi": 300, "mask": 20, "container": 80}
    assert report["bitrate_kbps"] == pytest.approx(1000 * 8 / (3 / 25) / 1000)
    assert report["compression_ratio"] == pytest.approx(64 * 48 * 1.5 * 3 / 1000)
    assert (report["frames"], report["width"], report["height"], report["fps"]) == (3, 64, 48, 25)
    assert report["weights"] == {"roi": 0.6, "non_roi": 0.4}


def test_infinite_is_a_string_and_undefined_is_null() -> None:
    clip = clip_of(PAIR[0], vs.YUV420P8)
    everything = mask_of([np.ones_like(GRID)] * 3)
    report = json.loads(evaluation(clip, clip, everything, bytes=BYTES, fps=25, crf_roi=18, crf_non_roi=27).to_json())
    assert report["psnr"] == {"all": "inf", "roi": "inf", "non_roi": None, "ring": None}
    assert report["ssim"] == {"all": 1, "roi": 1, "non_roi": None, "ring": None}
    assert report["sa_psnr"] is None
    # The paper's masked frames exist even where the region is empty: black equals black.
    assert report["paper"]["psnr_non_roi"] == "inf"
    assert report["paper"]["ssim_non_roi"] == 1
    only_roi = evaluation(clip, clip, everything, bytes=BYTES, fps=25, weights=(1, 0))
    assert only_roi.sa_psnr == math.inf


def test_paper_needs_crfs_and_a_mask() -> None:
    assert reports(crf_roi=None, crf_non_roi=None)["paper"] is None
    pair = clips_of(PAIR, vs.YUV420P8)
    bare = evaluation(*pair, bytes=ByteCount(10), fps=25, crf_roi=18, crf_non_roi=27)
    assert bare.paper is None
    assert bare.roi_share is None
    assert bare.psnr.roi is None
    assert json.loads(bare.to_json())["bytes"] == dict.fromkeys(CONTRACT["bytes"] or (), None) | {"total": 10}


def test_ssim_is_optional() -> None:
    report = reports(ssim=False)
    assert report["ssim"] == {"all": None, "roi": None, "non_roi": None, "ring": None}
    assert report["sa_ssim"] is None
    assert report["paper"]["sa_ssim"] is None  # type: ignore[index]
    assert report["paper"]["sa_psnr"] is not None  # type: ignore[index]


def test_planes_and_per_frame() -> None:
    report = evaluation(*clips_of(PAIR, vs.YUV420P8), mask_of([GRID] * 3), bytes=BYTES, fps=25, planes=None)
    data = report.to_dict(per_frame=True)
    assert set(data["planes"]) == {"y", "u", "v"}
    assert data["planes"]["y"]["psnr"] == data["psnr"]
    assert [row["frame"] for row in data["per_frame"]] == [0, 1, 2]
    assert "per_frame" not in report.to_dict()
    worst = min(row["psnr_y_roi"] for row in data["per_frame"])
    assert data["lows"]["psnr"]["roi"]["one"] == pytest.approx(worst)


@pytest.mark.parametrize("crfs", [{}, {"crf_roi": 18, "crf_non_roi": 27}])
def test_progress_rises_to_the_end(crfs: dict[str, float]) -> None:
    steps: list[tuple[int, int]] = []
    evaluation(
        *clips_of(PAIR, vs.YUV420P8),
        mask_of([GRID] * 3),
        bytes=BYTES,
        fps=25,
        progress=lambda done, total: steps.append((done, total)),
        **crfs,  # type: ignore[arg-type]
    )
    assert {total for _, total in steps} == {3}
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1][0] == 3


def test_ten_bits() -> None:
    pair = frame_pairs(vs.YUV420P10, 64, 48, 2)
    report = evaluation(
        *clips_of(pair, vs.YUV420P10), mask_of([GRID] * 2), bytes=BYTES, fps=25, crf_roi=1, crf_non_roi=3
    )
    mask = expand_grid_array(GRID, 64, 48)
    inside = sum(squared_error(a[0], b[0], mask) for a, b in zip(*pair, strict=True))
    assert report.paper is not None
    assert report.paper.psnr_roi == pytest.approx(psnr_from_mse(inside / (64 * 48 * 2), 1023))
    masked = np.mean(
        [ssim(np.where(mask, a[0], 0), np.where(mask, b[0], 0), bits=10) for a, b in zip(*pair, strict=True)]
    )
    assert report.paper.ssim_roi == pytest.approx(masked, abs=2e-5)


def test_refusals() -> None:
    pair = clips_of(PAIR, vs.YUV420P8)
    with pytest.raises(SacValueError, match="both CRFs"):
        evaluation(*pair, bytes=BYTES, fps=25, crf_roi=18)
    with pytest.raises(SacValueError, match="luma"):
        evaluation(*pair, bytes=BYTES, fps=25, planes=(1,))
    with pytest.raises(SacValueError, match="sum to 1"):
        evaluation(*pair, bytes=BYTES, fps=25, weights=(0.6, 0.6))
    with pytest.raises(SacValueError, match="rate"):
        evaluation(*pair, bytes=BYTES, fps=0)
    with pytest.raises(SacFormatError, match="lengths"):
        evaluation(pair[0], pair[1][:2], bytes=BYTES, fps=25)
    for counts in ({"total": 0}, {"total": 10, "roi": 11}, {"total": 10, "mask": -1}):
        with pytest.raises(SacValueError, match="parts"):
            ByteCount(**counts)
    with pytest.raises(SacValueError, match="sum to 9"):
        ByteCount(10, 3, 3, 2, 1)
    assert evaluation(*pair, bytes=BYTES, fps=25, weights=Weights(0.5, 0.5)).weights.roi == 0.5
