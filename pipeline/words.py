"""Describes how a run ended. Imports TFX only when there is a verdict."""

import os
from typing import TYPE_CHECKING

from components.gate.serving_record import words

if TYPE_CHECKING:
    from components.drift.findings import Findings
    from components.gate.verdict import Verdict
    from pipeline.outcome import Outcome
    from pipeline.settings import PipelineConfig


def describe(outcome: "Outcome") -> str:
    """Returns the verdict with its numbers, and where the model and the report are."""
    lines = []
    if outcome.nothing_new:
        lines.append(_nothing_new(outcome))
    elif not outcome.trained:
        lines.append("Nothing was trained: data, code and settings are those of an earlier run.")
    if outcome.verdict.blessed:
        lines.append(_numbers(outcome.verdict))
    else:
        lines += [f"REFUSED: {reason}." for reason in outcome.verdict.reasons]
    if outcome.verdict.serving and outcome.verdict.serving.answers:
        lines.append(words(outcome.verdict.serving))
    lines += [f"Note: {note}." for note in outcome.verdict.notes]
    lines += [f"Both histograms: {found.page}" for found in outcome.comparisons if found.findings.drifted]
    if outcome.push.unchanged:
        lines.append(f"UNCHANGED: this model is already the newest version, {outcome.push.unchanged}")
    if outcome.push.pushed_to:
        lines.append(f"PUSHED to {outcome.push.pushed_to}")
    if outcome.push.damaged:
        lines.append(f"The version served before is damaged and was moved to {outcome.push.damaged}")
    lines.append(f"Report: {outcome.report}")
    return "\n".join(lines)


def describe_drift(findings: "Findings") -> str:
    """Returns a table of figures and thresholds, and what drifted."""
    lines = [f"{'':<12}{'divergence':>12}{'threshold':>12}{'of it chance':>14}   images of A and B"]
    for figure in findings.figures:
        images = f"{sum(figure.cells.current):,.0f} and {sum(figure.cells.reference):,.0f}"
        numbers = f"{figure.divergence:>12.4f}{figure.threshold:>12.4f}{figure.chance:>14.4f}"
        lines.append(f"{figure.name:<12}{numbers}   {images}{'   DRIFT' if figure.drifted else ''}")
    lines += [f"Note: {note}." for note in findings.notes]
    lines.append(
        f"DRIFT: {findings.sentence}." if findings.drifted else "No drift: every figure is within its threshold."
    )
    return "\n".join(lines)


def bounds(config: "PipelineConfig") -> str:
    """Returns the bounds of the gate, nats per image."""
    found = [f"{'independent pixels' if config.min_elbo is None else f'{config.min_elbo:.2f}'} for the test-set ELBO"]
    if config.min_label_elbo is not None:
        found.append(f"{config.min_label_elbo:.2f} for the ELBO of each label")
    if not config.no_baseline:
        found.append(f"{0.0 - config.max_regression:.2f} for the gain over the last blessed model")
    return f"Lower bounds: {', '.join(found)}"


def _nothing_new(outcome: "Outcome") -> str:
    """Says that there is no new span, and what became of the model of the newest."""
    version = os.path.basename(outcome.push.unchanged or "")
    became = f"is served as version {version}" if version else "was refused before"
    return (
        f"Nothing is new, so nothing was trained: the newest complete span is {outcome.newest_span}, and its model "
        f"{became}."
    )


def _numbers(verdict: "Verdict") -> str:
    from components.gate.verdict import interval

    mean = verdict.candidate
    numbers = (
        f"Test-set ELBO {mean['elbo']:.2f} nats per image, standard error {mean['elbo_standard_error']:.2f} "
        f"over {mean['images']:.0f} images (independent pixels {mean['independent_pixels']:.2f})"
    )
    if verdict.baseline is None:
        return numbers
    return f"{numbers}\nLast blessed model {verdict.baseline['elbo']:.2f}: {interval(mean)}"
