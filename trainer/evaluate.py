"""The ELBO of a set of images, with noise that belongs to the image and not to the run."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.images import ImageSet, ordered_batches, to_unit_interval
from trainer.objective import ELBO, single_sample_elbo
from trainer.vae import VAE

BATCH_SIZE = 500


class MeanELBO(NamedTuple):
    """ELBO and its parts, averaged over images and draws."""

    elbo: float  # nats per image
    reconstruction: float  # nats per image
    kl: float  # nats per image


def image_noise(seeds: tf.Tensor, samples: int, latent_size: int) -> tf.Tensor:
    """Standard normal noise [samples, B, L], a function of each image's seed alone.

    So two models see the same noise for the same image, in whatever batch it comes.
    """
    draw = lambda seed: tf.random.stateless_normal([samples, latent_size], [seed, 0])  # noqa: E731
    noise = tf.map_fn(draw, seeds, fn_output_signature=tf.TensorSpec([samples, latent_size], tf.float32))
    return tf.transpose(noise, [1, 0, 2])


def image_elbo(model: VAE, x: tf.Tensor, seeds: tf.Tensor, samples: int) -> ELBO:
    """ELBO of each image, [B], the mean of `samples` draws; x is [B, D] in [0, 1], seeds are [B]."""
    parts = single_sample_elbo(model, x, image_noise(seeds, samples, model.latent_size))
    return ELBO(*(tf.reduce_mean(part, axis=0) for part in parts))


class Evaluator:
    """Mean ELBO of a model over image sets, with `samples` draws per image."""

    def __init__(self, model: VAE, samples: int) -> None:
        self._image_elbo = tf.function(
            lambda pixels, seeds: image_elbo(model, to_unit_interval(pixels), seeds, samples), reduce_retracing=True
        )

    def __call__(self, images: ImageSet) -> MeanELBO:
        """The mean over every image, each counted once."""
        batches = [self._image_elbo(pixels, seeds) for pixels, seeds in ordered_batches(images, BATCH_SIZE)]
        return MeanELBO(
            *(float(np.mean(np.concatenate(part), dtype=np.float64)) for part in zip(*batches, strict=True))
        )
