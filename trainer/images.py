"""Images as bytes, in memory (185 MB for CIFAR-10) or on disk, and batches of them as floats."""

import contextlib
import functools
import hashlib
import heapq
import itertools
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from trainer.errors import UserError
from trainer.model.likelihoods.pixels import PixelModel
from trainer.settings import Execution
from trainer.shape import VALID, Shape
from trainer.storage.rows import Rows, TemporaryArray

READ_VALUES = 512 * 32 * 32 * 3  # of the images that are decoded at once
CHUNK_BYTES = 2**24  # of images that are looked at in their order
ROUNDING = 2.0**-23  # of float32 below 1: graphs may divide by 255 or multiply by its reciprocal

EXAMPLE_FEATURES = {
    "image": tf.io.FixedLenFeature([], tf.string),  # PNG, JPEG, WebP or BMP
    "id": tf.io.FixedLenFeature([], tf.string),
}

# {"image": [B] string, "id": [B] string, ...} -> {"image": [B, D] float32 in [0, 1], "id": [B] string}
Transform = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]


class Pixels(Protocol):
    """Images [N, *shape] uint8, in an array or elsewhere; an index of rows reads them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, *shape] of the images."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Rows, /) -> np.ndarray: ...


class Chosen:
    """The `Pixels` of some rows of other ones, which are read on demand."""

    def __init__(self, pixels: Pixels, rows: np.ndarray) -> None:
        self._pixels, self._rows = pixels, rows
        self.shape = (len(rows), *pixels.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Rows) -> np.ndarray:
        return self._pixels[self._rows[rows]]

    def will_need(self, rows: np.ndarray) -> None:
        """Announces that these rows are read soon."""
        will_need(self._pixels, self._rows[rows])


def will_need(pixels: Pixels, rows: np.ndarray) -> None:
    """Announces that pixels[rows] is read soon, which matters to images on disk."""
    if hasattr(pixels, "will_need"):
        pixels.will_need(rows)


class ImageSet(NamedTuple):
    """Images, each with the seed of its noise."""

    pixels: Pixels  # [N, *shape] uint8
    noise_seeds: np.ndarray  # [N] int64

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> Shape:
        """The shape of each image."""
        return Shape(*self.pixels.shape[1:])

    def take(self, rows: np.ndarray) -> "ImageSet":
        """Returns the images with these indices, without copying them."""
        return ImageSet(Chosen(self.pixels, rows), self.noise_seeds[rows])

    def chunks(self) -> Iterator[np.ndarray]:
        """Yields the pixels in their order, some at a time."""
        size = max(1, CHUNK_BYTES // self.shape.size)
        return (self.pixels[start : start + size] for start in range(0, len(self), size))

    def digest(self) -> str:
        """Returns a digest of the pixels and noise seeds."""
        digest = hashlib.sha256()
        for array in itertools.chain(self.chunks(), [self.noise_seeds]):
            digest.update(np.ascontiguousarray(array).data)
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
    return tf.raw_ops.Select(condition=which, x=turned, y=pixels)  # copies whole images, tf.where value after value


def preprocess(features: dict[str, tf.Tensor], shape: Shape) -> dict[str, tf.Tensor]:
    """Decodes images of one shape, flattens them and scales them to [0, 1]."""
    return {"image": to_unit_interval(decode(features["image"], shape)), "id": features["id"]}


def preprocessing(shape: Shape) -> Transform:
    """Returns the project's `Transform` of images of this shape."""
    return functools.partial(preprocess, shape=shape)


def fingerprint(ids: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
    """Returns numbers below 2^31 made from the ids and bytes of encoded images, [B] int64."""
    return tf.strings.to_hash_bucket_fast(ids + encoded, 2**31 - 1)


def noise_seed(ids: tf.Tensor) -> tf.Tensor:
    """Returns the seed of each image's noise, [B] int64, a function of its id only."""
    return tf.strings.to_hash_bucket_fast(ids, 2**31 - 1)


def shape_of(files: Sequence[str]) -> Shape:
    """Returns the shape of the first image in gzipped TFRecord files of Examples.

    Raises:
      UserError: there is no file or no image, a file cannot be read, or the image has another number of channels.
    """
    with _reading(files, "images", 1) as records:
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
    with _reading(files, "images", 512) as records:
        for serialized in records:
            ids = tf.io.parse_example(serialized, {"id": EXAMPLE_FEATURES["id"]})["id"]
            first = heapq.nsmallest(count, [*first, *zip(ids.numpy(), serialized.numpy(), strict=True)])
    if not first:
        raise _empty(files)
    return [example for _, example in first]


def examples_of(files: Sequence[str], fingerprints: Collection[int]) -> dict[int, bytes]:
    """Finds the serialized Examples of images by their `fingerprint` in gzipped TFRecord files of Examples.

    A fingerprint that no image has is left out. Of several images that have it, one in a billion pairs, the first is
    taken.

    Raises:
      UserError: there is no file, or a file cannot be read.
    """
    found: dict[int, bytes] = {}
    wanted = np.array(sorted(fingerprints), np.int64)
    with _reading(files, "images", 512) as records:
        for serialized in records if len(wanted) else ():
            raw = tf.io.parse_example(serialized, EXAMPLE_FEATURES)
            numbers = fingerprint(raw["id"], raw["image"]).numpy()
            for row in np.flatnonzero(np.isin(numbers, wanted)):
                found.setdefault(int(numbers[row]), serialized[row].numpy())
            if len(found) == len(wanted):
                break
    return found


def load_images(
    files: Sequence[str], transform: Transform, shape: Shape, in_memory: int = Execution.images_in_memory
) -> ImageSet:
    """Reads gzipped TFRecord files of Examples with images of this shape, and applies `transform`.

    The images are sorted by id, so their order in the files does not matter. If they take more than `in_memory` MiB,
    they are decoded into a temporary file, and memory holds their ids, about 100 bytes an image.

    Raises:
      UserError: there is no file or no image, a file cannot be read, an image has another shape, or `to_bytes` does not
        undo `transform`.
      StorageError: the temporary file cannot be written.
    """

    def read_id(serialized: tf.Tensor) -> tf.Tensor:
        return tf.io.parse_example(serialized, {"id": EXAMPLE_FEATURES["id"]})["id"]

    def read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = transform(tf.io.parse_example(serialized, EXAMPLE_FEATURES))
        return to_bytes(features["image"]), noise_seed(features["id"])

    at_once = max(1, min(512, READ_VALUES // shape.size))
    with _reading(files, f"images of {shape}", at_once) as records:
        for serialized in records.take(1):
            _check_transform(tf.io.parse_example(serialized, EXAMPLE_FEATURES), transform, shape)
        ids = list(records.map(read_id).as_numpy_iterator())
        if not ids:
            raise _empty(files)
        places = np.argsort(np.argsort(np.concatenate(ids), kind="stable"))
        pixels, noise_seeds = _room(len(places), shape, in_memory), np.empty(len(places), np.int64)
        done = 0
        for part, seeds in records.map(read, num_parallel_calls=tf.data.AUTOTUNE).as_numpy_iterator():
            at = places[done : done + len(part)]
            pixels[at], noise_seeds[at] = part.reshape(-1, *shape), seeds
            done += len(part)
    return ImageSet(pixels, noise_seeds)


def _room(count: int, shape: Shape, in_memory: int) -> np.ndarray | TemporaryArray:
    """Returns room for images, in memory or in a temporary file."""
    if count * shape.size <= in_memory * 2**20:
        return np.empty([count, *shape], np.uint8)
    what = f"the temporary file of {count:,} decoded images"
    remedy = "Free some space, set TMPDIR to a folder on a larger local disk, or allow more images_in_memory"
    return TemporaryArray((count, *shape), what, remedy)


@contextlib.contextmanager
def _reading(files: Sequence[str], images: str, at_once: int) -> Iterator[tf.data.Dataset]:
    """Opens the serialized Examples in batches, and turns TensorFlow's errors within the block into UserErrors."""
    given, expected = ", ".join(files), f"gzipped TFRecord files of Examples with {images}"
    paths = _paths(files)
    if not paths:
        raise UserError("no file matches the pattern", value=given, valid=expected, remedy="Check the path")
    try:
        yield tf.data.TFRecordDataset(paths, compression_type="GZIP").batch(at_once)
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
    total, squares = np.zeros(images.shape.size), np.zeros(images.shape.size)  # whole numbers, so the sums are exact
    for chunk in images.chunks():
        flat = chunk.reshape(len(chunk), -1)
        total += flat.sum(axis=0, dtype=np.float64)
        squares += np.einsum("nd,nd->d", flat, flat, dtype=np.float64)
    mean = total / len(images) / 255.0
    variance = squares / (255.0**2 * len(images)) - mean**2
    return PixelModel(tf.constant(mean, tf.float32), tf.constant(variance, tf.float32))


def shuffled_batches(rows: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """Arranges the indices of images, [N], as the full batches of an epoch, [steps, batch_size].

    The order depends on seed and epoch only. This is plain indexing, because a tf.data pipeline over an array in memory
    copies the array into its graph, which takes seconds.
    """
    steps = len(rows) // batch_size
    order = np.random.default_rng([seed, epoch]).permutation(len(rows))
    return rows[order[: steps * batch_size]].reshape(steps, batch_size)
