"""The tasks of a run on Kubeflow, in their order, and the nodes that the pod of each one runs.

A task costs a driver of Kubeflow and a start of TensorFlow, whatever it does; so there are as few as have different
needs of machines.
"""

from typing import NamedTuple

from components.drift.names import GATE, SERVING_SKEW, SPAN_DRIFT
from pipeline.settings import PipelineConfig

VERDICT = "Verdict"  # behind TFX's nodes: fails when the gate refuses, so that the run does
NOTIFY, NOTIFY_TITLE = "notify", "Notify the webhook"  # the exit handler, which runs whatever becomes of the tasks
SERVING = ("ServingExampleGen", "ServingStatisticsGen", SERVING_SKEW, GATE)
OPTIONAL = ("Tuner", *SERVING)  # nodes that a run may do without
OF_DATA, OF_SPANS = ("ImageExampleGen", "StatisticsGen", "StrictExampleValidator"), ("SpanWindow", "SpanExamples")
LATER = {"Evaluator": ("ServingCheck",)}  # nodes without a task of their own in 0.1, run by the task of another


class Stage(NamedTuple):
    """What a task is for."""

    title: str  # in the UI, which cuts it after 22 characters
    nodes: tuple[str, ...]  # TFX's, in their order, and the verdict


TASKS = {
    "ingest": Stage(
        "Prepare the data",
        (
            "SpanWindow",  # and behind it, of each span, OF_DATA, and of the newest SPAN_DRIFT
            *("ImageExampleGen", "StatisticsGen", "Schema", "StrictExampleValidator"),
            *("SpanExamples", "Transform", "ServingExampleGen", "ServingStatisticsGen"),
            SPAN_DRIFT,  # for its page
        ),
    ),
    "train": Stage("Train the model", ("LastBlessedModel", "UnitsCheck", SERVING_SKEW, GATE, "Tuner", "Trainer")),
    "gate": Stage("Evaluate and push", ("ServingCheck", "Evaluator", "AtomicPusher", "Report", VERDICT)),
}


def left_out(config: PipelineConfig) -> set[str]:
    """Returns the nodes that a run with these settings does without."""
    without = {SPAN_DRIFT, *(OF_DATA if config.has_spans else OF_SPANS), *(() if config.tune else ("Tuner",))}
    return without | {*(() if config.serving_data else SERVING)}


def nodes_of(task: str) -> tuple[str, ...]:
    """Returns the nodes of a task. Pipelines of version 0.1 have a task for each node, of that node's name."""
    return TASKS[task].nodes if task in TASKS else (*LATER.get(task, ()), task)
