"""Pictures on the pages: reconstructions and samples of a model, and the curve of a training."""

import io
import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.images import EXAMPLE_FEATURES, decode
from trainer.shape import Shape

IMAGES = 10
SAMPLES = 40
SHOWN_PIXELS = 64 * 64  # of an image on a page: 60 images, even of noise with alpha, take 1.4 MB there


class Pictures(NamedTuple):
    """A model's images, as PNG."""

    pairs: bytes  # a row of test images above a row of their reconstructions
    samples: bytes  # decoded draws from the prior
    scale: str = ""  # the sizes, if the images are larger than they are shown


def pictures(model: str, splits: Sequence[str]) -> Pictures:
    """Draws the pictures of the SavedModel at `model`, with test images from the Examples in the folders `splits`."""
    servable = tf.saved_model.load(model)
    originals = _test_images(splits)
    reconstructions = servable.signatures["reconstruct"](images=originals)["images"]
    pixels = decode(originals, Shape(*reconstructions.shape[1:]))
    samples = servable.signatures["sample"](n=tf.constant(SAMPLES), seed=tf.constant(0))["images"]
    pairs = shown(np.concatenate([pixels, reconstructions]))
    size, found = (f"{height}x{width}" for height, width in (pairs.shape[1:3], pixels.shape[1:3]))
    return Pictures(
        pairs=image_grid(pairs, columns=IMAGES),
        samples=image_grid(shown(samples.numpy()), columns=IMAGES),
        scale="" if size == found else f"{size} of {found}",
    )


def shown(images: np.ndarray) -> np.ndarray:
    """Returns images [N, H, W, C] uint8, scaled down by area to `SHOWN_PIXELS` if they have more."""
    height, width = images.shape[1:3]
    factor = math.sqrt(SHOWN_PIXELS / (height * width))
    if factor >= 1.0:
        return images
    size = [max(1, round(side * factor)) for side in (height, width)]
    return np.round(tf.image.resize(images, size, method="area").numpy()).astype(np.uint8)


def image_grid(images: np.ndarray, columns: int) -> bytes:
    """Returns a PNG of images [N, H, W, C] uint8 in rows of `columns`, which divides N."""
    count, height, width, channels = images.shape
    grid = images.reshape(count // columns, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return tf.io.encode_png(grid.reshape(count // columns * height, columns * width, channels)).numpy()


def elbo_curve(history: dict) -> bytes:
    """Returns a PNG of the ELBO after each epoch, with gaps at non-finite values."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    epochs = [epoch["epoch"] for epoch in history["epochs"]]
    axes.plot(epochs, [epoch["train_elbo"] for epoch in history["epochs"]], ".-", label="train, during the epoch")
    axes.plot(epochs, [epoch["held_out"]["elbo"] for epoch in history["epochs"]], ".-", label="held out")
    axes.plot(epochs, [epoch["test"]["elbo"] for epoch in history["epochs"]], ".-", label="test")
    axes.axvline(history["best_epoch"], color="grey", linewidth=0.8, linestyle=":", label="exported epoch")
    axes.set(xlabel="epoch", ylabel="ELBO, nats per image")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _test_images(splits: Sequence[str]) -> tf.Tensor:
    """Returns encoded test images, [IMAGES]: the first by id, the same in every run."""
    files = [file for split in splits for file in tf.io.gfile.glob(os.path.join(split, "*"))]
    dataset = tf.data.TFRecordDataset(files, compression_type="GZIP")
    dataset = dataset.batch(512).map(lambda serialized: tf.io.parse_example(serialized, EXAMPLE_FEATURES)).unbatch()
    by_id = {example["id"]: example["image"] for example in dataset.as_numpy_iterator()}
    first = sorted(by_id)[:IMAGES]
    return tf.constant([by_id[name] for name in (first * IMAGES)[:IMAGES]])
