"""Where images come from: what every kind of data offers to ImageExampleGen."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Protocol

from components.ingest.prepared import Shard, content_fingerprint, files_of, open_prepared, shards
from components.ingest.records import Batch, Fault, read_batches


class Source(Protocol):
    """Data in parts. Beam sends it to its workers, so it is small.

    Its fields other than `location` are JSON types, and part of the cache key of the Examples.
    """

    KIND: ClassVar[str]

    @property
    def location(self) -> str:
        """Path of a folder or file."""

    @property
    def parts(self) -> list[str]:
        """The names of the parts."""

    @property
    def labelled(self) -> bool:
        """Whether images have labels."""

    def paths(self, parts: list[str]) -> Iterable[str]:
        """Returns the paths below the location of every file that `parts` need, in a fixed order."""

    def fingerprint(self, parts: list[str]) -> str:
        """Returns a hash of the content of every file that `parts` need, whatever the location."""

    def shards(self, part: str) -> Iterator[Shard]:
        """Yields the pieces of a part that are read in parallel."""

    def read(self, shard: Shard) -> Iterator[Batch | Fault]:
        """Yields the images of a piece, encoded, in batches, and the faults of what is no image."""


@dataclasses.dataclass(frozen=True)
class PreparedSource:
    """A data set that TFDS has prepared in the folder `location`."""

    KIND: ClassVar[str] = "tfds"
    location: str

    @property
    def parts(self) -> list[str]:
        """TFDS's splits."""
        return list(open_prepared(self.location).info.splits)

    @property
    def labelled(self) -> bool:
        """Whether there is a feature `label`."""
        return "label" in open_prepared(self.location).info.features

    def paths(self, parts: list[str]) -> Iterable[str]:
        """Returns the description's files and those of the splits."""
        return files_of(open_prepared(self.location), tuple(parts))

    def fingerprint(self, parts: list[str]) -> str:
        """Returns a hash of the data set's name, version and content."""
        return content_fingerprint(open_prepared(self.location), tuple(parts))

    def shards(self, part: str) -> Iterator[Shard]:
        """Yields TFDS's files."""
        yield from shards(open_prepared(self.location), part)

    def read(self, shard: Shard) -> Iterator[Batch | Fault]:
        """Yields the records of a file."""
        yield from read_batches(shard, open_prepared(self.location).info.features)


def fields_of(source: Source) -> dict[str, Any]:
    """Returns what makes `source` again beside its location, as JSON types."""
    fields = dataclasses.asdict(source)  # type: ignore[call-overload]
    del fields["location"]
    return {"kind": source.KIND, **fields}
