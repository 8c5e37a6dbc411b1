"""The bounds of a set of images, with noise that depends on the image and not on the run."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.images import ImageSet, to_unit_interval
from trainer.intervals import Means, Z
from trainer.model.latent_model import LatentModel
from trainer.model.objective import ELBO, draw, elbo, importance_weighted_bound
from trainer.shape import Shape
from trainer.strategy import shard

DRAWS_AT_ONCE = 2000  # images times samples: bounds the memory of an evaluation
VALUES_AT_ONCE = DRAWS_AT_ONCE * 32 * 32 * 3  # images times samples times values: the same for large images
ACTIVE = 0.01  # nats: latents of a smaller KL say nothing of the image (Sønderby et al., 2016, arXiv 1602.02282)
GAIN_IMAGES = 500  # the gain of a bound differs little between images, and its many draws take long


class MeanELBO(NamedTuple):
    """ELBO and its parts, averaged over images and draws."""

    elbo: float  # nats per image
    reconstruction: float  # nats per image
    kl: float  # nats per image


class GroupKL(NamedTuple):
    """The KL of a group of latents, with 95 % intervals over the images."""

    group: str
    kl: tuple[float, ...]  # [L], nats: each latent's share, averaged over images and draws
    half_width: float  # of the interval of their sum, nats
    active: int  # latents whose KL is above ACTIVE
    active_interval: tuple[int, int]  # those whose whole interval is above ACTIVE, and those of which a part is


class Detailed(NamedTuple):
    """An ELBO with the share of each latent in its KL."""

    mean: MeanELBO
    elbos: np.ndarray  # [N], nats: those behind the mean, in the order of the images
    latents: tuple[GroupKL, ...]  # the groups of the model, in their order


class Quality(NamedTuple):
    """The importance-weighted bound of a set of images, and its gain over their ELBO; half-widths of 95 % intervals."""

    importance_samples: int  # K
    images: int  # behind the gain
    gain: float  # nats per image
    gain_half_width: float  # nats
    importance_weighted_bound: float  # nats per image of the whole set
    bound_half_width: float  # nats


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

    ends = np.cumsum([*model.scales.values()])
    parts, latents, sums = [], Means(model.latent_size), Means(len(ends))
    for *bounds, shares in MapImages(look, samples, strategy).batches(images):
        parts.append(bounds)
        latents.add(shares)
        sums.add(np.add.reduceat(shares, [0, *ends[:-1]], axis=1, dtype=np.float64))
    found = [np.concatenate(part) for part in zip(*parts, strict=True)]
    mean = MeanELBO(*(float(np.mean(part, dtype=np.float64)) for part in found))
    each = (np.split(part, ends[:-1]) for part in (latents.mean, latents.half_width))
    groups = zip(model.scales, *each, sums.half_width, strict=True)
    return Detailed(mean, found[0], tuple(_group(*group) for group in groups))


def _group(name: str, kl: np.ndarray, half_widths: np.ndarray, half_width: float) -> GroupKL:
    """Counts the active latents of a group with KLs [L]; those without an interval may be active or not."""
    surely, perhaps = np.sum(kl - half_widths > ACTIVE), np.sum(~(kl + half_widths <= ACTIVE))
    return GroupKL(name, tuple(kl.tolist()), float(half_width), int(np.sum(kl > ACTIVE)), (int(surely), int(perhaps)))


def quality(
    model: LatentModel,
    images: ImageSet,
    elbos: np.ndarray,
    samples: int,
    strategy: tf.distribute.Strategy | None = None,
) -> Quality:
    """Computes the importance-weighted bound of K = `samples` draws from `elbos`, [N], the ELBO of each image.

    The ELBO is a control variate: the bound of all N images is their mean ELBO plus the mean over n of them, at most
    GAIN_IMAGES, of the gain of their bound over the ELBO of the same K draws. Its variance is

        (Var[elbo] + 2 Cov[elbo, gain]) / N + Var[gain] / n

    The n images are those of `gain_rows`.
    """

    def look(pixels: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor]:
        draws = draw(model, to_unit_interval(pixels), image_noise(seeds, samples, model.latent_size))
        log_weights = draws.elbo().elbo
        # The bound of weights around 1 is the gain, and float32 has digits to spare there.
        return (importance_weighted_bound(log_weights - tf.reduce_mean(log_weights, axis=0)),)

    rows = gain_rows(len(images))
    count = len(rows)
    (gains,) = MapImages(look, samples, strategy)(images.take(rows))
    pairs = np.stack([elbos[rows], gains]).astype(np.float64)
    mean = pairs.mean(axis=1)
    deviations = pairs - mean[:, None]
    with np.errstate(invalid="ignore"):  # of one image there is no variance
        (of_elbo, of_both), (_, of_gain) = deviations @ deviations.T / (count - np.float64(1.0))
    return Quality(
        importance_samples=samples,
        images=count,
        gain=float(mean[1]),
        gain_half_width=float(Z * np.sqrt(of_gain / count)),
        importance_weighted_bound=float(np.mean(elbos, dtype=np.float64) + mean[1]),
        bound_half_width=float(Z * np.sqrt((of_elbo + 2.0 * of_both) / len(images) + of_gain / count)),
    )


def gain_rows(images: int) -> np.ndarray:
    """Returns the rows, at most GAIN_IMAGES of a set of `images`, that measure its gain: the same in every run.

    They are drawn at random. Rows at equal distances could all be images of one kind.
    """
    return np.sort(np.random.default_rng(0).permutation(images)[:GAIN_IMAGES])


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
