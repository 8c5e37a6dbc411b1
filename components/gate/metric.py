"""The gate's TFMA metric: mean test-set ELBO, its parts and bounds, and its gain over the baseline."""

from typing import Any

import apache_beam as beam
import numpy as np
from tensorflow_model_analysis.metrics import metric_types, metric_util

from components.gate.sums import COUNT, DISTANCES, GAINS, OUTPUTS, metrics, sums

CANDIDATE, BASELINE = "candidate", "baseline"


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
    """The sums of `components.gate.sums` over images."""

    def __init__(self, keys: dict[str, metric_types.MetricKey], model_name: str) -> None:
        self._keys = keys
        self._model_name = model_name

    def create_accumulator(self) -> np.ndarray:
        return np.zeros(COUNT)

    def add_input(self, accumulator: np.ndarray, element: metric_types.StandardMetricInputs) -> np.ndarray:
        baseline = element.get_predictions(BASELINE)["elbo"] if self._model_name else None
        return accumulator + sums(element.get_predictions(self._model_name), baseline)

    def merge_accumulators(self, accumulators: Any) -> np.ndarray:
        return np.sum(list(accumulators), axis=0)

    def extract_output(self, accumulator: np.ndarray) -> dict[metric_types.MetricKey, float]:
        values = metrics(accumulator)
        return {key: values[name] for name, key in self._keys.items()}
