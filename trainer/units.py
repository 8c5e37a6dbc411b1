"""What an ELBO is measured in: two numbers compare only if they say the same here."""

import json
import os
from typing import NamedTuple

import tensorflow as tf

from trainer.errors import UserError
from trainer.model.likelihoods import LIKELIHOODS
from trainer.settings import TrainConfig

FILE = os.path.join("assets.extra", "units.json")  # TensorFlow Serving ignores a file of this name


class Units(NamedTuple):
    """The units of a model's ELBO."""

    likelihood: str  # as the configuration names it
    measure: str  # what its log-probability is
    scaling: str  # of the pixels that the model sees
    samples: int  # K, draws of z per image

    @staticmethod
    def of(config: TrainConfig) -> "Units":
        """The units that a model trained by `config` is measured in."""
        return Units(
            config.likelihood, LIKELIHOODS[config.likelihood].UNITS, "pixels / 255, in [0, 1]", config.eval_samples
        )

    def __str__(self) -> str:
        return f"{self.likelihood} ({self.measure}), {self.scaling}, K = {self.samples}"


def write_units(units: Units, model: str) -> None:
    """Puts `units` into the SavedModel at the path `model`, with which they are copied and pushed."""
    path = os.path.join(model, FILE)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(json.dumps(units._asdict(), indent=1))


def read_units(model: str) -> Units:
    """The units of the SavedModel at the path `model`.

    Raises:
      UserError: it does not say.
    """
    try:
        with tf.io.gfile.GFile(os.path.join(model, FILE)) as file:
            return Units(**json.loads(file.read()))
    except (tf.errors.OpError, ValueError, TypeError) as error:
        raise UserError(
            f"{model} does not say in {FILE} what its ELBO is measured in: expected a model of this version. "
            "Begin a new series with another --root"
        ) from error
