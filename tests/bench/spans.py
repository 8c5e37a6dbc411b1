"""Warm start against training from scratch at equal steps, night after night, on CIFAR-10 cut into spans.

Each night trains on a rolling window of spans and tests on the window's test images, which the hash of an image's
pixels selects, as in ingestion. Equal steps of one recipe are equal time, whatever else the machine does.
"""

import dataclasses
import functools
import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from components.ingest.splits import is_test
from tests.bench.data import FULL, SHAPE, records
from tests.bench.rows import Row
from trainer.evaluate import MapImages, image_elbo
from trainer.images import ImageSet, load_images, preprocessing, to_unit_interval
from trainer.model.vae import VAE
from trainer.presets import PRESETS
from trainer.settings import TrainConfig
from trainer.training.loop import train_and_evaluate
from trainer.training.record import Progress

WINDOW = 3  # spans that a night trains on
TEST_SHARE = 0.1
MIXING = 5.0  # labels that the images of a drifting span come from, about
NORMAL_95 = 1.96  # standard errors on each side of a 95 % interval


class Series(NamedTuple):
    """Nights of retraining, each with one span more."""

    name: str
    spans: int
    size: int  # images of a span
    recipes: Mapping[str, TrainConfig]  # each trained from scratch and warm
    drifts: bool = False  # whether the mix of classes changes from span to span


class Trained(NamedTuple):
    """One night's model."""

    folder: str
    elbos: np.ndarray  # [N] nats per test image, K = 4
    held_out: float  # nats per held-out image at the chosen epoch, K = 1
    epoch: int  # the chosen one


SHORT = dataclasses.replace(PRESETS["mlp"], epochs=2, importance_samples=0)
WARM_UP = dataclasses.replace(SHORT, warmup_epochs=0.5)
LONG = dataclasses.replace(PRESETS["mlp"], epochs=12, warmup_epochs=0.5, importance_samples=0)
SERIES = (
    Series("spans of 6,000", 6, 6000, {"no warm-up": SHORT, "warm-up": WARM_UP}),
    Series("spans of 6,000 that drift", 6, 6000, {"warm-up": WARM_UP}, drifts=True),
    Series("spans of 1,000, 12 epochs", 8, 1000, {"warm-up": LONG}),
)


def rows() -> list[Row]:
    """Measures a row for each night, and one for a training from scratch as long as all nights together."""
    return [row for series in SERIES for recipe in series.recipes for row in _nights(series, recipe)]


def _nights(series: Series, recipe: str) -> Iterator[Row]:
    config, name = series.recipes[recipe], f"{series.name}, {recipe}"
    windows = list(_windows(series))
    with tempfile.TemporaryDirectory(prefix="bench-") as root:
        warm = None
        for night, (train, test) in enumerate(windows, start=1):
            scratch = _train(config, train, test, os.path.join(root, f"{night}-scratch"))
            before, warm = warm, scratch
            if before:
                warm = _train(config, train, test, os.path.join(root, f"{night}-warm"), before.folder)
            yield Row(f"{name}, night {night}", config.batch_size, more=_compared(warm, scratch))
        longer = dataclasses.replace(config, epochs=config.epochs * len(windows))
        at_once = _train(longer, *windows[-1], os.path.join(root, "at-once"))
        yield Row(f"{name}, {len(windows)} nights at once", config.batch_size, more=_compared(warm, at_once))


def _compared(warm: Trained, scratch: Trained) -> dict[str, float]:
    """Returns both ELBOs, and what the warm start gains on the test and held-out images, in nats per image."""
    gain = warm.elbos - scratch.elbos
    return {
        "scratch": scratch.elbos.mean(),
        "warm": warm.elbos.mean(),
        "gain": gain.mean(),
        "plus_minus": NORMAL_95 * gain.std(ddof=1) / np.sqrt(len(gain)),
        "gain_held_out": warm.held_out - scratch.held_out,
        "scratch_epoch": scratch.epoch,
        "warm_epoch": warm.epoch,
    }


def _train(config: TrainConfig, train: ImageSet, test: ImageSet, folder: str, base: str | None = None) -> Trained:
    """Trains from random weights or from those of a night before, and leaves the weights in `folder`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        result = train_and_evaluate(config, train, test, work, base)
    tf.train.Checkpoint(model=result.model).write(os.path.join(folder, "variables", "variables"))
    best = Progress(epochs=result.epochs).best
    return Trained(folder, _elbos(result.model, test, config.eval_samples), best.held_out.elbo, best.epoch)


def _elbos(model: VAE, images: ImageSet, samples: int) -> np.ndarray:
    look = MapImages(
        lambda pixels, seeds: (image_elbo(model, to_unit_interval(pixels), seeds, samples).elbo,), samples, None
    )
    return look(images)[0].astype(np.float64)


def _windows(series: Series) -> Iterator[tuple[ImageSet, ImageSet]]:
    """Yields the training and test images of each night."""
    images, labels = _data()
    order = np.arange(len(images))
    if series.drifts:
        order = np.argsort(labels + np.random.default_rng(0).uniform(0.0, MIXING, len(labels)), kind="stable")
    spans = order[: series.spans * series.size].reshape(series.spans, series.size)
    tests = np.array([_is_test(pixels) for pixels in images.pixels])
    for first in range(series.spans - WINDOW + 1):
        window = spans[first : first + WINDOW].ravel()
        yield images.take(window[~tests[window]]), images.take(window[tests[window]])


def _is_test(pixels: np.ndarray) -> bool:
    return is_test(hashlib.blake2b(pixels.tobytes(), digest_size=16).digest(), TEST_SHARE)


@functools.cache
def _data() -> tuple[ImageSet, np.ndarray]:
    """Returns all images and their labels, in the order of their ids."""
    files = list(records(FULL))
    features = {"id": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}
    found = tf.data.TFRecordDataset(files, "GZIP").batch(FULL).map(lambda some: tf.io.parse_example(some, features))
    (all_of_them,) = found.as_numpy_iterator()
    order = np.argsort(all_of_them["id"], kind="stable")  # as load_images does
    return load_images(files, preprocessing(SHAPE), SHAPE), all_of_them["label"][order]
