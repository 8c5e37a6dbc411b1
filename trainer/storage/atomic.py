"""Files and folders that appear whole or not at all, and are replaced without a moment in which both could be lost."""

import contextlib
import logging
import os
import time
from collections.abc import Iterator

import tensorflow as tf

from trainer.errors import ReportedError, StorageError, reason
from trainer.storage.durable import sync, sync_folder
from trainer.storage.temporary import REPLACED, UNFINISHED, Temporary, parse, temporary

log = logging.getLogger(__name__)

OLD_SECONDS = 24 * 3600.0  # after which nobody is still writing; a process of another host cannot be asked


@contextlib.contextmanager
def whole(what: str, path: str) -> Iterator[str]:
    """Yields a name beside `path` for a new file or folder, which becomes `path` at the end of the block.

    If the block fails, nothing of it is left and `path` is untouched. A process killed at any moment leaves the old
    version or the new one, at `path` or where `recover` finds it. On a local disk both survive a loss of power.

    Raises:
      StorageError: `what`, as its message calls it, cannot be written.
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
    """Renames the old version back to `path` where a process was killed after it had moved it out of the way.

    Several processes may try at once. One that is still replacing it, on this host, is left to its work.
    """
    if tf.io.gfile.exists(path):
        return
    for found in _replaced(path):
        if not _in_use(_folder(path), found):
            with contextlib.suppress(tf.errors.NotFoundError, tf.errors.AlreadyExistsError):
                tf.io.gfile.rename(os.path.join(_folder(path), found.name), path)
                sync_folder(_folder(path))


def recover_all(folder: str) -> None:
    """Calls `recover` for everything in `folder`."""
    for base in sorted({found.base for found in parse(tf.io.gfile.listdir(folder)) if found.kind == REPLACED}):
        recover(os.path.join(folder, base))


def discard(path: str) -> None:
    """Removes what nobody needs any more. If that fails it is a warning: no work is lost for it."""
    try:
        with contextlib.suppress(tf.errors.NotFoundError):  # somebody else removes it too
            remove(path)
    except (OSError, tf.errors.OpError) as error:
        log.warning("%s is no longer needed and cannot be removed: %s. Remove it by hand", path, reason(error))


@contextlib.contextmanager
def reading(what: str, path: str) -> Iterator[None]:
    """Raises ReportedError, of `what` and `path`, in place of errors of the file system."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise ReportedError(
            f"{what} {path} cannot be read: {reason(error)}. Nothing was changed; make it readable, and run again"
        ) from error


@contextlib.contextmanager
def storing(what: str, path: str) -> Iterator[None]:
    """Raises StorageError, of `what` and `path`, in place of errors of the file system."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise StorageError(what, path, error) from error


def remove(path: str) -> None:
    """Removes a file or a folder, if it is there."""
    if tf.io.gfile.isdir(path):
        tf.io.gfile.rmtree(path)
    elif tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)


def _replace(new: str, path: str) -> None:
    """Renames `new` to `path`. A folder that is not empty cannot be replaced at once, so it moves away first."""
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
                with contextlib.suppress(OSError, tf.errors.OpError):  # then the next call brings it back
                    tf.io.gfile.rename(old, path)
            raise
        sync_folder(_folder(path))
        discard(old)


def _discard_leftovers(folder: str) -> None:
    """Removes what killed processes left in `folder`: unfinished versions, and replaced ones."""
    left = [found for found in parse(tf.io.gfile.listdir(folder)) if _is_abandoned(folder, found)]
    if left:
        sync_folder(folder)  # a new version has its name for good before the old one goes
    for found in left:
        discard(os.path.join(folder, found.name))


def _is_abandoned(folder: str, found: Temporary) -> bool:
    if _in_use(folder, found):
        return False
    if found.kind == REPLACED:  # to be brought back, unless there is a new version
        return tf.io.gfile.exists(os.path.join(folder, found.base))
    return found.is_here or _is_old(os.path.join(folder, found.name))


def _replaced(path: str) -> list[Temporary]:
    """The versions that were moved out of the way of a new `path`, the newest first."""
    folder, base = _folder(path), os.path.basename(path.rstrip("/"))
    names = tf.io.gfile.listdir(folder) if tf.io.gfile.isdir(folder) else []
    found = [one for one in parse(names) if (one.base, one.kind) == (base, REPLACED)]
    return sorted(found, key=lambda one: _changed(os.path.join(folder, one.name)), reverse=True)


def _in_use(folder: str, found: Temporary) -> bool:
    """Whether a living process of this host made that name, and not so long ago that its number is another's by now."""
    return found.is_alive and (found.pid == os.getpid() or not _is_old(os.path.join(folder, found.name)))


def _is_old(path: str) -> bool:
    return _changed(path) < time.time() - OLD_SECONDS


def _changed(path: str) -> float:
    """When the file or folder last changed, in seconds since 1970; never, if it is gone."""
    try:
        return tf.io.gfile.stat(path).mtime_nsec / 1e9
    except tf.errors.NotFoundError:
        return 0.0


def _folder(path: str) -> str:
    return os.path.dirname(path.rstrip("/")) or "."
