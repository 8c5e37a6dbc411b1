"""The gate's rules through the real Evaluator, on models that say whatever ELBO a test wants."""

import math

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

INDEPENDENT, CEILING = -2117.82, -1685.03
COUNT = 200  # images, half of them of label 0 and half of label 3


def standardized(seed):
    """COUNT numbers with mean 0 and standard deviation 1, over all images and over each label's."""
    halves = np.random.default_rng(seed).normal(size=[2, COUNT // 2])
    return ((halves - halves.mean(axis=1, keepdims=True)) / halves.std(axis=1, keepdims=True)).T.ravel()


@pytest.fixture(scope="module")
def records():
    """Examples of images that are easy or hard for every model (`ease`), and for one more than for another (`luck`)."""
    numbers = zip(standardized(0), standardized(1), strict=True)
    return [serialize(label=3 * (i % 2), ease=ease, luck=luck) for i, (ease, luck) in enumerate(numbers)]


def serialize(label, ease, luck):
    features = {
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        "ease": tf.train.Feature(float_list=tf.train.FloatList(value=[ease])),
        "luck": tf.train.Feature(float_list=tf.train.FloatList(value=[luck])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


class Says(tf.Module):
    """A model whose ELBO is `elbo` on average, `label_3` nats better on label 3, and has `luck` of its own."""

    def __init__(self, elbo, luck=0.0, label_3=0.0):
        super().__init__()
        self.elbo, self.luck, self.label_3 = (tf.Variable(v, dtype=tf.float32) for v in (elbo, luck, label_3))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def evaluate(self, examples):
        kinds = {"label": tf.int64, "ease": tf.float32, "luck": tf.float32}
        image = tf.io.parse_example(examples, {name: tf.io.FixedLenFeature([], kind) for name, kind in kinds.items()})
        side = tf.where(image["label"] == 3, self.label_3, -self.label_3)
        elbo = self.elbo + 20.0 * image["ease"] + self.luck * image["luck"] + side
        return {
            "elbo": elbo,
            "reconstruction": elbo + 30.0,
            "kl": tf.fill(tf.shape(elbo), 30.0),
            "independent_pixels": tf.fill(tf.shape(elbo), INDEPENDENT),
            "ceiling": tf.fill(tf.shape(elbo), CEILING),
            "fingerprint": tf.fill(tf.shape(elbo), tf.constant(2**31 - 2, tf.int64)),
        }


@pytest.fixture
def judge(evaluate, records, tmp_path):
    """The verdict on a candidate, and on a last blessed model if there is one: an ELBO, or the arguments of Says."""

    def run(candidate, baseline=None, **rules):
        inputs = {"candidate": says(candidate, tmp_path / "candidate")}
        if baseline is not None:
            inputs["baseline"] = says(baseline, tmp_path / "baseline")
        return evaluate(records, **inputs, **rules)

    return run


def says(arguments, folder):
    model = Says(**arguments) if isinstance(arguments, dict) else Says(arguments)
    artifact = standard_artifacts.Model()
    artifact.uri = str(folder)
    tf.saved_model.save(model, str(folder / "Format-Serving"), signatures={"evaluate": model.evaluate})
    return artifact


def test_a_first_model_above_independent_pixels_is_blessed(judge):
    verdict = judge(-1900.0)
    assert verdict.blessed
    assert verdict.reasons == []
    assert verdict.baseline is None
    assert verdict.candidate["elbo"] == pytest.approx(-1900.0, abs=1e-3)
    assert verdict.candidate["images"] == COUNT
    assert "elbo_gain" not in verdict.candidate


def test_a_model_that_does_not_beat_independent_pixels_is_refused_with_both_numbers(judge):
    verdict = judge(-2200.0)
    assert not verdict.blessed
    (reason,) = verdict.reasons
    assert "-2200.00" in reason
    assert "-2117.82" in reason


def test_a_bound_of_ones_own_takes_the_place_of_independent_pixels(judge):
    assert judge(-2200.0, min_elbo=-2300.0).blessed
    verdict = judge(-1900.0, min_elbo=-1850.0)
    assert verdict.reasons == ["its test-set ELBO -1900.00 is below the bound -1850.00 nats per image"]


@pytest.mark.parametrize("elbo", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("min_elbo", [None, -3000.0])
def test_an_elbo_that_is_not_finite_is_refused(judge, elbo, min_elbo):
    verdict = judge(elbo, min_elbo=min_elbo)
    assert not verdict.blessed
    (reason,) = verdict.reasons
    assert f"its test-set ELBO is {elbo}, expected a finite number" in reason


def test_an_elbo_that_is_not_finite_is_refused_beside_a_baseline_too(judge):
    (reason,) = judge(math.nan, baseline=-1900.0).reasons
    assert "its test-set ELBO is nan, expected a finite number" in reason


def test_an_elbo_above_the_ceiling_is_refused_as_impossible(judge):
    verdict = judge(-1600.0)
    (reason,) = verdict.reasons
    assert "-1600.00 is above -1685.03, the largest that this likelihood can give" in reason


def test_a_better_model_than_the_last_blessed_is_blessed_with_its_gain_and_interval(judge):
    verdict = judge({"elbo": -1850.0, "luck": 2.0}, baseline=-1900.0)
    assert verdict.blessed
    assert verdict.baseline["elbo"] == pytest.approx(-1900.0, abs=1e-3)
    half = 1.96 * 2.0 / math.sqrt(COUNT - 1)
    assert verdict.candidate["elbo_gain"] == pytest.approx(50.0, abs=1e-3)
    assert verdict.candidate["elbo_gain_lower"] == pytest.approx(50.0 - half, abs=1e-3)
    assert verdict.candidate["elbo_gain_upper"] == pytest.approx(50.0 + half, abs=1e-3)


def test_what_is_hard_for_both_models_does_not_widen_the_interval(judge):
    verdict = judge(-1900.5, baseline=-1900.0)
    assert verdict.candidate["elbo_standard_error"] == pytest.approx(20.0 / math.sqrt(COUNT - 1), rel=1e-3)
    assert verdict.candidate["elbo_gain_upper"] - verdict.candidate["elbo_gain_lower"] < 1e-3


def test_a_model_that_is_surely_within_the_allowed_regression_is_blessed(judge):
    assert judge({"elbo": -1900.5, "luck": 3.0}, baseline=-1900.0, max_regression=1.0).blessed  # half width 0.42


def test_a_worse_model_is_refused_with_both_numbers_the_interval_and_the_margin(judge):
    verdict = judge({"elbo": -1910.0, "luck": 3.0}, baseline=-1900.0, max_regression=2.0)
    assert verdict.reasons == [
        "its test-set ELBO is -1910.00, the last blessed model's -1900.00 nats per image; the gain over 200 paired "
        "images is -10.00, with 95 % confidence between -10.42 and -9.58: worse by more than the 2.00 allowed"
    ]


@pytest.mark.parametrize("elbo", [-1899.5, -1900.5, -1901.5])
def test_a_model_of_which_the_interval_says_neither_is_refused_in_these_words(judge, elbo):
    verdict = judge({"elbo": elbo, "luck": 20.0}, baseline=-1900.0, max_regression=1.0)  # half width 2.8
    (reason,) = verdict.reasons
    assert "too wide to say that it is not worse by more than the 1.00 allowed" in reason
    assert "--eval-samples" in reason


def test_no_regression_allowed_still_admits_the_same_model(judge):
    assert judge({"elbo": -1900.0, "luck": 3.0}, baseline={"elbo": -1900.0, "luck": 3.0}, max_regression=0.0).blessed


def test_every_broken_rule_has_its_reason(judge):
    assert len(judge(-2200.0, baseline=-1900.0).reasons) == 2


def test_every_label_has_its_elbo(judge):
    verdict = judge({"elbo": -1900.0, "label_3": 50.0})
    assert list(verdict.labels) == [0, 3]
    assert verdict.labels[0]["elbo"] == pytest.approx(-1950.0, abs=1e-3)
    assert verdict.labels[3]["elbo"] == pytest.approx(-1850.0, abs=1e-3)
    assert verdict.labels[0]["images"] == verdict.labels[3]["images"] == COUNT / 2


def test_the_bound_on_labels_refuses_for_the_worst_and_names_it(judge):
    candidate = {"elbo": -1900.0, "label_3": 50.0}
    assert judge(candidate, min_label_elbo=-1960.0).blessed
    assert judge(candidate, min_label_elbo=-1940.0).reasons == [
        "its ELBO on the 100 test images of label 0, -1950.00, is below the bound -1940.00 nats per image"
    ]


def test_the_other_bounds_are_not_for_single_labels(judge):
    assert judge({"elbo": -1900.0, "label_3": 250.0}, min_elbo=-1950.0).blessed  # label 0: -2150, label 3: -1650


def test_values_survive_the_way_through_tfma(judge):
    candidate = judge(np.float32(-1847.77)).candidate
    assert candidate["reconstruction"] - candidate["kl"] == pytest.approx(candidate["elbo"], abs=1e-3)
    assert candidate["data_fingerprint"] == COUNT * (2**31 - 2)
