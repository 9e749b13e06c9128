import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vs_sac.metrics._cells import by_region, cell_counts

from .strategies import Array

sides = st.integers(1, 12)


@given(
    shape=st.tuples(st.integers(11, 40), st.integers(11, 40)), size=st.tuples(sides, sides), margin=st.integers(0, 5)
)
def test_counts_cell_by_cell(shape: tuple[int, int], size: tuple[int, int], margin: int) -> None:
    counted = np.zeros(shape, bool)
    counted[margin : shape[0] - margin, margin : shape[1] - margin] = True
    counts = cell_counts(shape, size, margin)
    rows, columns = size
    assert counts.shape == (-(-shape[0] // rows), -(-shape[1] // columns))
    for i, j in np.ndindex(counts.shape):
        assert int(counts[i, j]) == counted[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns].sum()


@given(hnp.arrays(np.uint64, (3, 4), elements=st.integers(0, 2**58)), hnp.arrays(np.bool_, (2, 3, 4)))
def test_regions_choose_cells(cells: Array, masks: Array) -> None:
    total, roi, rest, edge = by_region(cells, (masks[0], masks[1]))
    assert (total, rest) == (sum(map(int, cells.flat)), total - roi)
    assert roi == sum(int(v) for v in cells[masks[0]])
    assert edge == sum(int(v) for v in cells[masks[1]])
    assert by_region(cells, None) == (total, 0, 0, 0)
