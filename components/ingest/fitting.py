"""Fits images of any size to one shape, where the user asks for it: a centre crop, then a resize by area."""

import numpy as np
import tensorflow as tf

from components.ingest.decoding import has_16_bits
from components.ingest.records import Batch
from trainer.shape import Shape

LUMINANCE = np.array([0.299, 0.587, 0.114])  # of red, green and blue (ITU-R BT.601)


def fitted(batch: Batch, shape: Shape) -> Batch:
    """Returns the batch with every image of another shape fitted and encoded as PNG.

    An image that cannot be decoded stays as it is, and `decoded` names it.
    """
    return batch._replace(images=np.array([_fitted(image, shape) for image in batch.images], dtype=object))


def fit(pixels: np.ndarray, shape: Shape) -> np.ndarray:
    """Crops uint8 pixels [h, w, c] at the centre to the aspect ratio of `shape`, and resizes them to uint8 [*shape].

    A pixel is the mean of the area that it covers. Grey becomes RGB by repetition, RGB becomes grey by luminance, a
    missing alpha is opaque, and an alpha that is not asked for is dropped.
    """
    height, width, _ = pixels.shape
    scale = min(height / shape.height, width / shape.width)
    rows, columns = max(1, round(shape.height * scale)), max(1, round(shape.width * scale))
    top, left = (height - rows) // 2, (width - columns) // 2
    crop = _converted(pixels[top : top + rows, left : left + columns], shape.channels)
    resized = tf.image.resize(crop, [shape.height, shape.width], method="area").numpy()
    return np.round(np.clip(resized, 0.0, 255.0)).astype(np.uint8)


def _fitted(image: bytes, shape: Shape) -> bytes:
    if has_16_bits(image):
        return image
    try:
        pixels = tf.io.decode_image(image, expand_animations=False).numpy()
    except tf.errors.InvalidArgumentError:
        return image
    return image if pixels.shape == shape else tf.io.encode_png(fit(pixels, shape)).numpy()


def _converted(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Converts pixels [h, w, c], of grey or RGB with or without alpha, to float32 [h, w, channels]."""
    colours = pixels.shape[-1] - (pixels.shape[-1] in (2, 4))
    colour, alpha = pixels[..., :colours].astype(np.float32), pixels[..., colours:].astype(np.float32)
    if channels == 1:
        return colour if colours == 1 else (colour @ LUMINANCE)[..., None].astype(np.float32)
    if colours == 1:
        colour = np.repeat(colour, 3, axis=-1)
    if channels == 3:
        return colour
    opaque = np.full_like(colour[..., :1], 255.0)
    return np.concatenate([colour, alpha if alpha.shape[-1] else opaque], axis=-1)
