"""The evidence lower bound."""

from typing import NamedTuple

import tensorflow as tf

from trainer.distributions import log_normal_pdf
from trainer.vae import VAE


class ELBO(NamedTuple):
    """The bound and its two parts."""

    elbo: tf.Tensor  # [..., B], nats per image
    reconstruction: tf.Tensor  # [..., B], nats: log p(x|z)
    kl: tf.Tensor  # [..., B], nats: log q(z|x) - log p(z), one draw's estimate of KL(q(z|x) || p(z))


def single_sample_elbo(model: VAE, x: tf.Tensor, eps: tf.Tensor) -> ELBO:
    """One draw's estimate of the bound (Kingma and Welling, 2014, arXiv 1312.6114, equation 7).

        ELBO = log p(x|z) - [log q(z|x) - log p(z)],   z ~ q(z|x)

    Args:
      x: [B, D], pixels in [0, 1].
      eps: [..., B, L], standard normal noise.
    """
    z, log_q = model.infer(x, eps)
    log_prior = log_normal_pdf(z, tf.zeros_like(z), tf.zeros_like(z))
    reconstruction = model.decode(z).log_prob(x)
    kl = log_q - log_prior
    return ELBO(reconstruction - kl, reconstruction, kl)
