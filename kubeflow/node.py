"""The work of one node: TFX's, by its portable launcher, or the verdict on the run behind them."""

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata
from tfx.orchestration.portable.mlmd import execution_lib

from components.site import here
from kubeflow.database import connection, wait_for
from kubeflow.outputs import write_outputs
from kubeflow.parameters import VERDICT, Task
from kubeflow.views import View, view
from kubeflow.worker_pods import launch_pods
from pipeline.console import Story
from pipeline.local import launch_node, plan
from pipeline.outcome import artifacts_of, executions_of, output_of, read_outcome
from pipeline.words import PUSHED, REFUSED, describe


def work(task: Task, story: Story) -> int:
    """Does it, and returns the exit code.

    Raises:
      Exception: whatever TFX or the database raised.
    """
    store = connection(task.cluster.database, task.config.root)
    wait_for(task.cluster.database, store)
    return _verdict(task, store, story) if task.node == VERDICT else _run(task, store, story)


def _verdict(task: Task, store: mlmd.ConnectionConfig, story: Story) -> int:
    outcome = read_outcome(store, task.run_id)
    story.say(f"\n{describe(outcome)}")
    return PUSHED if outcome.verdict.blessed else REFUSED


def _run(task: Task, store: mlmd.ConnectionConfig, story: Story) -> int:
    """Runs the node, unless an earlier try of the same run did, and writes what Kubeflow shows of it."""
    pipeline = plan(task.config, task.run_id)
    nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in pipeline.nodes}
    if task.node not in nodes:
        story.say(f"{task.node} has nothing to do with these parameters")
        return PUSHED
    if _finished(task, store):
        story.say(f"{task.node} was finished by an earlier try of this run")
    else:
        here.launch, here.run = launch_pods(task.cluster), task.run_id
        story.starts(task.node)
        story.ends(cached=launch_node(pipeline, nodes[task.node], store))
    write_outputs(task.executor_input, _view(task, store))
    return PUSHED


def _finished(task: Task, store: mlmd.ConnectionConfig) -> bool:
    """Whether an earlier try came to its end, though Kubeflow did not see it."""
    with metadata.Metadata(store) as handle:
        execution = executions_of(handle.store, task.run_id).get(task.node)
    return execution is not None and execution_lib.is_execution_successful(execution)


def _view(task: Task, store: mlmd.ConnectionConfig) -> View:
    """What the node shows in the UI, from what it took in and put out."""
    with metadata.Metadata(store) as handle:
        executions = executions_of(handle.store, task.run_id)
        inputs, outputs = (
            artifacts_of(handle.store, executions[task.node], kind) for kind in (mlmd.Event.INPUT, mlmd.Event.OUTPUT)
        )
        evaluation = None
        if task.node == "AtomicPusher":  # it gets the blessing, but not the numbers behind it
            evaluation = output_of(handle.store, executions["Evaluator"], "evaluation").uri
    return view(task.node, inputs, outputs, evaluation)
