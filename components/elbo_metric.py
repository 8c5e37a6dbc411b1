"""The TFMA metric of the gate: mean test-set ELBO, its parts and its distance from what frames it."""

from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util

# The outputs of the model's signature `evaluate`, [B] each, nats.
OUTPUTS = ("elbo", "reconstruction", "kl", "independent_pixels", "ceiling")


class MeanELBO(metric_types.Metric):
    """Means over images, in nats per image.

    Keys: one for each of `OUTPUTS`; `elbo_standard_error`, of the mean over images; `above_independent_pixels`,
    the ELBO's distance from the best model that ignores the image's structure; `below_ceiling`, its distance
    from the largest value there can be; `images`, their number. A value that is not finite makes its mean
    and the distances not finite, and no threshold admits those.

    Args:
      name: required by TFMA, not used: each key has its own.
      code: fingerprint of this module's sources; an edit makes a cached evaluation stale.
    """

    def __init__(self, name: str = "mean_elbo", code: str = "") -> None:
        computations = metric_util.merge_per_key_computations(_computations)
        super().__init__(computations, name=name, code=code)


metric_types.register_metric(MeanELBO)

KEYS = (*OUTPUTS, "elbo_standard_error", "above_independent_pixels", "below_ceiling", "images")


def _computations(model_name: str = "", output_name: str = "", **_: Any) -> metric_types.MetricComputations:
    # `example_weighted` as TFMA has it in the keys of MetricsSpec.thresholds; with another value none is found.
    keys = {
        name: metric_types.MetricKey(name, model_name=model_name, output_name=output_name, example_weighted=None)
        for name in KEYS
    }
    return [
        metric_types.MetricComputation(list(keys.values()), preprocessors=None, combiner=_Combiner(keys, model_name))
    ]


class _Combiner(beam.CombineFn):
    """Accumulates [number of images, sums of OUTPUTS, sum of squared ELBOs]."""

    def __init__(self, keys: dict[str, metric_types.MetricKey], model_name: str) -> None:
        self._keys = keys
        self._model_name = model_name

    def create_accumulator(self) -> np.ndarray:
        return np.zeros(2 + len(OUTPUTS))

    def add_input(self, accumulator: np.ndarray, element: metric_types.StandardMetricInputs) -> np.ndarray:
        predictions = element.get_predictions(self._model_name)
        values = [float(np.squeeze(predictions[output])) for output in OUTPUTS]
        return accumulator + np.array([1.0, *values, values[0] ** 2])

    def merge_accumulators(self, accumulators: Any) -> np.ndarray:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: np.ndarray) -> dict[metric_types.MetricKey, float]:
        images, sums, squares = accumulator[0], accumulator[1:-1], accumulator[-1]
        with np.errstate(all="ignore"):  # no images, or values that are not finite: NaN, which is refused
            means = dict(zip(OUTPUTS, sums / images, strict=True))
            variance = squares / images - means["elbo"] ** 2
            means["elbo_standard_error"] = np.sqrt(np.maximum(variance, 0.0) / images)
        means["above_independent_pixels"] = means["elbo"] - means["independent_pixels"]
        means["below_ceiling"] = means["ceiling"] - means["elbo"]
        means["images"] = images
        return {self._keys[name]: float(value) for name, value in means.items()}
