"""A warm start: training goes on from the weights of a saved model."""

import logging
import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from trainer.errors import UserError
from trainer.model.vae import VAE
from trainer.storage.digests import compute_digests, identity

log = logging.getLogger(__name__)

PREFIX, SUFFIX = "model/", "/.ATTRIBUTES/VARIABLE_VALUE"  # around the name of a weight of Servable.model
SHOWN = 3  # weights that an error names


def load_weights(model: VAE, path: str) -> None:
    """Gives `model` the weights of the SavedModel at `path`: all of them, or none.

    Raises:
      UserError: it cannot be read, or its weights have other names or shapes than those of `model`.
    """
    expected, found = dict(_variables(model)), _read(path)
    shapes = {name: (_shape(expected.get(name)), _shape(found.get(name))) for name in expected | found}
    differ = [f"{name}: expected {ours}, got {theirs}" for name, (ours, theirs) in shapes.items() if ours != theirs]
    if differ:
        more = [f"and {len(differ) - SHOWN} more"] if len(differ) > SHOWN else []
        raise UserError(
            "the model to start from has other weights than these settings ask for: "
            f"{'; '.join(differ[:SHOWN] + more)}. "
            f"Train without --warm-start, or with the settings of that model, {path}"
        )
    for name, variable in expected.items():
        variable.assign(found[name])
    log.info("starting from the weights of %s", path)


def weights_identity(path: str) -> str:
    """A name for the weights of the SavedModel at `path`, made of their bytes: it may be moved.

    Raises:
      OSError: they cannot be read.
    """
    return identity(compute_digests(os.path.join(path, "variables")))


def _variables(module: tf.Module, prefix: str = "") -> Iterator[tuple[str, tf.Variable]]:
    """Every variable with its path from `module`, which is its name in a checkpoint."""
    for name, child in tf.train.TrackableView.children(module).items():
        if isinstance(child, tf.Variable):
            yield prefix + name, child
        else:
            yield from _variables(child, f"{prefix}{name}/")


def _read(path: str) -> dict[str, np.ndarray]:
    """The weights by name. A SavedModel's variables are a checkpoint: its graph is neither loaded nor run."""
    try:
        reader = tf.train.load_checkpoint(os.path.join(path, "variables", "variables"))
        keys = [key for key in reader.get_variable_to_shape_map() if key.startswith(PREFIX) and key.endswith(SUFFIX)]
        return {key[len(PREFIX) : -len(SUFFIX)]: reader.get_tensor(key) for key in sorted(keys)}
    except (tf.errors.OpError, IndexError) as error:  # the latter of a file that was cut off
        raise UserError(
            f"{path}: expected a SavedModel to start from, got what cannot be read: {error}. Train without --warm-start"
        ) from error


def _shape(array: tf.Variable | np.ndarray | None) -> str:
    return "none" if array is None else str(list(array.shape))
