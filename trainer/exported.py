"""Reads a model that `trainer/export.py` wrote, through its signatures alone, so that older models work too."""

import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from trainer.errors import UserError
from trainer.evaluate import images_at_once
from trainer.model.likelihoods import LIKELIHOODS
from trainer.shape import Shape
from trainer.units import Units, read_units

NEEDED = ("evaluate", "reconstruct", "encode", "sample")
VALID, REMEDY = "a SavedModel that vaeiaf exported", "Name another model"


class Exported:
    """A model by its signatures. Images are encoded, [B]; what comes back is in NumPy's arrays.

    Args:
      path: of the SavedModel.

    Raises:
      UserError: it is not a model that this project exported, or it is damaged.
    """

    def __init__(self, path: str) -> None:
        if not os.path.isfile(os.path.join(path, "saved_model.pb")):
            raise UserError(f"{path} is no model", value=path, valid=VALID, remedy="Check the path")
        self.path = path
        self.units = _units(path)
        self.shape = Shape.parse(self.units.shape)
        try:
            self._loaded = tf.saved_model.load(path)  # owns the variables of its signatures
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            sentence = f"the model {path} cannot be loaded"
            raise UserError(sentence, value=path, valid=VALID, remedy=REMEDY, cause=error) from error
        self.signatures: dict[str, Callable[..., dict[str, tf.Tensor]]] = self._loaded.signatures
        if missing := [name for name in NEEDED if name not in self.signatures]:
            sentence = f"the model {path} has no signature {missing[0]}"
            raise UserError(sentence, value=sorted(self.signatures), valid=VALID, remedy=REMEDY)

    @property
    def images_at_once(self) -> int:
        """How many images an evaluation takes together, which bounds its memory."""
        return images_at_once(self.shape, self.units.samples)

    def evaluate(self, examples: tf.Tensor) -> dict[str, np.ndarray]:
        """Returns the outputs of the signature `evaluate`, [B] each, of serialized Examples [B]."""
        return {name: value.numpy() for name, value in self.signatures["evaluate"](examples=examples).items()}

    def reconstruct(self, images: tf.Tensor) -> np.ndarray:
        """Returns the reconstructions, [B, H, W, C] uint8."""
        return self.signatures["reconstruct"](images=images)["images"].numpy()

    def encode(self, images: tf.Tensor) -> np.ndarray:
        """Returns the latents, [B, L]: the centre of the posterior, pushed through the flow."""
        return self.signatures["encode"](images=images)["latents"].numpy()

    def decode(self, latents: np.ndarray) -> np.ndarray | None:
        """Returns the images of latents [B, L], [B, H, W, C] uint8; None if the model is of an earlier version."""
        if "decode" not in self.signatures:
            return None
        return self.signatures["decode"](latents=tf.constant(latents, tf.float32))["images"].numpy()

    def sample(self, count: int, seed: int, temperature: float = 1.0) -> np.ndarray:
        """Returns `count` draws from the prior, [count, H, W, C] uint8.

        Raises:
          UserError: the model is of an earlier version, which samples at temperature 1 only.
        """
        given = {"n": tf.constant(count), "seed": tf.constant(seed)}
        if temperature == 1.0:
            return self.signatures["sample"](**given)["images"].numpy()
        if "sample_at_temperature" not in self.signatures:
            sentence = (
                f"--temperature of the model {self.path}, which an earlier version exported without a temperature"
            )
            raise UserError(sentence, valid="1", value=temperature, remedy="Leave it out, or train a new model")
        given["temperature"] = tf.constant(temperature, tf.float32)
        return self.signatures["sample_at_temperature"](**given)["images"].numpy()


def _units(path: str) -> Units:
    try:
        units = read_units(path)
        Shape.parse(units.shape)
    except (UserError, ValueError) as error:
        what = f"the model {path} does not state the units of its ELBO and the shape of its images"
        raise UserError(what, value=path, valid=VALID, remedy=REMEDY) from error
    if units.likelihood not in LIKELIHOODS:
        what = f"the likelihood of the model {path}"
        raise UserError(what, value=units.likelihood, valid=f"one of {', '.join(LIKELIHOODS)}", remedy=REMEDY)
    return units
