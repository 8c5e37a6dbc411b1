"""The rules that a model has to satisfy."""

import json

from tensorflow_model_analysis.proto import config_pb2 as tfma

from components.gate.metric import BASELINE, CANDIDATE

WHOLE = tfma.SlicingSpec()
LABELS = tfma.SlicingSpec(feature_keys=["label"])


def eval_config(
    min_elbo: float | None,
    max_regression: float,
    min_label_elbo: float | None,
    no_baseline: bool = False,
) -> tfma.EvalConfig:
    """Returns the gate's rules as a configuration of TFMA.

    Args:
      min_elbo: lower bound of the test-set ELBO, nats per image; None: the log-likelihood of independent pixels with
        the training images' moments.
      max_regression: allowed loss against the last blessed model, nats per image; the lower end of the gain's
        confidence interval must not be below minus this.
      min_label_elbo: lower bound of the ELBO over the images of each label; None: no such bound.
      no_baseline: whether the user asked for no comparison.
    """
    bounds = {"below_ceiling": [_at_least(0.0, WHOLE)], "elbo_gain_lower": [_gain_at_least(-max_regression)]}
    if min_elbo is None:
        bounds["above_independent_pixels"] = [_at_least(0.0, WHOLE)]
    else:
        bounds["elbo"] = [_at_least(min_elbo, WHOLE)]
    if min_label_elbo is not None:
        bounds.setdefault("elbo", []).append(_at_least(min_label_elbo, LABELS))
    kept = json.dumps({"no_baseline": no_baseline})
    metrics = [
        {"module": "components.gate.metric", "class_name": "MeanELBO", "config": kept},
        {"module": "components.gate.extremes_metric", "class_name": "ExtremeImages"},
    ]
    model = {"signature_name": "evaluate", "model_type": "tf_generic"}
    return tfma.EvalConfig(
        model_specs=[{"name": CANDIDATE, **model}, {"name": BASELINE, "is_baseline": True, **model}],
        slicing_specs=[WHOLE, LABELS],
        metrics_specs=[
            {
                "metrics": metrics,
                "model_names": [CANDIDATE, BASELINE],
                # `thresholds` would apply to every slice.
                "per_slice_thresholds": {
                    name: tfma.PerSliceMetricThresholds(thresholds=thresholds) for name, thresholds in bounds.items()
                },
            }
        ],
    )


def without_baseline(rules: tfma.EvalConfig) -> bool:
    """Returns whether the user asked for no comparison."""
    return json.loads(rules.metrics_specs[0].metrics[0].config)["no_baseline"]


def _at_least(bound: float, images: tfma.SlicingSpec) -> tfma.PerSliceMetricThreshold:
    threshold = {"value_threshold": {"lower_bound": {"value": bound}}}  # refuses NaN
    return tfma.PerSliceMetricThreshold(slicing_specs=[images], threshold=threshold)


def _gain_at_least(bound: float) -> tfma.PerSliceMetricThreshold:
    """Returns a change threshold, which TFX drops without a baseline. The baseline's own gain is 0."""
    change = {"absolute": {"value": bound}, "direction": tfma.MetricDirection.HIGHER_IS_BETTER}
    return tfma.PerSliceMetricThreshold(slicing_specs=[WHOLE], threshold={"change_threshold": change})
