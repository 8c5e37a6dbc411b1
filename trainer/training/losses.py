"""The losses that training minimises. The ELBO that is reported and compared is in trainer/model/objective.py."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer.model.objective import Draw, importance_weighted_bound
from trainer.settings import TrainConfig

# (draws [K, B, ...], step number) -> loss, nats per image
Loss = Callable[[Draw, tf.Tensor], tf.Tensor]


def relaxed_elbo(draw: Draw, kl_weight: tf.Tensor, free_bits: float, groups: np.ndarray) -> tf.Tensor:
    """Computes the negative ELBO with a weighted and partly free KL, a scalar in nats per image.

    A group's KL, averaged over the batch, costs nothing below `free_bits` nats (Kingma et al., 2016, arXiv 1606.04934,
    appendix C.8), so a group gains nothing by carrying no information. A weight that rises from 0 to 1 has the same
    effect early in training (Bowman et al., 2016, arXiv 1511.06349). With weight 1 and no free bits the loss is -ELBO.

        loss = -E[log p(x|z)] + kl_weight sum_g max(free_bits, E[sum_{i in g} KL_i])

    Args:
      draw: [K, B] draws.
      kl_weight: scalar in [0, 1].
      free_bits: nats per group.
      groups: [L], the group of each latent, numbered from 0.
    """
    kl = tf.reduce_mean(draw.kl, axis=[0, 1])
    if free_bits:
        kl = tf.maximum(tf.math.unsorted_segment_sum(kl, groups, int(groups.max()) + 1), free_bits)
    return kl_weight * tf.reduce_sum(kl) - tf.reduce_mean(draw.reconstruction)


def importance_weighted_loss(draw: Draw) -> tf.Tensor:
    """Computes the negative mean importance-weighted bound of draws [K, B], a scalar in nats per image.

    loss = -E[IWAE-K]
    """
    return -tf.reduce_mean(importance_weighted_bound(draw.elbo().elbo))


def build_loss(config: TrainConfig, steps_per_epoch: int, groups: np.ndarray) -> Loss:
    """Builds the loss that `config` describes, of a model with these groups of latents."""
    if config.objective == "iwae":
        return lambda draw, _: importance_weighted_loss(draw)
    warmup = max(config.kl_warmup_epochs * steps_per_epoch, 1.0)

    def loss(draw: Draw, step: tf.Tensor) -> tf.Tensor:
        kl_weight = tf.minimum(1.0, (tf.cast(step, draw.kl.dtype) + 1.0) / warmup)
        return relaxed_elbo(draw, kl_weight, config.free_bits, groups)

    return loss
