"""The gate's ELBO is the one that training reports: TFX's Evaluator against the trainer's."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.gate.serving_record import Serving
from components.gate.verdict import Verdict
from evaluator import evaluate, write_examples
from served import SERVING
from toy_data import png, serialized
from trainer.evaluate import Evaluator
from trainer.export import Servable, save
from trainer.images import load_images, pixel_model, preprocessing
from trainer.model.build import build
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.units import Units

COUNT, SAMPLES, SHAPE = 30, 3, Shape(32, 32, 3)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Examples of images that are not in the order of their ids."""
    records = [serialized(f"id_{i:03d}", png(i), i % 3) for i in np.random.default_rng(0).permutation(COUNT)]
    return write_examples(tmp_path_factory.mktemp("examples") / "examples", records)


@pytest.mark.parametrize("decoder", ["BernoulliMLP", "DiscretizedLogisticResNet"])  # TFMA knows no decoder
def test_the_evaluators_number_is_the_trainers(decoder, examples, tmp_path):
    config = TrainConfig(decoder=decoder, hidden_size=16, channels=4, latent_size=8, iaf_hidden_size=8)
    artifact = standard_artifacts.Model()
    artifact.uri = str(tmp_path / "model")
    images, model = load_images([f"{examples.uri}/Split-test/*"], preprocessing(SHAPE), SHAPE), build(config, SHAPE)
    for variable in model.trainable_variables:  # away from the initial values, many of which are zero
        variable.assign_add(tf.random.stateless_normal(variable.shape, [1, 2], stddev=0.02))
    units = Units.of(config, SHAPE)
    servable = Servable(model, pixel_model(images), SAMPLES, preprocessing(SHAPE), SHAPE)
    save(servable, units, f"{artifact.uri}/Format-Serving")
    found = evaluate(tmp_path, examples, artifact, min_elbo=-1e6)[1].candidate
    for name, value in Evaluator(model, SAMPLES)(images)._asdict().items():
        assert found[name] == pytest.approx(value, abs=1e-3)
    assert found["images"] == COUNT
    assert json.loads((tmp_path / "model/Format-Serving/assets.extra/units.json").read_text()) == units._asdict()


def test_a_model_that_does_not_answer_is_not_evaluated(examples, tmp_path):
    model = standard_artifacts.Model()
    model.uri = str(tmp_path / "none")
    serving = Serving.useless(["it cannot be loaded"], None)
    _, verdict = evaluate(tmp_path, examples, model, serving=serving)
    assert verdict == Verdict(False, {}, None, {}, ["it cannot be loaded"], [], serving)
    assert not verdict.answers
    assert [path.name for path in (tmp_path / "blessing").iterdir()] == ["NOT_BLESSED"]


def test_a_model_that_answers_wrongly_is_evaluated_and_not_blessed(exported, examples, tmp_path):
    model = standard_artifacts.Model()
    model.uri = str(exported.parent)
    serving = SERVING._replace(reasons=["it differs"])
    _, verdict = evaluate(tmp_path, examples, model, min_elbo=-1e6, serving=serving)
    assert (verdict.blessed, verdict.reasons, verdict.serving) == (False, ["it differs"], serving)
    assert verdict.candidate["images"] == COUNT
    assert [path.name for path in (tmp_path / "blessing").iterdir()] == ["NOT_BLESSED"]
