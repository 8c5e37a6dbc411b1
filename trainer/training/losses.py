"""The losses that training minimises. The ELBO that is reported and compared is in trainer/model/objective.py."""

from collections.abc import Callable

import tensorflow as tf

from trainer.model.objective import Draw, importance_weighted_bound
from trainer.settings import TrainConfig

# (draws [K, B, ...], step number) -> loss, nats per image
Loss = Callable[[Draw, tf.Tensor], tf.Tensor]


def relaxed_elbo(draw: Draw, kl_weight: tf.Tensor, free_bits: float) -> tf.Tensor:
    """Computes the negative ELBO with a weighted and partly free KL, a scalar in nats per image.

    Each latent's share of the KL, averaged over the batch, costs nothing below `free_bits` nats (Kingma et al., 2016,
    arXiv 1606.04934, appendix C.8), so a latent gains nothing by carrying no information. A weight that rises from 0
    to 1 has the same effect early in training (Bowman et al., 2016, arXiv 1511.06349). With weight 1 and no free bits
    the loss is -ELBO.

        loss = -E[log p(x|z)] + kl_weight sum_i max(free_bits, E[KL_i])

    Args:
      draw: [K, B] draws.
      kl_weight: scalar in [0, 1].
      free_bits: nats per latent.
    """
    kl = tf.reduce_mean(draw.kl, axis=[0, 1])
    if free_bits:
        kl = tf.maximum(kl, free_bits)
    return kl_weight * tf.reduce_sum(kl) - tf.reduce_mean(draw.reconstruction)


def importance_weighted_loss(draw: Draw) -> tf.Tensor:
    """Computes the negative mean importance-weighted bound of draws [K, B], a scalar in nats per image.

    loss = -E[IWAE-K]
    """
    return -tf.reduce_mean(importance_weighted_bound(draw.elbo().elbo))


def build_loss(config: TrainConfig, steps_per_epoch: int) -> Loss:
    """Builds the loss that `config` describes."""
    if config.objective == "iwae":
        return lambda draw, _: importance_weighted_loss(draw)
    warmup = max(config.kl_warmup_epochs * steps_per_epoch, 1.0)

    def loss(draw: Draw, step: tf.Tensor) -> tf.Tensor:
        kl_weight = tf.minimum(1.0, (tf.cast(step, draw.kl.dtype) + 1.0) / warmup)
        return relaxed_elbo(draw, kl_weight, config.free_bits)

    return loss
