"""Likelihoods p(x|z) of pixels, each with its ceiling and its units.

They share one interface:

    NETWORK_OUTPUTS          parameters per pixel
    UNITS                    the units of log_prob
    IS_PROBABILITY           whether exp(log_prob) is the probability of an 8-bit image, so that bits/dim exist
    from_network(*outputs)   the distribution, from NETWORK_OUTPUTS unbounded arrays [..., D]
    log_prob(x)              [...], nats, for x [..., D] in [0, 1]
    mean()                   [..., D] in [0, 1]
    sample(seed)             a draw, [..., D], a function of the seed [2]
    ceiling(x)               the largest log_prob(x) over all parameters, [...], nats
    independent(pixels)      the member with independent pixels that have the moments `pixels`
"""

import dataclasses
import math
from typing import ClassVar, NamedTuple

import tensorflow as tf

from trainer.errors import UserError
from trainer.model.distributions import log_normal_pdf, smooth_clip

LEVELS = 256  # of an 8-bit pixel
MIN_LOGVAR = -2.0 * math.log(LEVELS - 1)


class PixelModel(NamedTuple):
    """The moments of each pixel over the training images."""

    mean: tf.Tensor  # [D], in [0, 1]
    variance: tf.Tensor  # [D]


@dataclasses.dataclass(frozen=True)
class Bernoulli:
    """p(x) = prod_i p_i^x_i (1 - p_i)^(1 - x_i) with p = sigmoid(logits).

    On grey values in [0, 1] this is the usual cross entropy, not a density, so its values cannot be converted to
    bits per dimension (Loaiza-Ganem and Cunningham, 2019, arXiv 1907.06845).
    """

    logits: tf.Tensor  # [..., D]

    NETWORK_OUTPUTS: ClassVar = 1
    UNITS: ClassVar = "nats per image, cross entropy of grey values"
    IS_PROBABILITY: ClassVar = False

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


@dataclasses.dataclass(frozen=True)
class GaussianPixels:
    """Diagonal Gaussian with a variance between (1/255)^2 and 1.

    Without a floor, the density of a constant pixel is unbounded, and so is the ELBO. A standard deviation below one
    grey level has no meaning in an 8-bit image; a variance above 1 has none for pixels in [0, 1].
    """

    loc: tf.Tensor  # [..., D]
    logvar: tf.Tensor  # [..., D], at least MIN_LOGVAR

    NETWORK_OUTPUTS: ClassVar = 2
    UNITS: ClassVar = "nats per image, density of pixels in [0, 1]"
    IS_PROBABILITY: ClassVar = False

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


@dataclasses.dataclass(frozen=True)
class DiscretizedLogistic:
    """Probability of each of 256 levels under a logistic (Kingma et al., 2016, arXiv 1606.04934, appendix C.5).

        p(x) = sigmoid((x + h - loc) / scale) - sigmoid((x - h - loc) / scale),   h = 1/510

    The lowest level takes the whole tail below it and the highest the whole tail above, so the 256 sum to one. With
    a, b the two arguments, log p = log sigmoid(a) + log sigmoid(-b) + log(1 - exp(b - a)), without cancellation.
    """

    loc: tf.Tensor  # [..., D]
    log_scale: tf.Tensor  # [..., D], between MIN_LOG_SCALE and 0

    NETWORK_OUTPUTS: ClassVar = 2
    UNITS: ClassVar = "nats per image, probability of 8-bit pixels"
    IS_PROBABILITY: ClassVar = True
    MIN_LOG_SCALE: ClassVar = -8.0  # 1/11 of a level: all but e^-5 of the mass can lie on one level

    @staticmethod
    def from_network(loc: tf.Tensor, log_scale: tf.Tensor) -> "DiscretizedLogistic":
        """Maps outputs of 0 to mid-grey with a scale of about e^-2, which is typical of natural images."""
        return DiscretizedLogistic(0.5 + loc, smooth_clip(log_scale - 2.0, DiscretizedLogistic.MIN_LOG_SCALE, 0.0))

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """Returns log p(x), [...], nats, for x [..., D] in [0, 1], multiples of 1/255."""
        half, width = 0.5 / (LEVELS - 1), 1.0 / (LEVELS - 1)
        inverse_scale = tf.exp(-self.log_scale)
        upper = (x - self.loc + half) * inverse_scale
        lower = (x - self.loc - half) * inverse_scale
        log_below, log_above = tf.math.log_sigmoid(upper), tf.math.log_sigmoid(-lower)
        inside = log_below + log_above + tf.math.log(-tf.math.expm1(-width * inverse_scale))
        levels = tf.where(x < half, log_below, tf.where(x > 1.0 - half, log_above, inside))
        return tf.reduce_sum(levels, axis=-1)

    def mean(self) -> tf.Tensor:
        """Returns the mean of the logistic clipped to [0, 1], [..., D].

        It differs from the mean of the levels by at most half a level. With softplus(x) = max(x, 0) + softplus(-|x|)
        the large terms cancel before they are computed.
        """
        scale = tf.exp(self.log_scale)
        tails = tf.nn.softplus(-tf.abs(self.loc) / scale) - tf.nn.softplus(-tf.abs(self.loc - 1.0) / scale)
        return tf.clip_by_value(tf.clip_by_value(self.loc, 0.0, 1.0) + scale * tails, 0.0, 1.0)

    def sample(self, seed: tf.Tensor) -> tf.Tensor:
        """Draws one of the 256 levels for each pixel, [..., D]."""
        tiny = 1e-6
        uniform = tf.random.stateless_uniform(tf.shape(self.loc), seed, tiny, 1.0 - tiny, dtype=self.loc.dtype)
        value = self.loc + tf.exp(self.log_scale) * (tf.math.log(uniform) - tf.math.log1p(-uniform))
        return tf.round(tf.clip_by_value(value, 0.0, 1.0) * (LEVELS - 1)) / (LEVELS - 1)

    @staticmethod
    def ceiling(x: tf.Tensor) -> tf.Tensor:
        """Returns 0, [...], nats: a probability is at most 1."""
        return tf.zeros_like(x[..., 0])

    @staticmethod
    def independent(pixels: PixelModel) -> "DiscretizedLogistic":
        """Sets each pixel to its training moments; the variance of a logistic is (pi scale)^2 / 3."""
        log_scale = 0.5 * tf.math.log(3.0 * pixels.variance / math.pi**2 + 1e-12)
        return DiscretizedLogistic(pixels.mean, tf.clip_by_value(log_scale, DiscretizedLogistic.MIN_LOG_SCALE, 0.0))


Likelihood = Bernoulli | GaussianPixels | DiscretizedLogistic

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "Bernoulli": Bernoulli,
    "Gaussian": GaussianPixels,
    "DiscretizedLogistic": DiscretizedLogistic,
}


def bits_per_dim(likelihood: type[Likelihood], nats: float, size: int) -> float:
    """Converts a bound of `nats` per image with `size` values to bits per value.

        bits/dim = -nats / (size log 2)

    Raises:
      UserError: exp(log_prob) of the likelihood is not a probability of the pixels.
    """
    if not likelihood.IS_PROBABILITY:
        raise UserError(
            f"{likelihood.__name__} has no bits/dim",
            value=likelihood.UNITS,
            valid="a probability of 8-bit pixels, as of DiscretizedLogistic",
        )
    return -nats / (size * math.log(2.0))
