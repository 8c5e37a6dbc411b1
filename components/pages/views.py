"""What the Kubeflow UI shows of a node: a page and numbers to compare."""

import math
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.artifacts import Artifacts
from components.drift import page
from components.drift.findings import read_findings
from components.drift.names import NODES
from components.gate.extremes import Extremes
from components.gate.sums import GAINS, OUTPUTS, Metrics
from components.gate.verdict import read_verdict
from components.pages.curves import curves
from components.pages.latents import groups
from components.pages.looks import looks
from components.pages.rendering import render
from components.pages.report import PAGE
from trainer.exported import Exported
from trainer.training.record import pace, read_history
from trainer.units import read_units


class View(NamedTuple):
    """A node's page and numbers."""

    html: str | None  # self-contained
    metrics: Metrics  # finite ones only, because JSON has no others


def view(node: str, inputs: Artifacts, outputs: Artifacts, attempts: Sequence[str] = ()) -> View:
    """Returns the view of the TFX node `node`, which has run with these artifacts. Most nodes have an empty one.

    Args:
      node: id of the TFX node.
      inputs: its input artifacts.
      outputs: its output artifacts.
      attempts: what came of earlier attempts at the node's task.
    """
    if node in NODES:
        return _comparison(outputs)
    if node == "Trainer":
        return _trainer(inputs, outputs, attempts)
    if node == "Evaluator":
        return _evaluator(outputs)
    if node == "Report":
        return View(pathlib.Path(_path(outputs, "report"), PAGE).read_text(), {})
    return View(None, {})


def _comparison(outputs: Artifacts) -> View:
    """Shows figures, thresholds and both histograms; numbers: each divergence and its threshold."""
    findings = read_findings(_path(outputs, "drift"))
    metrics = {"drifted": float(len(findings.drifted))}
    for figure in findings.figures:
        metrics |= {f"{figure.name}_bits": figure.divergence, f"{figure.name}_threshold_bits": figure.threshold}
    return View(page.render(findings), _finite(metrics))


def _trainer(inputs: Artifacts, outputs: Artifacts, attempts: Sequence[str]) -> View:
    """Shows ELBO per epoch, pictures and recipe; numbers of the exported model and of the training."""
    history = read_history(_path(outputs, "model_run"))
    servable = path_utils.serving_model_path(_path(outputs, "model"))
    seconds, speed = pace(history)
    latents = groups(history)
    best = next(epoch for epoch in history["epochs"] if epoch["epoch"] == history["best_epoch"])
    html = render(
        "trainer.html.j2",
        attempts=attempts,
        history=history,
        units=read_units(servable),
        images_per_second=speed,
        charts=curves(history),
        latents=latents,
        seconds=seconds,
        pictures=looks(Exported(servable), None, _test_splits(inputs), Extremes()),
    )
    metrics = {
        **{f"test_{part}_nats_per_image": value for part, value in history["test"].items()},
        "best_held_out_elbo_nats_per_image": best["held_out"]["elbo"],
        "best_epoch": history["best_epoch"],
        "epochs": len(history["epochs"]),
        "images_per_second": speed,
        "training_seconds": seconds,
        "active_latents": sum(group.use.active for group in latents),
    }
    if found := history["quality"]:
        bound = {"bound": found["importance_weighted_bound"], "gain": found["gain"]}
        half_widths = {name: found[name] for name in ("bound_half_width", "gain_half_width")}
        metrics |= {
            f"test_importance_weighted_{name}_nats_per_image": value for name, value in (bound | half_widths).items()
        }
    return View(html, _finite(metrics))


def _evaluator(outputs: Artifacts) -> View:
    """Numbers: 1 if blessed, the ELBO, its bounds and gain. The page is the report of the same task."""
    verdict = read_verdict(_path(outputs, "evaluation"))
    metrics = {"blessed": float(verdict.blessed), "test_images": verdict.candidate.get("images", math.nan)}
    for key in (*OUTPUTS, "elbo_standard_error", *GAINS):
        metrics[f"{key}_nats_per_image"] = verdict.candidate.get(key, math.nan)
    metrics["baseline_elbo_nats_per_image"] = (verdict.baseline or {}).get("elbo", math.nan)
    return View(None, _finite(metrics))


def _path(artifacts: Artifacts, key: str) -> str:
    return artifact_utils.get_single_instance(artifacts[key]).uri


def _test_splits(inputs: Artifacts) -> list[str]:
    return artifact_utils.get_split_uris(inputs["examples"], "test")


def _finite(metrics: Metrics) -> Metrics:
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
