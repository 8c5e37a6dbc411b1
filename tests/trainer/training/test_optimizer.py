"""Adam against Keras's, the bound on its steps; rates, clipped gradients and mean weights computed again in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.settings import TrainConfig
from trainer.training.optimizer import BETA, build_optimizer, build_schedule

PEAK, EPOCHS, STEPS = 0.01, 8, 25


def rates(steps, **settings):
    """The learning rate at each of `steps`."""
    schedule = build_schedule(TrainConfig(learning_rate=PEAK, epochs=EPOCHS, **settings), STEPS)
    return [float(schedule(tf.constant(step))) for step in steps]


def test_a_cosine_goes_from_the_peak_to_zero_over_all_epochs():
    steps = np.arange(EPOCHS * STEPS + 1)
    expected = 0.5 * PEAK * (1.0 + np.cos(np.pi * steps / (EPOCHS * STEPS)))
    np.testing.assert_allclose(rates(steps), expected, atol=1e-8)


@pytest.mark.parametrize(("warmup_epochs", "warmup"), [(0.2, 5), (1, 25), (2.5, 62), (7.9, 198)])
def test_a_warm_up_rises_linearly_from_zero_and_the_cosine_follows(warmup_epochs, warmup):
    steps = np.arange(EPOCHS * STEPS + 1)
    cosine = 0.5 * PEAK * (1.0 + np.cos(np.pi * (steps - warmup) / (EPOCHS * STEPS - warmup)))
    expected = np.where(steps < warmup, PEAK * steps / warmup, cosine)
    np.testing.assert_allclose(rates(steps, warmup_epochs=warmup_epochs), expected, atol=1e-8)


def test_a_warm_up_of_less_than_a_step_is_none():
    np.testing.assert_allclose(rates([0], warmup_epochs=0.01), [PEAK], rtol=1e-6)


def test_a_constant_schedule_stays():
    np.testing.assert_allclose(rates([0, 3, 10**6], schedule="constant"), [PEAK] * 3, rtol=1e-6)


@pytest.mark.parametrize(("clip_norm", "factor"), [(0.0, 1.0), (6.5, 0.5), (13.0, 1.0), (20.0, 1.0)])
def test_the_gradient_of_all_weights_together_is_clipped(clip_norm, factor):
    gradients = [tf.constant([3.0, 4.0]), tf.constant([[12.0]])]  # of norm 13
    variables = [tf.Variable(tf.zeros_like(gradient)) for gradient in gradients]
    optimizer = build_optimizer(TrainConfig(clip_norm=clip_norm), variables, STEPS)
    optimizer.update(gradients, tf.constant(0))
    for moment, gradient in zip(optimizer.mean, gradients, strict=True):
        np.testing.assert_allclose(moment / (1.0 - BETA), factor * gradient, rtol=1e-5)


@pytest.fixture
def gradients():
    """Twelve steps' gradients of two weights, some of them tiny, of norms from 0.4 to 2.6."""
    rng = np.random.default_rng(0)
    scale = [np.array([1.0, 1e-6]), np.array([[1.0]])]
    return [[tf.constant(s * rng.normal(size=s.shape), tf.float32) for s in scale] for _ in range(12)]


@pytest.fixture
def trained(gradients):
    """Trains two weights, one with a gradient near zero; returns optimizer, weights and their values after a step."""

    def train(**settings):
        variables = [tf.Variable([1.0, -2.0]), tf.Variable([[3.0]])]
        config = TrainConfig(**{"learning_rate": 0.5, "schedule": "constant"} | settings)
        optimizer, values = build_optimizer(config, variables, steps_per_epoch=2), []
        for number, some in enumerate(gradients):
            optimizer.update(some, tf.constant(number))
            values.append([v.numpy() for v in variables])
        return optimizer, variables, values

    return train


def test_a_dozen_steps_are_those_of_keras(trained, gradients):
    settings = {"clip_norm": 1.0, "schedule": "cosine", "warmup_epochs": 1.5}
    norms = [float(tf.linalg.global_norm(some)) for some in gradients]
    assert min(norms) < settings["clip_norm"] < max(norms), "some of the steps have to be clipped, and some not"
    _, _, values = trained(**settings)

    oracle = [tf.Variable([1.0, -2.0]), tf.Variable([[3.0]])]
    of_keras = keras.optimizers.Adam(
        build_schedule(TrainConfig(learning_rate=0.5, **settings), 2),
        beta_1=BETA,
        beta_2=BETA,
        global_clipnorm=settings["clip_norm"],
    )
    for some, value in zip(gradients, values, strict=True):
        of_keras.apply_gradients(zip(some, oracle, strict=True))
        for found, expected in zip(value, oracle, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5)


COURSES = {  # of a weight's gradient, step by step
    "a spike": 500 * [1e-3] + [1e3],
    "a spike after noise": [1e-3 * (-1.0) ** number for number in range(500)] + [1e3],
    "growth": [1.1**number for number in range(200)],
    "a burst": 300 * [1e-4] + 10 * [1.0] + 50 * [1e-4] + 10 * [-1e2],
    "noise of all sizes": np.random.default_rng(0).lognormal(sigma=5.0, size=500).tolist(),
}


@pytest.mark.parametrize("course", COURSES.values(), ids=COURSES)
def test_no_step_moves_a_weight_by_more_than_the_rate(course):
    weight, rate, moved = tf.Variable([0.0]), 2.0**-4, []
    optimizer = build_optimizer(TrainConfig(learning_rate=rate, schedule="constant"), [weight], steps_per_epoch=1)
    for number, gradient in enumerate(course):
        before = float(weight[0])
        optimizer.update([tf.constant([gradient], tf.float32)], tf.constant(number))
        moved.append(abs(float(weight[0]) - before))
    assert max(moved) <= rate * (1.0 + 1e-4)
    assert max(moved) > 0.9 * rate, "the bound is reached"


@pytest.mark.parametrize("decay", [0.1, 0.5, 0.999])
def test_the_running_mean_forgets_faster_while_it_is_young(decay, trained):
    optimizer, variables, values = trained(ema_decay=decay)
    expected = values[0]
    for step, value in enumerate(values[1:], start=1):
        kept = min(decay, step / (step + 10))
        expected = [kept * mean + (1.0 - kept) * now for mean, now in zip(expected, value, strict=True)]
    with optimizer.averaged():
        for variable, mean in zip(variables, expected, strict=True):
            np.testing.assert_allclose(variable, mean, rtol=1e-5)


def test_the_trained_weights_are_back_afterwards(trained):
    optimizer, variables, values = trained(ema_decay=0.5)
    with optimizer.averaged():
        averaged = [variable.numpy() for variable in variables]
    for variable, value, mean in zip(variables, values[-1], averaged, strict=True):
        np.testing.assert_array_equal(variable, value)
        assert np.all(mean != value)


def test_the_trained_weights_are_back_after_an_error_too(trained):
    optimizer, variables, values = trained(ema_decay=0.5)
    with pytest.raises(KeyError), optimizer.averaged():
        raise KeyError
    for variable, value in zip(variables, values[-1], strict=True):
        np.testing.assert_array_equal(variable, value)


def test_without_decay_the_weights_are_their_own_mean(trained):
    optimizer, variables, values = trained()
    with optimizer.averaged():
        for variable, value in zip(variables, values[-1], strict=True):
            np.testing.assert_array_equal(variable, value)


def test_a_running_mean_changes_nothing_in_training(trained):
    for plain, averaged in zip(trained()[2], trained(ema_decay=0.9)[2], strict=True):
        for a, b in zip(plain, averaged, strict=True):
            np.testing.assert_array_equal(a, b)
