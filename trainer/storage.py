"""Files and folders that appear whole or not at all."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator

import tensorflow as tf

from trainer.errors import ReportedError, StorageError, UserError, reason

log = logging.getLogger(__name__)


@contextlib.contextmanager
def whole(what: str, path: str) -> Iterator[str]:
    """Yields a name beside `path` for a new file or folder, which becomes `path` at the end of the block.

    If the block fails nothing of it is left, and what was at `path` is. On a disk of this machine neither the name
    nor what it stands for is lost with the power.

    Raises:
      StorageError: `what`, as its message calls it, cannot be written.
    """
    folder = os.path.dirname(path) or "."
    unfinished = os.path.join(folder, "unfinished")
    with storing(what, path):
        try:
            remove(unfinished)  # of a process that was killed
            tf.io.gfile.makedirs(folder)
            yield unfinished
            _sync(unfinished)
            remove(path)
            tf.io.gfile.rename(unfinished, path)
            _sync_folder(folder)
        except BaseException:
            with contextlib.suppress(OSError, tf.errors.OpError):
                remove(unfinished)
            raise


@contextlib.contextmanager
def reading(what: str, path: str) -> Iterator[None]:
    """Raises ReportedError, of `what` and `path`, in place of errors of the file system."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise ReportedError(
            f"{what} {path} cannot be read: {reason(error)}. Nothing was changed; see to it, and run again"
        ) from error


@contextlib.contextmanager
def storing(what: str, path: str) -> Iterator[None]:
    """Raises StorageError, of `what` and `path`, in place of errors of the file system."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise StorageError(what, path, error) from error


def _sync(path: str) -> None:
    """Has the disk hold a file, or all that is in a folder, if it is no bucket's."""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    for folder, _, names in os.walk(path):
        for name in names:
            _sync(os.path.join(folder, name))
        _sync_folder(folder)


def _sync_folder(path: str) -> None:
    if not os.path.isdir(path):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems know no such thing
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def alone(folder: str) -> Iterator[None]:
    """Keeps out of `folder` whoever asks so too; where the disk knows no locks, as some that are shared, it does not.

    Raises:
      UserError: another process is at work there.
    """
    with open(os.path.join(folder, "lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another training is at work in {folder}: wait for its end, or choose another folder"
            ) from error
        except OSError as error:
            log.warning("%s cannot be locked (%s): let no other training use it", folder, reason(error))
        yield


def remove(path: str) -> None:
    """Removes a file or a folder, if it is there, such as that of the checkpoints when their run has left its model."""
    if tf.io.gfile.isdir(path):
        tf.io.gfile.rmtree(path)
    elif tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)
