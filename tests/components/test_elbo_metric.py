import numpy as np
import pytest
from tensorflow_model_analysis.metrics import metric_types

from components.elbo_metric import KEYS, OUTPUTS, MeanELBO


def compute(values, parts=1):
    """The metric over images with these outputs, [N, 5], accumulated in `parts` accumulators."""
    (computation,) = MeanELBO().computations(model_names=["candidate"])
    combiner = computation.combiner
    accumulators = []
    for chunk in np.array_split(values, parts):
        accumulator = combiner.create_accumulator()
        for row in chunk:
            predictions = {name: np.array([value]) for name, value in zip(OUTPUTS, row, strict=True)}
            element = metric_types.StandardMetricInputs(predictions={"candidate": predictions})
            accumulator = combiner.add_input(accumulator, element)
        accumulators.append(accumulator)
    result = combiner.extract_output(combiner.merge_accumulators(accumulators))
    assert set(result) == set(computation.keys)
    return {key.name: value for key, value in result.items()}


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(-1800.0, 200.0, [57, len(OUTPUTS)])


def test_means_and_standard_error_are_those_of_numpy(values):
    result = compute(values)
    assert set(result) == set(KEYS)
    for column, name in enumerate(OUTPUTS):
        assert result[name] == pytest.approx(values[:, column].mean(), rel=1e-12)
    assert result["elbo_standard_error"] == pytest.approx(values[:, 0].std() / np.sqrt(57), rel=1e-9)
    assert result["images"] == 57


def test_distances_are_differences_of_means(values):
    result = compute(values)
    assert result["above_independent_pixels"] == pytest.approx(result["elbo"] - result["independent_pixels"])
    assert result["below_ceiling"] == pytest.approx(result["ceiling"] - result["elbo"])


def test_merging_accumulators_changes_nothing(values):
    whole, merged = compute(values), compute(values, parts=5)
    assert merged == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_image_that_is_not_finite_shows_in_the_mean(values, bad):
    values[13, 0] = bad
    assert not np.isfinite(compute(values)["elbo"])
