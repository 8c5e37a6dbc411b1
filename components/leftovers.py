"""What runs that were killed left behind and no run will ask for again."""

import contextlib
import os
import time

import tensorflow as tf
from tfx.dsl.io import fileio

DAY = 24 * 3600.0  # seconds


def clear(folder: str, prefix: str, days: float, but: str = "") -> None:
    """Removes the folders in `folder` whose names begin with `prefix` and to which nothing was added for `days`.

    The one named `but` stays. Other runs may remove them, or what is in them, at the same time.
    """
    names = [name.rstrip("/") for name in fileio.listdir(folder)] if fileio.exists(folder) else []
    for name in names:
        path = os.path.join(folder, name)
        with contextlib.suppress(tf.errors.NotFoundError, fileio.NotFoundError):
            old = tf.io.gfile.stat(path).mtime_nsec < (time.time() - days * DAY) * 1e9
            if old and name.startswith(prefix) and name != but:
                fileio.rmtree(path)
