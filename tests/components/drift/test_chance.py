import math

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from components.drift.chance import FALSE_ALARMS, by_chance

RNG = np.random.default_rng(0)


def divergences(n, m, cells, draws=4000):
    """The divergence of two samples of the same distribution, many times."""
    share = np.full(cells, 1 / cells)
    pairs = zip(RNG.multinomial(n, share, draws), RNG.multinomial(m, share, draws), strict=True)
    return np.array([jensenshannon(p, q, base=2) ** 2 for p, q in pairs])


@pytest.mark.parametrize(("n", "m", "cells"), [(1000, 1000, 10), (100, 3000, 10), (3000, 100, 4), (50, 50, 10)])
def test_the_divergence_of_equal_data_has_the_mean_of_the_law_and_rarely_exceeds_the_threshold(n, m, cells):
    found = divergences(n, m, cells)
    assert found.mean() == pytest.approx((1 / n + 1 / m) / (8 * math.log(2)) * (cells - 1), rel=0.1)
    assert np.mean(found > by_chance(cells, n, m, figures=1)) <= 4 * FALSE_ALARMS
    assert np.mean(found > by_chance(cells, n, m, figures=1) / 2) > FALSE_ALARMS  # it is no wider than it has to be


def test_more_figures_need_a_higher_threshold_and_more_images_a_lower_one():
    assert by_chance(10, 500, 500, figures=8) > by_chance(10, 500, 500, figures=1) > by_chance(10, 5000, 5000, 1)


@pytest.mark.parametrize(("cells", "n", "m"), [(1, 100, 100), (10, 0, 100), (10, 100, 0)])
def test_without_a_choice_of_cells_chance_gives_nothing(cells, n, m):
    assert by_chance(cells, n, m, figures=1) == 0.0


def test_no_threshold_is_beyond_the_largest_divergence():
    assert by_chance(10, 1, 1, figures=1) == 1.0
