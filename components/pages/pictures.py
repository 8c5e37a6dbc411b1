"""Pictures on the pages: reconstructions and samples of a model."""

import math
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from trainer.exported import Exported
from trainer.images import EXAMPLE_FEATURES, decode, first_examples
from trainer.shape import Shape

IMAGES = 10
SAMPLES = 40
SHOWN_PIXELS = 48 * 48  # of an image on a page: the report's 110 images, even of noise with alpha, take 1.4 MB there


def scale(shape: Shape) -> str:
    """Describes how images of `shape` are scaled down; empty if they are shown as they are."""
    height, width = shown(np.zeros([1, *shape], np.uint8)).shape[1:3]
    is_smaller = (height, width) != shape[:2]
    return f"{height}x{width} of {shape.height}x{shape.width}" if is_smaller else ""


def reconstructions(encoded: tf.Tensor, models: Sequence[Exported]) -> bytes:
    """Returns a PNG of images [N], a row, above a row of their reconstructions by each of `models`."""
    rows = [decode(encoded, models[0].shape).numpy(), *(model.reconstruct(encoded) for model in models)]
    return image_grid(shown(np.concatenate(rows)), columns=len(encoded))


def samples(model: Exported) -> bytes:
    """Returns a PNG of draws from the prior, the same for equal models."""
    return image_grid(shown(model.sample(SAMPLES, seed=0)), columns=IMAGES)


def shown(images: np.ndarray) -> np.ndarray:
    """Returns images [N, H, W, C] uint8, scaled down by area to `SHOWN_PIXELS` if they have more."""
    height, width = images.shape[1:3]
    factor = math.sqrt(SHOWN_PIXELS / (height * width))
    if factor >= 1.0:
        return images
    size = [max(1, round(side * factor)) for side in (height, width)]
    return np.round(tf.image.resize(images, size, method="area").numpy()).astype(np.uint8)


def image_grid(images: np.ndarray, columns: int) -> bytes:
    """Returns a PNG of images [N, H, W, C] uint8 in rows of `columns`; the rest of the last row is white."""
    _, height, width, channels = images.shape
    rows = -(-len(images) // columns)
    blank = np.full([rows * columns - len(images), height, width, channels], 255, np.uint8)
    grid = np.concatenate([images, blank]).reshape(rows, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return png(grid.reshape(rows * height, columns * width, channels))


def png(pixels: np.ndarray) -> bytes:
    """Returns a PNG of pixels [H, W, C] uint8."""
    return tf.io.encode_png(pixels).numpy()


def first_images(splits: Sequence[str]) -> tf.Tensor:
    """Returns encoded images of the Examples in the folders `splits`, [IMAGES]: the first by id.

    Raises:
      UserError: there is no image, or a file cannot be read.
    """
    found = first_examples([os.path.join(split, "*") for split in splits], IMAGES)
    return tf.io.parse_example((found * IMAGES)[:IMAGES], EXAMPLE_FEATURES)["image"]
