"""Reads the records of a prepared TFDS data set, shard by shard; an error names the file and the record."""

import pathlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from components.ingest.labels import label_text
from components.ingest.prepared import INFO, REMEDY, Shard
from trainer.errors import UserError, reason

BATCH = 256
PARQUET_RECORDS = 100  # TFDS 4.9 loses every other hundred of a file's records beyond these


class Batch(NamedTuple):
    """Consecutive records of one shard."""

    first: int  # index of the first one in the shard
    images: np.ndarray  # [B] object, encoded images
    labels: list[bytes | None]  # of length B, texts; None: the image has none
    ids: list[bytes]  # of length B

    def part(self, first: int, last: int) -> "Batch":
        """Returns the records from `first` on, before `last`, of this batch."""
        return Batch(self.first + first, self.images[first:last], self.labels[first:last], self.ids[first:last])


class Fault(NamedTuple):
    """An image that cannot be read."""

    text: str  # its name and what is wrong, for a message


def chunks(batch: Batch, size: int) -> Iterator[Batch]:
    """Yields the records of `batch` in batches of at most `size`."""
    for i in range(0, len(batch.ids), size):
        yield batch.part(i, i + size)


def read_batches(shard: Shard, features: tfds.features.FeaturesDict) -> Iterator[Batch]:
    """Yields the records of `shard` in order, with images encoded as they are stored; a tensor becomes a PNG.

    Raises:
      UserError: a record cannot be read or parsed, or the number of records is not that of dataset_info.json.
    """
    parse, count = _parser(features), 0
    for serialized in _READERS[shard.file_format](shard):
        yield _batch(parse, serialized, count, shard, dict(features).get("label"))
        count += len(serialized)
    if count != shard.records:
        lossy = shard.file_format == "parquet" and shard.records > PARQUET_RECORDS
        why = "TFDS 4.9 loses records of larger Parquet files" if lossy else "one of the two files is damaged"
        raise UserError(
            f"{shard.path} has another number of records than {INFO} says, because {why}",
            valid=str(shard.records),
            value=count,
            remedy=f"{REMEDY}, as tfrecord" if lossy else REMEDY,
        )


def _parser(features: tfds.features.FeaturesDict) -> tf.types.experimental.PolymorphicFunction:
    """Returns the parser of serialized Examples [B] into features [B]: `image` and, if they exist, `label`, `id`."""
    wanted = {name: feature for name, feature in features.items() if name in ("image", "label", "id")}
    specs = {name: _spec(feature.get_serialized_info()) for name, feature in wanted.items()}
    encode = isinstance(features["image"], tfds.features.Tensor)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def parse(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(serialized, specs)
        if "id" in wanted and wanted["id"].np_dtype == np.uint64:  # stored as an int64 of the same bits
            parsed["id"] = tf.bitcast(parsed["id"], tf.uint64)
        if encode:
            parsed["image"] = tf.map_fn(lambda image: _png(image, wanted["image"]), parsed["image"], tf.string)
        return parsed

    return parse


def _spec(info: tfds.features.TensorInfo) -> tf.io.FixedLenFeature:
    return tf.io.FixedLenFeature(info.shape, tf.string if tf.as_dtype(info.dtype) == tf.string else tf.int64)


def _png(stored: tf.Tensor, feature: tfds.features.Tensor) -> tf.Tensor:
    """Encodes a stored tensor, numbers or bytes of TFDS's `Encoding`, as a PNG."""
    pixels = feature.decode_example(stored if stored.dtype == tf.string else tf.cast(stored, tf.uint8))
    return tf.io.encode_png(tf.ensure_shape(pixels, feature.shape))


def _batch(
    parse: tf.types.experimental.PolymorphicFunction,
    serialized: np.ndarray,
    first: int,
    shard: Shard,
    classes: tfds.features.ClassLabel | None,
) -> Batch:
    try:
        parsed = {name: value.numpy() for name, value in parse(serialized).items()}
    except tf.errors.InvalidArgumentError:
        for i in range(len(serialized)):
            try:
                parse.python_function(serialized[i : i + 1])  # its message starts with the cause, unlike the graph's
            except tf.errors.InvalidArgumentError as error:
                raise _damaged(shard, first + i, error) from error
        raise
    if "id" in parsed:
        ids = [name if isinstance(name, bytes) else b"%d" % name for name in parsed["id"].tolist()]
    else:  # as TFDS names images
        ids = [f"{pathlib.Path(shard.path).name}__{first + i}".encode() for i in range(len(serialized))]
    return Batch(first, parsed["image"], _names(parsed["label"], classes) if classes else [None] * len(ids), ids)


def _names(numbers: np.ndarray, classes: tfds.features.ClassLabel) -> list[bytes | None]:
    """Returns the names of classes; none for a number that is no class, which is -1 in TFDS."""
    names = [label_text(name) for name in classes.names]
    return [names[number] if 0 <= number < len(names) else None for number in numbers]


def _damaged(shard: Shard, index: int, error: Exception, record: str = "record") -> UserError:
    return UserError(
        f"{shard.path}: {record} {index}, counted from 0, is damaged: {reason(error)}",
        value={"file": shard.path, "record": index},
        remedy=REMEDY,
    )


def _tfrecord(shard: Shard) -> Iterator[np.ndarray]:
    records = tf.data.TFRecordDataset(shard.path, buffer_size=8 * 2**20)
    try:
        yield from records.batch(BATCH).prefetch(2).as_numpy_iterator()
    except (tf.errors.DataLossError, tf.errors.NotFoundError):  # of any record in the batch
        index = 0
        try:
            for _ in records:
                index += 1
        except tf.errors.OpError as error:
            raise _damaged(shard, index, error) from error
        raise


def _array_record(shard: Shard) -> Iterator[np.ndarray]:
    from array_record.python.array_record_module import ArrayRecordReader

    index = 0
    try:
        reader = ArrayRecordReader(shard.path, "readahead_buffer_size:0")
        records = reader.num_records()
        for first in range(0, records, BATCH):
            batch = []
            for index in range(first, min(first + BATCH, records)):  # one at a time, for the index of an error
                batch += reader.read([index])
            yield np.array(batch, dtype=object)
    except RuntimeError as error:
        raise _damaged(shard, index, error) from error


def _parquet(shard: Shard) -> Iterator[np.ndarray]:
    import pyarrow.parquet

    count = 0
    try:
        with pyarrow.parquet.ParquetFile(shard.path) as file:
            for batch in file.iter_batches(BATCH, columns=["data"]):
                yield np.array(batch.column(0).to_pylist(), dtype=object)
                count += len(batch)
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors for damage name no record
        raise _damaged(shard, count, error, "a record at or after") from error


_READERS: dict[str, Callable[[Shard], Iterator[np.ndarray]]] = {
    "tfrecord": _tfrecord,
    "array_record": _array_record,
    "parquet": _parquet,
}
