"""What runs that were killed left behind and no run will ask for again."""

import os
import time

import tensorflow as tf
from tfx.dsl.io import fileio

DAY = 24 * 3600.0  # seconds


def clear(folder: str, prefix: str, days: float) -> None:
    """Removes the folders in `folder` whose names begin with `prefix` and to which nothing was added for `days`."""
    for name in fileio.listdir(folder) if fileio.exists(folder) else []:
        path = os.path.join(folder, name.rstrip("/"))
        if name.startswith(prefix) and tf.io.gfile.stat(path).mtime_nsec < (time.time() - days * DAY) * 1e9:
            fileio.rmtree(path)
