"""Likelihoods p(x|z) of pixels, each with its ceiling and its units.

They share one interface, for images of N pixels with C channels, flat: D = N C, the channels of a pixel side by side.

    outputs(channels)        parameters of a pixel in each array of `from_network`
    UNITS                    the units of log_prob
    IS_PROBABILITY           whether exp(log_prob) is the probability of an 8-bit image, so that bits/dim exist
    from_network(*arrays)    the distribution, from unbounded arrays [..., N size], one for each size of outputs(C)
    log_prob(x)              [...], nats, for x [..., D] in [0, 1]
    mean()                   [..., D] in [0, 1]
    sample(seed)             a draw, [..., D], a function of the seed [2]
    ceiling(x)               the largest log_prob(x) over all parameters, [...], nats
    independent(pixels)      the member with independent values that have the moments `pixels`
"""

import math

from trainer.errors import UserError
from trainer.model.likelihoods.bernoulli import Bernoulli
from trainer.model.likelihoods.discretized_logistic import DiscretizedLogistic
from trainer.model.likelihoods.gaussian import GaussianPixels
from trainer.model.likelihoods.logistic_mixture import DiscretizedLogisticMixture

Likelihood = Bernoulli | GaussianPixels | DiscretizedLogistic | DiscretizedLogisticMixture

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "Bernoulli": Bernoulli,
    "Gaussian": GaussianPixels,
    "DiscretizedLogistic": DiscretizedLogistic,
    "DiscretizedLogisticMixture": DiscretizedLogisticMixture,
}


def bits_per_dim(likelihood: type[Likelihood], nats: float, size: int) -> float:
    """Converts a bound of `nats` per image with `size` values to bits per value.

        bits/dim = -nats / (size log 2)

    Raises:
      UserError: exp(log_prob) of the likelihood is not a probability of the pixels.
    """
    if not likelihood.IS_PROBABILITY:
        raise UserError(
            f"{likelihood.__name__} has no bits/dim",
            value=likelihood.UNITS,
            valid="a probability of 8-bit pixels, as of DiscretizedLogistic",
        )
    return -nats / (size * math.log(2.0))
