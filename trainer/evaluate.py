"""The ELBO of a set of images, with noise that depends on the image and not on the run."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.images import ImageSet, to_unit_interval
from trainer.model.latent_model import LatentModel
from trainer.model.objective import ELBO, draw, elbo, importance_weighted_bound
from trainer.shape import Shape
from trainer.strategy import shard

DRAWS_AT_ONCE = 2000  # images times samples: bounds the memory of an evaluation
VALUES_AT_ONCE = DRAWS_AT_ONCE * 32 * 32 * 3  # images times samples times values: the same for large images
ACTIVE_VARIANCE = 0.01  # Burda et al. (2016, arXiv 1509.00519, appendix C)


class MeanELBO(NamedTuple):
    """ELBO and its parts, averaged over images and draws."""

    elbo: float  # nats per image
    reconstruction: float  # nats per image
    kl: float  # nats per image


class GroupKL(NamedTuple):
    """The KL of a group of latents."""

    group: str
    kl: tuple[float, ...]  # [L], nats: each latent's share, averaged over images and draws


class Detailed(NamedTuple):
    """An ELBO with the share of each latent in its KL."""

    mean: MeanELBO
    latents: tuple[GroupKL, ...]  # the groups of the model, in their order


class Quality(NamedTuple):
    """Further measures of a model."""

    importance_samples: int  # K
    importance_weighted_bound: float  # nats per image, of K draws
    active_latents: int  # latents whose posterior mean has a variance over the images above ACTIVE_VARIANCE


def images_at_once(shape: Shape, samples: int) -> int:
    """Returns how many images of `shape` fit into memory together, with `samples` draws of z for each."""
    return max(1, min(DRAWS_AT_ONCE, VALUES_AT_ONCE // shape.size) // samples)


def image_noise(seeds: tf.Tensor, samples: int, latent_size: int) -> tf.Tensor:
    """Draws standard normal noise [samples, B, L] that depends on each image's seed only.

    Two models thus see the same noise for the same image, in any batch.
    """
    draw_one = lambda seed: tf.random.stateless_normal([samples, latent_size], [seed, 0])  # noqa: E731
    noise = tf.map_fn(draw_one, seeds, fn_output_signature=tf.TensorSpec([samples, latent_size], tf.float32))
    return tf.transpose(noise, [1, 0, 2])


def image_elbo(model: LatentModel, x: tf.Tensor, seeds: tf.Tensor, samples: int) -> ELBO:
    """Computes each image's ELBO, [B], the mean of `samples` draws, for x [B, D] in [0, 1] and seeds [B]."""
    return elbo(model, x, image_noise(seeds, samples, model.latent_size))


class Evaluator:
    """Mean ELBO of a model over image sets, with `samples` draws per image, computed by all replicas."""

    def __init__(self, model: LatentModel, samples: int, strategy: tf.distribute.Strategy | None = None) -> None:
        self._map = MapImages(
            lambda pixels, seeds: image_elbo(model, to_unit_interval(pixels), seeds, samples), samples, strategy
        )

    def __call__(self, images: ImageSet) -> MeanELBO:
        """Returns the mean over all images, each counted once."""
        return MeanELBO(*(float(np.mean(part, dtype=np.float64)) for part in self._map(images)))


def evaluate_latents(
    model: LatentModel, images: ImageSet, samples: int, strategy: tf.distribute.Strategy | None = None
) -> Detailed:
    """Computes what `Evaluator` does, from the same draws, and each latent's share of the KL."""

    def look(pixels: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        draws = draw(model, to_unit_interval(pixels), image_noise(seeds, samples, model.latent_size))
        return (*(tf.reduce_mean(part, axis=0) for part in draws.elbo()), tf.reduce_mean(draws.kl, axis=0))

    parts, kl = [], np.zeros(model.latent_size)
    for *found, shares in MapImages(look, samples, strategy).batches(images):
        parts.append(found)
        kl += shares.sum(axis=0, dtype=np.float64)
    mean = (float(np.mean(np.concatenate(part), dtype=np.float64)) for part in zip(*parts, strict=True))
    ends = np.cumsum([*model.scales.values()])[:-1]
    groups = zip(model.scales, np.split(kl / len(images), ends), strict=True)
    return Detailed(MeanELBO(*mean), tuple(GroupKL(name, tuple(share.tolist())) for name, share in groups))


def quality(
    model: LatentModel, images: ImageSet, samples: int, strategy: tf.distribute.Strategy | None = None
) -> Quality:
    """Computes the importance-weighted bound over `samples` draws and the number of latents that the model uses.

    The variance over images of E[z|x] is the variance of the mean draw, minus the variance that averaging a finite
    number of draws adds.
    """

    def look(pixels: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        draws = draw(model, to_unit_interval(pixels), image_noise(seeds, samples, model.latent_size))
        mean, variance = tf.nn.moments(draws.z, axes=[0])
        return importance_weighted_bound(draws.elbo().elbo), mean, variance / (samples - 1)

    bounds, sums, squares, errors = (np.zeros(size) for size in (1, *3 * [model.latent_size]))  # over the images
    centre = None
    for bound, mean, error in MapImages(look, samples, strategy).batches(images):
        centre = mean[0].astype(np.float64) if centre is None else centre  # any image's: then variances lose no digits
        bounds += bound.sum(dtype=np.float64)
        sums += (mean - centre).sum(axis=0)
        squares += np.square(mean - centre).sum(axis=0)
        errors += error.sum(axis=0, dtype=np.float64)
    count = len(images)
    explained = squares / count - np.square(sums / count) - errors / count
    return Quality(
        importance_samples=samples,
        importance_weighted_bound=float(bounds[0] / count),
        active_latents=int(np.sum(explained > ACTIVE_VARIANCE)),
    )


class MapImages:
    """A function of images that all replicas of `strategy` map over an image set in batches of one shape.

    Args:
      function: maps pixels [B, H, W, C] uint8 and noise seeds [B] int64 to arrays [B, ...].
      samples: draws of z per image in `function`, which limit the batch.
    """

    def __init__(
        self,
        function: Callable[..., tuple[tf.Tensor, ...]],
        samples: int,
        strategy: tf.distribute.Strategy | None,
    ) -> None:
        self._strategy = strategy = strategy or tf.distribute.get_strategy()
        self._samples = samples

        def replica(*arrays: tf.Tensor) -> list[tf.Tensor]:
            context = tf.distribute.get_replica_context()
            return [context.all_gather(value, axis=0) for value in function(*arrays)]

        self._function = tf.function(lambda *arrays: strategy.run(replica, arrays))

    def __call__(self, images: ImageSet) -> list[np.ndarray]:
        """Returns one [N, ...] per array of the function, in the order of the images."""
        return [np.concatenate(parts) for parts in zip(*self.batches(images), strict=True)]

    def batches(self, images: ImageSet) -> Iterator[list[np.ndarray]]:
        """Yields one [B, ...] per array of the function, for some images after the other."""
        replicas = self._strategy.num_replicas_in_sync
        size = -(-min(images_at_once(images.shape, self._samples), len(images)) // replicas) * replicas
        for start in range(0, len(images), size):
            yield [part[: len(images) - start] for part in self._batch(images, start, size)]

    def _batch(self, images: ImageSet, start: int, size: int) -> list[np.ndarray]:
        """Maps one batch; pads the last one with copies of image 0, whose rows `batches` drops."""
        rows = np.arange(start, start + size)
        rows = np.where(rows < len(images), rows, 0)
        values = self._function(*(shard(self._strategy, array, rows) for array in images))
        return [self._strategy.experimental_local_results(value)[0].numpy() for value in values]
