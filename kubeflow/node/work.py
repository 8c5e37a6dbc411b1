"""The work of a task: TFX's nodes, by TFX's portable launcher, and the verdict on the run."""

import json
import traceback
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.drift.names import SPAN_DRIFT
from components.pages.views import View, view
from kubeflow.node.attempts import read_attempts
from kubeflow.node.database import lineage
from kubeflow.node.outputs import write_outputs
from kubeflow.node.task import Task
from kubeflow.spec.cluster import Cluster
from kubeflow.spec.contract import FACTS, METRICS, OUTCOME, PAGES
from kubeflow.spec.tasks import OPTIONAL, TASKS, VERDICT, left_out
from kubeflow.workers.launcher import launch_pods
from pipeline.console import Story
from pipeline.dag import WINDOW_NODE
from pipeline.facts import run_facts
from pipeline.index.writing import refresh
from pipeline.local import ingest_spans, is_finished, launch_node, plan, site_of
from pipeline.outcome import read_outcome
from pipeline.retention import retain
from pipeline.settings import PipelineConfig
from pipeline.state.executions import executions_of, find_run
from pipeline.state.lineage import artifacts_of
from pipeline.state.metadata import Metadata
from pipeline.state.spans import span_run, window_of
from pipeline.words import bounds, describe
from trainer.errors import InterruptError, UserError
from trainer.failure import Failure, Kind
from trainer.workers.launch import Launch


def work(task: Task, story: Story) -> Failure | None:
    """Runs the task's nodes, but those that an earlier attempt finished, and writes the task's outputs.

    Returns:
      the refusal, if the gate of this task refused.

    Raises:
      Exception: any error of TFX or of the database.
    """
    site = site_of(
        task.config,
        run=task.run_id,
        apart=_trains_apart(task),
        launcher="kubeflow.node.work.pods",
        launcher_settings=task.cluster.to_dict(),
    )
    found, pipeline = lineage(task.cluster.database, task.config.root), plan(task.config, task.run_id, site)
    nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in pipeline.nodes}
    attempts = [f"{one}: {attempt}" for one in TASKS for attempt in _earlier_attempts(task._replace(name=one))]
    for name in task.nodes:
        if name == VERDICT or _is_left_out(name, nodes, task.config, story):
            continue
        if is_finished(task.run_id, name, found):
            story.say(f"{name} was finished by an earlier attempt at this run")
        else:
            story.starts(name)
            story.ends(cached=launch_node(pipeline, nodes[name], found, task.config.training, attempts))
        if name == WINDOW_NODE:
            ingest_spans(task.config, task.run_id, site, found, story)
    made = {*nodes, *([SPAN_DRIFT] if task.config.has_spans else [])}
    shown = [name for name in task.nodes if name in made and name in PAGES.keys() | METRICS.keys()]
    write_outputs(task.executor_input, {name: _view(name, task, found, story) for name in shown})
    return _verdict(task, found, story) if VERDICT in task.nodes else None


def pods(settings: dict[str, Any]) -> Launch:
    """Makes the launcher of workers' pods from the settings of the cluster. `Site.launcher` names this function."""
    return launch_pods(Cluster(**settings))


def _trains_apart(task: Task) -> bool:
    """Tells whether a single worker gets a pod of its own too: where only that pod has the device.

    On a CPU it would cost every run more than a preemption does (docs/howto/several-machines.md).
    """
    cluster, own = task.cluster, task.cluster.tasks.get(task.name, task.cluster.pod)
    is_tpu = task.config.strategy.startswith("tpu")  # no image has both TFX and the kernels of a TPU
    return is_tpu or (cluster.workers.pod.accelerators > 0 and own.accelerators == 0)


def _is_left_out(name: str, nodes: dict[str, Any], config: PipelineConfig, story: Story) -> bool:
    """Tells whether the run does without the node.

    Raises:
      UserError: it cannot, so the run was compiled by another version than this image.
    """
    if name in nodes:
        return False
    if name not in left_out(config):
        sentence = f"the pipeline of this image has no node {name}: the run was compiled by another version"
        remedy = "Upload the pipeline of this version, or name the image of the other version in cluster.yaml"
        raise UserError(sentence, value=name, remedy=remedy)
    if name in OPTIONAL:
        story.say(f"{name} has nothing to do with these parameters")
    return True


def _view(name: str, task: Task, found: Metadata, story: Story) -> View:
    """Makes the node's page and numbers. If that fails, shows nothing: the work is done, and other nodes need it."""
    try:
        with found as handle:
            newest = window_of(handle.store, task.run_id)[-1:] if name == SPAN_DRIFT else []
            executions = executions_of(handle.store, span_run(task.run_id, *newest) if newest else task.run_id)
            inputs = artifacts_of(handle.store, executions[name], mlmd.Event.INPUT)
            outputs = artifacts_of(handle.store, executions[name], mlmd.Event.OUTPUT)
        return view(name, inputs, outputs, _earlier_attempts(task))
    except InterruptError:
        raise
    except Exception:
        traceback.print_exc()  # to the log file
        story.say(f"{name} is done, but its page could not be made; see the log")
        return View(None, {})


def _earlier_attempts(task: Task) -> list[str]:
    """Says what became of the attempts at the task, without the last one, which is running or has succeeded."""
    return [str(attempt) for attempt in read_attempts(task.attempts_file)[:-1]]


def _verdict(task: Task, found: Metadata, story: Story) -> Failure | None:
    outcome = read_outcome(found, task.run_id)
    text = f"{describe(outcome)}\n{bounds(task.config)}"
    story.say(text)
    with found as handle:
        executions = find_run(handle.store, task.config.name, task.run_id)
        facts = run_facts(task.config.name, task.run_id, outcome, executions)
        retain(task.config, task.run_id, lambda: handle.store, False, story.say)
        refresh(task.config.root, lambda: handle.store, story.say)
    if not outcome.verdict.blessed and not outcome.nothing_new:
        return Failure(Kind.REFUSED, "; ".join(outcome.verdict.reasons))
    story.say(json.dumps({OUTCOME: text, FACTS: facts}))  # for `submit --wait`
    return None
