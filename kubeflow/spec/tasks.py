"""The tasks of a run on Kubeflow, in their order, and the nodes that the pod of each one runs.

A task costs a driver of Kubeflow and a start of TensorFlow, whatever it does; so there are as few as have different
needs of machines.
"""

from collections.abc import Callable
from typing import NamedTuple

from pipeline.settings import PipelineConfig

VERDICT = "Verdict"  # behind TFX's nodes: fails when the gate refuses, so that the run does
NOTIFY, NOTIFY_TITLE = "notify", "Notify the webhook"  # the exit handler, which runs whatever becomes of the tasks


# Nodes that a run may do without -> whether it has them.
OPTIONAL: dict[str, Callable[[PipelineConfig], bool]] = {
    "Tuner": lambda config: config.tune > 0,
    **dict.fromkeys(
        ("ServingExampleGen", "ServingStatisticsGen", "ServingSkew", "DriftGate"),
        lambda config: config.serving_data is not None,
    ),
}


class Stage(NamedTuple):
    """What a task is for."""

    title: str  # in the UI, which cuts it after 22 characters
    nodes: tuple[str, ...]  # TFX's, in their order, and the verdict


TASKS = {
    "ingest": Stage(
        "Prepare the data",
        (
            *("ImageExampleGen", "StatisticsGen", "Schema", "StrictExampleValidator", "Transform"),
            *("ServingExampleGen", "ServingStatisticsGen"),
        ),
    ),
    "train": Stage(
        "Train the model", ("LastBlessedModel", "UnitsCheck", "ServingSkew", "DriftGate", "Tuner", "Trainer")
    ),
    "gate": Stage("Evaluate and push", ("Evaluator", "AtomicPusher", "Report", VERDICT)),
}


def nodes_of(task: str) -> tuple[str, ...]:
    """Returns the nodes of a task. Pipelines of version 0.1 have a task for each node, of that node's name."""
    return TASKS[task].nodes if task in TASKS else (task,)
