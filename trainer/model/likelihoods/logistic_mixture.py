"""Levels of pixels whose channels depend on each other."""

import dataclasses
from typing import ClassVar

import tensorflow as tf

from trainer.model.likelihoods.levels import bounded_log_scale, level_at, log_level, matched, mean_level, quantiles
from trainer.model.likelihoods.pixels import PixelModel

COMPONENTS = 5  # K


@dataclasses.dataclass(frozen=True)
class DiscretizedLogisticMixture:
    """Mixture of discretized logistics with linear dependence of channels (Salimans et al., 2017, arXiv 1701.05517).

        p(x) = prod_pixels sum_k pi_k prod_c P(x_c; loc_ck + sum_{j<c} slope_cjk (x_j - 1/2), scale_ck)

    P is the probability of a level in `levels`. The component k belongs to a pixel, all its channels together. With N
    pixels of C channels, D = N C, and an image of one channel has no slopes.
    """

    logits: tf.Tensor  # [..., N, K], of pi
    loc: tf.Tensor  # [..., N, C, K]
    log_scale: tf.Tensor  # [..., N, C, K], between MIN_LOG_SCALE and 0
    slopes: tf.Tensor  # [..., N, C (C - 1) / 2, K]: of channel 1 on 0, 2 on 0, 2 on 1, 3 on 0 and so on

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
        """Maps outputs of 0 to independent channels at mid-grey with the scale of natural images."""
        pixels = logits.shape[-1] // COMPONENTS
        loc = 0.5 + _unflatten(loc, pixels, COMPONENTS)
        return DiscretizedLogisticMixture(
            tf.squeeze(_unflatten(logits, pixels, COMPONENTS), axis=-2),
            loc,
            bounded_log_scale(_unflatten(log_scale, pixels, COMPONENTS)),
            loc[..., :0, :] if slopes is None else _unflatten(slopes, pixels, COMPONENTS),
        )

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        """Returns log p(x), [...], nats, for x [..., D] in [0, 1], multiples of 1/255."""
        x = _unflatten(x, self.loc.shape[-3], 1)  # [..., N, C, 1]
        channels = tf.unstack(x, axis=-2)
        joint = tf.nn.log_softmax(self.logits)  # [..., N, K]
        for c, channel in enumerate(channels):
            joint += log_level(channel, self._loc_given(channels[:c]), self.log_scale[..., c, :])
        return tf.reduce_sum(tf.reduce_logsumexp(joint, axis=-1), axis=-1)

    def mean(self) -> tf.Tensor:
        """Returns the mean over components of m_k, the means of their channels one after another, [..., D].

            m_ck = E[clip(v, 0, 1)],   v ~ Logistic(loc_ck + sum_{j<c} slope_cjk (m_jk - 1/2), scale_ck)

        Of the first channel this is the mean of the levels to half a level. Of the others it is so, to half a level for
        each slope, where clipping does not matter or channels before are certain.
        """
        means: list[tf.Tensor] = []  # [..., N, K] for each channel
        for c in range(self.loc.shape[-2]):
            means.append(mean_level(self._loc_given(means), self.log_scale[..., c, :]))
        weights = tf.nn.softmax(self.logits)[..., None, :]
        return _flatten(tf.clip_by_value(tf.reduce_sum(weights * tf.stack(means, axis=-2), axis=-1), 0.0, 1.0))

    def sample(self, seed: tf.Tensor) -> tf.Tensor:
        """Draws a component for each pixel, and then one of the 256 levels for each of its channels, [..., D]."""
        shape, channels = tf.shape(self.loc), self.loc.shape[-2]  # one quantile chooses the component, C the levels
        uniform = quantiles(tf.concat([shape[:-2], [1 + channels]], axis=0), seed, self.loc.dtype)
        below = tf.cumsum(tf.nn.softmax(self.logits), axis=-1)[..., :-1] < uniform[..., :1]
        is_chosen = tf.one_hot(tf.reduce_sum(tf.cast(below, tf.int32), axis=-1), shape[-1], dtype=self.loc.dtype)
        drawn: list[tf.Tensor] = []  # [..., N, 1] for each channel
        for c in range(channels):
            loc, log_scale = (
                tf.reduce_sum(is_chosen * parameter, axis=-1, keepdims=True)
                for parameter in (self._loc_given(drawn), self.log_scale[..., c, :])
            )
            drawn.append(level_at(uniform[..., 1 + c : 2 + c], loc, log_scale))
        return _flatten(tf.concat(drawn, axis=-1))

    def _loc_given(self, before: list[tf.Tensor]) -> tf.Tensor:
        """Returns the location, [..., N, K], of the channel after the channels `before`, [..., N, K or 1] each."""
        c = len(before)
        loc, first = self.loc[..., c, :], c * (c - 1) // 2
        for j, value in enumerate(before):
            loc += self.slopes[..., first + j, :] * (value - 0.5)
        return loc

    @staticmethod
    def ceiling(x: tf.Tensor) -> tf.Tensor:
        """Returns 0, [...], nats: a probability is at most 1."""
        return tf.zeros_like(x[..., 0])

    @staticmethod
    def independent(pixels: PixelModel) -> "DiscretizedLogisticMixture":
        """Sets each value to its training moments, as a pixel of one channel and one component."""
        loc, log_scale = (parameter[:, None, None] for parameter in matched(pixels))
        return DiscretizedLogisticMixture(tf.zeros_like(loc[..., 0]), loc, log_scale, loc[:, :0])


def _unflatten(flat: tf.Tensor, pixels: int, last: int) -> tf.Tensor:
    """Reshapes [..., N * M * last] to [..., N, M, last]."""
    sizes = [pixels, flat.shape[-1] // (pixels * last), last]
    return tf.reshape(flat, tf.concat([tf.shape(flat)[:-1], sizes], axis=0))


def _flatten(values: tf.Tensor) -> tf.Tensor:
    """Reshapes [..., N, C] to [..., D]."""
    sizes = [values.shape[-2] * values.shape[-1]]
    return tf.reshape(values, tf.concat([tf.shape(values)[:-2], sizes], axis=0))
