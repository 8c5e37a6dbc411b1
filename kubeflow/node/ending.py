"""How a run ended, from what its tasks left: a failure beside a log on the volume, or the verdict in ML Metadata."""

import pathlib
from typing import TYPE_CHECKING, NamedTuple

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.tasks import TASKS, VERDICT, left_out
from pipeline.failures import failure_of
from pipeline.settings import PipelineConfig
from trainer.failure import FILE, Failure, Kind, left

if TYPE_CHECKING:
    from pipeline.outcome import Outcome
    from pipeline.state.metadata import Metadata


class Failed(NamedTuple):
    """A run without a verdict."""

    failure: Failure
    task: str | None = None  # that failed, if known


def ending(cluster: Cluster, config: PipelineConfig, run_id: str, logs: pathlib.Path) -> "Outcome | Failed":
    """Returns how the run `run_id` ended, whose tasks have their logs in the folder `logs`."""
    for task, stage in TASKS.items():
        failure = left(str(logs / f"{task}.{FILE}"))
        if failure and (failure.kind != Kind.REFUSED or VERDICT not in stage.nodes):  # a verdict has the numbers
            return Failed(failure, task)
    # Their imports take seconds, which a failure that was left does not need.
    from kubeflow.node.database import lineage
    from pipeline.outcome import read_outcome
    from pipeline.state.lineage import IncompleteRunError

    try:
        found = lineage(cluster.database, config.root)
        try:
            return read_outcome(found, run_id)
        except IncompleteRunError:
            return _lost(_unfinished(config, found, run_id))
    except Exception as error:
        return Failed(failure_of(error, config.root))


def _unfinished(config: PipelineConfig, found: "Metadata", run_id: str) -> str:
    """Returns the first task with a node that did not finish, at least the verdict's."""
    from tfx.orchestration.portable.mlmd import execution_lib

    from pipeline.state.executions import executions_of

    with found as handle:
        executions = executions_of(handle.store, run_id)
    done = {name for name, execution in executions.items() if execution_lib.is_execution_successful(execution)}
    done |= left_out(config)
    return next(task for task, stage in TASKS.items() if set(stage.nodes) - done - {VERDICT} or VERDICT in stage.nodes)


def _lost(task: str) -> Failed:
    """Returns the failure of a task whose pod left none."""
    sentence = f"{task} did not finish and left no failure: its pod was lost, or never started"
    return Failed(Failure(Kind.INFRASTRUCTURE, sentence, value=task, remedy="See the pod's events in the UI"), task)
