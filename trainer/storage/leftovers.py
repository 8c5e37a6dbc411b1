"""What runs that were killed left behind and no run will ask for again."""

import contextlib
import logging
import os
import time

import tensorflow as tf

from trainer.errors import reason

log = logging.getLogger(__name__)

DAY = 24 * 3600.0  # seconds


def clear(folder: str, prefix: str, days: float, but: str = "") -> None:
    """Removes the folders in `folder` whose names begin with `prefix` and to which nothing was added for `days`.

    The one named `but` stays. Other runs may remove them, or what is in them, at the same time. One that cannot be
    removed is a warning.
    """
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(folder)] if tf.io.gfile.exists(folder) else []
    for name in names:
        path = os.path.join(folder, name)
        try:
            with contextlib.suppress(tf.errors.NotFoundError):
                old = tf.io.gfile.stat(path).mtime_nsec < (time.time() - days * DAY) * 1e9
                if old and name.startswith(prefix) and name != but:
                    tf.io.gfile.rmtree(path)
        except (OSError, tf.errors.OpError) as error:
            log.warning("%s was abandoned and cannot be removed: %s. Remove it by hand", path, reason(error))
