"""Pixels as real numbers."""

import dataclasses
import math
from typing import ClassVar

import tensorflow as tf

from trainer.model.distributions import log_normal_pdf, smooth_clip
from trainer.model.likelihoods.pixels import LEVELS, PixelModel

MIN_LOGVAR = -2.0 * math.log(LEVELS - 1)


@dataclasses.dataclass(frozen=True)
class GaussianPixels:
    """Diagonal Gaussian with a variance between (1/255)^2 and 1.

    Without a floor, the density of a constant pixel is unbounded, and so is the ELBO. A standard deviation below one
    grey level has no meaning in an 8-bit image; a variance above 1 has none for pixels in [0, 1].
    """

    loc: tf.Tensor  # [..., D]
    logvar: tf.Tensor  # [..., D], at least MIN_LOGVAR

    UNITS: ClassVar = "nats per image, density of pixels in [0, 1]"
    IS_PROBABILITY: ClassVar = False

    @staticmethod
    def outputs(channels: int) -> tuple[int, ...]:
        """Returns the parameters of a pixel, two for each channel."""
        return (channels, channels)

    @staticmethod
    def from_network(loc: tf.Tensor, logvar: tf.Tensor) -> "GaussianPixels":
        """Clips the log-variance smoothly to its range."""
        return GaussianPixels(loc, smooth_clip(logvar, MIN_LOGVAR, 0.0))

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """Returns log p(x), [...], nats, for x [..., D]."""
        return log_normal_pdf(x, self.loc, self.logvar)

    def mean(self) -> tf.Tensor:
        """Returns the mean image, [..., D], clipped to [0, 1]."""
        return tf.clip_by_value(self.loc, 0.0, 1.0)

    def sample(self, seed: tf.Tensor) -> tf.Tensor:
        """Draws real numbers, [..., D], not clipped to [0, 1]."""
        normal = tf.random.stateless_normal(tf.shape(self.loc), seed, dtype=self.loc.dtype)
        return self.loc + tf.exp(0.5 * self.logvar) * normal

    @staticmethod
    def ceiling(x: tf.Tensor) -> tf.Tensor:
        """Returns log_prob at loc = x and the smallest variance; [...], nats."""
        return log_normal_pdf(x, x, tf.fill(tf.shape(x), tf.constant(MIN_LOGVAR, x.dtype)))

    @staticmethod
    def independent(pixels: PixelModel) -> "GaussianPixels":
        """Sets each pixel to its training moments."""
        return GaussianPixels(pixels.mean, tf.math.log(tf.maximum(pixels.variance, math.exp(MIN_LOGVAR))))
