"""The mean and the interval of columns, whatever the batches that they arrive in."""

import numpy as np
import pytest
import scipy.stats

from trainer.intervals import Means


@pytest.mark.parametrize("ends", [[50], [1, 2, 33, 50], [49, 50]])
@pytest.mark.parametrize("offset", [0.0, -1e9])
def test_the_interval_is_that_of_all_rows_and_a_large_mean_costs_no_digits(ends, offset):
    rows = np.random.default_rng(0).normal(offset, [0.01, 1.0, 100.0], [50, 3])
    found = Means(3)
    for start, end in zip([0, *ends], ends, strict=False):
        found.add(rows[start:end])
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.half_width, 1.96 * scipy.stats.sem(rows), rtol=1e-4)


def test_one_row_has_no_interval():
    found = Means(2)
    found.add(np.ones([1, 2], np.float32))
    assert np.isnan(found.half_width).all()
