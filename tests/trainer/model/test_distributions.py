"""The normal density against SciPy, and the clip that is differentiable everywhere."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from trainer.model.distributions import log_normal, log_normal_pdf, smooth_clip

SIZE = 7
BOUNDS = pytest.mark.parametrize(("low", "high"), [(-12.0, 12.0), (-8.0, 0.0), (-2.0 * np.log(255.0), 0.0), (3.1, 9.7)])
DTYPES = pytest.mark.parametrize("dtype", [tf.float32, tf.float64])


def value_and_slope(x, low, high, dtype):
    x = tf.constant(x, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = smooth_clip(x, low, high)
    return value.numpy(), tape.gradient(value, x).numpy()


def around(low, high):
    """Numbers in, near and far from the range."""
    inside = np.linspace(low - 30.0, high + 30.0, 2001)
    far = np.geomspace(40.0, 1e30, 200)
    return np.concatenate([-far[::-1], inside, far])


def test_log_normal_is_scipys_and_its_pdf_the_sum_over_the_last_axis():
    rng = np.random.default_rng(0)
    sample, mean, logvar = rng.normal(size=[3, 5, SIZE]), rng.normal(size=[5, SIZE]), rng.normal(size=[5, SIZE])
    expected = scipy.stats.norm.logpdf(sample, mean, np.exp(0.5 * logvar))
    arguments = [tf.constant(value) for value in (sample, mean, logvar)]
    np.testing.assert_allclose(log_normal(*arguments), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(log_normal_pdf(*arguments), expected.sum(axis=-1), rtol=1e-12)


@BOUNDS
def test_a_smooth_clip_is_its_formula(low, high):
    x = np.linspace(low - 30.0, high + 30.0, 2001)
    softplus = lambda v: np.logaddexp(0.0, v)  # noqa: E731
    value, slope = value_and_slope(x, low, high, tf.float64)
    below = high - softplus(high - x)
    np.testing.assert_allclose(value, low + softplus(below - low), atol=1e-12)
    np.testing.assert_allclose(slope, scipy.special.expit(below - low) * scipy.special.expit(high - x), atol=1e-12)


@BOUNDS
@DTYPES
def test_a_smooth_clip_leaves_the_middle_nearly_alone(low, high, dtype):
    middle = 0.5 * (low + high)
    value, slope = value_and_slope(middle, low, high, dtype)
    tail = np.exp(0.5 * (low - high))
    assert abs(value - middle) < tail
    assert 1.0 - 3.0 * tail < slope <= 1.0


@BOUNDS
@DTYPES
def test_a_smooth_clip_is_never_below_its_floor_nor_far_above_its_ceiling(low, high, dtype):
    value, _ = value_and_slope(around(low, high), low, high, dtype)
    assert value.min() >= tf.constant(low, dtype).numpy()
    assert value.max() <= high + np.exp(low - high) + 1e-6
    np.testing.assert_allclose(value[0], low, rtol=1e-6)
    np.testing.assert_allclose(value[-1], high, atol=np.exp(low - high) + 1e-6)


@BOUNDS
@DTYPES
def test_a_smooth_clip_rises_and_is_finite_everywhere(low, high, dtype):
    value, slope = value_and_slope(around(low, high), low, high, dtype)
    assert np.all(np.isfinite(value))
    assert np.all(np.isfinite(slope))
    assert np.all(slope >= 0.0)
    assert np.all(np.diff(value) >= -1e-5 if dtype is tf.float32 else np.diff(value) >= -1e-12)
