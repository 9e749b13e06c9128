import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vs_sac.metrics._cells import by_region, cell_counts, cell_sums

from .strategies import Array

sides = st.integers(1, 12)


@given(
    plane=hnp.array_shapes(min_dims=2, max_dims=2, min_side=11, max_side=40).flatmap(
        lambda shape: hnp.arrays(st.sampled_from([np.uint16, np.uint32]), shape)
    ),
    size=st.tuples(sides, sides),
    margin=st.sampled_from([0, 5]),
)
def test_sums_and_counts_cell_by_cell(plane: Array, size: tuple[int, int], margin: int) -> None:
    counted = np.zeros(plane.shape, bool)
    counted[margin : plane.shape[0] - margin, margin : plane.shape[1] - margin] = True
    sums, counts = cell_sums(plane, size, margin), cell_counts(plane.shape, size, margin)
    rows, columns = size
    assert sums.shape == counts.shape == (-(-plane.shape[0] // rows), -(-plane.shape[1] // columns))
    for i, j in np.ndindex(sums.shape):
        cell = np.s_[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
        assert int(sums[i, j]) == sum(int(v) for v in plane[cell][counted[cell]])
        assert int(counts[i, j]) == counted[cell].sum()


def test_sums_of_large_cells_do_not_overflow() -> None:
    plane = np.full((300, 600), 65535, np.uint16)
    assert cell_sums(plane, (300, 300)).tolist() == [[65535 * 90_000] * 2]


@given(hnp.arrays(np.uint32, (3, 4)), hnp.arrays(np.bool_, (2, 3, 4)))
def test_regions_choose_cells(cells: Array, masks: Array) -> None:
    total, roi, rest, edge = by_region(cells, (masks[0], masks[1]))
    assert (total, rest) == (sum(map(int, cells.flat)), total - roi)
    assert roi == sum(int(v) for v in cells[masks[0]])
    assert edge == sum(int(v) for v in cells[masks[1]])
    assert by_region(cells, None) == (total, 0, 0, 0)
