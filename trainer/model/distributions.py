"""The normal distribution, as prior and as posterior."""

import math
from typing import NamedTuple

import tensorflow as tf

LOG_2PI = math.log(2.0 * math.pi)
LOGVAR_BOUND = 12.0  # on |log variance| of latents: standard deviations from 1/400 to 400


class Gaussian(NamedTuple):
    """Diagonal Gaussian."""

    loc: tf.Tensor  # [..., L]
    logvar: tf.Tensor  # [..., L]


def log_normal(sample: tf.Tensor, mean: tf.Tensor, logvar: tf.Tensor) -> tf.Tensor:
    """Returns the log density of each coordinate of a diagonal Gaussian.

        log N(v_i; m_i, s_i^2) = -1/2 [ (v_i - m_i)^2 / s_i^2 + log s_i^2 + log 2 pi ]

    Args:
      sample, mean, logvar: [..., D], broadcast against each other.

    Returns:
      [..., D], nats.
    """
    return -0.5 * ((sample - mean) ** 2 * tf.exp(-logvar) + logvar + LOG_2PI)


def log_normal_pdf(sample: tf.Tensor, mean: tf.Tensor, logvar: tf.Tensor) -> tf.Tensor:
    """Returns the log density of a diagonal Gaussian, [...], nats: `log_normal` summed over the last axis."""
    return tf.reduce_sum(log_normal(sample, mean, logvar), axis=-1)


def smooth_clip(x: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Clips x smoothly: nearly the identity between `low` and `high`, differentiable and finite for any x.

    The result is never below `low`, and at most exp(low - high) above `high`.
    """
    below = high - tf.nn.softplus(high - x)
    return low + tf.nn.softplus(below - low)
