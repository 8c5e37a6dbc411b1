"""Decodes the images of a batch; an error names the bad image."""

import collections
import contextlib
import functools
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from components.ingest.duplicates import readable
from components.ingest.prepared import Shard, shards
from components.ingest.records import Batch, read_batches
from trainer.errors import UserError, reason
from trainer.images import decode
from trainer.shape import VALID, Shape

PNG_SIGNATURE, PNG_BIT_DEPTH = b"\x89PNG\r\n\x1a\n", 24  # first bytes; offset of the bit depth


def decode_batch(batch: Batch, shard: Shard, shape: Shape) -> np.ndarray:
    """Returns the pixels of the batch, [B, *shape].

    Raises:
      UserError: an image cannot be decoded, has another shape, or has 16 bits.
    """
    # TensorFlow silently drops half of 16 bits.
    if not any(has_16_bits(image) for image in batch.images):
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            return _decoder(shape)(batch.images).numpy()
    for i, image in enumerate(batch.images):
        if fault := _fault(image, shape, batch):
            raise _bad(batch, i, shard, *fault)
    raise AssertionError(f"{shard.path}: a batch cannot be decoded, but each of its images can")


def shape_of_images(builder: tfds.core.DatasetBuilder, split: str) -> Shape:
    """Returns the shape of the data set's images: its feature's or, if that leaves sizes open, the first image's.

    Raises:
      UserError: the first image cannot be decoded, or has another number of channels.
    """
    declared = builder.info.features["image"].shape
    if None not in declared:
        return Shape(*declared)
    files = ((shard, read_batches(shard, builder.info.features)) for shard in shards(builder, split))
    shard, batch = next((shard, batch) for shard, batches in files for batch in batches)
    try:
        shape = Shape(*tf.io.decode_image(batch.images[0], expand_animations=False).shape)
    except tf.errors.InvalidArgumentError as error:
        raise _bad(batch, 0, shard, *_undecodable(batch.images[0], error)) from error
    if not shape.is_valid:
        raise _bad(batch, 0, shard, "shape", VALID, str(shape))
    return shape


@functools.cache
def _decoder(shape: Shape) -> tf.types.experimental.PolymorphicFunction:
    signature = [tf.TensorSpec([None], tf.string)]
    return tf.function(lambda encoded: decode(encoded, shape), input_signature=signature)


def has_16_bits(image: bytes) -> bool:
    """Returns whether an encoded image is a PNG of 16 bits per channel."""
    return image.startswith(PNG_SIGNATURE) and image[PNG_BIT_DEPTH : PNG_BIT_DEPTH + 1] == bytes([16])


def _fault(image: bytes, shape: Shape, batch: Batch) -> tuple[str, str, Any] | None:
    """Returns what is wrong with an image of the batch, what is valid and what was found; None for a sound image."""
    if has_16_bits(image):
        return "bits per channel", "8", 16
    try:
        found = tf.io.decode_image(image, expand_animations=False).shape
    except tf.errors.InvalidArgumentError as error:
        return _undecodable(image, error)
    return None if tuple(found) == shape else ("shape", f"{shape}, as of the others", _sizes(batch))


def _undecodable(image: bytes, error: Exception) -> tuple[str, str, Any]:
    return "format", "a complete PNG, JPEG or BMP", f"{len(image)} bytes: {reason(error)}"


def _sizes(batch: Batch) -> dict[str, int]:
    """Returns the number of images of each shape in the batch, the most frequent first."""
    found: collections.Counter[str] = collections.Counter()
    for image in batch.images:
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            found[str(Shape(*tf.io.decode_image(image, expand_animations=False).shape))] += 1
    return dict(found.most_common())


def _bad(batch: Batch, i: int, shard: Shard, what: str, valid: str, value: Any) -> UserError:
    record = f"record {batch.first + i}, counted from 0, of {shard.path}"
    remedy = f"Repair or remove {record}, and prepare the data set again"
    if what == "shape":
        remedy += ", or crop and resize all images with --image-shape HxWxC"
    return UserError(f"image {readable(batch.ids[i])}, {what}", valid=valid, value=value, remedy=remedy)
