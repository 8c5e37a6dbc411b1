"""Small TFDS data sets for tests, with any rows."""

import io
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

FEATURES = tfds.features.FeaturesDict(
    {
        "id": tfds.features.Text(),
        "image": tfds.features.Image(shape=(32, 32, 3)),
        "label": tfds.features.ClassLabel(num_classes=10),
    }
)

Row = tuple[str | bytes | int, bytes, int]  # id, encoded image, label


def png(seed: int, shape: tuple[int, ...] = (32, 32, 3)) -> bytes:
    """A PNG of random pixels."""
    return tf.io.encode_png(pixels(seed, shape)).numpy()


def pixels(seed: int, shape: tuple[int, ...] = (32, 32, 3)) -> np.ndarray:
    """The pixels of `png(seed, shape)`."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def rows(split: str, count: int, first_seed: int, shape: tuple[int, ...] = (32, 32, 3)) -> list[Row]:
    """Valid rows with different images."""
    return [(f"{split}_{i:03d}", png(first_seed + i, shape), i % 10) for i in range(count)]


def serialized(name: str, image: bytes, label: int) -> bytes:
    """A row as a serialized Example."""
    features = {
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name.encode()])),
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"%d" % label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_toy(
    data_dir: pathlib.Path,
    train: list[Row],
    test: list[Row],
    id_feature: Any = None,
    file_format: str = "tfrecord",
    shape: tuple[int | None, ...] = (32, 32, 3),
) -> pathlib.Path:
    """Writes the data set `toy` as TFDS does; images are stored byte for byte. Returns `data_dir`.

    A size of None in `shape` is left open: each image has its own.
    """
    splits = {
        split: [
            (i, {"id": name, "image": io.BytesIO(image), "label": label})
            for i, (name, image, label) in enumerate(content)
        ]
        for split, content in {"train": train, "test": test}.items()
    }
    image = tfds.features.Image(shape=shape)
    features = tfds.features.FeaturesDict({**FEATURES, "image": image, "id": id_feature or FEATURES["id"]})
    return write(data_dir, features, splits, file_format)


def write(
    data_dir: pathlib.Path,
    features: tfds.features.FeaturesDict,
    splits: dict[str, list],
    file_format: str = "tfrecord",
) -> pathlib.Path:
    """Writes pairs (key, example) of each split as the data set `toy`, by key. Returns `data_dir`."""
    tfds.dataset_builders.store_as_tfds_dataset(
        name="toy",
        version="1.0.0",
        features=features,
        split_datasets=splits,
        data_dir=data_dir,
        file_format=file_format,
        disable_shuffling=True,
    )
    return data_dir
