"""The numbers that an evaluation reports, from sums over images. Imports neither Beam nor TFMA."""

from collections.abc import Mapping

import numpy as np

from trainer.intervals import Z

# The outputs of the model's signature `evaluate`, [B] each, nats.
OUTPUTS = ("elbo", "reconstruction", "kl", "independent_pixels", "ceiling")
DISTANCES = ("elbo_standard_error", "above_independent_pixels", "below_ceiling", "images", "data_fingerprint")
GAINS = ("elbo_gain", "elbo_gain_lower", "elbo_gain_upper")

Metrics = dict[str, float]  # metric name -> value, nats per image

COUNT = 5 + len(OUTPUTS)  # of sums
FINGERPRINTS = 2.0**52  # the sum of two numbers below it is exact in float64


def sums(outputs: Mapping[str, np.ndarray], baseline_elbo: np.ndarray | None = None) -> np.ndarray:
    """Returns the sums over images of 1, fingerprint, OUTPUTS, squared ELBO, gain and squared gain, [COUNT].

    Args:
      outputs: of the signature `evaluate`, [B] each.
      baseline_elbo: the baseline's ELBO of the same images, [B]; None: the gain is 0.
    """
    elbo, *parts = (np.ravel(outputs[name]).astype(np.float64) for name in OUTPUTS)
    gain = np.zeros_like(elbo) if baseline_elbo is None else elbo - np.ravel(baseline_elbo)
    fingerprint = np.ravel(outputs["fingerprint"])
    return np.array([np.ones_like(elbo), fingerprint, elbo, *parts, elbo**2, gain, gain**2]).sum(axis=1)


def added(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Adds two of `sums`; the fingerprints modulo `FINGERPRINTS`, so that the order of the images never matters."""
    total = one + other
    total[1] %= FINGERPRINTS
    return total


def metrics(totals: np.ndarray) -> Metrics:
    """Returns the values of OUTPUTS, DISTANCES and GAINS, of the sums of `sums` over all images."""
    images, fingerprint, *means, squares, gains, squared_gains = totals
    with np.errstate(all="ignore"):  # no images or non-finite values: NaN, which is refused
        values = dict(zip(OUTPUTS, np.array(means) / images, strict=True))
        values["elbo_standard_error"] = _standard_error(values["elbo"], squares, images)
        gain = gains / images
        lower, upper = interval(gain, _standard_error(gain, squared_gains, images))
    values["above_independent_pixels"] = values["elbo"] - values["independent_pixels"]
    values["below_ceiling"] = values["ceiling"] - values["elbo"]
    values |= {"images": images, "data_fingerprint": fingerprint}
    values |= {"elbo_gain": gain, "elbo_gain_lower": lower, "elbo_gain_upper": upper}
    return {name: float(value) for name, value in values.items()}


def interval(mean: float, standard_error: float) -> tuple[float, float]:
    """Returns the 95 % confidence interval of a mean."""
    return mean - Z * standard_error, mean + Z * standard_error


def _standard_error(mean: float, sum_of_squares: float, count: float) -> float:
    """Returns the standard error of a mean over `count` images, from the unbiased variance; NaN for one image."""
    return np.sqrt(np.maximum(sum_of_squares / count - mean**2, 0.0) / (count - 1.0))
