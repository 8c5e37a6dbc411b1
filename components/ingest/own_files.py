"""Files of the user's own: their listing, in a fixed order, and the fingerprint of their content."""

import hashlib
import heapq
import itertools
import os
import re
from collections.abc import Iterable, Iterator

from trainer.storage.digests import digest_files

AT_ONCE = 1024  # files whose digests are in memory together
RUN = 2**16  # names that are sorted together


def walk(root: str, folder: str, left_out: str | None = None) -> Iterator[str]:
    """Yields the files below `folder`, by paths relative to `root`: its own by their names, then each sub-folder's.

    Hidden files and folders, whose names start with a dot, do not count, nor does the file `left_out` in `root`. Links
    are followed.

    Raises:
      OSError: a folder cannot be read.
    """
    folders = list[str]()
    for name in _in_order(_files(os.path.join(root, folder), folders)):
        if (found := os.path.normpath(os.path.join(folder, name))) != left_out:
            yield found
    for name in sorted(folders):
        yield from walk(root, os.path.join(folder, name), left_out)


def visible(names: Iterable[str]) -> list[str]:
    """Returns the names that do not start with a dot, sorted."""
    return sorted(name for name in names if not name.startswith("."))


def files_fingerprint(root: str, names: Iterable[str]) -> str:
    """Returns a hash of the names and contents of files below `root`; neither `root` nor a file's time matters.

    Raises:
      OSError: a file cannot be read.
    """
    digest, names = hashlib.sha256(), iter(names)
    while chunk := list(itertools.islice(names, AT_ONCE)):
        for name, found in digest_files(root, chunk).items():
            digest.update(os.fsencode(name) + f"\0{found.size} {found.sha256}\n".encode())
    return digest.hexdigest()


def _files(path: str, folders: list[str]) -> Iterator[str]:
    """Yields the names of the visible files in the folder `path`, and adds those of visible folders to `folders`."""
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if os.path.isdir(entry) if entry.is_symlink() else entry.is_dir():  # a stat for each file is slow
                folders.append(entry.name)
            else:
                yield entry.name


def _in_order(names: Iterator[str]) -> Iterator[str]:
    """Returns the names in order. Memory holds joined texts: a name on its own takes five times its length."""
    runs = list[str]()
    while run := sorted(itertools.islice(names, RUN)):
        runs.append("/".join(run))
    return heapq.merge(*((match[0] for match in re.finditer("[^/]+", run)) for run in runs))
