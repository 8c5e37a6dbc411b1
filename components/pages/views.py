"""What the UI shows of a node: a page to look at and numbers to compare."""

import datetime
import json
import math
import os
import pathlib
from typing import Any, NamedTuple

import tensorflow as tf
from tfx.types import Artifact, artifact_utils
from tfx.utils import path_utils

from components.gate.pusher import Push, deciding_evaluation
from components.gate.verdict import Metrics, read_verdict
from components.pages.parts import elbo_curve, pictures, render
from trainer.units import read_units

TEMPLATES = pathlib.Path(__file__).parent


class View(NamedTuple):
    """A node's page and numbers."""

    html: str | None  # one page that needs nothing from elsewhere
    metrics: Metrics  # name -> value; what is not finite is left out, because JSON has no such numbers


def view(
    node: str, inputs: dict[str, list[Artifact]], outputs: dict[str, list[Artifact]], evaluation: str | None = None
) -> View:
    """What to show of the TFX node `node`, which has run with these artifacts; nothing of most nodes.

    Args:
      node: id of the TFX node.
      inputs: its input artifacts by key.
      outputs: its output artifacts by key.
      evaluation: path of the same run's evaluation, which is no input of the pusher.
    """
    if node == "Trainer":
        run = _path(outputs, "model_run")
        return View(trainer_view(_path(outputs, "model"), run, _test_split(inputs)), trainer_metrics(run))
    if node == "Evaluator":
        found = _path(outputs, "evaluation")
        return View(evaluator_view(found, _path(inputs, "model"), _test_split(inputs)), evaluator_metrics(found))
    if node == "AtomicPusher":
        return View(pusher_view(artifact_utils.get_single_instance(outputs["pushed_model"]), evaluation), {})
    return View(None, {})


def trainer_view(model: str, model_run: str, split: str) -> str:
    """The Trainer's page: ELBO per epoch, pictures, recipe.

    Args:
      model: path of the model artifact.
      model_run: path of the artifact with the training's history.
      split: folder of test Examples, for the pictures.
    """
    history, servable = _history(model_run), path_utils.serving_model_path(model)
    seconds = sum(epoch["seconds"] for epoch in history["epochs"])
    return render(
        TEMPLATES / "trainer.html.j2",
        history=history,
        units=read_units(servable),
        images_per_second=_images_per_second(history),
        took=str(datetime.timedelta(seconds=round(seconds))),
        curve=elbo_curve(history),
        pictures=pictures(servable, split),
    )


def trainer_metrics(model_run: str) -> Metrics:
    """The Trainer's numbers: of the exported model, on the test set, and of the way to it."""
    history = _history(model_run)
    best = next(epoch for epoch in history["epochs"] if epoch["epoch"] == history["best_epoch"])
    return _finite(
        {
            **{f"test_{part}_nats_per_image": value for part, value in history["test"].items()},
            "best_held_out_elbo_nats_per_image": best["held_out"]["elbo"],
            "best_epoch": history["best_epoch"],
            "epochs": len(history["epochs"]),
            "images_per_second": _images_per_second(history),
            "training_seconds": sum(epoch["seconds"] for epoch in history["epochs"]),
        }
    )


def evaluator_view(evaluation: str, model: str, split: str) -> str:
    """The Evaluator's page: the verdict with its numbers, by label too, and pictures.

    Args:
      evaluation: path of the evaluation artifact.
      model: path of the model artifact.
      split: folder of test Examples, for the pictures.
    """
    servable = path_utils.serving_model_path(model)
    return render(
        TEMPLATES / "evaluator.html.j2",
        verdict=read_verdict(evaluation),
        units=read_units(servable),
        pictures=pictures(servable, split),
    )


def evaluator_metrics(evaluation: str) -> Metrics:
    """The Evaluator's numbers: 1 or 0 for the verdict, the test-set ELBO and what frames it, the gain."""
    verdict = read_verdict(evaluation)
    found = {"blessed": float(verdict.blessed)}
    for key in ("elbo", "elbo_standard_error", "reconstruction", "kl", "independent_pixels", "ceiling"):
        found[f"{key}_nats_per_image"] = verdict.candidate.get(key, math.nan)
    found["test_images"] = verdict.candidate.get("images", math.nan)
    if verdict.baseline is not None:
        found["baseline_elbo_nats_per_image"] = verdict.baseline.get("elbo", math.nan)
        for key in ("elbo_gain", "elbo_gain_lower", "elbo_gain_upper"):
            found[f"{key}_nats_per_image"] = verdict.candidate.get(key, math.nan)
    return _finite(found)


def pusher_view(pushed_model: Artifact, evaluation: str | None) -> str:
    """The pusher's page: what was pushed, or why not.

    Args:
      pushed_model: the artifact, whose properties say what was done.
      evaluation: path of the evaluation artifact, if it is known.
    """
    verdict = read_verdict(deciding_evaluation(evaluation, pushed_model)) if evaluation else None
    return render(TEMPLATES / "pusher.html.j2", verdict=verdict, push=Push.read(pushed_model))


def _path(artifacts: dict[str, list[Artifact]], key: str) -> str:
    return artifact_utils.get_single_instance(artifacts[key]).uri


def _test_split(inputs: dict[str, list[Artifact]]) -> str:
    return artifact_utils.get_split_uri(inputs["examples"], "test")


def _history(model_run: str) -> dict[str, Any]:
    with tf.io.gfile.GFile(os.path.join(model_run, "history.json")) as file:
        return json.loads(file.read())


def _images_per_second(history: dict[str, Any]) -> float:
    """Over all epochs, evaluation excluded; not a number if they took no time."""
    seconds = sum(epoch["seconds"] for epoch in history["epochs"])
    images = sum(epoch["seconds"] * epoch["images_per_second"] for epoch in history["epochs"])
    return images / seconds if seconds else math.nan


def _finite(metrics: Metrics) -> Metrics:
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
