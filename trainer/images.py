"""Images in memory, as bytes: 3 KB an image, 185 MB for CIFAR-10, and batches of them as floats."""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.errors import UserError
from trainer.model.likelihoods import PixelModel

IMAGE_SHAPE = (32, 32, 3)
IMAGE_SIZE = 3072
ROUNDING = 2.0**-23  # of float32 below 1: graphs may divide by 255 or multiply by its reciprocal

EXAMPLE_FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),  # PNG, JPEG or BMP
    "label": tf.io.FixedLenFeature([], tf.int64),
    "id": tf.io.FixedLenFeature([], tf.string),
}

# {"image": [B] string, "id": [B] string, ...} -> {"image": [B, 3072] float32 in [0, 1], "id": [B] string}
Transform = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]


class ImageSet(NamedTuple):
    """Images with the name of each one's noise."""

    pixels: np.ndarray  # [N, 3072] uint8
    noise_seeds: np.ndarray  # [N] int64

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: np.ndarray) -> "ImageSet":
        """A copy of the images of these indices."""
        return ImageSet(self.pixels[rows], self.noise_seeds[rows])

    def digest(self) -> str:
        """Tells these images from others."""
        digest = hashlib.sha256(np.ascontiguousarray(self.pixels).data)
        digest.update(np.ascontiguousarray(self.noise_seeds).data)
        return digest.hexdigest()[:16]


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Encoded images [B] as uint8 [B, 32, 32, 3]; raises InvalidArgumentError on bytes that are no such image."""

    def decode_one(image: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.io.decode_image(image, expand_animations=False), IMAGE_SHAPE)

    return tf.map_fn(decode_one, encoded, fn_output_signature=tf.TensorSpec(IMAGE_SHAPE, tf.uint8))


def to_unit_interval(pixels: tf.Tensor) -> tf.Tensor:
    """uint8 images [B, 32, 32, 3] or [B, 3072] as float32 [B, 3072] in [0, 1]."""
    return tf.reshape(tf.cast(pixels, tf.float32) / 255.0, [-1, IMAGE_SIZE])


def to_bytes(x: tf.Tensor) -> tf.Tensor:
    """Pixels in [0, 1] as uint8; undoes `to_unit_interval` exactly."""
    return tf.cast(tf.round(x * 255.0), tf.uint8)


def mirror(pixels: tf.Tensor, which: tf.Tensor) -> tf.Tensor:
    """Images [B, 3072], those of `which` [B] mirrored left to right."""
    _, width, colours = IMAGE_SHAPE
    rows = tf.reshape(pixels, [-1, width, colours])
    return tf.where(which[:, None], tf.reshape(tf.reverse(rows, axis=[1]), [-1, IMAGE_SIZE]), pixels)


def preprocess(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The `Transform` of this project: decode, reshape to 3072, rescale to [0, 1]."""
    return {"image": to_unit_interval(decode(features["image"])), "id": features["id"]}


def noise_seed(ids: tf.Tensor) -> tf.Tensor:
    """The name of each image's noise, [B] int64, a function of its id alone."""
    return tf.strings.to_hash_bucket_fast(ids, 2**31 - 1)


def load_images(files: Sequence[str], transform: Transform) -> ImageSet:
    """Reads gzipped TFRecord files of Examples and runs `transform` over them.

    The images are ordered by id, whatever order and files they come in.

    Raises:
      UserError: no file, no image in them, or something else in them; or `transform` is not undone by `to_bytes`.
    """
    paths = sorted(path for pattern in files for path in tf.io.gfile.glob(pattern))
    if not paths:
        raise UserError(f"no file matches {', '.join(files)}: expected gzipped TFRecord files of Examples")

    def read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = transform(tf.io.parse_example(serialized, EXAMPLE_FEATURES))
        return to_bytes(features["image"]), features["id"]

    records = tf.data.TFRecordDataset(paths, compression_type="GZIP").batch(512)
    try:
        for serialized in records.take(1):
            _check_transform(tf.io.parse_example(serialized, EXAMPLE_FEATURES), transform)
        batches = list(records.map(read, num_parallel_calls=tf.data.AUTOTUNE).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise UserError(
            f"{', '.join(files)}: expected gzipped TFRecord files of Examples with images of shape {IMAGE_SHAPE}, "
            f"got what cannot be read: {error.message.splitlines()[0]}"
        ) from error
    if not batches:
        raise UserError(f"{', '.join(paths)} hold no Example: expected at least one image")
    ids = np.concatenate([ids for _, ids in batches])
    order = np.argsort(ids, kind="stable")
    return ImageSet(_sorted(batches, order), noise_seed(tf.constant(ids[order])).numpy())


def _check_transform(raw: dict[str, tf.Tensor], transform: Transform) -> None:
    """Raises UserError unless `transform` makes of these images what training makes of their bytes, and is undone.

    Training, the gate and the served model would otherwise each see other images.
    """

    @tf.function  # as training, evaluation and serving run it: a graph may divide in another way than Python
    def look(raw: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        pixels = tf.reshape(decode(raw["image"]), [-1, IMAGE_SIZE])
        x = transform(raw)["image"]
        return pixels, to_unit_interval(pixels), x, to_bytes(x)

    pixels, fed, x, back = (tensor.numpy() for tensor in look(raw))
    remedy = (
        "Change `preprocess` in trainer/images.py so that to_bytes undoes it, or change to_bytes and to_unit_interval "
        "with it"
    )
    if x.shape != pixels.shape:
        raise UserError(
            f"the preprocessing makes the shape {list(x.shape)} of {len(pixels)} images: expected "
            f"{list(pixels.shape)}, every byte of an image as a number. {remedy}"
        )
    differ = (back != pixels) | ~(np.abs(x - fed) <= ROUNDING)
    if not np.any(differ):
        return
    image, value = np.argwhere(differ)[0]
    row, column, colour = np.unravel_index(value, IMAGE_SHAPE)
    raise UserError(
        f"the preprocessing is not invertible: in image {raw['id'].numpy()[image].decode(errors='replace')!r}, row "
        f"{row}, column {column}, colour {colour}, the byte {pixels[image, value]} becomes {x[image, value]:.9g} and "
        f"comes back as {back[image, value]}: expected {fed[image, value]:.9g} and {pixels[image, value]}. {remedy}"
    )


def _sorted(batches: list[tuple[np.ndarray, np.ndarray]], order: np.ndarray) -> np.ndarray:
    """The images of `batches`, which are used up on the way: memory holds most images once only."""
    pixels = np.empty([len(order), IMAGE_SIZE], np.uint8)
    places, done = np.argsort(order), 0
    while batches:
        part, _ = batches.pop(0)
        pixels[places[done : done + len(part)]] = part
        done += len(part)
    return pixels


def hold_out(images: int, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits so many images at random: indices of those to train on, and of fewer to choose the epoch with.

    Raises:
      UserError: too few images for two parts.
    """
    held = max(1, round(fraction * images))
    if held >= images:
        raise UserError(
            f"the training split has {images} image(s): expected at least 2, one to train on and one held out"
        )
    order = np.random.default_rng(seed).permutation(images)
    return np.sort(order[held:]), np.sort(order[:held])


def pixel_model(images: ImageSet) -> PixelModel:
    """Mean and variance of every pixel over `images`."""
    mean, square = np.zeros(IMAGE_SIZE), np.zeros(IMAGE_SIZE)
    for chunk in np.array_split(images.pixels, -(-len(images) // 1000)):
        x = chunk / 255.0
        mean += x.sum(axis=0) / len(images)
        square += (x**2).sum(axis=0) / len(images)
    return PixelModel(tf.constant(mean, tf.float32), tf.constant(square - mean**2, tf.float32))


def shuffled_batches(rows: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """Indices of images, [N], as the full batches of an epoch, [steps, batch_size].

    A function of seed and epoch. Plain indexing: a tf.data pipeline over an array in memory copies the array into its
    graph, for seconds.
    """
    steps = len(rows) // batch_size
    order = np.random.default_rng([seed, epoch]).permutation(len(rows))
    return rows[order[: steps * batch_size]].reshape(steps, batch_size)
