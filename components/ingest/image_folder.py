"""A directory of image files; sub-directories, if there are any, are their labels."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from components.ingest.labels import label_text
from components.ingest.own_files import files_fingerprint, visible, walk
from components.ingest.prepared import Shard
from components.ingest.records import Batch, Fault
from trainer.errors import UnreadableError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
SHARD_FILES = 2048
BATCH_BYTES = 16 * 2**20  # of encoded images in memory together


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """Image files in the folder `location`. An image's id is its path below it.

    Args:
      location: the folder.
      folders: part -> its folder below `location`; empty for `location` itself.
      labelled: whether a part has sub-directories, whose names are the labels of the images in them.
      marker: a file in `location` that is no image; none: there is no such file.
    """

    KIND: ClassVar[str] = "images"
    location: str
    folders: dict[str, str]
    labelled: bool
    marker: str | None = None

    @classmethod
    def of(cls, location: str, folders: dict[str, str], marker: str | None = None) -> "ImageFolder":
        """Finds out whether there are labels."""
        labelled = any(subdirectories(os.path.join(location, name)) for name in folders.values())
        return cls(location, folders, labelled, marker)

    @property
    def parts(self) -> list[str]:
        """The names of the parts."""
        return list(self.folders)

    def paths(self, parts: list[str]) -> Iterator[str]:
        """Yields the present files."""
        for folder in sorted(self.folders[part] for part in parts):
            yield from self._names(folder)

    def fingerprint(self, parts: list[str]) -> str:
        """Returns a hash of the names and contents of the files."""
        return files_fingerprint(self.location, self.paths(parts))

    def shards(self, part: str) -> Iterator[Shard]:
        """Yields the files in groups."""
        path, group = os.path.join(self.location, self.folders[part]), []
        for name in self._names(self.folders[part]):
            group.append(name)
            if len(group) == SHARD_FILES:
                yield Shard(path, self.KIND, len(group), tuple(group))
                group = []
        if group:
            yield Shard(path, self.KIND, len(group), tuple(group))

    def read(self, shard: Shard) -> Iterator[Batch | Fault]:
        """Yields the content of the files, which may be images.

        Raises:
          UnreadableError: the system cannot read a file.
        """
        batch, size = [], 0
        for name in shard.names:
            below = pathlib.PurePath(os.path.relpath(os.path.join(self.location, name), shard.path)).parts
            label = label_text(os.fsencode(below[0])) if len(below) > 1 else None
            image = self._content(name)
            batch.append((os.fsencode(name), image, label))
            size += len(image)
            if size > BATCH_BYTES:
                yield self._batch(batch)
                batch, size = [], 0
        if batch:
            yield self._batch(batch)

    def _batch(self, rows: list[tuple[bytes, bytes, bytes | None]]) -> Batch:
        ids, images, labels = zip(*rows, strict=True)
        return Batch(0, np.array(images, object), list(labels), list(ids))

    def _content(self, name: str) -> bytes:
        path = pathlib.Path(self.location, name)
        try:
            return path.read_bytes()
        except OSError as error:
            raise UnreadableError("the image", str(path), error) from error

    def _names(self, folder: str) -> Iterator[str]:
        return walk(self.location, folder, self.marker)


def subdirectories(folder: str) -> list[str]:
    """Returns the names of the visible directories in `folder`, sorted."""
    with os.scandir(folder) as entries:
        return visible(entry.name for entry in entries if entry.is_dir())
