"""The mixture of discretized logistics for pixels of several channels."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from trainer.model.likelihoods.discretized_logistic import DiscretizedLogistic
from trainer.model.likelihoods.levels import MIN_LOG_SCALE
from trainer.model.likelihoods.logistic_mixture import COMPONENTS, DiscretizedLogisticMixture

LEVELS = np.arange(256) / 255.0
HALF = 0.5 / 255.0
SLOPES = {1: (), 2: ((1, 0),), 3: ((1, 0), (2, 0), (2, 1)), 4: ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))}
CHANNELS = pytest.mark.parametrize("channels", SLOPES)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def mixture(rng, shape, channels, scale=1.0, dtype=tf.float64):
    """A member with parameters [*shape, ...] that a network would give for pixels of `channels`."""
    sizes = DiscretizedLogisticMixture.outputs(channels)
    outputs = [tf.constant(rng.normal(0.0, scale, [*shape[:-1], shape[-1] * size]), dtype) for size in sizes]
    return DiscretizedLogisticMixture.from_network(*outputs)


def parameters_of(p):
    """The parameters as arrays with the pixels as the second axis, after the images."""
    return [np.moveaxis(parameter.numpy(), -1, 1) for parameter in (p.logits, p.loc, p.log_scale, p.slopes)]


def level(x, loc, log_scale):
    """The probability of a level from SciPy's distribution function, on the side of loc where it cancels least."""
    low, high = np.where(x < HALF, -np.inf, x - HALF), np.where(x > 1.0 - HALF, np.inf, x + HALF)
    law = scipy.stats.logistic(loc, np.exp(log_scale))
    return np.where(x > loc, law.sf(low) - law.sf(high), law.cdf(high) - law.cdf(low))


def probability(pixel, logits, loc, log_scale, slopes):
    """The probability of a pixel [C] with parameters [K], [C, K], [C, K], [C (C - 1) / 2, K]."""
    product = scipy.special.softmax(logits)
    for c, x in enumerate(pixel):
        shift = sum(slopes[i] * (pixel[j] - 0.5) for i, (to, j) in enumerate(SLOPES[len(pixel)]) if to == c)
        product = product * level(x, loc[c] + shift, log_scale[c])
    return product.sum()


def means_one_after_another(logits, loc, log_scale, slopes):
    """The means [C] of a pixel, in sums over all levels: each channel at the component's means before it."""
    channels = len(loc)
    means = np.zeros(loc.shape)
    for c, k in np.ndindex(*loc.shape):
        shift = sum(slopes[i, k] * (means[j, k] - 0.5) for i, (to, j) in enumerate(SLOPES[channels]) if to == c)
        means[c, k] = LEVELS @ level(LEVELS, loc[c, k] + shift, log_scale[c, k])
    return means @ scipy.special.softmax(logits)


@CHANNELS
def test_log_prob_is_the_product_of_its_formula_over_pixels(channels, rng):
    p = mixture(rng, [4, 6], channels)
    x = rng.integers(0, 256, [4, 6, channels]) / 255.0
    x[0, 0], x[0, 1] = 0.0, 1.0
    found = p.log_prob(tf.constant(x.reshape(4, -1)))
    pixels = [
        [np.log(probability(x[i, n], *(parameter[i, n] for parameter in parameters_of(p)))) for n in range(6)]
        for i in range(4)
    ]
    np.testing.assert_allclose(found, np.sum(pixels, axis=1), rtol=1e-9)


@CHANNELS
@pytest.mark.parametrize("scale", [0.5, 5.0, 1e3])
def test_the_levels_of_each_channel_sum_to_one_given_the_ones_before(channels, scale, rng):
    p = mixture(rng, [20, 1], channels, scale)
    before = rng.integers(0, 256, [20, channels]) / 255.0
    smaller = 1.0  # probability of the channels before
    for c in range(channels):
        marginal = DiscretizedLogisticMixture(
            p.logits, p.loc[:, : c + 1], p.log_scale[:, : c + 1], p.slopes[:, : c * (c + 1) // 2]
        )
        x = np.repeat(before[None, :, : c + 1], 256, axis=0)
        x[..., c] = LEVELS[:, None]
        total = np.exp(marginal.log_prob(tf.constant(x))).sum(axis=0)
        np.testing.assert_allclose(total, smaller, rtol=1e-9, atol=1e-300)
        smaller = np.exp(marginal.log_prob(tf.constant(before[:, : c + 1])))


def test_samples_of_a_tiny_image_have_the_frequencies_of_log_prob(rng):
    """Two pixels of two channels, wide enough for few levels to be all: black or not, white or not, and between."""
    draws, cells = 40_000, [0.0, 0.5, 1.0]  # black, between, white
    p = mixture(rng, [1, 2], 2, scale=1.5)
    many = DiscretizedLogisticMixture(*(tf.repeat(parameter, draws, 0) for parameter in vars(p).values()))
    samples = many.sample([3, 4]).numpy().reshape(draws, 2, 2)
    np.testing.assert_allclose(samples * 255.0, np.round(samples * 255.0), atol=1e-9)
    pairs = np.stack(np.meshgrid(LEVELS, LEVELS, indexing="ij"), axis=-1).reshape(-1, 2)
    for n in range(2):
        alone = DiscretizedLogisticMixture(*(parameter[..., n : n + 1] for parameter in vars(p).values()))
        exact = np.exp(alone.log_prob(tf.constant(pairs)))
        for cell in itertools.product(cells, cells):
            expected = exact[np.all(cell_of(pairs) == cell, axis=-1)].sum()
            share = np.mean(np.all(cell_of(samples[:, n]) == cell, axis=-1))
            assert abs(share - expected) < 5.0 * np.sqrt(max(expected * (1.0 - expected), 1e-4) / draws), cell


def cell_of(x):
    """Which of black, between and white each value is."""
    return np.where(x < HALF, 0.0, np.where(x > 1.0 - HALF, 1.0, 0.5))


def test_channels_are_drawn_from_one_component(rng):
    """Two components far apart, black and white: no pixel has both."""
    ends = tf.constant([[[[0.0] * 50, [1.0] * 50]] * 3], tf.float64)
    zeros, narrow = tf.zeros_like(ends), tf.fill(ends.shape, tf.constant(MIN_LOG_SCALE, tf.float64))
    p = DiscretizedLogisticMixture(zeros[:, 0], ends, narrow, zeros)
    pixels = np.round(p.sample([1, 2]).numpy().reshape(50, 3))
    assert 0 < pixels[:, 0].sum() < 50
    np.testing.assert_array_equal(pixels, pixels[:, :1] * np.ones(3))


@CHANNELS
def test_the_mean_is_that_of_channels_one_after_another(channels, rng):
    p = mixture(rng, [3, 2], channels)
    found = p.mean().numpy().reshape(3, 2, channels)
    slopes = 1.0 + np.sum(np.abs(p.slopes), axis=1).max()  # each passes on the half levels of the channels before
    for i, n in np.ndindex(3, 2):
        expected = means_one_after_another(*(parameter[i, n] for parameter in parameters_of(p)))
        assert np.all(np.abs(found[i, n] - expected) <= HALF * slopes ** (channels - 1))


def test_where_clipping_does_not_matter_the_mean_is_that_of_the_levels(rng):
    shape = [1, 2, COMPONENTS, 1]
    loc, log_scale = rng.uniform(0.35, 0.65, shape), rng.uniform(-4.5, -3.5, shape)
    slopes = rng.uniform(-1.0, 1.0, [1, 1, COMPONENTS, 1])
    p = DiscretizedLogisticMixture(
        *map(tf.constant, (rng.normal(0.0, 1.0, [1, COMPONENTS, 1]), loc, log_scale, slopes))
    )
    pairs = np.stack(np.meshgrid(LEVELS, LEVELS, indexing="ij"), axis=-1).reshape(-1, 2)
    expected = np.exp(p.log_prob(tf.constant(pairs))) @ pairs
    assert np.all(np.abs(p.mean()[0] - expected) <= 2.0 * HALF)


@CHANNELS
def test_extreme_outputs_give_finite_values_and_gradients(channels, rng):
    extremes, rows = [-1e30, -100.0, 0.0, 100.0, 1e30], 1000
    sizes = DiscretizedLogisticMixture.outputs(channels)
    outputs = [tf.constant(rng.choice(extremes, [rows, size]), tf.float32) for size in sizes]
    x = tf.constant(rng.choice([0.0, 128.0 / 255.0, 1.0], [rows, channels]), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        p = DiscretizedLogisticMixture.from_network(*outputs)
        log_prob = p.log_prob(x)
    assert np.all(np.isfinite(log_prob))
    assert all(np.all(np.isfinite(gradient)) for gradient in tape.gradient(log_prob, outputs))
    for values in (p.mean(), p.sample([0, 1])):
        assert np.all((values >= 0.0) & (values <= 1.0))


@CHANNELS
def test_float32_agrees_with_float64_on_pixels_of_several_channels(channels, rng):
    p = mixture(rng, [50, 30], channels, scale=2.0)
    low = DiscretizedLogisticMixture(*(tf.cast(parameter, tf.float32) for parameter in vars(p).values()))
    x = rng.integers(0, 256, [50, 30 * channels]) / 255.0
    np.testing.assert_allclose(low.log_prob(tf.constant(x, tf.float32)), p.log_prob(tf.constant(x)), rtol=1e-4)
    np.testing.assert_allclose(low.mean(), p.mean(), atol=1e-5)


def test_outputs_of_zero_are_independent_logistics(rng):
    x = tf.constant(rng.integers(0, 256, [5, 12]) / 255.0)
    p = mixture(rng, [5, 4], 3, scale=0.0)
    one = DiscretizedLogistic.from_network(*(tf.zeros([5, 12], tf.float64) for _ in range(2)))
    one = dataclasses.replace(one, log_scale=tf.fill(one.loc.shape, tf.constant(-2.0, tf.float64)))
    np.testing.assert_allclose(p.log_prob(x), one.log_prob(x), rtol=1e-9)
    np.testing.assert_allclose(p.mean(), one.mean(), rtol=1e-9)


@CHANNELS
def test_the_gradient_is_the_slope_of_log_prob(channels, rng):
    p = mixture(rng, [1, 3], channels)
    levels = rng.integers(0, 256, [1, 3, channels])
    levels[0, 0], levels[0, 1] = 0, 255
    x, parameters = tf.constant(levels.reshape(1, -1) / 255.0), list(vars(p).values())
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        log_prob = DiscretizedLogisticMixture(*parameters).log_prob(x)
    for i, (parameter, gradient) in enumerate(zip(parameters, tape.gradient(log_prob, parameters), strict=True)):
        direction = rng.normal(0.0, 1.0, parameter.shape)
        ends = [[*parameters[:i], parameter + step * direction, *parameters[i + 1 :]] for step in (1e-5, -1e-5)]
        above, below = (DiscretizedLogisticMixture(*end).log_prob(x) for end in ends)
        expected = 0.0 if gradient is None else np.sum(gradient * direction)
        np.testing.assert_allclose((above - below) / 2e-5, [expected], rtol=1e-6, atol=1e-7)


def test_parameters_without_a_batch_have_the_gradient_of_all_images(rng):
    """As in a model that ignores its input."""
    p, x = mixture(rng, [4], 3), tf.constant(rng.integers(0, 256, [5, 12]) / 255.0)
    parameters = list(vars(p).values())
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(parameters)
        shared = DiscretizedLogisticMixture(*parameters).log_prob(x)
        each = DiscretizedLogisticMixture(*(tf.repeat(values[None], 5, axis=0) for values in parameters)).log_prob(x)
    np.testing.assert_allclose(shared, each, rtol=1e-12)
    for found, expected in zip(tape.gradient(shared, parameters), tape.gradient(each, parameters), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9)
