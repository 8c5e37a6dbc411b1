"""The distributions of the model: standard normal prior, Gaussian posterior, pixel likelihoods.

Densities are summed over the last axis: a result is in nats per image.
"""

import math
from typing import NamedTuple

import tensorflow as tf

LOG_2PI = math.log(2.0 * math.pi)


def log_normal_pdf(sample: tf.Tensor, mean: tf.Tensor, logvar: tf.Tensor) -> tf.Tensor:
    """Log density of a diagonal Gaussian.

        log N(v; m, s^2) = -1/2 sum_i [ (v_i - m_i)^2 / s_i^2 + log s_i^2 + log 2 pi ]

    Args:
      sample, mean, logvar: [..., D], broadcast against each other.

    Returns:
      [...], nats.
    """
    return -0.5 * tf.reduce_sum((sample - mean) ** 2 * tf.exp(-logvar) + logvar + LOG_2PI, axis=-1)


class PixelModel(NamedTuple):
    """What is known of the pixels before any model is: their moments over the training images."""

    mean: tf.Tensor  # [D], in [0, 1]
    variance: tf.Tensor  # [D]


class Bernoulli(NamedTuple):
    """p(x) = prod_i p_i^x_i (1 - p_i)^(1 - x_i) with p = sigmoid(logits).

    On grey values in [0, 1] this is the usual cross entropy and not a density: its values have no
    meaning in bits per dimension (Loaiza-Ganem and Cunningham, 2019, arXiv 1907.06845).
    """

    logits: tf.Tensor  # [..., D]

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """x: [..., D] in [0, 1]; returns [...], nats."""
        return tf.reduce_sum(x * self.logits - tf.nn.softplus(self.logits), axis=-1)

    def mean(self) -> tf.Tensor:
        """[..., D], in [0, 1]."""
        return tf.sigmoid(self.logits)

    @staticmethod
    def ceiling(x: tf.Tensor) -> tf.Tensor:
        """The largest log p(x) there can be: at p = x, minus the summed entropy of the pixels; [...], nats."""
        return tf.reduce_sum(tf.math.xlogy(x, x) + tf.math.xlog1py(1.0 - x, -x), axis=-1)

    @staticmethod
    def independent(pixels: PixelModel) -> "Bernoulli":
        """The best Bernoulli that ignores the image's structure: each pixel at its training mean."""
        mean = tf.clip_by_value(pixels.mean, 1e-3, 1.0 - 1e-3)  # a pixel that never varied stays finite
        return Bernoulli(tf.math.log(mean) - tf.math.log1p(-mean))


class Gaussian(NamedTuple):
    """Diagonal Gaussian; as a likelihood its variance has the floor `MIN_LOGVAR`.

    Without a floor the density of a constant pixel is unbounded and so is the ELBO. The floor is the
    width of one grey level, (1/255)^2: nothing narrower can be told apart in an 8-bit image.
    """

    loc: tf.Tensor  # [..., D]
    logvar: tf.Tensor  # [..., D]

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """x: [..., D]; returns [...], nats."""
        return log_normal_pdf(x, self.loc, self.logvar)

    def mean(self) -> tf.Tensor:
        """[..., D], clipped to the range of a pixel, [0, 1]."""
        return tf.clip_by_value(self.loc, 0.0, 1.0)

    @staticmethod
    def ceiling(x: tf.Tensor) -> tf.Tensor:
        """The largest log p(x) there can be: at loc = x and the floor of the variance; [...], nats."""
        return log_normal_pdf(x, x, tf.fill(tf.shape(x), tf.cast(MIN_LOGVAR, x.dtype)))

    @staticmethod
    def independent(pixels: PixelModel) -> "Gaussian":
        """The best Gaussian that ignores the image's structure: each pixel at its training moments."""
        return Gaussian(pixels.mean, tf.math.log(tf.maximum(pixels.variance, math.exp(MIN_LOGVAR))))


MIN_LOGVAR = -2.0 * math.log(255.0)
