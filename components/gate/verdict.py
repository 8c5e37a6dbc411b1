"""The gate's verdict in words."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import tensorflow_model_analysis as tfma

from components.gate.evaluator import Evidence, read_evidence
from components.gate.extremes import Extremes
from components.gate.extremes_metric import NAME as EXTREMES
from components.gate.metric import BASELINE, CANDIDATE
from components.gate.serving_record import Serving
from components.gate.sums import Metrics
from components.ingest.labels import label_order


class Verdict(NamedTuple):
    """The Evaluator's numbers, and the reasons of a refusal."""

    blessed: bool
    candidate: Metrics
    baseline: Metrics | None  # of the last blessed model, if there is one
    labels: dict[str, Metrics]  # of the candidate, over the images of each label
    reasons: list[str]  # of the refusal, with their numbers
    notes: list[str]  # on the comparison: overrides, and a version that was pushed meanwhile; on the data: drift
    serving: Serving | None = None  # what a fresh process found of the candidate; None in an earlier version
    extremes: Extremes = Extremes()  # the candidate's best and worst images; none in an earlier version

    @property
    def answers(self) -> bool:
        """Whether the candidate can be called, and so has numbers and pictures."""
        return self.serving is None or self.serving.answers

    def noted(self, sentences: Iterable[str]) -> "Verdict":
        """Returns the verdict with further notes, of which empty ones are none."""
        return self._replace(notes=[*self.notes, *filter(None, sentences)])


def read_verdict(evaluation: str) -> Verdict:
    """Reads the verdict of the evaluation artifact at the path `evaluation`."""
    evidence = read_evidence(evaluation)
    serving = evidence.serving
    if serving and not serving.answers:  # so nothing was evaluated
        return Verdict(False, {}, None, {}, serving.reasons, list(_notes(evidence)), serving)
    found: dict[str, dict[str | None, Metrics]] = {CANDIDATE: {}, BASELINE: {}}
    extremes = Extremes()
    for slice_metrics in tfma.load_metrics(evaluation):
        for item in slice_metrics.metric_keys_and_values:
            if item.key.name == EXTREMES:
                if _label(slice_metrics) is None:
                    extremes = Extremes.from_json(item.value.bytes_value)
            elif not item.key.is_diff:
                of_model = found[item.key.model_name or CANDIDATE]
                of_model.setdefault(_label(slice_metrics), {})[item.key.name] = item.value.double_value.value
    candidate, baseline = found[CANDIDATE].pop(None, {}), found[BASELINE].get(None)
    of_labels = {label: metrics for label, metrics in found[CANDIDATE].items() if label is not None}
    labels = {label: of_labels[label] for label in sorted(of_labels, key=label_order)}
    result = tfma.load_validation_result(evaluation)
    reasons = [
        _reason(failure, _label(validation), candidate, labels, baseline)
        for validation in result.metric_validations_per_slice
        for failure in validation.failures
    ]
    if not result.validation_ok and not reasons:
        reasons = ["TFMA has no numbers to compare with the bounds"]
    reasons = [*sorted(set(reasons)), *(serving.reasons if serving else [])]
    return Verdict(not reasons, candidate, baseline, labels, reasons, list(_notes(evidence)), serving, extremes)


def _notes(evidence: Evidence) -> Iterator[str]:
    if evidence.no_baseline:
        yield "not compared with an earlier model (--no-baseline)"
    if evidence.shared_images:
        yield (
            f"{evidence.shared_images} test images are also training images (--allow-shared-images), so the ELBO says "
            "less about new ones"
        )
    if evidence.unreadable_images:
        yield f"{evidence.unreadable_images} unreadable images were left out (--max-unreadable)"
    if evidence.pushed_meanwhile is not None:
        yield (
            f"another run pushed version {evidence.pushed_meanwhile} during this one, so the gate decided again, "
            "against that version"
        )


def _label(of_slice: Any) -> str | None:
    """Returns the label of a slice, which was an integer in earlier code; None for the slice of all images."""
    for part in of_slice.slice_key.single_slice_keys:
        return part.bytes_value.decode() if part.HasField("bytes_value") else str(part.int64_value)
    return None


def _reason(
    failure: Any, label: str | None, candidate: Metrics, labels: dict[str, Metrics], baseline: Metrics | None
) -> str:
    if failure.message:  # TFMA has no number to compare with the threshold
        return f"{failure.metric_key.name}: {failure.message.strip()}"
    elbo, threshold = candidate.get("elbo", math.nan), failure.metric_threshold
    if not math.isfinite(elbo):
        return f"the test-set ELBO is {elbo}, not a finite number: the model is broken"
    if threshold.HasField("change_threshold") and baseline:
        return _regression(candidate, baseline, allowed=-threshold.change_threshold.absolute.value)
    bound = threshold.value_threshold.lower_bound.value
    if label is not None:
        return (
            f"the ELBO {labels[label]['elbo']:.2f} over the {labels[label]['images']:.0f} test images of label {label} "
            f"is below the bound {bound:.2f} nats per image"
        )
    if failure.metric_key.name == "below_ceiling":
        return (
            f"the test-set ELBO {elbo:.2f} is above {candidate['ceiling']:.2f} nats per image, the largest value "
            "possible with this likelihood and these images: the number is wrong"
        )
    if failure.metric_key.name == "above_independent_pixels":
        return (
            f"the test-set ELBO {elbo:.2f} is not above {candidate['independent_pixels']:.2f} nats per image, the "
            "log-likelihood of independent pixels with the training images' moments"
        )
    return f"the test-set ELBO {elbo:.2f} is below the bound {bound:.2f} nats per image"


def _regression(candidate: Metrics, baseline: Metrics, allowed: float) -> str:
    numbers = (
        f"the test-set ELBO is {candidate['elbo']:.2f}, the last blessed model's {baseline['elbo']:.2f} nats per "
        f"image; {interval(candidate)}"
    )
    if candidate["elbo_gain_upper"] < -allowed:
        return f"{numbers}: worse by more than the {allowed:.2f} allowed"
    return (
        f"{numbers}: this interval is too wide to exclude a loss of more than the {allowed:.2f} allowed; more test "
        "images narrow it, and so do more draws (--eval-samples) in a new series with another --root"
    )


def interval(candidate: Metrics) -> str:
    """Describes the gain over the baseline: its confidence interval and the number of images."""
    if candidate["elbo_gain_lower"] == candidate["elbo_gain_upper"] == 0.0:  # the model is its own baseline
        return f"the same on each of {candidate['images']:.0f} paired images"
    return (
        f"the gain over {candidate['images']:.0f} paired images is {candidate['elbo_gain']:+.2f}, with 95 % "
        f"confidence between {candidate['elbo_gain_lower']:+.2f} and {candidate['elbo_gain_upper']:+.2f}"
    )
