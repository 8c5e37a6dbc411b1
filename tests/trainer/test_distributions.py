"""Densities against SciPy, and the two bounds that frame an ELBO against their definitions."""

import itertools

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from trainer.distributions import MIN_LOGVAR, Bernoulli, Gaussian, PixelModel, log_normal_pdf

SIZE = 7


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def grey(rng):
    """Grey values [50, SIZE] in [0, 1], black and white among them."""
    x = rng.uniform(0.0, 1.0, [50, SIZE])
    x[:10, 0], x[:10, 1] = 0.0, 1.0
    return x


def moments(x):
    return PixelModel(tf.constant(x.mean(axis=0)), tf.constant(x.var(axis=0)))


def summed_log_prob(family, parameters, x):
    """Log-likelihood of all of `x`, and its gradient in each parameter."""
    parameters = [tf.convert_to_tensor(p) for p in parameters]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        total = tf.reduce_sum(family(*parameters).log_prob(tf.constant(x)))
    return total.numpy(), tape.gradient(total, parameters)


def test_log_normal_pdf_is_scipys_summed_over_the_last_axis(rng):
    sample, mean, logvar = rng.normal(size=[3, 5, SIZE]), rng.normal(size=[5, SIZE]), rng.normal(size=[5, SIZE])
    expected = scipy.stats.norm.logpdf(sample, mean, np.exp(0.5 * logvar)).sum(axis=-1)
    np.testing.assert_allclose(log_normal_pdf(*map(tf.constant, (sample, mean, logvar))), expected, rtol=1e-12)
    np.testing.assert_allclose(Gaussian(mean, logvar).log_prob(tf.constant(sample)), expected, rtol=1e-12)


def test_bernoulli_log_prob_is_scipys_on_black_and_white(rng):
    x, logits = rng.integers(0, 2, [20, SIZE]), rng.normal(0.0, 3.0, [20, SIZE])
    expected = scipy.stats.bernoulli.logpmf(x, scipy.special.expit(logits)).sum(axis=-1)
    np.testing.assert_allclose(Bernoulli(logits).log_prob(tf.constant(x, tf.float64)), expected, rtol=1e-9)


def test_bernoulli_log_prob_is_the_cross_entropy_on_grey(rng, grey):
    logits = rng.normal(0.0, 3.0, grey.shape)
    p = scipy.special.expit(logits)
    expected = (scipy.special.xlogy(grey, p) + scipy.special.xlog1py(1.0 - grey, -p)).sum(axis=-1)
    np.testing.assert_allclose(Bernoulli(logits).log_prob(tf.constant(grey)), expected, rtol=1e-9)


def test_bernoulli_sums_to_one_over_all_images(rng):
    images = tf.constant(list(itertools.product([0.0, 1.0], repeat=SIZE)), tf.float64)
    logits = tf.constant(rng.normal(0.0, 2.0, [SIZE]))
    np.testing.assert_allclose(tf.reduce_sum(tf.exp(Bernoulli(logits).log_prob(images))), 1.0, rtol=1e-12)


def test_bernoulli_log_prob_stays_finite_for_extreme_logits():
    x, logits = tf.constant([[0.0, 1.0, 0.5]]), tf.constant([[1e4, -1e4, 1e4]])
    np.testing.assert_allclose(Bernoulli(logits).log_prob(x), [-2.5e4], rtol=1e-6)


def test_bernoulli_ceiling_is_log_prob_at_p_equal_x(rng):
    x = rng.uniform(0.01, 0.99, [50, SIZE])
    best = Bernoulli(tf.constant(scipy.special.logit(x))).log_prob(tf.constant(x))
    np.testing.assert_allclose(Bernoulli.ceiling(tf.constant(x)), best, rtol=1e-9)


def test_no_bernoulli_passes_its_ceiling(rng, grey):
    logits = rng.normal(0.0, 4.0, [200, *grey.shape])
    assert np.all(Bernoulli(logits).log_prob(tf.constant(grey)) <= Bernoulli.ceiling(tf.constant(grey)))


def test_black_and_white_have_a_ceiling_of_zero():
    np.testing.assert_array_equal(Bernoulli.ceiling(tf.constant([[0.0, 1.0, 1.0]])), [0.0])


def test_gaussian_ceiling_is_the_density_one_grey_level_wide(grey):
    expected = SIZE * scipy.stats.norm.logpdf(0.0, scale=1.0 / 255.0)
    np.testing.assert_allclose(Gaussian.ceiling(tf.constant(grey)), np.full(len(grey), expected), rtol=1e-6)


def test_no_gaussian_above_the_floor_passes_its_ceiling(rng, grey):
    loc = grey + rng.normal(0.0, 0.01, [200, *grey.shape])
    logvar = MIN_LOGVAR + rng.exponential(2.0, loc.shape)
    assert np.all(Gaussian(loc, logvar).log_prob(tf.constant(grey)) <= Gaussian.ceiling(tf.constant(grey)))


@pytest.mark.parametrize("family", [Bernoulli, Gaussian])
def test_independent_is_the_best_distribution_that_ignores_the_image(family, rng, grey):
    best = family.independent(moments(grey))
    likelihood, gradients = summed_log_prob(family, best, grey)
    for gradient in gradients:
        np.testing.assert_allclose(gradient, 0.0, atol=1e-9)
    for _ in range(50):
        others = [parameter + rng.normal(0.0, 0.1, SIZE) for parameter in best]
        assert summed_log_prob(family, others, grey)[0] < likelihood


@pytest.mark.parametrize("family", [Bernoulli, Gaussian])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_pixel_that_never_varied_stays_finite(family, value, grey):
    constant = grey.copy()
    constant[:, 2] = value
    model = family.independent(moments(constant))
    assert np.all(np.isfinite(model.log_prob(tf.constant(constant))))
    assert np.all(np.isfinite(model.log_prob(tf.constant(1.0 - constant))))


@pytest.mark.parametrize("family", [Bernoulli, Gaussian])
def test_a_mean_image_is_in_the_range_of_a_pixel(family, rng):
    parameters = [tf.constant(rng.normal(0.0, 50.0, [20, SIZE])) for _ in family._fields]
    mean = family(*parameters).mean().numpy()
    assert mean.min() >= 0.0
    assert mean.max() <= 1.0
    np.testing.assert_array_equal(mean > 0.5, parameters[0].numpy() > (0.0 if family is Bernoulli else 0.5))
