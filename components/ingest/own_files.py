"""Files of the user's own: their listing, in a fixed order, and the fingerprint of their content."""

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator

from trainer.storage.digests import digest_files

AT_ONCE = 1024  # files whose digests are in memory together


def walk(root: str, folder: str, left_out: str | None = None) -> Iterator[list[str]]:
    """Yields the files of each folder below `folder`, by paths relative to `root`, in the order of their names.

    Hidden files and folders, whose names start with a dot, do not count, nor does the file `left_out` in `root`. Links
    are followed.
    """
    for path, folders, names in os.walk(os.path.join(root, folder), onerror=_raise, followlinks=True):
        folders[:] = visible(folders)
        base = os.path.relpath(path, root)
        found = [os.path.normpath(os.path.join(base, name)) for name in visible(names)]
        if found := [name for name in found if name != left_out]:
            yield found


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


def _raise(error: OSError) -> None:
    """Raises `error`: os.walk would take an unreadable folder for an empty one."""
    raise error
