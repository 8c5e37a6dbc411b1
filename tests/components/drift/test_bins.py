import numpy as np
import pyarrow as pa
import pytest
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory

from components.drift import bins
from components.drift.bins import CELLS, FEWEST, NOT_FINITE, OTHERS, sample, shared_cells
from components.ingest import statistics

RNG = np.random.default_rng(0)


def of(*parts):
    """The sample of a feature with these values in each part of the data."""
    found = []
    for values in parts:
        column = pa.array([[value] for value in np.asarray(values).tolist()])
        batch = pa.RecordBatch.from_arrays([column], ["x"])
        found.append(generate_statistics_in_memory(batch, statistics.options()).datasets[0].features[0])
    return sample(found)


def labels(**counts):
    return of(np.repeat(np.array([name.encode() for name in counts], object), list(counts.values())))


def exact(cells, values):
    """The number of values in each interval, which has its upper border."""
    return np.diff(np.searchsorted(np.sort(values), cells.edges, side="right"))


@pytest.mark.parametrize(("n", "m"), [(3000, 3000), (200, 5000), (5000, 200)])
@pytest.mark.parametrize("draw", [RNG.standard_normal, RNG.standard_cauchy, RNG.standard_exponential])
def test_cells_are_equally_full_and_counts_are_right(draw, n, m):
    ours, theirs = draw(n), draw(m)
    cells = shared_cells(of(ours), of(theirs))
    both = np.add(cells.current, cells.reference)
    assert len(both) == CELLS
    assert both.sum() == pytest.approx(n + m)
    np.testing.assert_allclose(both / (n + m), 1 / CELLS, atol=0.02)
    np.testing.assert_allclose(cells.current, exact(cells, ours), atol=0.01 * n + 2)
    np.testing.assert_allclose(cells.reference, exact(cells, theirs), atol=0.01 * m + 2)


def test_parts_of_the_data_count_together():
    values = RNG.standard_normal(900)
    whole, parts, other = of(values), of(values[:300], values[300:]), of(RNG.standard_normal(500))
    np.testing.assert_allclose(shared_cells(parts, other).current, shared_cells(whole, other).current, atol=9)


def test_tied_values_share_a_cell():
    cells = shared_cells(of(RNG.integers(0, 3, 500)), of(RNG.integers(0, 3, 400)))
    assert cells.edges[1:] == [0.0, 1.0, 2.0]
    one = shared_cells(of(np.zeros(70)), of(np.zeros(40)))
    assert (one.current, one.reference) == (pytest.approx([70.0]), pytest.approx([40.0]))


def test_samples_apart_share_no_cell():
    cells = shared_cells(of(RNG.uniform(0, 1, 300)), of(RNG.uniform(2, 3, 300)))
    assert not np.minimum(cells.current, cells.reference).any()


def test_values_that_are_not_finite_have_a_cell():
    cells = shared_cells(of([*map(float, range(60)), np.nan, np.inf]), of(np.arange(60.0)))
    assert cells.names == [NOT_FINITE]
    assert (cells.current[-1], cells.reference[-1]) == (2.0, 0.0)
    assert sum(cells.current) == pytest.approx(62)
    nothing_finite = shared_cells(of([np.nan] * 9), of([np.nan] * 9))
    assert (nothing_finite.current, nothing_finite.edges) == ([9.0], [])


@pytest.mark.parametrize("size", [2, 4, 17, 49])
def test_a_cell_of_a_small_sample_holds_enough_images(size):
    cells = shared_cells(of(RNG.standard_normal(size)), of(RNG.standard_normal(2000)))
    assert len(cells.current) == max(2, size // FEWEST)


def test_rare_labels_are_one_cell_and_a_new_common_one_has_its_own():
    cells = shared_cells(labels(cat=500, dog=480, new=120), labels(cat=500, dog=500, rare=2, odd=1))
    assert cells.names == ["cat", "dog", "new", OTHERS]
    assert cells.current == [500.0, 480.0, 120.0, 0.0]
    assert cells.reference == [500.0, 500.0, 0.0, 3.0]


def test_counts_do_not_depend_on_how_many_are_computed_at_once(monkeypatch):
    ours, theirs = of(*RNG.standard_normal([5, 40])), of(RNG.standard_normal(300))
    at_once = shared_cells(ours, theirs)
    monkeypatch.setattr(bins, "AT_ONCE", 7)
    one_by_one = shared_cells(ours, theirs)
    assert one_by_one.edges == at_once.edges
    for some, all_ in zip(one_by_one[2:], at_once[2:], strict=True):
        np.testing.assert_allclose(some, all_, rtol=1e-12)
