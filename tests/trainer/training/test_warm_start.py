"""Training starts from all weights of a saved model, or from none, and then both shapes are named.

That every network's weights come back as they were saved is in test_conformance.py.
"""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from trainer.errors import UserError
from trainer.evaluate import Evaluator
from trainer.export import Servable, save
from trainer.images import pixel_model, preprocessing
from trainer.model.build import build
from trainer.shape import Shape
from trainer.training.loop import train_and_evaluate
from trainer.training.warm_start import fits, load_weights
from trainer.units import Units

SHAPE = Shape(32, 32, 3)
STILL = {"learning_rate": 1e-30, "schedule": "constant", "epochs": 1}  # the weights stay what they were


class Transform(tf.Module):
    """A Transform with a variable of its own, which is not a weight of the model."""

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(1.0)

    def __call__(self, features):
        return preprocessing(SHAPE)(features)


@pytest.fixture(scope="module")
def base(tiny_config, scramble):
    """The model to start from, with weights that no seed draws."""
    return scramble(build(tiny_config, SHAPE), scale=0.3)


@pytest.fixture(scope="module")
def path(base, tiny_config, make_images, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("base"))
    servable = Servable(base, pixel_model(make_images(9)), 1, Transform(), SHAPE)
    save(servable, Units.of(tiny_config, SHAPE), path)
    return path


@pytest.fixture
def broken(path, tmp_path):
    """Paths without a whole model, by what is wrong."""
    shutil.copytree(path, tmp_path / "cut off")
    (data,) = (tmp_path / "cut off/variables").glob("*.data*")
    data.write_bytes(data.read_bytes()[:1000])
    (tmp_path / "a file").write_text("")
    return lambda name: str(tmp_path / name)


def equal(weights, others):
    return all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))


@pytest.mark.parametrize(
    ("settings", "name", "ours", "theirs", "count"),
    [
        ({"hidden_size": 24}, "encoder/hidden/w", [24, 3072], [32, 3072], 11),
        ({"iaf_hidden_size": 24}, "iaf/0/made/first/w/0", [7, 24], [7, 16], 12),
        ({"iaf_steps": 3}, "iaf/2/made/first/w/0", [7, 16], None, 8),
        ({"iaf_steps": 1}, "iaf/1/made/context/b", None, [16], 8),
        ({"iaf_location_only": True}, "iaf/0/made/outputs/1/b", None, [8], 4),
        ({"decoder": "DiscretizedLogisticMLP"}, "decoder/heads/1/w", [32, 3072], None, 2),
    ],
)
def test_other_weights_are_refused_with_both_shapes_and_none_is_loaded(
    settings, name, ours, theirs, count, path, tiny_config, weights_of
):
    config = dataclasses.replace(tiny_config, **settings)
    model = build(config, SHAPE)
    before = weights_of(model)
    assert not fits(config, SHAPE, path)
    with pytest.raises(UserError) as refusal:
        load_weights(model, path)
    failure = refusal.value.failure
    assert next(iter(failure.value.items())) == (name, theirs)
    assert f"'{name}': {ours}" in failure.valid
    assert len(failure.value) == min(3, count)
    assert failure.sentence.startswith(f"{count} of ")
    assert path in failure.sentence
    assert equal(weights_of(model), before)


def test_weights_fit_the_settings_and_the_shape_that_they_were_made_with(path, tiny_config):
    assert fits(dataclasses.replace(tiny_config, seed=7, epochs=3), SHAPE, path)
    assert not fits(tiny_config, Shape(32, 32, 1), path)


@pytest.mark.parametrize("name", ["nowhere", "a file", "cut off"])
def test_what_cannot_be_read_is_the_users_error_and_no_weight_is_loaded(name, broken, tiny_config, weights_of):
    model = build(tiny_config, SHAPE)
    before = weights_of(model)
    with pytest.raises(UserError) as error:
        load_weights(model, broken(name))
    assert error.value.failure.value == broken(name)
    assert equal(weights_of(model), before)


def test_a_savedmodel_of_something_else_has_none_of_the_weights(tiny_config, tmp_path):
    other = tf.Module()
    other.weights = tf.Variable([1.0])
    tf.saved_model.save(other, str(tmp_path))
    with pytest.raises(UserError) as error:
        load_weights(build(tiny_config, SHAPE), str(tmp_path))
    assert not any(error.value.failure.value.values())


@pytest.fixture
def run(tiny_config, make_images, tmp_path):
    """An epoch from a base model that changes nothing, and the images it was evaluated on."""
    train, unseen = make_images(100, seed=1), make_images(40, seed=2)

    def start(base_model, **settings):
        config = dataclasses.replace(tiny_config, **STILL, **settings)
        return train_and_evaluate(config, train, unseen, str(tmp_path), base_model), unseen

    return start


@pytest.mark.slow
def test_training_and_its_running_mean_begin_at_the_weights_and_the_elbo_of_its_base(run, base, path, tiny_config):
    result, unseen = run(path, ema_decay=0.9)
    for found, expected in zip(result.model.variables, base.variables, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    elbo = Evaluator(base, 1)(unseen).elbo
    assert result.epochs[0].test.elbo == pytest.approx(elbo, abs=0.1)
    assert abs(Evaluator(build(tiny_config, SHAPE), 1)(unseen).elbo - elbo) > 10.0, "a cold start would be elsewhere"


def test_a_base_that_does_not_fit_stops_before_any_training(run, path, tmp_path):
    with pytest.raises(UserError):
        run(path, hidden_size=24)
    assert not list(tmp_path.iterdir())
