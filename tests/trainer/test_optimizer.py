"""The learning rate, the clipped gradient and the running mean of the weights, each computed again in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.config import TrainConfig
from trainer.optimizer import averaged_weights, build_optimizer

PEAK, EPOCHS, STEPS = 0.01, 8, 25


def rates(steps, **settings):
    """The learning rate at each of `steps`."""
    optimizer = build_optimizer(TrainConfig(learning_rate=PEAK, epochs=EPOCHS, **settings), STEPS)
    found = []
    for step in steps:
        optimizer.iterations.assign(step)
        found.append(float(optimizer.learning_rate))
    return found


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


def momenta(clip_norm, gradients):
    """Adam's first moments after one step, as multiples of the gradient that reached it."""
    variables = [tf.Variable(tf.zeros_like(gradient)) for gradient in gradients]
    optimizer = build_optimizer(TrainConfig(clip_norm=clip_norm), STEPS)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    found = [v.numpy() for v in optimizer.variables if "momentum" in v.path]
    assert len(found) == len(gradients)
    return [moment / (1.0 - optimizer.beta_1) for moment in found]


@pytest.mark.parametrize(("clip_norm", "factor"), [(0.0, 1.0), (6.5, 0.5), (13.0, 1.0), (20.0, 1.0)])
def test_the_gradient_of_all_weights_together_is_clipped(clip_norm, factor):
    gradients = [tf.constant([3.0, 4.0]), tf.constant([[12.0]])]  # of norm 13
    for found, gradient in zip(momenta(clip_norm, gradients), gradients, strict=True):
        np.testing.assert_allclose(found, factor * gradient, rtol=1e-5)


@pytest.fixture
def trained():
    """Trains two weights for four steps; returns optimizer, weights and their values after every step."""

    def train(**settings):
        variables = [tf.Variable([1.0, -2.0]), tf.Variable([[3.0]])]
        optimizer = build_optimizer(TrainConfig(learning_rate=0.5, schedule="constant", **settings), STEPS)
        rng, values = np.random.default_rng(0), []
        for _ in range(4):
            gradients = [tf.constant(rng.normal(size=v.shape), tf.float32) for v in variables]
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
            values.append([v.numpy() for v in variables])
        return optimizer, variables, values

    return train


@pytest.mark.parametrize("decay", [0.1, 0.5, 0.999])
def test_the_running_mean_starts_at_the_first_weights_and_forgets_by_its_decay(decay, trained):
    optimizer, variables, values = trained(ema_decay=decay)
    expected = values[0]
    for value in values[1:]:
        expected = [decay * mean + (1.0 - decay) * now for mean, now in zip(expected, value, strict=True)]
    with averaged_weights(optimizer, variables):
        for variable, mean in zip(variables, expected, strict=True):
            np.testing.assert_allclose(variable, mean, rtol=1e-5)


def test_the_trained_weights_are_back_afterwards(trained):
    optimizer, variables, values = trained(ema_decay=0.5)
    with averaged_weights(optimizer, variables):
        averaged = [variable.numpy() for variable in variables]
    for variable, value, mean in zip(variables, values[-1], averaged, strict=True):
        np.testing.assert_array_equal(variable, value)
        assert np.all(mean != value)


def test_the_trained_weights_are_back_after_an_error_too(trained):
    optimizer, variables, values = trained(ema_decay=0.5)
    with pytest.raises(KeyError), averaged_weights(optimizer, variables):
        raise KeyError
    for variable, value in zip(variables, values[-1], strict=True):
        np.testing.assert_array_equal(variable, value)


def test_without_decay_the_weights_are_their_own_mean(trained):
    optimizer, variables, values = trained()
    with averaged_weights(optimizer, variables):
        for variable, value in zip(variables, values[-1], strict=True):
            np.testing.assert_array_equal(variable, value)


def test_a_running_mean_changes_nothing_in_training(trained):
    for plain, averaged in zip(trained()[2], trained(ema_decay=0.9)[2], strict=True):
        for a, b in zip(plain, averaged, strict=True):
            np.testing.assert_array_equal(a, b)
