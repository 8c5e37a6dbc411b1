"""The work of one node: a TFX node, by TFX's portable launcher, or the verdict on the run."""

import traceback
from typing import Any

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.portable.mlmd import execution_lib

from components.pages.views import View, view
from kubeflow.node.database import lineage
from kubeflow.node.outputs import write_outputs
from kubeflow.node.task import Task
from kubeflow.node.tries import fail
from kubeflow.spec.cluster import Cluster
from kubeflow.spec.nodes import OPTIONAL, VERDICT
from kubeflow.workers.launcher import launch_pods
from pipeline.console import Story
from pipeline.local import launch_node, plan, site_of
from pipeline.outcome import read_outcome
from pipeline.state.lineage import artifacts_of, executions_of, output_of
from pipeline.state.metadata import Metadata
from pipeline.words import PUSHED, describe
from trainer.errors import InterruptError, UserError
from trainer.failure import Failure, Kind
from trainer.workers.launch import Launch


def work(task: Task, story: Story) -> int:
    """Does the task and returns the exit code.

    Raises:
      Exception: any error of TFX or of the database.
    """
    found = lineage(task.cluster.database, task.config.root)
    return _verdict(task, found, story) if task.node == VERDICT else _run(task, found, story)


def _verdict(task: Task, found: Metadata, story: Story) -> int:
    outcome = read_outcome(found, task.run_id)
    story.say(f"\n{describe(outcome)}")
    if outcome.verdict.blessed:
        return PUSHED
    return fail(Failure(Kind.REFUSED, "; ".join(outcome.verdict.reasons)), task.error_file)


def _run(task: Task, found: Metadata, story: Story) -> int:
    """Runs the node, unless an earlier attempt at the same run finished it, and writes the task's outputs."""
    site = site_of(
        task.config,
        run=task.run_id,
        apart=task.config.strategy.startswith("tpu"),  # no image has both TFX and the kernels of a TPU
        launcher="kubeflow.node.work.pods",
        launcher_settings=task.cluster.to_dict(),
    )
    pipeline = plan(task.config, task.run_id, site)
    nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in pipeline.nodes}
    if task.node not in nodes:
        return _leave_out(task, story)
    if _finished(task, found):
        story.say(f"{task.node} was finished by an earlier attempt at this run")
    else:
        story.starts(task.node)
        story.ends(cached=launch_node(pipeline, nodes[task.node], found, task.config.training))
    write_outputs(task.executor_input, _view(task, found, story))
    return PUSHED


def pods(settings: dict[str, Any]) -> Launch:
    """Makes the launcher of workers' pods from the settings of the cluster. `Site.launcher` names this function."""
    return launch_pods(Cluster(**settings))


def _leave_out(task: Task, story: Story) -> int:
    """Leaves out an optional node.

    Raises:
      UserError: the node is not optional, so the run was compiled by another version than this image.
    """
    if task.node not in OPTIONAL:
        sentence = f"the pipeline of this image has no node {task.node}: the run was compiled by another version"
        remedy = "Upload the pipeline of this version, or name the image of the other version in cluster.yaml"
        raise UserError(sentence, value=task.node, remedy=remedy)
    story.say(f"{task.node} has nothing to do with these parameters")
    return PUSHED


def _finished(task: Task, found: Metadata) -> bool:
    """Tells whether an earlier attempt finished the node, though Kubeflow did not see it."""
    with found as handle:
        execution = executions_of(handle.store, task.run_id).get(task.node)
    return execution is not None and execution_lib.is_execution_successful(execution)


def _view(task: Task, found: Metadata, story: Story) -> View:
    """Makes the node's page and numbers. If that fails, shows nothing: the work is done, and other nodes need it."""
    try:
        with found as handle:
            executions = executions_of(handle.store, task.run_id)
            inputs = artifacts_of(handle.store, executions[task.node], mlmd.Event.INPUT)
            outputs = artifacts_of(handle.store, executions[task.node], mlmd.Event.OUTPUT)
            evaluation = None
            if task.node == "AtomicPusher":  # its input is the blessing without the numbers behind it
                evaluation = output_of(handle.store, executions["Evaluator"], "evaluation").uri
        return view(task.node, inputs, outputs, evaluation)
    except InterruptError:
        raise
    except Exception:
        traceback.print_exc()  # to the log file
        story.say(f"{task.node} is done, but its page could not be made; see the log")
        return View(None, {})
