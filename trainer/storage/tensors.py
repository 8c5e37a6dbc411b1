"""A tf.train.Checkpoint as a folder with digests, which are verified before TensorFlow reads it.

TensorFlow's own checksums do not cover every byte, and its reader reports any error of the system as damage.
"""

import os

import tensorflow as tf

from trainer.storage.atomic import whole
from trainer.storage.digests import DamageError, verify_digests, write_digests

DATA, PREFIX = "data", "state"  # sub-folder, with its digests beside it, and prefix of its files


def write_tensors(what: str, path: str, state: tf.train.Checkpoint) -> None:
    """Writes the variables of `state` atomically to the folder `path`.

    Raises:
      StorageError: `what`, its name in the message, cannot be written.
    """
    with whole(what, path) as unfinished:
        data = os.path.join(unfinished, DATA)
        state.write(os.path.join(data, PREFIX))
        write_digests(data)


def verified_tensors(path: str) -> str:
    """Verifies every byte of the folder `path`, and returns the prefix from which TensorFlow reads it.

    Raises:
      DamageError: it is missing or has changed.
      OSError: it cannot be read at present.
    """
    try:
        os.listdir(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DamageError(path, "is missing or not a folder") from error
    verify_digests(os.path.join(path, DATA))
    return os.path.join(path, DATA, PREFIX)
