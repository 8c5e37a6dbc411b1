import numpy as np
import pytest
import scipy.stats
from tensorflow_model_analysis.metrics import metric_types

from components.gate.metric import BASELINE, CANDIDATE, MeanELBO
from components.gate.sums import DISTANCES, GAINS, OUTPUTS

COUNT = 57


def compute(values, baseline=None, parts=1):
    """The metric over images with these outputs, [N, 5], accumulated in `parts` accumulators."""
    name = CANDIDATE if baseline is not None else ""
    (computation,) = MeanELBO().computations(model_names=[name])
    combiner = computation.combiner
    accumulators = []
    for rows in np.array_split(np.arange(len(values)), parts):
        accumulator = combiner.create_accumulator()
        for i in rows:
            predictions = outputs(i, values[i])
            if baseline is not None:
                predictions = {CANDIDATE: predictions, BASELINE: outputs(i, baseline[i])}
            element = metric_types.StandardMetricInputs(predictions=predictions)
            accumulator = combiner.add_input(accumulator, element)
        accumulators.append(accumulator)
    result = combiner.extract_output(combiner.merge_accumulators(accumulators))
    assert set(result) == set(computation.keys)
    return {key.name: value for key, value in result.items()}


def outputs(i, values):
    named = {name: np.array([value]) for name, value in zip(OUTPUTS, values, strict=True)}
    return {**named, "fingerprint": np.array([2**30 + i])}


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(-1800.0, 200.0, [COUNT, len(OUTPUTS)])


@pytest.fixture
def baseline(values):
    """A model that finds the same images hard."""
    return values + np.random.default_rng(1).normal(-5.0, 8.0, values.shape)


def test_means_and_standard_error_are_those_of_numpy(values):
    result = compute(values)
    assert set(result) == {*OUTPUTS, *DISTANCES}
    for column, name in enumerate(OUTPUTS):
        assert result[name] == pytest.approx(values[:, column].mean(), rel=1e-12)
    assert result["elbo_standard_error"] == pytest.approx(scipy.stats.sem(values[:, 0]), rel=1e-9)
    assert result["images"] == COUNT


def test_distances_are_differences_of_means(values):
    result = compute(values)
    assert result["above_independent_pixels"] == pytest.approx(result["elbo"] - result["independent_pixels"])
    assert result["below_ceiling"] == pytest.approx(result["ceiling"] - result["elbo"])


def test_the_gain_and_its_interval_are_those_of_the_paired_differences(values, baseline):
    result, gain = compute(values, baseline), values[:, 0] - baseline[:, 0]
    assert set(result) == {*OUTPUTS, *DISTANCES, *GAINS}
    assert result["elbo_gain"] == pytest.approx(gain.mean(), rel=1e-9)
    lower, upper = scipy.stats.norm.interval(0.95, gain.mean(), scipy.stats.sem(gain))
    assert result["elbo_gain_lower"] == pytest.approx(lower, rel=1e-4)
    assert result["elbo_gain_upper"] == pytest.approx(upper, rel=1e-4)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(1000):
        values = np.full([200, len(OUTPUTS)], -1800.0)
        baseline = values - 3.0 + rng.normal(0.0, 8.0, values.shape)  # a gain of 3 nats
        difference = values[:, 0] - baseline[:, 0]
        sums = np.array([200.0, 0.0, *np.zeros(5), 0.0, difference.sum(), (difference**2).sum()])
        (computation,) = MeanELBO().computations(model_names=[CANDIDATE])
        result = {key.name: value for key, value in computation.combiner.extract_output(sums).items()}
        hits += result["elbo_gain_lower"] <= 3.0 <= result["elbo_gain_upper"]
    assert scipy.stats.binomtest(hits, 1000, 0.95).pvalue > 1e-3


def test_the_data_fingerprint_is_exact_and_knows_no_order(values):
    expected = sum(2**30 + i for i in range(COUNT))
    assert compute(values)["data_fingerprint"] == compute(values, parts=7)["data_fingerprint"] == expected


def test_merging_accumulators_changes_nothing(values, baseline):
    whole, merged = compute(values, baseline), compute(values, baseline, parts=5)
    assert merged == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_image_that_is_not_finite_shows_in_the_mean(values, baseline, bad):
    values[13, 0] = bad
    result = compute(values, baseline)
    assert not np.isfinite(result["elbo"])
    assert not result["elbo_gain_lower"] >= -1.0  # what the gate asks


def test_a_single_image_has_no_interval(values, baseline):
    assert np.isnan(compute(values[:1], baseline[:1])["elbo_gain_lower"])
