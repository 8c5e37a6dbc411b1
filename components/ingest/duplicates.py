"""Finds repeated ids and test images that are also training images; refuses or records them."""

import heapq
import logging
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tfx.types import Artifact

from components.ingest.findings import KeyFile, key_files, read_keys, split_folder
from components.ingest.names import readable
from components.ingest.splits import SPLITS, TEST, TRAIN
from trainer.errors import UserError
from trainer.images import EXAMPLE_FEATURES

log = logging.getLogger(__name__)

SHARED_IMAGES = "shared_images"  # custom property of the Examples artifact
SHOWN = 2  # examples in a message
PIXELS, IDS = 0, 1  # columns of the keys
AT_ONCE = 2**19  # keys in memory together


class Keys(NamedTuple):
    """Digests of some of the images of a split."""

    digests: np.ndarray  # [N, 2] uint64
    rows: np.ndarray  # [N] int64, numbers of the images in the split, ascending


def shared_images(examples: Artifact) -> int:
    """Returns the number of test images that are also training images, pixel by pixel."""
    return examples.get_int_custom_property(SHARED_IMAGES)


def check(examples: Artifact, allow_shared_images: bool) -> None:
    """Records the number of shared images in `examples`. Memory holds `AT_ONCE` keys, whatever the number of images.

    Raises:
      UserError: an id is repeated, or an image is shared and that is not allowed.
    """
    files = {split: key_files(examples.uri, split) for split in SPLITS}
    for split in SPLITS:
        count, first = _repeated_ids(files[split])
        if count:
            raise UserError(
                f"the split {split} repeats {count} id(s)",
                valid="a unique id for each image, which seeds its noise",
                value=[f"{_name(examples.uri, split, files[split], row)} ({times} images)" for row, times in first],
                remedy="Give the images unique ids and prepare the data set again",
            )
    count, first = _shared(files[TRAIN], files[TEST])
    examples.set_int_custom_property(SHARED_IMAGES, count)
    if not count:
        return
    shown = [
        f"{_name(examples.uri, TEST, files[TEST], test)} (in train: {_name(examples.uri, TRAIN, files[TRAIN], train)})"
        for test, train in first
    ]
    sentence = f"{count} of {_count(files[TEST])} test images are also training images, pixel by pixel"
    if not allow_shared_images:
        raise UserError(
            sentence,
            valid="new images, so that the test-set ELBO measures generalization",
            value=shown,
            remedy="Remove them and prepare the data set again, or accept them with --allow-shared-images (run "
            "parameter allow_shared_images)",
        )
    log.warning("%s, such as %s; accepted by allow_shared_images", sentence, " and ".join(shown))


def _repeated_ids(files: list[KeyFile]) -> tuple[int, list[tuple[int, int]]]:
    """Returns the number of ids that several images have, and row and images of the first of them."""
    count, found = 0, list[tuple[int, int]]()
    for (keys,) in _partitions([files], IDS):
        first = _first_of_equals(keys.digests)
        rows, times = np.unique(first[first != np.arange(len(first))], return_counts=True)
        count += len(rows)
        some = zip(keys.rows[rows[:SHOWN]].tolist(), (times[:SHOWN] + 1).tolist(), strict=True)
        found = heapq.nsmallest(SHOWN, [*found, *some])
    return count, found


def _shared(train: list[KeyFile], test: list[KeyFile]) -> tuple[int, list[tuple[int, int]]]:
    """Returns the number of test images that are also in train, and the rows of the first of them in test and train."""
    count, found = 0, list[tuple[int, int]]()
    for in_train, in_test in _partitions([train, test], PIXELS):
        first = _first_of_equals(np.concatenate([in_train.digests, in_test.digests]))[len(in_train.rows) :]
        shared = np.flatnonzero(first < len(in_train.rows))
        count += len(shared)
        some = shared[:SHOWN]
        pairs = zip(in_test.rows[some].tolist(), in_train.rows[first[some]].tolist(), strict=True)
        found = heapq.nsmallest(SHOWN, [*found, *pairs])
    return count, found


def _first_of_equals(digests: np.ndarray) -> np.ndarray:
    """Returns for each of digests [N, 2] the index of the first one that equals it, [N]."""
    order = np.lexsort(digests.T)  # stable
    ordered = digests[order]
    starts = np.append(True, np.any(ordered[1:] != ordered[:-1], axis=1))[: len(order)]
    first = np.empty_like(order)
    first[order] = order[starts][np.cumsum(starts) - 1]
    return first


def _partitions(splits: list[list[KeyFile]], column: int) -> Iterator[list[Keys]]:
    """Yields the keys of these splits in parts, by their digests: equal ones are in the same part."""
    parts = -(-sum(map(_count, splits)) // AT_ONCE)
    for part in range(parts):
        yield [_partition(files, column, part, parts) for files in splits]


def _partition(files: list[KeyFile], column: int, part: int, parts: int) -> Keys:
    digests, rows, start = [np.empty([0, 2], np.uint64)], [np.empty([0], np.int64)], 0
    for file, keys in zip(files, read_keys(files, column), strict=True):
        of_part = np.flatnonzero(keys[:, 0] % np.uint64(parts) == part)
        digests.append(keys[of_part])
        rows.append(of_part + start)
        start += file.images
    return Keys(np.concatenate(digests), np.concatenate(rows))


def _count(files: list[KeyFile]) -> int:
    return sum(file.images for file in files)


def _name(examples: str, split: str, files: list[KeyFile], row: int) -> str:
    """Returns the id of the image with this number in the split."""
    for file in files:
        if row < file.images:
            path = os.path.join(split_folder(examples, split), os.path.basename(file.path))
            (record,) = tf.data.TFRecordDataset(path, compression_type="GZIP").skip(row).take(1)
            return readable(tf.io.parse_single_example(record, EXAMPLE_FEATURES)["id"].numpy())
        row -= file.images
    raise IndexError(row)
