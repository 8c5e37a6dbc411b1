"""The TFMA metric that keeps the best and the worst test images, which the report shows."""

import itertools
from typing import Any

import apache_beam as beam
from tensorflow_model_analysis.metrics import metric_types, metric_util

from components.gate.extremes import KEPT, ImageELBO, extremes, image_elbo, outermost
from components.gate.metric import BASELINE

NAME = "extremes"
ROOM = 20 * KEPT  # images that an accumulator may hold before it is reduced, so that few of them are sorted


class ExtremeImages(metric_types.Metric):
    """The images with the highest and the lowest ELBO of the candidate, as JSON that no threshold can compare.

    Args:
      name: of its key.
    """

    def __init__(self, name: str = NAME) -> None:
        super().__init__(metric_util.merge_per_key_computations(_computations), name=name)


metric_types.register_metric(ExtremeImages)


def _computations(
    name: str = NAME, model_name: str = "", output_name: str = "", **_: Any
) -> metric_types.MetricComputations:
    if model_name == BASELINE:
        return []
    key = metric_types.MetricKey(name, model_name=model_name, output_name=output_name, example_weighted=None)
    return [metric_types.MetricComputation([key], preprocessors=None, combiner=_Combiner(key, model_name))]


class _Combiner(beam.CombineFn):
    """Keeps the outermost images, some more than needed."""

    def __init__(self, key: metric_types.MetricKey, model_name: str) -> None:
        self._key = key
        self._model_name = model_name

    def create_accumulator(self) -> list[ImageELBO]:
        return []

    def add_input(self, accumulator: list[ImageELBO], element: metric_types.StandardMetricInputs) -> list[ImageELBO]:
        accumulator.append(image_elbo(element.get_predictions(self._model_name)))
        return accumulator if len(accumulator) < ROOM else outermost(accumulator)

    def merge_accumulators(self, accumulators: Any) -> list[ImageELBO]:
        return outermost(itertools.chain.from_iterable(accumulators))

    def extract_output(self, accumulator: list[ImageELBO]) -> dict[metric_types.MetricKey, bytes]:
        return {self._key: extremes(accumulator).to_json()}
