"""What the workers find out about their pieces, in files beside the Examples until all of it is checked.

Files cross from worker to worker with any engine of Beam, and memory holds none of them. The key of an image takes 32
bytes. The folder is hidden: no reader of the Examples and no digest sees it.
"""

import hashlib
import heapq
import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from components.ingest.splits import SPLITS

FOLDER = ".ingestion"  # below that of the Examples
UNFINISHED, FAULTS = "unfinished", "faults"  # folders beside those of the splits' keys
DIGEST_BYTES = 16
KEY_BYTES = 2 * DIGEST_BYTES


def digest_of(content: bytes | memoryview) -> bytes:
    """Returns a digest of pixels or of an id."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def key(pixels: bytes | memoryview, name: bytes) -> bytes:
    """Returns the key of the image with these pixels and this id."""
    return digest_of(pixels) + digest_of(name)


class Faults(NamedTuple):
    """Images that cannot be read."""

    number: int
    first: list[str]  # texts for a message, in their order


class KeyFile(NamedTuple):
    """The keys of the Examples in one file, which has the same name."""

    path: str
    images: int


def prepare(examples: str) -> None:
    """Makes the folders that workers write to, below the folder `examples`."""
    for name in (*SPLITS, UNFINISHED, FAULTS):
        os.makedirs(os.path.join(examples, FOLDER, name), exist_ok=True)
    for split in SPLITS:
        os.makedirs(split_folder(examples, split), exist_ok=True)


def remove(examples: str) -> None:
    """Removes the findings."""
    shutil.rmtree(os.path.join(examples, FOLDER))


def split_folder(examples: str, split: str) -> str:
    """Returns the folder of the Examples of a split, where TFX looks for them."""
    return os.path.join(examples, f"Split-{split}")


def unfinished(examples: str, name: str) -> str:
    """Returns a path for a file that a worker writes, before it gets its `name`.

    Engines of Beam may give a piece to a second worker while the first one is still writing, so no two paths are equal.
    """
    return os.path.join(examples, FOLDER, UNFINISHED, f"{name}.{os.urandom(8).hex()}")


def keys_path(examples: str, split: str, name: str) -> str:
    """Returns the path of the keys of the Examples in the file `name` of a split."""
    return os.path.join(examples, FOLDER, split, name)


def key_files(examples: str, split: str) -> list[KeyFile]:
    """Returns the files of keys of a split, in the order of their names."""
    with os.scandir(os.path.join(examples, FOLDER, split)) as entries:
        return sorted(KeyFile(entry.path, entry.stat().st_size // KEY_BYTES) for entry in entries)


def read_keys(files: list[KeyFile], column: int) -> Iterator[np.ndarray]:
    """Yields the digests of the pixels (column 0) or of the ids (column 1) in each file, [N, 2] uint64."""
    for file in files:
        yield np.fromfile(file.path, np.uint64).reshape(-1, 2, 2)[:, column]


def write_faults(examples: str, piece: str, found: Faults) -> None:
    """Writes what is wrong with images of a piece."""
    path = unfinished(examples, piece)
    pathlib.Path(path).write_text(json.dumps(found))
    os.replace(path, os.path.join(examples, FOLDER, FAULTS, piece))


def read_faults(examples: str, shown: int) -> Faults:
    """Returns the number of faults in all pieces, and the first `shown` of them in the order of their texts."""
    number, first = 0, list[str]()
    with os.scandir(os.path.join(examples, FOLDER, FAULTS)) as entries:
        for entry in entries:
            found = Faults(*_read(entry.path))
            number, first = number + found.number, heapq.nsmallest(shown, [*first, *found.first])
    return Faults(number, first)


def _read(path: str) -> Any:
    return json.loads(pathlib.Path(path).read_text())
