"""What training, evaluation and export ask of a model, whichever its latents are."""

import abc
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.model.likelihoods import Likelihood


class Joint(NamedTuple):
    """A draw of z from q(z|x), and the densities of the bound there."""

    z: tf.Tensor  # [..., B, L]
    log_q: tf.Tensor  # [..., B, L], nats: each latent's share; they sum to log q(z|x)
    log_prior: tf.Tensor  # [..., B, L], nats: each latent's share; they sum to log p(z)
    pixels: Likelihood  # p(x|z), with parameters [..., B, D]


class LatentModel(tf.Module, abc.ABC):
    """p(x|z) p(z) with L latents in a flat array, and q(z|x).

    Args:
      likelihood: the family of p(x|z).
      groups: [L], the group of each latent, numbered from 0, whose KL `free_bits` counts together.
    """

    def __init__(self, likelihood: type[Likelihood], groups: np.ndarray) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.groups = groups

    @property
    def latent_size(self) -> int:
        """The number of latents, L."""
        return len(self.groups)

    @property
    def scales(self) -> dict[str, int]:
        """The scales of the latents, in the order of z: a name for each, and how many latents it has."""
        return {"z": self.latent_size}

    @abc.abstractmethod
    def joint(self, x: tf.Tensor, eps: tf.Tensor) -> Joint:
        """Draws from q(z|x), once for each row of noise.

        Args:
          x: [B, D], pixels in [0, 1].
          eps: [..., B, L], standard normal; axes before B are further draws for the same images. With 0 the draw is
            the centre of q(z|x).
        """

    @abc.abstractmethod
    def decode(self, z: tf.Tensor) -> Likelihood:
        """Returns p(x|z) for z [..., L]."""

    @abc.abstractmethod
    def sample(self, eps: tf.Tensor) -> tf.Tensor:
        """Returns mean images, [N, D], of the draws from the prior that noise eps [N, L] makes."""
