"""The networks against NumPy, and the floor of a likelihood's variance."""

import math

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from trainer.config import DECODERS
from trainer.distributions import MIN_LOGVAR
from trainer.networks import BernoulliMLP, Dense, GaussianMLP, build_decoder

SIZES = (4, 6, 9)  # inputs, hidden, outputs
BATCH_SHAPES = [(1,), (5,), (2, 5)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def affine(layer, x):
    return x @ layer.w.numpy() + layer.b.numpy()


@pytest.mark.parametrize("batch", BATCH_SHAPES)
def test_dense_is_affine_in_the_last_axis(batch, rng, scramble):
    layer = scramble(Dense(3, 5, rng, tf.float64))
    x = rng.normal(size=[*batch, 3])
    np.testing.assert_allclose(layer(tf.constant(x)), affine(layer, x), rtol=1e-12)


def test_dense_starts_uniform_within_glorots_limit_and_unbiased(rng):
    layer, limit = Dense(200, 300, rng), math.sqrt(6.0 / 500.0)
    w = layer.w.numpy()
    assert 0.99 * limit < np.abs(w).max() <= limit * (1.0 + 1e-6)
    np.testing.assert_allclose(w.mean(), 0.0, atol=4.0 * limit / math.sqrt(3.0 * w.size))
    np.testing.assert_allclose(w.std(), limit / math.sqrt(3.0), rtol=0.01)
    assert not layer.b.numpy().any()


@pytest.mark.parametrize("batch", BATCH_SHAPES)
def test_bernoulli_mlp_applies_one_sigmoid_to_its_formula(batch, rng, scramble):
    decoder = scramble(BernoulliMLP(*SIZES, rng, tf.float64), scale=2.0)
    z = rng.normal(size=[*batch, SIZES[0]])
    logits = affine(decoder.logits, np.tanh(affine(decoder.hidden, z)))
    np.testing.assert_allclose(decoder(tf.constant(z)).logits, logits, rtol=1e-10)
    np.testing.assert_allclose(decoder(tf.constant(z)).mean(), scipy.special.expit(logits), rtol=1e-10)


def test_bernoulli_mlp_reaches_black_and_white(rng):
    decoder = BernoulliMLP(*SIZES, rng)
    x = np.arange(SIZES[-1], dtype=np.float32) % 2
    decoder.logits.b.assign(40.0 * x - 20.0)
    image = decoder(tf.zeros([1, SIZES[0]]))
    np.testing.assert_allclose(image.mean()[0], x, atol=1e-6)
    np.testing.assert_allclose(image.log_prob(x), 0.0, atol=1e-5)


@pytest.mark.parametrize("batch", BATCH_SHAPES)
def test_gaussian_mlp_without_floor_is_its_formula(batch, rng, scramble):
    network = scramble(GaussianMLP(*SIZES, rng, tf.float64), scale=2.0)
    x = rng.normal(size=[*batch, SIZES[0]])
    u = np.tanh(affine(network.hidden, x))
    np.testing.assert_allclose(network(tf.constant(x)).loc, affine(network.loc, u), rtol=1e-10)
    np.testing.assert_allclose(network(tf.constant(x)).logvar, affine(network.logvar, u), rtol=1e-10)


@pytest.mark.parametrize("bias", [-1e30, -1e4, -20.0, 0.0, 1e4])
def test_the_floor_of_logvar_holds_and_is_left_smoothly(bias, rng):
    network = GaussianMLP(*SIZES, rng, min_logvar=-3.0)
    network.logvar.b.assign(tf.fill([SIZES[-1]], bias))
    logvar = network(tf.constant(rng.normal(0.0, 1e3, [5, SIZES[0]]), tf.float32)).logvar.numpy()
    assert np.all(np.isfinite(logvar))
    assert np.all(logvar >= -3.0)
    if abs(bias) >= 1e4:
        np.testing.assert_allclose(logvar, max(bias, -3.0), rtol=1e-3)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("batch", BATCH_SHAPES)
def test_a_decoder_gives_a_distribution_of_its_family_over_images(name, batch, rng):
    decoder = build_decoder(name, *SIZES, rng)
    p = decoder(tf.zeros([*batch, SIZES[0]]))
    assert isinstance(p, decoder.likelihood)
    assert p.mean().shape == (*batch, SIZES[-1])
    assert p.log_prob(tf.zeros([batch[-1], SIZES[-1]])).shape == batch


@pytest.mark.parametrize("name", DECODERS)
def test_no_decoder_passes_the_ceiling_of_its_likelihood(name, rng, scramble):
    x = tf.constant(rng.uniform(size=[500, SIZES[-1]]), tf.float32)
    decoder = build_decoder(name, *SIZES, rng)
    ceiling = decoder.likelihood.ceiling(x)
    for scale in (0.1, 1.0, 10.0, 100.0):
        scramble(decoder, scale)
        assert np.all(decoder(tf.random.stateless_normal([500, SIZES[0]], [0, 0])).log_prob(x) <= ceiling)


def test_a_gaussian_decoder_that_knows_the_image_reaches_its_ceiling(rng, scramble):
    decoder = build_decoder("GaussianMLP", *SIZES, rng)
    scramble(decoder, 0.0)
    x = rng.uniform(size=[1, SIZES[-1]]).astype(np.float32)
    decoder.loc.b.assign(x[0])
    decoder.logvar.b.assign(tf.fill([SIZES[-1]], 4.0 * MIN_LOGVAR))
    np.testing.assert_allclose(decoder(tf.zeros([1, SIZES[0]])).log_prob(x), decoder.likelihood.ceiling(x), rtol=1e-5)


@pytest.mark.parametrize("name", DECODERS)
def test_every_weight_of_a_decoder_gets_a_gradient(name, rng):
    decoder = build_decoder(name, *SIZES, rng)
    z = tf.constant(rng.normal(size=[5, SIZES[0]]), tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(decoder(z).log_prob(tf.constant(rng.uniform(size=[5, SIZES[-1]]), tf.float32)))
    gradients = tape.gradient(loss, decoder.trainable_variables)
    assert all(gradient is not None and np.any(gradient) for gradient in gradients)


@pytest.mark.parametrize("name", DECODERS)
def test_the_same_state_of_the_generator_gives_the_same_weights(name, weights_of):
    rng = np.random.default_rng(3)
    first, second = (weights_of(build_decoder(name, *SIZES, rng)) for _ in range(2))
    again = weights_of(build_decoder(name, *SIZES, np.random.default_rng(3)))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", ["", "BernoulliCNN", "gaussianmlp"])
def test_an_unknown_decoder_is_refused_by_name(name, rng):
    with pytest.raises(ValueError, match=f"Unknown decoder type: {name}"):
        build_decoder(name, *SIZES, rng)
