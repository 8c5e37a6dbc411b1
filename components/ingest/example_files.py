"""TFRecord files of Examples, with the features `image` (encoded) and, optionally, `label` and `id`."""

import dataclasses
import os
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import tensorflow as tf

from components.ingest.labels import label_text
from components.ingest.own_files import files_fingerprint
from components.ingest.prepared import Shard
from components.ingest.records import BATCH, Batch, Fault
from components.ingest.unreadable import unreadable
from trainer.errors import UserError, reason

REMEDY = "Write the file again"
KINDS = {"bytes_list": tf.string, "int64_list": tf.int64}  # of a feature, in the Example's words


def is_record_file(name: str) -> bool:
    """Tells whether a file has a name of TFRecords, such as a.tfrecord, a.tfrecords.gz or a.tfrecord-00000-of-00010."""
    return ".tfrecord" in os.path.basename(name).lower()


@dataclasses.dataclass(frozen=True)
class ExampleFiles:
    """TFRecord files below `location`, compressed with gzip if their names end in .gz.

    Args:
      location: the folder.
      files: part -> its files, by paths below `location`.
      features: name of each feature -> its kind, `bytes_list` or `int64_list`, according to the first Example.
    """

    KIND: ClassVar[str] = "examples"
    location: str
    files: dict[str, list[str]]
    features: dict[str, str]

    @classmethod
    def of(cls, location: str, files: dict[str, list[str]]) -> "ExampleFiles":
        """Finds the features in the first Example.

        Raises:
          UserError: it has no image, or a feature has another kind; or a file is damaged.
        """
        named = (name for names in files.values() for name in names if is_record_file(name))
        path = os.path.join(location, next(named))
        for _, (first, *_) in _batches(path):
            return cls(location, files, _features(first, path))
        raise UserError(f"{path} has no records", value=path, valid="at least one Example", remedy=REMEDY)

    @property
    def parts(self) -> list[str]:
        """The names of the parts."""
        return list(self.files)

    @property
    def labelled(self) -> bool:
        """Whether Examples have the feature `label`."""
        return "label" in self.features

    def paths(self, parts: list[str]) -> list[str]:
        """Returns the files of the parts."""
        return [name for part in sorted(parts) for name in self.files[part]]

    def fingerprint(self, parts: list[str]) -> str:
        """Returns a hash of the names and contents of the files."""
        return files_fingerprint(self.location, self.paths(parts))

    def shards(self, part: str) -> Iterator[Shard]:
        """Yields the files."""
        for name in self.files[part]:
            yield Shard(os.path.join(self.location, name), self.KIND, 0)

    def read(self, shard: Shard) -> Iterator[Batch | Fault]:
        """Yields the Examples. Without the feature `id`, an image's id is its file and number.

        Raises:
          UserError: the file is damaged.
        """
        file = os.path.relpath(shard.path, self.location)
        if not is_record_file(file):
            yield unreadable(os.fsencode(file), "format: expected TFRecords, as other files are")
            return
        specs = {name: tf.io.FixedLenFeature([], KINDS[kind]) for name, kind in self.features.items()}
        for first, serialized in _batches(shard.path):
            numbered = [os.fsencode(f"{file}__{first + i}") for i in range(len(serialized))]
            try:
                yield _batch(tf.io.parse_example(serialized, specs), first, numbered)
            except tf.errors.InvalidArgumentError:
                for i, name in enumerate(numbered):
                    try:
                        parsed = tf.io.parse_example(serialized[i : i + 1], specs)
                    except tf.errors.InvalidArgumentError as error:
                        yield unreadable(name, f"features: expected {', '.join(specs)}, got: {reason(error)}")
                    else:
                        yield _batch(parsed, first + i, [name])


def _batch(parsed: dict[str, tf.Tensor], first: int, numbered: list[bytes]) -> Batch:
    found = {name: value.numpy() for name, value in parsed.items()}
    ids = numbered
    if "id" in found:
        ids = [name if isinstance(name, bytes) else b"%d" % name for name in found["id"].tolist()]
    labels: list[bytes | None] = [None] * len(ids)
    if "label" in found:
        labels = [label_text(label) for label in found["label"].tolist()]
    return Batch(first, found["image"], labels, ids)


def _features(serialized: bytes, path: str) -> dict[str, str]:
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except Exception as error:  # protobuf's own type
        raise UserError(f"{path}, record 0", valid="an Example", value=reason(error), remedy=REMEDY) from error
    found = {name: str(features[name].WhichOneof("kind")) for name in ("image", "label", "id") if name in features}
    for name, valid in (("image", ["bytes_list"]), ("label", list(KINDS)), ("id", list(KINDS))):
        if name == "image" and name not in found:
            raise UserError(f"{path}, features", valid="an 'image'", value=sorted(features), remedy=REMEDY)
        if name in found and found[name] not in valid:
            raise UserError(f"{path}, feature '{name}'", valid=" or ".join(valid), value=found[name], remedy=REMEDY)
    return found


def _batches(path: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the index of the first record and the records of each batch."""
    compression = "GZIP" if path.endswith(".gz") else ""
    records = tf.data.TFRecordDataset(path, compression_type=compression, buffer_size=8 * 2**20)
    count = 0
    try:
        for batch in records.batch(BATCH).prefetch(2).as_numpy_iterator():
            yield count, batch
            count += len(batch)
    except tf.errors.DataLossError as error:
        raise UserError(
            f"{path}: a record at or after {count}, counted from 0, is damaged: {reason(error)}",
            value={"file": path, "record": count},
            remedy=REMEDY,
        ) from error
