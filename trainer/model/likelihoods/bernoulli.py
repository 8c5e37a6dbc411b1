"""Grey values as probabilities of white."""

import dataclasses
from typing import ClassVar

import tensorflow as tf

from trainer.model.likelihoods.pixels import PixelModel


@dataclasses.dataclass(frozen=True)
class Bernoulli:
    """p(x) = prod_i p_i^x_i (1 - p_i)^(1 - x_i) with p = sigmoid(logits).

    On grey values in [0, 1] this is the usual cross entropy, not a density, so its values cannot be converted to
    bits per dimension (Loaiza-Ganem and Cunningham, 2019, arXiv 1907.06845).
    """

    logits: tf.Tensor  # [..., D]

    UNITS: ClassVar = "nats per image, cross entropy of grey values"
    IS_PROBABILITY: ClassVar = False

    @staticmethod
    def outputs(channels: int) -> tuple[int, ...]:
        """Returns the parameters of a pixel, one for each channel."""
        return (channels,)

    @staticmethod
    def from_network(logits: tf.Tensor) -> "Bernoulli":
        """Takes the network's output as logits, without a sigmoid."""
        return Bernoulli(logits)

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """Returns log p(x), [...], nats, for x [..., D] in [0, 1]."""
        return tf.reduce_sum(x * self.logits - tf.nn.softplus(self.logits), axis=-1)

    def mean(self) -> tf.Tensor:
        """Returns the mean image, [..., D] in [0, 1]."""
        return tf.sigmoid(self.logits)

    def sample(self, seed: tf.Tensor) -> tf.Tensor:
        """Draws black and white pixels, [..., D]."""
        uniform = tf.random.stateless_uniform(tf.shape(self.logits), seed, dtype=self.logits.dtype)
        return tf.cast(uniform < self.mean(), self.logits.dtype)

    @staticmethod
    def ceiling(x: tf.Tensor) -> tf.Tensor:
        """Returns log_prob at p = x, minus the summed entropy of the pixels; [...], nats."""
        return tf.reduce_sum(tf.math.xlogy(x, x) + tf.math.xlog1py(1.0 - x, -x), axis=-1)

    @staticmethod
    def independent(pixels: PixelModel) -> "Bernoulli":
        """Sets each pixel to its training mean."""
        mean = tf.clip_by_value(pixels.mean, 1e-3, 1.0 - 1e-3)  # finite logits for a pixel that never varies
        return Bernoulli(tf.math.log(mean) - tf.math.log1p(-mean))
