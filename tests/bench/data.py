"""The images of the benchmark: CIFAR-10 if TFDS_DATA_DIR has it prepared, otherwise random ones."""

import functools
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.images import ImageSet
from trainer.shape import Shape

PREPARED = pathlib.Path(os.environ.get("TFDS_DATA_DIR", ""), "cifar10/3.0.2")
HAS_CIFAR10 = (PREPARED / "dataset_info.json").is_file()
SHAPE = Shape(32, 32, 3)
FULL = 60_000  # images of CIFAR-10, a sixth of them for testing


class Records(NamedTuple):
    """Gzipped TFRecord files of Examples, as the trainer reads them."""

    train: str
    test: str


def random_images(count: int) -> ImageSet:
    """Returns images of random bytes."""
    pixels = np.random.default_rng(0).integers(0, 256, [count, *SHAPE], dtype=np.uint8)
    return ImageSet(pixels, np.arange(count, dtype=np.int64))


@functools.cache
def records(images: int) -> Records:
    """Writes files of `images` images, a sixth of them for testing, which the process deletes at its end."""
    files = Records(*(os.path.join(_folder().name, f"{split}-{images}.gz") for split in Records._fields))
    examples = _cifar10 if HAS_CIFAR10 else _random
    for split, path, count in zip(Records._fields, files, (images - images // 6, images // 6), strict=True):
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for example in examples(split, count):
                writer.write(example)
    return files


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="bench-")


def _cifar10(split: str, count: int) -> Iterator[bytes]:
    files = sorted(map(str, PREPARED.glob(f"cifar10-{split}.tfrecord*")))
    yield from tf.data.TFRecordDataset(files).take(count).as_numpy_iterator()


def _random(split: str, count: int) -> Iterator[bytes]:
    for i, pixels in enumerate(random_images(count).pixels):
        png = tf.io.encode_png(pixels).numpy()
        features = {
            "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png])),
            "label": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"%d" % (i % 10)])),
            "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[f"{split}_{i:05d}".encode()])),
        }
        yield tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
