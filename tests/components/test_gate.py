"""The gate's rules through the real Evaluator, on models that say whatever ELBO a test wants."""

import math

import numpy as np
import pytest
import tensorflow as tf
from tfx.components.evaluator.executor import Executor
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.gate import eval_config, read_verdict

INDEPENDENT, CEILING = -2117.82, -1685.03


class Says(tf.Module):
    """A model whose ELBO is the same for every image."""

    def __init__(self, elbo):
        super().__init__()
        self.elbo = tf.Variable(elbo, dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def evaluate(self, examples):
        same = lambda value: tf.fill(tf.shape(examples), value)  # noqa: E731
        return {
            "elbo": same(self.elbo),
            "reconstruction": same(self.elbo + 30.0),
            "kl": same(30.0),
            "independent_pixels": same(INDEPENDENT),
            "ceiling": same(CEILING),
        }


@pytest.fixture
def judge(tmp_path):
    """The verdict of the Evaluator on a candidate, and a last blessed model if there is one, with these ELBOs."""
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples")
    examples.split_names = '["test"]'
    (tmp_path / "examples/Split-test").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(tmp_path / "examples/Split-test/data.gz"), "GZIP") as writer:
        for _ in range(20):
            writer.write(tf.train.Example().SerializeToString())

    def run(candidate, baseline=None, min_elbo=None, max_regression=1.0):
        inputs = {"examples": [examples], "model": [says(candidate, tmp_path / "candidate")]}
        if baseline is not None:
            inputs["baseline_model"] = [says(baseline, tmp_path / "baseline")]
        evaluation, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
        evaluation.uri, blessing.uri = str(tmp_path / "evaluation"), str(tmp_path / "blessing")
        context = Executor.Context(beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=str(tmp_path / "tmp"))
        Executor(context).Do(
            inputs,
            {"evaluation": [evaluation], "blessing": [blessing]},
            {
                "eval_config": proto_utils.proto_to_json(eval_config(min_elbo, max_regression, code="")),
                "example_splits": '["test"]',
            },
        )
        verdict = read_verdict(evaluation.uri)
        assert verdict.blessed == bool(blessing.get_int_custom_property("blessed"))  # what the Pusher goes by
        return verdict

    return run


def says(elbo, folder):
    model, artifact = Says(elbo), standard_artifacts.Model()
    artifact.uri = str(folder)
    tf.saved_model.save(model, str(folder / "Format-Serving"), signatures={"evaluate": model.evaluate})
    return artifact


def test_a_first_model_above_independent_pixels_is_blessed(judge):
    verdict = judge(-1900.0)
    assert verdict.blessed
    assert verdict.reasons == []
    assert verdict.baseline is None
    assert verdict.candidate["elbo"] == pytest.approx(-1900.0)
    assert verdict.candidate["images"] == 20


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


def test_an_elbo_above_the_ceiling_is_refused_as_impossible(judge):
    verdict = judge(-1600.0)
    (reason,) = verdict.reasons
    assert "-1600.00 is above -1685.03, the largest that this likelihood can give" in reason


def test_a_better_model_than_the_last_blessed_is_blessed(judge):
    verdict = judge(-1850.0, baseline=-1900.0)
    assert verdict.blessed
    assert verdict.baseline["elbo"] == pytest.approx(-1900.0)


def test_a_model_within_the_allowed_regression_is_blessed(judge):
    assert judge(-1900.5, baseline=-1900.0, max_regression=1.0).blessed


def test_a_worse_model_is_refused_with_both_numbers_and_the_margin(judge):
    verdict = judge(-1910.0, baseline=-1900.0, max_regression=2.0)
    assert verdict.reasons == [
        "its test-set ELBO -1910.00 is 10.00 nats per image worse than the last blessed model's -1900.00, "
        "allowed are 2.00"
    ]


def test_every_broken_rule_has_its_reason(judge):
    assert len(judge(-2200.0, baseline=-1900.0).reasons) == 2


def test_values_survive_the_way_through_tfma(judge):
    candidate = judge(np.float32(-1847.77)).candidate
    assert candidate["reconstruction"] - candidate["kl"] == pytest.approx(candidate["elbo"], abs=1e-3)
