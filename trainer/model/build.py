"""The model that a recipe describes."""

import tensorflow as tf

from trainer.model.ladder import build_ladder
from trainer.model.latent_model import LatentModel
from trainer.model.vae import build_flat
from trainer.settings import TrainConfig
from trainer.shape import Shape


def build(config: TrainConfig, shape: Shape, dtype: tf.DType = tf.float32) -> LatentModel:
    """Builds the model of images of `shape` that `config` describes, with weights drawn from its seed.

    Raises:
      SettingError: the settings do not fit the shape.
    """
    return (build_ladder if config.is_ladder else build_flat)(config, shape, dtype)
