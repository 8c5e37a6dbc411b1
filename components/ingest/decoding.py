"""Decodes the images of a batch, or says what is wrong with them."""

import contextlib
import functools
import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from components.ingest.names import readable
from components.ingest.prepared import Shard
from components.ingest.records import Batch, Fault
from trainer.errors import UserError, reason
from trainer.images import decode
from trainer.shape import VALID, Shape

PNG_SIGNATURE, PNG_BIT_DEPTH = b"\x89PNG\r\n\x1a\n", 24  # first bytes; offset of the bit depth
FORMATS = "a complete PNG, JPEG, WebP or BMP"
FIRST = 10  # batches in which there is a sound image


class Images(NamedTuple):
    """Sound images, of any records."""

    encoded: np.ndarray  # [B] object
    pixels: np.ndarray  # [B, *shape] uint8
    labels: list[bytes | None]  # of length B; None: the image has none
    ids: list[bytes]  # of length B


def decoded(batch: Batch, shard: Shard, shape: Shape) -> tuple[Images, list[Fault]]:
    """Returns the images of a batch, of this shape, and the faults of the others.

    An image is at fault if it cannot be decoded, has another shape, or has 16 bits.
    """
    if (pixels := _decoded_at_once(batch.images, shape)) is not None:
        return Images(batch.images, pixels, batch.labels, batch.ids), []
    found, faults = [], []
    for i, image in enumerate(batch.images):
        if fault := _fault(image, shape):
            what, valid, value = fault
            record = "" if shard.names else f", record {batch.first + i}, counted from 0, of {shard.path}"
            faults.append(Fault(f"image {readable(batch.ids[i])}, {what}: expected {valid}, got {value!r}{record}"))
        else:
            found.append(i)
    pixels = _decoder(shape)(batch.images[found]).numpy()
    labels = [batch.labels[i] for i in found]
    return Images(batch.images[found], pixels, labels, [batch.ids[i] for i in found]), faults


def shape_of_images(batches: Iterable[Batch | Fault]) -> Shape:
    """Returns the shape of the first sound image, which the others need too.

    Raises:
      UserError: there is none among the first batches.
    """
    found = 0
    for batch in itertools.islice((batch for batch in batches if isinstance(batch, Batch)), FIRST):
        found += len(batch.images)
        for image in batch.images:
            with contextlib.suppress(tf.errors.InvalidArgumentError):
                shape = Shape(*tf.io.decode_image(image, expand_animations=False).shape)
                if shape.is_valid and not has_16_bits(image):
                    return shape
    raise UserError(
        f"none of the first {found} images of train can be read",
        value=found,
        remedy=f"Check the data: each image is {FORMATS}, of {VALID}, with 8 bits per channel",
    )


def has_16_bits(image: bytes) -> bool:
    """Returns whether an encoded image is a PNG of 16 bits per channel."""
    return image.startswith(PNG_SIGNATURE) and image[PNG_BIT_DEPTH : PNG_BIT_DEPTH + 1] == bytes([16])


@functools.cache
def _decoder(shape: Shape) -> tf.types.experimental.PolymorphicFunction:
    signature = [tf.TensorSpec([None], tf.string)]
    return tf.function(lambda encoded: decode(encoded, shape), input_signature=signature)


def _decoded_at_once(images: np.ndarray, shape: Shape) -> np.ndarray | None:
    """Returns the pixels of all images; None if one is at fault. TensorFlow silently drops half of 16 bits."""
    if any(has_16_bits(image) for image in images):
        return None
    try:
        return _decoder(shape)(images).numpy()
    except tf.errors.InvalidArgumentError:
        return None


def _fault(image: bytes, shape: Shape) -> tuple[str, str, Any] | None:
    """Returns what is wrong with an image, what is valid and what was found; None for a sound image."""
    if has_16_bits(image):
        return "bits per channel", "8", 16
    try:
        found = Shape(*tf.io.decode_image(image, expand_animations=False).shape)
    except tf.errors.InvalidArgumentError as error:
        return "format", FORMATS, f"{len(image)} bytes: {reason(error)}"
    return None if found == shape else ("shape", f"{shape}, as of the others", str(found))
