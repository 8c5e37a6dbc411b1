"""Notices that the files of the data change while a run reads them: its Examples are those of the fingerprint."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import NamedTuple

from components.ingest.source import Source
from trainer.errors import InterruptError, ReportedError

FILES = "files"  # the execution property that holds a Listing as JSON
REMEDY = "Run again when nothing writes there"


class Listing(NamedTuple):
    """The files of some parts, without their content."""

    files: int
    size: int  # bytes
    digest: str  # of names, sizes and times
    newest: str  # path below the location of the file that was written last

    def __str__(self) -> str:
        return f"files: {self.files}, bytes: {self.size}, newest: {self.newest}"


def listing(source: Source, parts: list[str]) -> Listing:
    """Lists the files that `parts` need. A file that is missing counts as changed.

    Raises:
      OSError: a folder cannot be read.
    """
    files, size, digest, newest = 0, 0, hashlib.sha256(), (0, "")
    for name in source.paths(parts):
        try:
            found = os.stat(os.path.join(source.location, name))
        except FileNotFoundError:
            digest.update(os.fsencode(name) + b"\0\n")
            continue
        digest.update(os.fsencode(name) + f"\0{found.st_size} {found.st_mtime_ns}\n".encode())
        files, size, newest = files + 1, size + found.st_size, max(newest, (found.st_mtime_ns, name))
    return Listing(files, size, digest.hexdigest(), newest[1])


@contextlib.contextmanager
def unchanged(source: Source, parts: list[str], before: Listing) -> Iterator[None]:
    """Checks, after the data were read, that their files are those of `before`.

    Raises:
      ReportedError: they are not, which explains any other failure meanwhile.
    """
    try:
        yield
    except InterruptError:
        raise
    except Exception as error:
        _check(source, parts, before, error)
        raise
    _check(source, parts, before)


def _check(source: Source, parts: list[str], before: Listing, error: Exception | None = None) -> None:
    after = listing(source, parts)
    if after.digest != before.digest:
        raise ReportedError(
            f"the data in {source.location} changed while the run read them",
            valid=f"{before}, as at its start",
            value=str(after),
            remedy=REMEDY,
        ) from error
