import math
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_sac.core.errors import SacValueError
from vs_sac.experiments.paper import ROI_SHARE, TABLE_II, TABLE_III
from vs_sac.metrics import FAIR_WEIGHTS, Convention, Weights, area_bonus, paper_psnr, psnr_from_mse, sa_psnr, sa_ssim

crfs = st.floats(0.5, 51)
figures = st.floats(10, 60)

# The uniform rows' PSNR by (codec, CRF), and the SA rows' SA-PSNR by (codec, C_roi, C_non).
CITYSCAPES_UNIFORM, KITTI_UNIFORM = (
    {(int(row.method[2:].replace(".", "")), row.crf_roi): row.psnr for row in table if not row.method.startswith("SA")}
    for table in (TABLE_II, TABLE_III)
)
CITYSCAPES_SA, KITTI_SA = (
    {(int(r.method[-3:]), r.crf_roi, r.crf_non_roi): r.sa_psnr for r in table if r.method.startswith("SA")}
    for table in (TABLE_II, TABLE_III)
)


def residuals(
    uniform: dict[tuple[int, int], float], printed: dict[tuple[int, int, int], float], *, bonus: bool
) -> list[float]:
    """Printed SA-PSNR less the one predicted from the uniform rows, without any fitted parameter."""
    gains = (area_bonus(ROI_SHARE), area_bonus(1 - ROI_SHARE)) if bonus else (0.0, 0.0)
    return [
        value - sa_psnr(uniform[codec, a] + gains[0], uniform[codec, b] + gains[1], convention="paper", crf=(a, b))
        for (codec, a, b), value in printed.items()
    ]


def rms(values: list[float]) -> float:
    return math.sqrt(sum(v * v for v in values) / len(values))


@pytest.mark.parametrize(
    ("uniform", "printed", "limit"),
    [(CITYSCAPES_UNIFORM, CITYSCAPES_SA, 0.5), (KITTI_UNIFORM, KITTI_SA, 0.1)],
    ids=["cityscapes", "kitti-step"],
)
def test_the_tables_follow_from_the_area_bonus(
    uniform: dict[tuple[int, int], float], printed: dict[tuple[int, int, int], float], limit: float
) -> None:
    assert rms(residuals(uniform, printed, bonus=True)) < limit
    assert 2.5 < rms(residuals(uniform, printed, bonus=False)) < 3.0


def test_the_figures_of_the_docs_page() -> None:
    assert rms(residuals(CITYSCAPES_UNIFORM, CITYSCAPES_SA, bonus=True)) == pytest.approx(0.450, abs=1e-3)
    assert rms(residuals(CITYSCAPES_UNIFORM, CITYSCAPES_SA, bonus=False)) == pytest.approx(2.635, abs=1e-3)
    assert rms(residuals(KITTI_UNIFORM, KITTI_SA, bonus=True)) == pytest.approx(0.053, abs=1e-3)
    assert rms(residuals(KITTI_UNIFORM, KITTI_SA, bonus=False)) == pytest.approx(2.987, abs=1e-3)
    assert area_bonus(0.62) == pytest.approx(2.08, abs=5e-3)
    assert area_bonus(0.38) == pytest.approx(4.20, abs=5e-3)
    for printed, uniform, claimed, equal, own in (
        (CITYSCAPES_SA[264, 18, 27], CITYSCAPES_UNIFORM[264, 23], 2.87, -0.27, -0.06),
        (KITTI_SA[264, 18, 27], KITTI_UNIFORM[264, 23], 3.79, 0.65, 0.86),
    ):
        bonuses = (area_bonus(ROI_SHARE), area_bonus(1 - ROI_SHARE))
        assert printed - uniform == pytest.approx(claimed, abs=5e-3)
        assert printed - uniform - sum(bonuses) / 2 == pytest.approx(equal, abs=5e-3)
        assert printed - uniform - sa_psnr(*bonuses, convention="paper", crf=(18, 27)) == pytest.approx(own, abs=5e-3)


def test_the_table_of_the_docs_page() -> None:
    page = Path(__file__).parents[2] / "docs" / "paper-metrics.md"
    row = re.compile(r"\| (\d+) / (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|")
    rows = [tuple(map(float, found.groups())) for found in row.finditer(page.read_text(encoding="utf-8"))]
    tables = ((CITYSCAPES_UNIFORM, CITYSCAPES_SA), (KITTI_UNIFORM, KITTI_SA))
    expected = [
        (a, b, value, value - with_bonus, value - without)
        for uniform, printed in tables
        for ((_, a, b), value), with_bonus, without in zip(
            printed.items(),
            residuals(uniform, printed, bonus=True),
            residuals(uniform, printed, bonus=False),
            strict=True,
        )
    ]
    np.testing.assert_allclose(rows, expected, atol=0.0051)


@given(crfs, crfs)
def test_paper_weights(roi: float, non: float) -> None:
    weights = Weights.from_crf(roi, non)
    assert weights.r_roi + weights.r_non == pytest.approx(1)
    assert weights.r_roi == pytest.approx(roi / (roi + non))
    if roi < non * (1 - 1e-9):
        assert weights.r_non > weights.r_roi
        # eqs. 13 and 14 weight the ROI with r_non
        assert weights.roi == weights.r_non


@given(crfs, crfs, figures, figures)
def test_equations_13_and_14_as_printed(roi: float, non: float, p_i: float, p_n: float) -> None:
    expected = non / (non + roi) * p_i + roi / (non + roi) * p_n
    assert sa_psnr(p_i, p_n, convention="paper", crf=(roi, non)) == pytest.approx(expected)
    expected = (non * p_i + roi * p_n) / (non + roi) / 100
    assert sa_ssim(p_i / 100, p_n / 100, convention=Convention.PAPER, crf=(roi, non)) == pytest.approx(expected)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.floats(0.01, 1000), crfs, crfs)
def test_conventions_differ_by_the_area_bonus_when_errors_are_equal(
    inside: int, outside: int, error: float, roi: float, non: float
) -> None:
    frame = inside + outside
    fair = psnr_from_mse(error, 255)
    assert paper_psnr(error * inside, frame) - fair == pytest.approx(area_bonus(inside / frame))
    weights = Weights.from_crf(roi, non)
    paper = sa_psnr(
        paper_psnr(error * inside, frame), paper_psnr(error * outside, frame), convention="paper", crf=(roi, non)
    )
    bonus = weights.combine(area_bonus(inside / frame), area_bonus(outside / frame))
    assert paper - sa_psnr(fair, fair, weights=weights) == pytest.approx(bonus)


def test_paper_weights_reward_a_worse_setting() -> None:
    # Nothing gets better, the non-ROI keeps its figure, and yet the paper's score rises with C_non.
    scores = [sa_psnr(45, 40, convention="paper", crf=(18, non)) for non in range(19, 52)]
    assert scores == sorted(scores)
    assert scores[-1] - scores[0] > 1
    assert len({sa_psnr(45, 40) for _ in range(19, 52)}) == 1


def test_fair_convention() -> None:
    assert sa_psnr(40, 30) == pytest.approx(36)
    assert sa_ssim(0.9, 0.8, weights=Weights(0.5, 0.5)) == pytest.approx(0.85)
    assert Weights(0.6, 0.4) == FAIR_WEIGHTS


def test_infinite_and_undefined_figures() -> None:
    assert sa_psnr(math.inf, 30) == math.inf
    assert math.isnan(sa_psnr(math.nan, 30))
    assert math.isnan(sa_psnr(math.nan, math.inf))
    assert sa_psnr(40, math.nan, weights=Weights(1, 0)) == 40
    assert sa_psnr(math.inf, 30, weights=Weights(0, 1)) == 30
    assert paper_psnr(0, 100) == math.inf


def test_refusals() -> None:
    for roi, non in ((0.7, 0.4), (-0.1, 1.1), (math.nan, 1.0)):
        with pytest.raises(SacValueError, match="sum to 1"):
            Weights(roi, non)
    for crf in ((-1, 20), (0, 0), (math.nan, 20), (18, math.inf)):
        with pytest.raises(SacValueError, match="CRF"):
            Weights.from_crf(*crf)
    for metric in (sa_psnr, sa_ssim):
        with pytest.raises(SacValueError, match="unknown convention"):
            metric(1, 1, convention="best")
        with pytest.raises(SacValueError, match="crf"):
            metric(1, 1, convention="paper")
        with pytest.raises(SacValueError, match="no CRFs"):
            metric(1, 1, crf=(18, 27))
    for share in (0, 1.1, math.nan):
        with pytest.raises(SacValueError, match="share"):
            area_bonus(share)
    with pytest.raises(SacValueError, match="frame_pixels"):
        paper_psnr(1, 0)


@pytest.mark.parametrize(("uniform", "printed"), [(CITYSCAPES_UNIFORM, CITYSCAPES_SA), (KITTI_UNIFORM, KITTI_SA)])
def test_every_sa_row_has_its_uniform_rows(
    uniform: dict[tuple[int, int], float], printed: dict[tuple[int, int, int], float]
) -> None:
    assert set(uniform) == {(codec, crf) for codec, *both in printed for crf in both}
    assert len(printed) == len(list(product((264, 265), range(3))))
