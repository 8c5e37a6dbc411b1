"""The 256 levels of an 8-bit pixel under a logistic (Kingma et al., 2016, arXiv 1606.04934, appendix C.5).

    P(x) = sigmoid((x + h - loc) / scale) - sigmoid((x - h - loc) / scale),   h = 1/510

The lowest level takes the whole tail below it and the highest the whole tail above, so the 256 sum to one. All arrays
broadcast against each other.
"""

import math

import tensorflow as tf

from trainer.model.distributions import smooth_clip
from trainer.model.likelihoods.pixels import LEVELS, PixelModel

MIN_LOG_SCALE = -8.0  # 1/11 of a level: all but e^-5 of the mass can lie on one level
HALF = 0.5 / (LEVELS - 1)


def bounded_log_scale(output: tf.Tensor) -> tf.Tensor:
    """Maps a network's output to log(scale); 0 to about -2, which is typical of natural images."""
    return smooth_clip(output - 2.0, MIN_LOG_SCALE, 0.0)


def log_level(x: tf.Tensor, loc: tf.Tensor, log_scale: tf.Tensor) -> tf.Tensor:
    """Returns log P(x), nats, for each x, a multiple of 1/255 in [0, 1].

    With a, b the two arguments, log P = log sigmoid(a) + log sigmoid(-b) + log(1 - exp(b - a)), without cancellation.
    """
    inverse_scale = tf.exp(-log_scale)
    upper = (x - loc + HALF) * inverse_scale
    lower = (x - loc - HALF) * inverse_scale
    log_below, log_above = tf.math.log_sigmoid(upper), tf.math.log_sigmoid(-lower)
    inside = log_below + log_above + tf.math.log(-tf.math.expm1(-2.0 * HALF * inverse_scale))
    return tf.where(x < HALF, log_below, tf.where(x > 1.0 - HALF, log_above, inside))


def mean_level(loc: tf.Tensor, log_scale: tf.Tensor) -> tf.Tensor:
    """Returns the mean of the logistic clipped to [0, 1].

    It differs from the mean of the levels by at most half a level. With softplus(x) = max(x, 0) + softplus(-|x|)
    the large terms cancel before they are computed.
    """
    scale = tf.exp(log_scale)
    tails = tf.nn.softplus(-tf.abs(loc) / scale) - tf.nn.softplus(-tf.abs(loc - 1.0) / scale)
    return tf.clip_by_value(tf.clip_by_value(loc, 0.0, 1.0) + scale * tails, 0.0, 1.0)


def level_at(uniform: tf.Tensor, loc: tf.Tensor, log_scale: tf.Tensor) -> tf.Tensor:
    """Returns the level at the quantile `uniform`, in (0, 1)."""
    value = loc + tf.exp(log_scale) * (tf.math.log(uniform) - tf.math.log1p(-uniform))
    return tf.round(tf.clip_by_value(value, 0.0, 1.0) * (LEVELS - 1)) / (LEVELS - 1)


def quantiles(shape: tf.Tensor, seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Draws from the open interval (0, 1), a function of the seed [2]."""
    tiny = 1e-6
    return tf.random.stateless_uniform(shape, seed, tiny, 1.0 - tiny, dtype=dtype)


def matched(pixels: PixelModel) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns loc and log(scale), [D], of logistics with these moments; the variance of one is (pi scale)^2 / 3."""
    log_scale = 0.5 * tf.math.log(3.0 * pixels.variance / math.pi**2 + 1e-12)
    return pixels.mean, tf.clip_by_value(log_scale, MIN_LOG_SCALE, 0.0)
