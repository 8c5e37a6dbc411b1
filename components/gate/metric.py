"""The TFMA metric of the gate: mean test-set ELBO, its parts, what frames it, and its gain on the baseline."""

from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util

CANDIDATE, BASELINE = "candidate", "baseline"

# The outputs of the model's signature `evaluate`, [B] each, nats.
OUTPUTS = ("elbo", "reconstruction", "kl", "independent_pixels", "ceiling")
DISTANCES = ("elbo_standard_error", "above_independent_pixels", "below_ceiling", "images", "data_fingerprint")
GAINS = ("elbo_gain", "elbo_gain_lower", "elbo_gain_upper")

Z = 1.96  # of a normal distribution lies 95 % within as many standard errors


class MeanELBO(metric_types.Metric):
    """Means over images, in nats per image.

    Keys: one for each of `OUTPUTS`; `elbo_standard_error`, of the mean over images; `above_independent_pixels`,
    the ELBO's distance from a model that ignores the image's structure; `below_ceiling`, its distance
    from the largest value there can be; `images`, their number; `data_fingerprint`, a number made from the
    images' ids and bytes, in whatever order. A value that is not finite makes its mean and the distances not
    finite, and no threshold admits those.

    Beside a baseline also `elbo_gain`, the mean of the images' differences of ELBO to the baseline, and
    `elbo_gain_lower` and `elbo_gain_upper`, its 95 % confidence interval. The pairs see the same image and,
    with as many latents and draws, the same noise, so the interval is far narrower than that of either mean.
    The baseline's own gain is 0.

    Args:
      name: required by TFMA, not used: each key has its own.
      units: what the ELBO is measured in; kept with the evaluation.
    """

    def __init__(self, name: str = "mean_elbo", units: str = "") -> None:
        computations = metric_util.merge_per_key_computations(_computations)
        super().__init__(computations, name=name, units=units)


metric_types.register_metric(MeanELBO)


def _computations(model_name: str = "", output_name: str = "", **_: Any) -> metric_types.MetricComputations:
    # `example_weighted` as TFMA has it in the keys of MetricsSpec.thresholds; with another value none is found.
    names = (*OUTPUTS, *DISTANCES, *(GAINS if model_name else ()))  # TFMA names a model where there are several
    keys = {
        name: metric_types.MetricKey(name, model_name=model_name, output_name=output_name, example_weighted=None)
        for name in names
    }
    return [
        metric_types.MetricComputation(list(keys.values()), preprocessors=None, combiner=_Combiner(keys, model_name))
    ]


class _Combiner(beam.CombineFn):
    """Accumulates the number of images and sums of fingerprints, OUTPUTS, squared ELBOs, gains and squared gains."""

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
        return accumulator + np.array([1.0, fingerprint, elbo, *parts, elbo**2, gain, gain**2])

    def merge_accumulators(self, accumulators: Any) -> np.ndarray:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: np.ndarray) -> dict[metric_types.MetricKey, float]:
        images, fingerprint, *sums, squares, gains, squared_gains = accumulator
        with np.errstate(all="ignore"):  # no images, or values that are not finite: NaN, which is refused
            values = dict(zip(OUTPUTS, np.array(sums) / images, strict=True))
            values["elbo_standard_error"] = _standard_error(values["elbo"], squares, images)
            gain, half = gains / images, Z * _standard_error(gains / images, squared_gains, images)
        values["above_independent_pixels"] = values["elbo"] - values["independent_pixels"]
        values["below_ceiling"] = values["ceiling"] - values["elbo"]
        values |= {"images": images, "data_fingerprint": fingerprint}
        values |= {"elbo_gain": gain, "elbo_gain_lower": gain - half, "elbo_gain_upper": gain + half}
        return {key: float(values[name]) for name, key in self._keys.items()}


def _standard_error(mean: float, sum_of_squares: float, count: float) -> float:
    """Of a mean over `count` images, with the unbiased variance; not a number for a single image."""
    return np.sqrt(np.maximum(sum_of_squares / count - mean**2, 0.0) / (count - 1.0))
