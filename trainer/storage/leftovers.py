"""Removal of folders that abandoned runs left behind."""

import contextlib
import os
import time

import tensorflow as tf

from trainer.storage.atomic import discard

DAY = 24 * 3600.0  # seconds


def clear(folder: str, prefix: str, days: float, keep: str = "") -> None:
    """Removes the folders in `folder` with a name that starts with `prefix` and no new entry for `days`.

    The folder named `keep` stays. Other runs may remove the same folders, or their content, at the same time. A folder
    that cannot be removed is logged as a warning.
    """
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(folder)] if tf.io.gfile.exists(folder) else []
    for name in names:
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError, tf.errors.OpError):  # another run removes it, or it is unreadable at present
            old = tf.io.gfile.stat(path).mtime_nsec < (time.time() - days * DAY) * 1e9
            if old and name.startswith(prefix) and name != keep:
                discard(path)
