"""Warm start: training from the weights of a saved model."""

import logging
import os
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf

from trainer.errors import UserError
from trainer.model.build import build
from trainer.model.latent_model import LatentModel
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.storage.digests import compute_digests, identity

log = logging.getLogger(__name__)

PREFIX, SUFFIX = "model/", "/.ATTRIBUTES/VARIABLE_VALUE"  # around the name of a weight of Servable.model
SHOWN = 3  # weights that an error lists


def load_weights(model: LatentModel, path: str) -> None:
    """Loads into `model` all weights of the SavedModel at `path`, or none.

    Raises:
      UserError: it cannot be read, or its weights differ from those of `model` in name or shape.
    """
    variables, arrays = dict(_variables(model)), _read(path)
    expected, found = _shapes(variables), _shapes(arrays)
    if differ := [name for name in expected | found if expected.get(name) != found.get(name)]:
        raise UserError(
            f"{len(differ)} of {len(expected | found)} weights of the base model {path} do not fit the settings",
            value={name: found.get(name) for name in differ[:SHOWN]},
            valid=f"the shapes { {name: expected.get(name) for name in differ[:SHOWN]} }",
            remedy="Train without --warm-start, or with the settings of the base model",
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])
    log.info("starting from the weights of %s", path)


def fits(config: TrainConfig, shape: Shape, path: str) -> bool:
    """Tells whether the SavedModel at `path` has the weights of a model with these settings, for images of `shape`.

    Raises:
      UserError: it cannot be read.
    """
    return _shapes(dict(_variables(build(config, shape)))) == _shapes(_read(path))


def weights_identity(path: str) -> str:
    """Returns a digest of the weights of the SavedModel at `path`, which does not depend on the path.

    Raises:
      OSError: they cannot be read.
    """
    return identity(compute_digests(os.path.join(path, "variables")))


def _shapes(weights: Mapping[str, np.ndarray | tf.Variable]) -> dict[str, list[int]]:
    return {name: list(weight.shape) for name, weight in weights.items()}


def _variables(module: tf.Module, prefix: str = "") -> Iterator[tuple[str, tf.Variable]]:
    """Yields every variable with its path from `module`, which is its name in a checkpoint."""
    for name, child in tf.train.TrackableView.children(module).items():
        if isinstance(child, tf.Variable):
            yield prefix + name, child
        else:
            yield from _variables(child, f"{prefix}{name}/")


def _read(path: str) -> dict[str, np.ndarray]:
    """Reads the weights by name. A SavedModel's variables are a checkpoint, so its graph is not loaded."""
    try:
        reader = tf.train.load_checkpoint(os.path.join(path, "variables", "variables"))
        keys = [key for key in reader.get_variable_to_shape_map() if key.startswith(PREFIX) and key.endswith(SUFFIX)]
        return {key[len(PREFIX) : -len(SUFFIX)]: reader.get_tensor(key) for key in sorted(keys)}
    except (tf.errors.OpError, IndexError) as error:  # IndexError: a truncated file
        remedy = "Train with --no-warm-start"
        raise UserError(
            "the base model cannot be read", value=path, valid="a SavedModel", remedy=remedy, cause=error
        ) from error
