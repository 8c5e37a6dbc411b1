"""Levels of pixels whose channels depend on each other."""

import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar

import tensorflow as tf

from trainer.model.likelihoods.levels import HALF, MIN_LOG_SCALE, level_at, matched, mean_level, quantiles
from trainer.model.likelihoods.pixels import PixelModel

COMPONENTS = 5  # K


@dataclasses.dataclass(frozen=True)
class DiscretizedLogisticMixture:
    """Mixture of discretized logistics with linear dependence of channels (Salimans et al., 2017, arXiv 1701.05517).

        p(x) = prod_pixels sum_k pi_k prod_c P(x_c; loc_ck + sum_{j<c} slope_cjk (x_j - 1/2), scale_ck)

    P is the probability of a level in `levels`. The component k belongs to a pixel, all its channels together. With N
    pixels of C channels, D = N C, and an image of one channel has no slopes. Pixels are the last axis, because XLA
    computes faster along long rows.
    """

    logits: tf.Tensor  # [..., K, N], of pi
    loc: tf.Tensor  # [..., C, K, N]
    log_scale: tf.Tensor  # [..., C, K, N], between MIN_LOG_SCALE and 0
    slopes: tf.Tensor  # [..., C (C - 1) / 2, K, N]: of channel 1 on 0, 2 on 0, 2 on 1, 3 on 0 and so on

    UNITS: ClassVar = "nats per image, probability of 8-bit pixels"
    IS_PROBABILITY: ClassVar = True

    @staticmethod
    def outputs(channels: int) -> tuple[int, ...]:
        """Returns the parameters of a pixel: a weight for each component, and two and the slopes for each channel."""
        sizes = (1, channels, channels, channels * (channels - 1) // 2)
        return tuple(COMPONENTS * size for size in sizes if size)

    @staticmethod
    def from_network(
        logits: tf.Tensor, loc: tf.Tensor, log_scale: tf.Tensor, slopes: tf.Tensor | None = None
    ) -> "DiscretizedLogisticMixture":
        """Maps outputs of 0 to independent channels at mid-grey with a scale of e^-2, typical of natural images."""
        pixels = logits.shape[-1] // COMPONENTS
        loc = 0.5 + _components(loc, pixels)
        # a tanh between the bounds costs a quarter of two softplus
        half = 0.5 * MIN_LOG_SCALE
        log_scale = half - half * tf.tanh(_components(log_scale, pixels) / 4.0 + math.atanh(0.5))
        return DiscretizedLogisticMixture(
            tf.squeeze(_components(logits, pixels), axis=-3),
            loc,
            log_scale,
            loc[..., :0, :, :] if slopes is None else _components(slopes, pixels),
        )

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """Returns log p(x), [...], nats, for x [..., D] in [0, 1], multiples of 1/255."""
        channels, pixels = self.loc.shape[-3], self.loc.shape[-1]
        x = tf.reshape(x, tf.concat([tf.shape(x)[:-1], [pixels, channels]], axis=0))
        x = tf.linalg.matrix_transpose(x)[..., None, :]  # [..., C, 1, N]
        shape = tf.broadcast_dynamic_shape(tf.shape(x), tf.shape(self.loc))
        known = tf.unstack(x, axis=-3)
        loc = [tf.broadcast_to(self._loc_given(known[:c]), _without(shape, -3)) for c in range(channels)]
        logits = tf.broadcast_to(self.logits, _without(shape, -3))
        each = _log_mixture(x, logits, tf.stack(loc, axis=-3), tf.broadcast_to(self.log_scale, shape))
        return tf.reduce_sum(each, axis=-1)

    def mean(self) -> tf.Tensor:
        """Returns the mean over components of m_k, the means of their channels one after another, [..., D].

            m_ck = E[clip(v, 0, 1)],   v ~ Logistic(loc_ck + sum_{j<c} slope_cjk (m_jk - 1/2), scale_ck)

        Of the first channel this is the mean of the levels to half a level. Of the others it is so, to half a level for
        each slope, where clipping does not matter or channels before are certain.
        """
        means: list[tf.Tensor] = []  # [..., K, N] for each channel
        for c in range(self.loc.shape[-3]):
            means.append(mean_level(self._loc_given(means), self.log_scale[..., c, :, :]))
        weights = tf.nn.softmax(self.logits, axis=-2)[..., None, :, :]
        return _flatten(tf.clip_by_value(tf.reduce_sum(weights * tf.stack(means, axis=-3), axis=-2), 0.0, 1.0))

    def sample(self, seed: tf.Tensor) -> tf.Tensor:
        """Draws a component for each pixel, and then one of the 256 levels for each of its channels, [..., D]."""
        channels, components, pixels = self.loc.shape[-3:]
        # one quantile chooses the component, and one the level of each channel
        shape = tf.concat([tf.shape(self.loc)[:-3], [1 + channels, 1, pixels]], axis=0)
        first, *others = tf.unstack(quantiles(shape, seed, self.loc.dtype), axis=-3)
        below = tf.cumsum(tf.nn.softmax(self.logits, axis=-2), axis=-2)[..., :-1, :] < first
        chosen = tf.reduce_sum(tf.cast(below, tf.int32), axis=-2, keepdims=True)
        is_chosen = tf.cast(chosen == tf.range(components)[:, None], self.loc.dtype)  # [..., K, N]
        drawn: list[tf.Tensor] = []  # [..., 1, N] for each channel
        for c, uniform in enumerate(others):
            parameters = (self._loc_given(drawn), self.log_scale[..., c, :, :])
            loc, log_scale = (tf.reduce_sum(is_chosen * values, axis=-2, keepdims=True) for values in parameters)
            drawn.append(level_at(uniform, loc, log_scale))
        return _flatten(tf.concat(drawn, axis=-2))

    def _loc_given(self, before: list[tf.Tensor]) -> tf.Tensor:
        """Returns the location, [..., K, N], of the channel after the channels `before`, [..., K or 1, N] each."""
        c = len(before)
        loc, first = self.loc[..., c, :, :], c * (c - 1) // 2
        for j, value in enumerate(before):
            loc += self.slopes[..., first + j, :, :] * (value - 0.5)
        return loc

    @staticmethod
    def ceiling(x: tf.Tensor) -> tf.Tensor:
        """Returns 0, [...], nats: a probability is at most 1."""
        return tf.zeros_like(x[..., 0])

    @staticmethod
    def independent(pixels: PixelModel) -> "DiscretizedLogisticMixture":
        """Sets each value to its training moments, as a pixel of one channel and one component."""
        loc, log_scale = (parameter[None, None] for parameter in matched(pixels))
        return DiscretizedLogisticMixture(tf.zeros_like(loc[0]), loc, log_scale, loc[:0])


@tf.custom_gradient
def _log_mixture(
    x: tf.Tensor, logits: tf.Tensor, loc: tf.Tensor, log_scale: tf.Tensor
) -> tuple[tf.Tensor, Callable[..., tuple[tf.Tensor | None, ...]]]:
    """Returns log sum_k pi_k prod_c P(x_c; loc_ck, scale_ck), [..., N], nats.

    With a, b = (x - loc +- h) / scale, P is sigmoid(a) sigmoid(-b) (1 - exp(b - a)), for black without sigmoid(-b), for
    white without sigmoid(a), and for both without the last factor. From log sigmoid(a) = min(a, 0) - log(1 + exp(-|a|))
    all factors that cannot underflow share one logarithm. The gradient, which x has none of, reuses the exponentials,
    and takes a third of the time of automatic differentiation.

        d log P / d loc = (sigmoid(b) - sigmoid(-a)) / scale

    Args:
      x: [..., C, 1, N], multiples of 1/255 in [0, 1].
      logits: [..., K, N].
      loc, log_scale: [..., C, K, N].
    """
    black, white = x < HALF, x > 1.0 - HALF
    zero, one = tf.zeros([], x.dtype), tf.ones([], x.dtype)
    inverse_scale = tf.exp(-log_scale)
    a, b = ((x - loc + offset) * inverse_scale for offset in (HALF, -HALF))
    exp_a, exp_b = (tf.exp(-tf.abs(bound)) for bound in (a, b))
    width = -tf.math.expm1(-2.0 * HALF * inverse_scale)
    denominator = tf.where(white, one, 1.0 + exp_a) * tf.where(black, one, 1.0 + exp_b)
    factor = tf.where(black | white, one, width) / denominator  # between 2^-10 and 1
    linear = tf.where(white, zero, tf.minimum(a, zero)) - tf.where(black, zero, tf.maximum(b, zero))
    joint = logits + tf.math.log(tf.reduce_prod(factor, axis=-3)) + tf.reduce_sum(linear, axis=-3)  # [..., K, N]
    total, weight = (tf.reduce_logsumexp(values, axis=-2, keepdims=True) for values in (joint, logits))

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        upstream = upstream[..., None, :]
        share = upstream * tf.exp(joint - total)  # p(k|x)
        below_a = tf.where(white, zero, tf.where(a > 0.0, exp_a, one) / (1.0 + exp_a))  # sigmoid(-a)
        above_b = tf.where(black, zero, tf.where(b < 0.0, exp_b, one) / (1.0 + exp_b))  # sigmoid(b)
        narrower = tf.where(black | white, zero, 2.0 * HALF * inverse_scale * (1.0 - width) / width)
        return (
            None,
            share - upstream * tf.exp(logits - weight),
            share[..., None, :, :] * (above_b - below_a) * inverse_scale,
            share[..., None, :, :] * (above_b * b - below_a * a - narrower),
        )

    return tf.squeeze(total - weight, axis=-2), gradient


def _components(flat: tf.Tensor, pixels: int) -> tf.Tensor:
    """Reshapes [..., N * M * K] to [..., N, M, K] and moves the pixels last: [..., M, K, N]."""
    leading, size = tf.shape(flat)[:-1], flat.shape[-1] // pixels
    rows = tf.linalg.matrix_transpose(tf.reshape(flat, tf.concat([leading, [pixels, size]], axis=0)))
    return tf.reshape(rows, tf.concat([leading, [size // COMPONENTS, COMPONENTS, pixels]], axis=0))


def _flatten(channels: tf.Tensor) -> tf.Tensor:
    """Moves the channels of [..., C, N] beside each other: [..., D]."""
    sizes = [channels.shape[-2] * channels.shape[-1]]
    flat = tf.concat([tf.shape(channels)[:-2], sizes], axis=0)
    return tf.reshape(tf.linalg.matrix_transpose(channels), flat)


def _without(shape: tf.Tensor, axis: int) -> tf.Tensor:
    """Drops the entry `axis`, counted from the end, of a dynamic shape."""
    return tf.concat([shape[:axis], shape[axis + 1 :]], axis=0)
