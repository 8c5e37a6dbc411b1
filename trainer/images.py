"""Images in memory as bytes (185 MB for CIFAR-10), and batches of them as floats."""

import contextlib
import functools
import hashlib
import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.errors import UserError
from trainer.model.likelihoods import PixelModel
from trainer.shape import VALID, Shape

ROUNDING = 2.0**-23  # of float32 below 1: graphs may divide by 255 or multiply by its reciprocal

EXAMPLE_FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),  # PNG, JPEG, WebP or BMP
    "id": tf.io.FixedLenFeature([], tf.string),
}

# {"image": [B] string, "id": [B] string, ...} -> {"image": [B, D] float32 in [0, 1], "id": [B] string}
Transform = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]


class ImageSet(NamedTuple):
    """Images, each with the seed of its noise."""

    pixels: np.ndarray  # [N, *shape] uint8
    noise_seeds: np.ndarray  # [N] int64

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> Shape:
        """The shape of each image."""
        return Shape(*self.pixels.shape[1:])

    def take(self, rows: np.ndarray) -> "ImageSet":
        """Copies the images with these indices."""
        return ImageSet(self.pixels[rows], self.noise_seeds[rows])

    def digest(self) -> str:
        """Returns a digest of the pixels and noise seeds."""
        digest = hashlib.sha256(np.ascontiguousarray(self.pixels).data)
        digest.update(np.ascontiguousarray(self.noise_seeds).data)
        return digest.hexdigest()[:16]


def decode(encoded: tf.Tensor, shape: Shape) -> tf.Tensor:
    """Decodes images [B] to uint8 [B, *shape].

    Raises:
      InvalidArgumentError: not an image, or of another shape.
    """

    def decode_one(image: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.io.decode_image(image, expand_animations=False), shape)

    return tf.map_fn(decode_one, encoded, fn_output_signature=tf.TensorSpec(shape, tf.uint8))


def to_unit_interval(pixels: tf.Tensor) -> tf.Tensor:
    """Scales uint8 images [B, ...] to float32 [B, D] in [0, 1]."""
    return tf.reshape(tf.cast(pixels, tf.float32) / 255.0, [-1, math.prod(pixels.shape[1:])])


def to_bytes(x: tf.Tensor) -> tf.Tensor:
    """Converts pixels in [0, 1] to uint8, the exact inverse of `to_unit_interval`."""
    return tf.cast(tf.round(x * 255.0), tf.uint8)


def mirror(pixels: tf.Tensor, which: tf.Tensor) -> tf.Tensor:
    """Mirrors the images of pixels [B, H, W, C] where `which` [B] is true, left to right."""
    _, height, width, channels = pixels.shape
    rows = tf.reshape(pixels, [-1, width, channels])  # TensorFlow reverses three axes fastest
    turned = tf.reshape(tf.reverse(rows, axis=[1]), [-1, height, width, channels])
    return tf.where(which[:, None, None, None], turned, pixels)


def preprocess(features: dict[str, tf.Tensor], shape: Shape) -> dict[str, tf.Tensor]:
    """Decodes images of one shape, flattens them and scales them to [0, 1]."""
    return {"image": to_unit_interval(decode(features["image"], shape)), "id": features["id"]}


def preprocessing(shape: Shape) -> Transform:
    """Returns the project's `Transform` of images of this shape."""
    return functools.partial(preprocess, shape=shape)


def noise_seed(ids: tf.Tensor) -> tf.Tensor:
    """Returns the seed of each image's noise, [B] int64, a function of its id only."""
    return tf.strings.to_hash_bucket_fast(ids, 2**31 - 1)


def shape_of(files: Sequence[str]) -> Shape:
    """Returns the shape of the first image in gzipped TFRecord files of Examples.

    Raises:
      UserError: there is no file or no image, a file cannot be read, or the image has another number of channels.
    """
    with _reading(files, "images") as records:
        for serialized in records.take(1):
            image = tf.io.parse_example(serialized, EXAMPLE_FEATURES)["image"][0]
            sizes = tf.io.decode_image(image, expand_animations=False).shape
            break
        else:
            raise _empty(files)
    shape = Shape(*sizes)
    if not shape.is_valid:
        raise UserError(f"the shape of the first image in {', '.join(files)}", value=str(shape), valid=VALID)
    return shape


def first_examples(files: Sequence[str], count: int) -> list[bytes]:
    """Reads the serialized Examples of the first `count` images by id from gzipped TFRecord files.

    Raises:
      UserError: there is no file or no Example, or a file cannot be read.
    """
    first: list[tuple[bytes, bytes]] = []
    with _reading(files, "images") as records:
        for serialized in records:
            ids = tf.io.parse_example(serialized, {"id": EXAMPLE_FEATURES["id"]})["id"]
            first = heapq.nsmallest(count, [*first, *zip(ids.numpy(), serialized.numpy(), strict=True)])
    if not first:
        raise _empty(files)
    return [example for _, example in first]


def load_images(files: Sequence[str], transform: Transform, shape: Shape) -> ImageSet:
    """Reads gzipped TFRecord files of Examples with images of this shape, and applies `transform`.

    The images are sorted by id, so their order in the files does not matter.

    Raises:
      UserError: there is no file or no image, a file cannot be read, an image has another shape, or `to_bytes` does not
        undo `transform`.
    """

    def read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = transform(tf.io.parse_example(serialized, EXAMPLE_FEATURES))
        return to_bytes(features["image"]), features["id"]

    with _reading(files, f"images of {shape}") as records:
        for serialized in records.take(1):
            _check_transform(tf.io.parse_example(serialized, EXAMPLE_FEATURES), transform, shape)
        batches = list(records.map(read, num_parallel_calls=tf.data.AUTOTUNE).as_numpy_iterator())
    if not batches:
        raise _empty(files)
    ids = np.concatenate([ids for _, ids in batches])
    order = np.argsort(ids, kind="stable")
    return ImageSet(_sorted(batches, order, shape), noise_seed(tf.constant(ids[order])).numpy())


@contextlib.contextmanager
def _reading(files: Sequence[str], images: str) -> Iterator[tf.data.Dataset]:
    """Opens the serialized Examples in batches, and turns TensorFlow's errors within the block into UserErrors."""
    given, expected = ", ".join(files), f"gzipped TFRecord files of Examples with {images}"
    paths = _paths(files)
    if not paths:
        raise UserError("no file matches the pattern", value=given, valid=expected, remedy="Check the path")
    try:
        yield tf.data.TFRecordDataset(paths, compression_type="GZIP").batch(512)
    except tf.errors.OpError as error:
        raise UserError("the images cannot be read", value=given, valid=expected, cause=error) from error


def _paths(files: Sequence[str]) -> list[str]:
    return sorted(path for pattern in files for path in tf.io.gfile.glob(pattern))


def _empty(files: Sequence[str]) -> UserError:
    return UserError("the files contain no Example", value=", ".join(_paths(files)), valid="at least one image")


def _check_transform(raw: dict[str, tf.Tensor], transform: Transform, shape: Shape) -> None:
    """Raises UserError unless `transform` equals `to_unit_interval` of the decoded bytes and `to_bytes` undoes it.

    Otherwise training, the gate and the served model would see different images.
    """

    @tf.function  # like training, evaluation and serving: a graph may round divisions differently from Python
    def look(raw: dict[str, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        pixels = tf.reshape(decode(raw["image"], shape), [-1, shape.size])
        x = transform(raw)["image"]
        return pixels, to_unit_interval(pixels), x, to_bytes(x)

    pixels, fed, x, back = (tensor.numpy() for tensor in look(raw))
    remedy = (
        "Change `preprocess` in trainer/images.py so that to_bytes undoes it, or change to_bytes and to_unit_interval "
        "with it"
    )
    if x.shape != pixels.shape:
        raise UserError(
            f"the preprocessing of {len(pixels)} images has the wrong shape",
            value=list(x.shape),
            valid=f"{list(pixels.shape)}, one number for each byte",
            remedy=remedy,
        )
    differ = (back != pixels) | ~(np.abs(x - fed) <= ROUNDING)
    if not np.any(differ):
        return
    image, value = np.argwhere(differ)[0]
    row, column, channel = np.unravel_index(value, shape)
    raise UserError(
        f"the preprocessing is not invertible in image {raw['id'].numpy()[image].decode(errors='replace')!r}, row "
        f"{row}, column {column}, channel {channel}: the byte {pixels[image, value]} becomes {x[image, value]:.9g}, "
        f"which to_bytes converts to {back[image, value]}",
        value=float(f"{x[image, value]:.9g}"),
        valid=f"{fed[image, value]:.9g}",
        remedy=remedy,
    )


def _sorted(batches: list[tuple[np.ndarray, np.ndarray]], order: np.ndarray, shape: Shape) -> np.ndarray:
    """Returns the images in `order` and empties `batches`, so that memory holds most images only once."""
    pixels = np.empty([len(order), *shape], np.uint8)
    places, done = np.argsort(order), 0
    while batches:
        part, _ = batches.pop(0)
        pixels[places[done : done + len(part)]] = part.reshape(-1, *shape)
        done += len(part)
    return pixels


def hold_out(images: int, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits the indices of `images` images at random: those to train on, and the held-out `fraction`.

    Raises:
      UserError: too few images for two parts.
    """
    held = max(1, round(fraction * images))
    if held >= images:
        raise UserError(
            "the training split has too few images", value=images, valid="at least 2: one to train on, one to hold out"
        )
    order = np.random.default_rng(seed).permutation(images)
    return np.sort(order[held:]), np.sort(order[:held])


def pixel_model(images: ImageSet) -> PixelModel:
    """Computes the mean and variance of every pixel and channel over `images`."""
    flat = images.pixels.reshape(len(images), -1)
    mean = flat.mean(axis=0) / 255.0
    square = np.einsum("nd,nd->d", flat, flat, dtype=np.float64) / (255.0**2 * len(images))
    return PixelModel(tf.constant(mean, tf.float32), tf.constant(square - mean**2, tf.float32))


def shuffled_batches(rows: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """Arranges the indices of images, [N], as the full batches of an epoch, [steps, batch_size].

    The order depends on seed and epoch only. This is plain indexing, because a tf.data pipeline over an array in memory
    copies the array into its graph, which takes seconds.
    """
    steps = len(rows) // batch_size
    order = np.random.default_rng([seed, epoch]).permutation(len(rows))
    return rows[order[: steps * batch_size]].reshape(steps, batch_size)
