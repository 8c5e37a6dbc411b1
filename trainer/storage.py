"""Files and folders that appear whole or not at all."""

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from trainer.durable import sync, sync_folder
from trainer.errors import ReportedError, StorageError, reason


@contextlib.contextmanager
def whole(what: str, path: str) -> Iterator[str]:
    """Yields a name beside `path` for a new file or folder, which becomes `path` at the end of the block.

    If the block fails nothing of it is left, and what was at `path` is. On a disk of this machine neither a new name
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
            sync(unfinished)
            remove(path)
            tf.io.gfile.rename(unfinished, path)
            sync_folder(folder)
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
    """Removes a file or a folder, if it is there, such as that of the checkpoints when their run has left its model."""
    if tf.io.gfile.isdir(path):
        tf.io.gfile.rmtree(path)
    elif tf.io.gfile.exists(path):
        tf.io.gfile.remove(path)
