"""Any number of different images on disk: crops of the embedded photographs, with noise, as JPEG in TFRecords."""

import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from components.ingest.photo_patches import Builder

FILE_IMAGES = 20_000
BATCH = 1_000  # images that are encoded together
NOISE = 4  # grey levels on either side
QUALITY = 95  # keeps the noise, in 1.1 kB an image
TEST = 6  # every sixth image


def write_images(folder: pathlib.Path, images: int) -> None:
    """Writes `images` images of 32x32x3 as Examples below `folder`, in the parts train and test; no two are equal."""
    for split, count in (("train", images - images // TEST), ("test", images // TEST)):
        (folder / split).mkdir(parents=True)
        records = _examples(split, count)
        for first in range(0, count, FILE_IMAGES):
            with tf.io.TFRecordWriter(str(folder / split / f"{first:010d}.tfrecord")) as writer:
                for _ in range(min(FILE_IMAGES, count - first)):
                    writer.write(next(records))


def _examples(split: str, count: int) -> Iterator[bytes]:
    """Yields `count` Examples, with the photographs as labels."""
    rows = [row for _, row in Builder._generate_examples(None, split)]  # needs no builder
    patches, labels = np.stack([row["image"] for row in rows]), [row["label"].encode() for row in rows]
    rng = np.random.default_rng(len(split))
    for first in range(0, count, BATCH):
        which = np.arange(first, min(first + BATCH, count)) % len(patches)
        noise = np.frombuffer(rng.bytes(which.size * patches[0].size), np.uint8) % (2 * NOISE)
        noisy = patches[which] + noise.reshape(-1, *patches.shape[1:]).astype(np.int16) - NOISE
        for i, image in enumerate(_jpegs(tf.constant(np.clip(noisy, 0, 255), tf.uint8)).numpy()):
            yield _example(image, f"{split}_{first + i:09d}".encode(), labels[which[i]])


@tf.function
def _jpegs(pixels: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(lambda image: tf.io.encode_jpeg(image, quality=QUALITY), pixels, fn_output_signature=tf.string)


def _example(image: bytes, name: bytes, label: bytes) -> bytes:
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(bytes_list=tf.train.BytesList(value=[label])),
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
