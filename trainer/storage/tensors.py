"""A tf.train.Checkpoint as a folder with digests, which are verified before TensorFlow reads a byte of it.

TensorFlow's own checksums leave gaps, and its reader takes every error of the system for damage.
"""

import os

import tensorflow as tf

from trainer.storage.atomic import whole
from trainer.storage.digests import DamageError, verify_digests, write_digests

DATA, PREFIX = "data", "state"  # the folder in the folder, with its digests beside it; how its files begin


def write_tensors(what: str, path: str, state: tf.train.Checkpoint) -> None:
    """Writes the variables of `state` to the folder `path`, whole or not at all.

    Raises:
      StorageError: `what`, as its message calls it, cannot be written.
    """
    with whole(what, path) as unfinished:
        data = os.path.join(unfinished, DATA)
        state.write(os.path.join(data, PREFIX))
        write_digests(data)


def verified_tensors(path: str) -> str:
    """The prefix by which TensorFlow reads the folder `path`, every byte of which is as it was written.

    Raises:
      DamageError: it is not.
      OSError: the system does not let it be read, which may pass.
    """
    try:
        os.listdir(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DamageError(f"{path} is missing, or no folder") from error
    verify_digests(os.path.join(path, DATA))
    return os.path.join(path, DATA, PREFIX)
