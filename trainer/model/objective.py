"""The evidence lower bound (ELBO), which is reported and which the gate compares."""

import math
from typing import NamedTuple

import tensorflow as tf

from trainer.model.latent_model import LatentModel


class ELBO(NamedTuple):
    """The bound and its parts."""

    elbo: tf.Tensor  # [..., B], nats per image
    reconstruction: tf.Tensor  # [..., B], nats: log p(x|z)
    kl: tf.Tensor  # [..., B], nats: log q(z|x) - log p(z), one draw's estimate of KL(q(z|x) || p(z))


class Draw(NamedTuple):
    """One draw of z and the terms of its bound."""

    z: tf.Tensor  # [..., B, L]
    reconstruction: tf.Tensor  # [..., B], nats: log p(x|z)
    kl: tf.Tensor  # [..., B, L], nats: each latent's share; they sum to log q(z|x) - log p(z)

    def elbo(self) -> ELBO:
        """Estimates the bound from this draw (Kingma and Welling, 2014, arXiv 1312.6114, equation 7).

        ELBO = log p(x|z) - [log q(z|x) - log p(z)],   z ~ q(z|x)
        """
        kl = tf.reduce_sum(self.kl, axis=-1)
        return ELBO(self.reconstruction - kl, self.reconstruction, kl)


def draw(model: LatentModel, x: tf.Tensor, eps: tf.Tensor) -> Draw:
    """Draws z ~ q(z|x) with the standard normal noise eps [..., B, L], for x [B, D] with pixels in [0, 1]."""
    z, log_q, log_prior, pixels = model.joint(x, eps)
    return Draw(z, pixels.log_prob(x), log_q - log_prior)


def elbo(model: LatentModel, x: tf.Tensor, eps: tf.Tensor) -> ELBO:
    """Averages the estimates of K draws, [B], which reduces the noise and leaves the bound.

    Args:
      x: [B, D], pixels in [0, 1].
      eps: [K, B, L], standard normal noise.
    """
    return ELBO(*(tf.reduce_mean(part, axis=0) for part in draw(model, x, eps).elbo()))


def importance_weighted_bound(log_weights: tf.Tensor) -> tf.Tensor:
    """Returns the bound of Burda et al. (2016, arXiv 1509.00519, equation 8), [B], nats.

        IWAE-K = log 1/K sum_k p(x, z_k) / q(z_k|x)

    It lies between the ELBO and log p(x).

    Args:
      log_weights: [K, B], the ELBOs of K single draws, log p(x, z) / q(z|x).
    """
    return tf.reduce_logsumexp(log_weights, axis=0) - math.log(log_weights.shape[0])
