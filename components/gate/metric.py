"""The gate's TFMA metric: mean test-set ELBO, its parts and bounds, and its gain over the baseline."""

import functools
from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util

CANDIDATE, BASELINE = "candidate", "baseline"

# The outputs of the model's signature `evaluate`, [B] each, nats.
OUTPUTS = ("elbo", "reconstruction", "kl", "independent_pixels", "ceiling")
DISTANCES = ("elbo_standard_error", "above_independent_pixels", "below_ceiling", "images", "data_fingerprint")
GAINS = ("elbo_gain", "elbo_gain_lower", "elbo_gain_upper")

FINGERPRINTS = 2.0**52  # the sum of two numbers below it is exact in float64

Z = 1.96  # standard errors on either side of the mean that hold 95 % of a normal distribution


class MeanELBO(metric_types.Metric):
    """Means over images, in nats per image.

    Keys:
      each of `OUTPUTS`: its mean.
      elbo_standard_error: standard error of the mean ELBO over images.
      above_independent_pixels: distance of the ELBO from a model that ignores the image's structure.
      below_ceiling: distance of the ELBO from its largest possible value.
      images: number of images.
      data_fingerprint: a number made from the images' ids and bytes, independent of their order.
      elbo_gain: mean over images of the difference of ELBO to the baseline; with a baseline only, whose own gain is 0.
      elbo_gain_lower, elbo_gain_upper: 95 % confidence interval of the gain.

    Both models of a pair see the same image and, with equal numbers of latents and draws, the same noise. So the
    interval is far narrower than that of either mean. A non-finite value makes its mean and the distances non-finite,
    and no threshold admits those.

    Args:
      name: required by TFMA and unused, because each key has its own.
      kept: what the gate's rules keep with the evaluation.
    """

    def __init__(self, name: str = "mean_elbo", **kept: Any) -> None:
        super().__init__(metric_util.merge_per_key_computations(_computations), name=name, **kept)


metric_types.register_metric(MeanELBO)


def _computations(model_name: str = "", output_name: str = "", **_: Any) -> metric_types.MetricComputations:
    # TFMA looks thresholds up by the whole key, and has None for `example_weighted` there.
    names = (*OUTPUTS, *DISTANCES, *(GAINS if model_name else ()))  # TFMA names a model only beside another
    keys = {
        name: metric_types.MetricKey(name, model_name=model_name, output_name=output_name, example_weighted=None)
        for name in names
    }
    return [
        metric_types.MetricComputation(list(keys.values()), preprocessors=None, combiner=_Combiner(keys, model_name))
    ]


class _Combiner(beam.CombineFn):
    """Sums over images: 1, fingerprint, OUTPUTS, squared ELBO, gain, squared gain."""

    def __init__(self, keys: dict[str, metric_types.MetricKey], model_name: str) -> None:
        self._keys = keys
        self._model_name = model_name

    def create_accumulator(self) -> np.ndarray:
        return np.zeros(5 + len(OUTPUTS))

    def add_input(self, accumulator: np.ndarray, element: metric_types.StandardMetricInputs) -> np.ndarray:
        predictions = element.get_predictions(self._model_name)
        elbo, *parts = (float(np.squeeze(predictions[output])) for output in OUTPUTS)
        fingerprint = float(np.squeeze(predictions["fingerprint"]))
        gain = elbo - float(np.squeeze(element.get_predictions(BASELINE)["elbo"])) if self._model_name else 0.0
        return _sum(accumulator, np.array([1.0, fingerprint, elbo, *parts, elbo**2, gain, gain**2]))

    def merge_accumulators(self, accumulators: Any) -> np.ndarray:
        return functools.reduce(_sum, accumulators)

    def extract_output(self, accumulator: np.ndarray) -> dict[metric_types.MetricKey, float]:
        images, fingerprint, *sums, squares, gains, squared_gains = accumulator
        with np.errstate(all="ignore"):  # no images or non-finite values: NaN, which is refused
            values = dict(zip(OUTPUTS, np.array(sums) / images, strict=True))
            values["elbo_standard_error"] = _standard_error(values["elbo"], squares, images)
            gain, half = gains / images, Z * _standard_error(gains / images, squared_gains, images)
        values["above_independent_pixels"] = values["elbo"] - values["independent_pixels"]
        values["below_ceiling"] = values["ceiling"] - values["elbo"]
        values |= {"images": images, "data_fingerprint": fingerprint}
        values |= {"elbo_gain": gain, "elbo_gain_lower": gain - half, "elbo_gain_upper": gain + half}
        return {key: float(values[name]) for name, key in self._keys.items()}


def _sum(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the sum of two accumulators, whose fingerprints are added modulo `FINGERPRINTS`."""
    total = one + other
    total[1] %= FINGERPRINTS
    return total


def _standard_error(mean: float, sum_of_squares: float, count: float) -> float:
    """Returns the standard error of a mean over `count` images, from the unbiased variance; NaN for one image."""
    return np.sqrt(np.maximum(sum_of_squares / count - mean**2, 0.0) / (count - 1.0))
