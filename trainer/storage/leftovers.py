"""Folders that killed runs left behind, which no run needs."""

import contextlib
import logging
import os
import time

import tensorflow as tf

from trainer.errors import reason

log = logging.getLogger(__name__)

DAY = 24 * 3600.0  # seconds


def clear(folder: str, prefix: str, days: float, keep: str = "") -> None:
    """Removes the folders in `folder` whose names start with `prefix` and that gained no file for `days`.

    The folder named `keep` stays. A folder that cannot be removed is a warning. Other runs may remove the same folders
    at the same time.
    """
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(folder)] if tf.io.gfile.exists(folder) else []
    for name in names:
        path = os.path.join(folder, name)
        try:
            with contextlib.suppress(tf.errors.NotFoundError):
                old = tf.io.gfile.stat(path).mtime_nsec < (time.time() - days * DAY) * 1e9
                if old and name.startswith(prefix) and name != keep:
                    tf.io.gfile.rmtree(path)
        except (OSError, tf.errors.OpError) as error:
            log.warning("%s is abandoned and cannot be removed: %s. Remove it by hand", path, reason(error))
