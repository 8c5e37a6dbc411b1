"""Small exported models whose weights are random, and push directories of them."""

import pathlib

import numpy as np
import tensorflow as tf

from trainer.export import Servable, save
from trainer.images import ImageSet, pixel_model, preprocessing
from trainer.model.build import build
from trainer.settings import TrainConfig
from trainer.shape import Shape
from trainer.storage.digests import write_digests
from trainer.units import Units, write_units

RECIPE = TrainConfig(hidden_size=8, latent_size=4, iaf_steps=1, iaf_hidden_size=6, eval_samples=3)


def servable(shape: Shape, seed: int, config: TrainConfig = RECIPE) -> Servable:
    """Returns a model of `shape`, away from its initial weights, many of which are zero."""
    model, rng = build(config, shape), np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign_add(rng.normal(0.0, 0.1, variable.shape))
    grey = ImageSet(np.full([1, *shape], 128, np.uint8), np.zeros([1], np.int64))
    return Servable(model, pixel_model(grey), config.eval_samples, preprocessing(shape), shape)


def push(folder: pathlib.Path, version: int, shape: Shape, config: TrainConfig = RECIPE) -> pathlib.Path:
    """Exports a model, whose seed is its version, as that version in the push directory `folder`. Returns its path."""
    path = folder / str(version)
    save(servable(shape, version, config), Units.of(config, shape), str(path))
    write_digests(str(path))
    return path


def export_without_temperature(path: pathlib.Path, shape: Shape) -> pathlib.Path:
    """Exports a model as versions did that had no sampling at a temperature and no decoder. Returns `path`."""
    model = servable(shape, 1)
    later = {"sample_at_temperature", "decode"}
    signatures = {name: one for name, one in model.signatures().items() if name not in later}
    tf.saved_model.save(model, str(path), signatures=signatures)
    write_units(Units.of(RECIPE, shape), str(path))
    return path
