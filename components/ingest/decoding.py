"""Decodes the images of a batch; an error names the bad image."""

import contextlib
from typing import Any

import numpy as np
import tensorflow as tf

from components.ingest.duplicates import readable
from components.ingest.prepared import Shard
from components.ingest.records import Batch
from trainer.errors import UserError, reason
from trainer.images import IMAGE_SHAPE, decode

PNG_SIGNATURE, PNG_BIT_DEPTH = b"\x89PNG\r\n\x1a\n", 24  # first bytes; offset of the bit depth

_decode = tf.function(decode, input_signature=[tf.TensorSpec([None], tf.string)])


def decode_batch(batch: Batch, shard: Shard) -> np.ndarray:
    """Returns the pixels of the batch, [B, 32, 32, 3].

    Raises:
      UserError: an image cannot be decoded, has another shape, or has 16 bits.
    """
    # TensorFlow silently drops half of 16 bits.
    if not any(_has_16_bits(image) for image in batch.images):
        with contextlib.suppress(tf.errors.InvalidArgumentError):
            return _decode(batch.images).numpy()
    for i, (image, name) in enumerate(zip(batch.images, batch.ids, strict=True)):
        if fault := _fault(image):
            what, valid, value = fault
            record = f"record {batch.first + i}, counted from 0, of {shard.path}"
            remedy = f"Repair or remove {record}, and prepare the data set again"
            raise UserError(f"image {readable(name)}, {what}", valid=valid, value=value, remedy=remedy)
    raise AssertionError(f"{shard.path}: a batch cannot be decoded, but each of its images can")


def _has_16_bits(image: bytes) -> bool:
    return image.startswith(PNG_SIGNATURE) and image[PNG_BIT_DEPTH : PNG_BIT_DEPTH + 1] == bytes([16])


def _fault(image: bytes) -> tuple[str, str, Any] | None:
    """Returns what is wrong with an encoded image, what is valid and what was found; None for a sound image."""
    if _has_16_bits(image):
        return "bits per channel", "8", 16
    try:
        shape = tuple(tf.io.decode_image(image, expand_animations=False).shape)
    except tf.errors.InvalidArgumentError as error:
        return "format", "a complete PNG, JPEG or BMP", f"{len(image)} bytes: {reason(error)}"
    return None if shape == IMAGE_SHAPE else ("shape", str(list(IMAGE_SHAPE)), list(shape))
