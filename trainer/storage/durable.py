"""Writes that survive a power loss. Imports no TensorFlow."""

import contextlib
import os
import pathlib

from trainer.storage.temporary import UNFINISHED, temporary


def sync(path: str) -> None:
    """Flushes a file, or every file and folder below a folder, to disk."""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    for folder, _, names in os.walk(path):
        for name in names:
            sync(os.path.join(folder, name))
        sync_folder(folder)


def sync_folder(path: str) -> None:
    """Flushes the names in a folder, without which a new or renamed file is not durable."""
    if not os.path.isdir(path):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems do not support it
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: str, content: bytes) -> None:
    """Replaces a file atomically, also across a power loss.

    Raises:
      OSError: it cannot be written; the old file is untouched.
    """
    with temporary(path, UNFINISHED) as unfinished:
        try:
            pathlib.Path(unfinished).write_bytes(content)
            sync(unfinished)
            os.replace(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.remove(unfinished)
            raise
    sync_folder(os.path.dirname(path) or ".")
