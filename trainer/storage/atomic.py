"""Atomic writes of files and folders: a path holds the old version or the new one at any moment."""

import contextlib
import functools
import logging
import os
import time
from collections.abc import Iterator

import tensorflow as tf

from trainer.errors import StorageError, UnreadableError, reason
from trainer.storage.durable import sync, sync_folder
from trainer.storage.temporary import REPLACED, UNFINISHED, Temporary, parse, temporary

log = logging.getLogger(__name__)

OLD_SECONDS = 24 * 3600.0  # age of an abandoned temporary name; a process of another host cannot be checked


@contextlib.contextmanager
def whole(what: str, path: str) -> Iterator[str]:
    """Yields a name beside `path` for a new file or folder, which replaces `path` at the end of the block.

    If the block fails, the new version is removed and `path` is untouched. A process killed at any moment leaves the
    old or the new version, at `path` or where `recover` finds it. On a local disk both survive a power loss.

    Raises:
      StorageError: `what`, its name in the message, cannot be written.
    """
    with storing(what, path), temporary(path, UNFINISHED) as unfinished:
        try:
            tf.io.gfile.makedirs(_folder(path))
            recover(path)
            _discard_leftovers(_folder(path))
            yield unfinished
            sync(unfinished)
            _replace(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError, tf.errors.OpError):
                remove(unfinished)
            raise


def recover(path: str) -> None:
    """Renames the old version back to `path` if a process was killed between the two renames of a replacement.

    Several processes may call it at once. A replacement that another process on this host is making is left alone.
    """
    if tf.io.gfile.exists(path):
        return
    for found in _replaced(path):
        if not _in_use(_folder(path), found):
            with contextlib.suppress(tf.errors.NotFoundError, tf.errors.AlreadyExistsError):
                tf.io.gfile.rename(os.path.join(_folder(path), found.name), path)
                sync_folder(_folder(path))


def recover_all(folder: str) -> None:
    """Recovers everything in `folder`."""
    for base in sorted({found.base for found in parse(tf.io.gfile.listdir(folder)) if found.kind == REPLACED}):
        recover(os.path.join(folder, base))


def discard(path: str) -> None:
    """Removes a file or folder that is no longer needed; logs a warning if that fails."""
    try:
        with contextlib.suppress(tf.errors.NotFoundError):  # another process removes it at the same time
            remove(path)
    except (OSError, tf.errors.OpError) as error:
        log.warning("%s is no longer needed and cannot be removed: %s. Remove it by hand", path, reason(error))


@contextlib.contextmanager
def _blaming(kind: type[StorageError] | type[UnreadableError], what: str, path: str) -> Iterator[None]:
    """Turns errors of the file system into an error of that kind about `what` at `path`."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise kind(what, path, error) from error


reading = functools.partial(_blaming, UnreadableError)
storing = functools.partial(_blaming, StorageError)


def remove(path: str) -> None:
    """Removes a file or a folder if it exists."""
    if tf.io.gfile.isdir(path):
        tf.io.gfile.rmtree(path)
    elif tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)


def _replace(new: str, path: str) -> None:
    """Renames `new` to `path`; an existing folder is renamed first, because it cannot be replaced in one step."""
    if not tf.io.gfile.isdir(path) and not (tf.io.gfile.exists(path) and tf.io.gfile.isdir(new)):
        tf.io.gfile.rename(new, path, overwrite=True)
        sync_folder(_folder(path))
        return
    with temporary(path, REPLACED) as old:
        try:
            tf.io.gfile.rename(path, old)
            tf.io.gfile.rename(new, path)
        except BaseException:
            if tf.io.gfile.exists(old) and not tf.io.gfile.exists(path):
                with contextlib.suppress(OSError, tf.errors.OpError):  # the next call recovers it
                    tf.io.gfile.rename(old, path)
            raise
        sync_folder(_folder(path))
        discard(old)


def _discard_leftovers(folder: str) -> None:
    """Removes the unfinished and replaced versions that killed processes left in `folder`."""
    left = [found for found in parse(tf.io.gfile.listdir(folder)) if _is_abandoned(folder, found)]
    if left:
        sync_folder(folder)  # makes the name of the new version durable before the old one is removed
    for found in left:
        discard(os.path.join(folder, found.name))


def _is_abandoned(folder: str, found: Temporary) -> bool:
    if _in_use(folder, found):
        return False
    if found.kind == REPLACED:  # `recover` needs it if there is no new version
        return tf.io.gfile.exists(os.path.join(folder, found.base))
    return found.is_here or _is_old(os.path.join(folder, found.name))


def _replaced(path: str) -> list[Temporary]:
    """Lists the replaced versions of `path`, the newest first."""
    folder, base = _folder(path), os.path.basename(path.rstrip("/"))
    names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
    found = [one for one in parse(names) if (one.base, one.kind) == (base, REPLACED)]
    return sorted(found, key=lambda one: _changed(os.path.join(folder, one.name)), reverse=True)


def _in_use(folder: str, found: Temporary) -> bool:
    """Tells whether a living process of this host uses the name; an old name may be that of an earlier process."""
    return found.is_alive and (found.pid == os.getpid() or not _is_old(os.path.join(folder, found.name)))


def _is_old(path: str) -> bool:
    return _changed(path) < time.time() - OLD_SECONDS


def _changed(path: str) -> float:
    """Returns the time of the last change in seconds since 1970, 0 if the path is gone."""
    try:
        return tf.io.gfile.stat(path).mtime_nsec / 1e9
    except tf.errors.NotFoundError:
        return 0.0


def _folder(path: str) -> str:
    return os.path.dirname(path.rstrip("/")) or "."
