"""The rules that a model has to pass, and the verdict on one, in words."""

import json
import math
from typing import NamedTuple

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2 as tfma_config

CANDIDATE, BASELINE = "candidate", "baseline"


class Verdict(NamedTuple):
    """What the Evaluator found."""

    blessed: bool
    candidate: dict[str, float]  # metric name -> value, nats per image
    baseline: dict[str, float] | None  # the same of the last blessed model, if there is one
    reasons: list[str]  # why the model was refused, with the numbers


def eval_config(min_elbo: float | None, max_regression: float, code: str) -> tfma_config.EvalConfig:
    """TFMA's configuration of the gate.

    Args:
      min_elbo: lower bound of the test-set ELBO, nats per image; None for the log-likelihood of the best model
        that ignores the image's structure.
      max_regression: how many nats per image a model may be worse than the last blessed one.
      code: fingerprint of the metric's sources.
    """

    def at_least(bound: float) -> tfma_config.GenericValueThreshold:
        return tfma_config.GenericValueThreshold(lower_bound={"value": bound})  # admits no NaN

    not_worse = tfma_config.GenericChangeThreshold(
        absolute={"value": -max_regression}, direction=tfma_config.MetricDirection.HIGHER_IS_BETTER
    )
    thresholds = {
        "elbo": tfma_config.MetricThreshold(change_threshold=not_worse),
        "below_ceiling": tfma_config.MetricThreshold(value_threshold=at_least(0.0)),
    }
    if min_elbo is None:
        thresholds["above_independent_pixels"] = tfma_config.MetricThreshold(value_threshold=at_least(0.0))
    else:
        thresholds["elbo"].value_threshold.CopyFrom(at_least(min_elbo))
    metric = tfma_config.MetricConfig(
        module="components.elbo_metric", class_name="MeanELBO", config=json.dumps({"code": code})
    )
    model = {"signature_name": "evaluate", "model_type": "tf_generic"}
    return tfma_config.EvalConfig(
        model_specs=[
            tfma_config.ModelSpec(name=CANDIDATE, **model),
            tfma_config.ModelSpec(name=BASELINE, is_baseline=True, **model),
        ],
        slicing_specs=[tfma_config.SlicingSpec()],
        metrics_specs=[
            tfma_config.MetricsSpec(metrics=[metric], model_names=[CANDIDATE, BASELINE], thresholds=thresholds)
        ],
    )


def read_verdict(evaluation: str) -> Verdict:
    """The verdict of the evaluation artifact at the path `evaluation`."""
    metrics: dict[str, dict[str, float]] = {CANDIDATE: {}, BASELINE: {}}
    for slice_metrics in tfma.load_metrics(evaluation):
        for item in slice_metrics.metric_keys_and_values:
            if not item.key.is_diff:
                metrics[item.key.model_name or CANDIDATE][item.key.name] = item.value.double_value.value
    result = tfma.load_validation_result(evaluation)
    candidate, baseline = metrics[CANDIDATE], metrics[BASELINE] or None
    reasons = [
        _reason(failure, candidate, baseline)
        for validation in result.metric_validations_per_slice
        for failure in validation.failures
    ]
    if not result.validation_ok and not reasons:
        reasons = ["TFMA found no numbers to hold against the bounds"]
    return Verdict(result.validation_ok, candidate, baseline, sorted(set(reasons)))


def _reason(
    failure: tfma.proto.validation_result_pb2.ValidationFailure,
    candidate: dict[str, float],
    baseline: dict[str, float] | None,
) -> str:
    elbo, threshold = candidate.get("elbo", math.nan), failure.metric_threshold
    if failure.message:  # TFMA has no number to hold against the threshold
        return f"{failure.metric_key.name}: {failure.message.strip()}"
    if not math.isfinite(elbo):
        return f"its test-set ELBO is {elbo}, expected a finite number of nats per image: the model is broken"
    if threshold.HasField("change_threshold") and baseline:
        change, allowed = elbo - baseline["elbo"], -threshold.change_threshold.absolute.value
        return (
            f"its test-set ELBO {elbo:.2f} is {-change:.2f} nats per image worse than the last blessed model's "
            f"{baseline['elbo']:.2f}, allowed are {allowed:.2f}"
        )
    if failure.metric_key.name == "below_ceiling":
        return (
            f"its test-set ELBO {elbo:.2f} is above {candidate['ceiling']:.2f}, the largest that this likelihood "
            "can give to these images: the number is wrong"
        )
    if failure.metric_key.name == "above_independent_pixels":
        return (
            f"its test-set ELBO {elbo:.2f} is not above {candidate['independent_pixels']:.2f} nats per image, the "
            "log-likelihood of the best model that ignores the image's structure"
        )
    bound = threshold.value_threshold.lower_bound.value
    return f"its test-set ELBO {elbo:.2f} is below the bound {bound:.2f} nats per image"
