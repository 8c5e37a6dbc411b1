"""Writes the Examples of a piece to files, whose names and content depend on nothing but the piece."""

import contextlib
import dataclasses
import os

import tensorflow as tf

from components.ingest import findings
from trainer.storage.atomic import storing

FILE_BYTES = 64 * 2**20  # of Examples in a file, unless the last one is larger; a worker reads a file as a whole
# TFX reads gzip, but images are compressed already: level 6 saves 4 % of the space at ten times the time.
OPTIONS = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=0)


@dataclasses.dataclass
class SplitWriter:
    """Writer of the Examples of one split of a piece, to gzipped TFRecord files of bounded size, and of their keys.

    A file gets its name when it is complete. A second worker on the same piece replaces it by an equal one.

    Args:
      examples: the folder of all Examples.
      split: `train` or `test`.
      piece: the piece's name.
    """

    examples: str
    split: str
    piece: str

    def __post_init__(self) -> None:
        self._files = self._size = 0
        self._writer: tf.io.TFRecordWriter | None = None
        self._path = ""
        self._keys: list[bytes] = []

    def write(self, example: bytes, key: bytes) -> None:
        """Writes a serialized Example, and its key of `findings.KEY_BYTES`.

        Raises:
          StorageError: the disk refuses it.
        """
        with self._storing():
            if self._writer is None:
                self._path = findings.unfinished(self.examples, f"{self.split}-{self._name}")
                self._writer = tf.io.TFRecordWriter(self._path, OPTIONS)
            self._writer.write(example)
        self._keys.append(key)
        self._size += len(example)
        if self._size >= FILE_BYTES:
            self.close()

    def close(self) -> None:
        """Completes the file. A split without images has none.

        Raises:
          StorageError: the disk refuses it.
        """
        if self._writer is None:
            return
        with self._storing():
            self._writer.close()
            keys = findings.unfinished(self.examples, f"keys-{self._name}")
            with open(keys, "wb") as file:
                file.write(b"".join(self._keys))
            os.replace(keys, findings.keys_path(self.examples, self.split, self._name))
            os.replace(self._path, os.path.join(self._folder, self._name))
        self._writer, self._keys, self._size = None, [], 0
        self._files += 1

    @property
    def _name(self) -> str:
        return f"data_tfrecord-{self.piece}-{self._files:05d}.gz"

    @property
    def _folder(self) -> str:
        return findings.split_folder(self.examples, self.split)

    def _storing(self) -> contextlib.AbstractContextManager[object]:
        return storing("the Examples", self._folder)


def write_empty(examples: str, split: str) -> None:
    """Writes a file without Examples, because Beam reads no split without a file.

    Raises:
      StorageError: the disk refuses it.
    """
    folder = findings.split_folder(examples, split)
    with storing("the Examples", folder):
        tf.io.TFRecordWriter(os.path.join(folder, "data_tfrecord-empty.gz"), OPTIONS).close()
