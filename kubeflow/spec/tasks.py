"""The tasks of a run on Kubeflow, in their order, and the nodes that the pod of each one runs.

A task costs a driver of Kubeflow and a start of TensorFlow, whatever it does; so there are as few as have different
needs of machines.
"""

from typing import NamedTuple

VERDICT = "Verdict"  # behind TFX's nodes: fails when the gate refuses, so that the run does
NOTIFY, NOTIFY_TITLE = "notify", "Notify the webhook"  # the exit handler, which runs whatever becomes of the tasks
OPTIONAL = ("Tuner",)  # nodes that a run may do without
LATER = {"Evaluator": ("ServingCheck",)}  # nodes without a task of their own in 0.1, run by the task of another


class Stage(NamedTuple):
    """What a task is for."""

    title: str  # in the UI, which cuts it after 22 characters
    nodes: tuple[str, ...]  # TFX's, in their order, and the verdict


TASKS = {
    "ingest": Stage(
        "Prepare the data", ("ImageExampleGen", "StatisticsGen", "Schema", "StrictExampleValidator", "Transform")
    ),
    "train": Stage("Train the model", ("LastBlessedModel", "UnitsCheck", "Tuner", "Trainer")),
    "gate": Stage("Evaluate and push", ("ServingCheck", "Evaluator", "AtomicPusher", "Report", VERDICT)),
}


def nodes_of(task: str) -> tuple[str, ...]:
    """Returns the nodes of a task. Pipelines of version 0.1 have a task for each node, of that node's name."""
    return TASKS[task].nodes if task in TASKS else (*LATER.get(task, ()), task)
