"""The units of an ELBO. Two ELBOs are comparable only if their units are equal."""

import json
import pathlib
from typing import NamedTuple

from trainer.errors import UserError
from trainer.model.likelihoods import LIKELIHOODS, bits_per_dim
from trainer.settings import TrainConfig
from trainer.shape import UNSTATED, Shape

FILE = "assets.extra/units.json"  # TensorFlow Serving ignores a file of this name


class Units(NamedTuple):
    """The units of a model's ELBO."""

    likelihood: str  # its name in the configuration
    measure: str  # units of its log-probability
    scaling: str  # of the model's input pixels
    samples: int  # K, draws of z per image
    shape: str = str(UNSTATED)  # of its images, as text

    @staticmethod
    def of(config: TrainConfig, shape: Shape) -> "Units":
        """Returns the units of a model trained with `config` on images of `shape`."""
        measure = LIKELIHOODS[config.likelihood].UNITS
        return Units(config.likelihood, measure, "pixels / 255, in [0, 1]", config.eval_samples, str(shape))

    def bits_per_dim(self, elbo: float) -> float | None:
        """Returns an ELBO in bits per dimension; None if the likelihood is no probability of pixels."""
        likelihood = LIKELIHOODS[self.likelihood]
        return bits_per_dim(likelihood, elbo, Shape.parse(self.shape).size) if likelihood.IS_PROBABILITY else None

    def __str__(self) -> str:
        return f"{self.likelihood} ({self.measure}), images of {self.shape}, {self.scaling}, K = {self.samples}"


def write_units(units: Units, model: str) -> None:
    """Writes `units` into the SavedModel at `model`, so that a copy of the model keeps them."""
    path = pathlib.Path(model, FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(units._asdict(), indent=1))


def read_units(model: str) -> Units:
    """Reads the units of the SavedModel at `model`.

    Raises:
      UserError: it has none.
    """
    try:
        return Units(**json.loads(pathlib.Path(model, FILE).read_text()))
    except (OSError, ValueError, TypeError) as error:
        what, valid = f"the model states no units of its ELBO in {FILE}", "a model that this version wrote"
        raise UserError(what, value=model, valid=valid, remedy="Start a new series with another --root") from error
