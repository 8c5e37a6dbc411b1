"""Digests of a folder's files, stored beside the folder, that reveal damage before the files are used.

Imports no TensorFlow, so that a whole state directory is verified in seconds. All functions raise OSError if the system
cannot read or write a file at present.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from trainer.errors import ReportedError
from trainer.storage.durable import sync, write_durably

SUFFIX = ".digests.json"  # of the file beside the folder: TensorFlow Serving and TFX read every name inside
CHUNK_BYTES = 2**20
THREADS = 4  # hashlib releases Python's lock


class FileDigest(NamedTuple):
    """The record of a file."""

    size: int  # bytes
    sha256: str


Digests = dict[str, FileDigest]  # path below the folder -> digest


class DamageError(ReportedError):
    """A folder that does not match its digests; the value is the path of the file."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path} {what}", value=path)


def digest_file(folder: str) -> str:
    """Returns the path of the file that holds the digests of `folder`."""
    return folder.rstrip("/") + SUFFIX


def write_digests(folder: str) -> Digests:
    """Flushes everything below `folder` to disk, then records the digests of its files."""
    sync(folder)
    digests = compute_digests(folder)
    record_digests(folder, digests)
    return digests


def record_digests(folder: str, digests: Digests) -> None:
    """Writes `digests` beside `folder`, which need not exist yet."""
    content = {name: digest._asdict() for name, digest in sorted(digests.items())}
    write_durably(digest_file(folder), json.dumps(content, indent=1).encode())


def read_digests(folder: str) -> Digests:
    """Reads the recorded digests of `folder`.

    Raises:
      DamageError: the record is missing or damaged.
    """
    path = digest_file(folder)
    try:
        return {name: FileDigest(**digest) for name, digest in json.loads(pathlib.Path(path).read_bytes()).items()}
    except FileNotFoundError as error:
        raise DamageError(path, "is missing") from error
    except IsADirectoryError as error:
        raise DamageError(path, "is a folder") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise DamageError(path, "is damaged") from error


def recorded_or_present(folder: str) -> Digests:
    """Returns the recorded digests of `folder`, or those of its present files if the record is damaged."""
    try:
        return read_digests(folder)
    except DamageError:
        return compute_digests(folder)


def verify_digests(folder: str) -> Digests:
    """Compares every file below `folder` with the recorded digests, and returns them.

    Raises:
      DamageError: a file is missing, differs, or was added; or see `read_digests`.
    """
    recorded = read_digests(folder)
    check_digests(folder, recorded)
    return recorded


def check_digests(folder: str, expected: Digests) -> None:
    """Compares every file below `folder` with the digests `expected`.

    Raises:
      DamageError: a file is missing, differs, or was added.
    """
    if not os.path.isdir(folder):
        raise DamageError(folder, "is missing")
    found = compute_digests(folder)
    for name in sorted({*expected, *found}):
        path = os.path.join(folder, name)
        if name not in found:
            raise DamageError(path, "is missing")
        if name not in expected:
            raise DamageError(path, "was added later")
        if found[name].size != expected[name].size:
            raise DamageError(path, f"has {found[name].size} bytes instead of {expected[name].size}")
        if found[name].sha256 != expected[name].sha256:
            raise DamageError(path, "has changed since it was written")


def compute_digests(folder: str) -> Digests:
    """Computes the digests of the files below `folder`."""
    return digest_files(folder, list(_names(folder)))


def digest_files(folder: str, names: list[str]) -> Digests:
    """Computes the digests of the files `names` below `folder`."""
    with ThreadPoolExecutor(THREADS) as threads:
        found = threads.map(lambda name: _digest(os.path.join(folder, name)), names)
        return dict(zip(names, found, strict=True))


def identity(digests: Digests) -> str:
    """Returns a digest of a folder's content; equal digests mean equal files."""
    content = json.dumps({name: digest._asdict() for name, digest in sorted(digests.items())})
    return hashlib.sha256(content.encode()).hexdigest()


def below(digests: Digests, folder: str) -> Digests:
    """Returns the part of `digests` in the sub-folder `folder`, by paths below it."""
    prefix = folder.rstrip("/") + "/"
    return {name.removeprefix(prefix): digest for name, digest in digests.items() if name.startswith(prefix)}


def _names(folder: str) -> Iterator[str]:
    """Yields the paths of the files below `folder`, except hidden files, which NFS creates and no reader opens."""
    for path, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(path, name), folder)


def _raise(error: OSError) -> None:
    """Raises `error`: os.walk would take an unreadable folder for an empty one."""
    raise error


def _digest(path: str) -> FileDigest:
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return FileDigest(size, digest.hexdigest())
