"""Levels of pixels that are independent given z."""

import dataclasses
from typing import ClassVar

import tensorflow as tf

from trainer.model.likelihoods.levels import bounded_log_scale, level_at, log_level, matched, mean_level, quantiles
from trainer.model.likelihoods.pixels import PixelModel


@dataclasses.dataclass(frozen=True)
class DiscretizedLogistic:
    """Probability of each of 256 levels under a logistic: p(x) = prod_i P(x_i; loc_i, scale_i), P as in `levels`."""

    loc: tf.Tensor  # [..., D]
    log_scale: tf.Tensor  # [..., D], between MIN_LOG_SCALE and 0

    UNITS: ClassVar = "nats per image, probability of 8-bit pixels"
    IS_PROBABILITY: ClassVar = True

    @staticmethod
    def outputs(channels: int) -> tuple[int, ...]:
        """Returns the parameters of a pixel, two for each channel."""
        return (channels, channels)

    @staticmethod
    def from_network(loc: tf.Tensor, log_scale: tf.Tensor) -> "DiscretizedLogistic":
        """Maps outputs of 0 to mid-grey with the scale of natural images."""
        return DiscretizedLogistic(0.5 + loc, bounded_log_scale(log_scale))

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """Returns log p(x), [...], nats, for x [..., D] in [0, 1], multiples of 1/255."""
        return tf.reduce_sum(log_level(x, self.loc, self.log_scale), axis=-1)

    def mean(self) -> tf.Tensor:
        """Returns the mean of each logistic clipped to [0, 1], [..., D]."""
        return mean_level(self.loc, self.log_scale)

    def sample(self, seed: tf.Tensor) -> tf.Tensor:
        """Draws one of the 256 levels for each pixel, [..., D]."""
        return level_at(quantiles(tf.shape(self.loc), seed, self.loc.dtype), self.loc, self.log_scale)

    @staticmethod
    def ceiling(x: tf.Tensor) -> tf.Tensor:
        """Returns 0, [...], nats: a probability is at most 1."""
        return tf.zeros_like(x[..., 0])

    @staticmethod
    def independent(pixels: PixelModel) -> "DiscretizedLogistic":
        """Sets each pixel to its training moments."""
        return DiscretizedLogistic(*matched(pixels))
