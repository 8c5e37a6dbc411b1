"""Turns the images of a piece into Examples on disk. Nothing else leaves the worker, so its memory stays flat."""

import heapq
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from components.ingest.decoding import Images, decoded
from components.ingest.findings import Faults, key, write_faults
from components.ingest.fitting import fitted
from components.ingest.numbers import NUMBERS, image_numbers
from components.ingest.prepared import Shard
from components.ingest.records import Batch, Fault, chunks
from components.ingest.source import Source
from components.ingest.splits import SPLITS, TEST, TRAIN, is_test
from components.ingest.unreadable import SHOWN
from components.ingest.writing import SplitWriter
from trainer.shape import Shape

PIXEL_BYTES = 64 * 2**20  # of decoded images in memory together


class Piece(NamedTuple):
    """What one worker reads and writes."""

    name: str  # unique, the same in every run, and in the order of the data
    split: str
    shard: Shard


class PieceWriter(NamedTuple):
    """A function that Beam can send to its workers."""

    source: Source
    shape: Shape
    fit: bool  # whether images of other shapes are cropped and resized
    test_share: float | None  # of the images, which go to test; None: every piece keeps its split
    examples: str  # the folder of the Examples
    prefix: bytes = b""  # of all ids

    def __call__(self, piece: Piece) -> None:
        """Writes the Examples of the piece, the keys of their images and the faults of what is no image.

        Raises:
          UserError: the data are damaged.
          StorageError: the disk refuses the Examples.
        """
        writers = {split: SplitWriter(self.examples, split, piece.name) for split in SPLITS}
        number, first = 0, list[str]()
        for batch in self.source.read(piece.shard):
            faults = [batch] if isinstance(batch, Fault) else self._write(batch, piece, writers)
            number, first = number + len(faults), heapq.nsmallest(SHOWN, [*first, *(fault.text for fault in faults)])
        for writer in writers.values():
            writer.close()
        if number:
            write_faults(self.examples, piece.name, Faults(number, first))

    def _write(self, batch: Batch, piece: Piece, writers: dict[str, SplitWriter]) -> list[Fault]:
        """Writes the sound images of a batch, and returns the faults of the others."""
        found, batch = list[Fault](), batch._replace(ids=[self.prefix + name for name in batch.ids])
        for chunk in chunks(batch, max(1, PIXEL_BYTES // self.shape.size)):
            images, faults = decoded(fitted(chunk, self.shape) if self.fit else chunk, piece.shard, self.shape)
            found += faults
            for example, pixels, name in zip(serialized(images), images.pixels, images.ids, strict=True):
                found_key, split = key(pixels.data, name), piece.split
                if self.test_share is not None:
                    split = TEST if is_test(found_key, self.test_share) else TRAIN
                writers[split].write(example, found_key)
        return found


def serialized(images: Images) -> list[bytes]:
    """Returns an Example of each image: `image` (as stored or fitted), `id`, the `NUMBERS` and its `label`, if any."""
    numbers = np.stack(list(image_numbers(images.pixels, images.encoded).values()), axis=1).tolist()
    return [_example(*fields) for fields in zip(images.encoded, images.ids, images.labels, numbers, strict=True)]


def _example(image: bytes, name: bytes, label: bytes | None, numbers: list[float]) -> bytes:
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[name])),
    }
    for number, value in zip(NUMBERS, numbers, strict=True):
        features[number] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    if label is not None:
        features["label"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[label]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)
