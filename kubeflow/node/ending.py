"""How a run ended, from what its nodes left: a failure beside a log on the volume, or the verdict in ML Metadata."""

import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from kubeflow.spec.cluster import Cluster
from kubeflow.spec.nodes import OPTIONAL, TITLES
from pipeline.failures import failure_of
from pipeline.settings import PipelineConfig
from trainer.failure import FILE, Failure, Kind, left

if TYPE_CHECKING:
    from pipeline.outcome import Outcome
    from pipeline.state.metadata import Metadata


class Failed(NamedTuple):
    """A run without a verdict."""

    failure: Failure
    node: str | None = None  # that failed, if known


def ending(cluster: Cluster, config: PipelineConfig, run_id: str, logs: pathlib.Path) -> "Outcome | Failed":
    """Returns how the run `run_id` ended, whose nodes have their logs in the folder `logs`."""
    for node in TITLES:
        failure = left(str(logs / f"{node}.{FILE}"))
        if failure and failure.kind != Kind.REFUSED:  # a refusal is a verdict, which has the numbers
            return Failed(failure, node)
    # Their imports take seconds, which a failure that was left does not need.
    from kubeflow.node.database import lineage
    from pipeline.outcome import read_outcome
    from pipeline.state.lineage import IncompleteRunError

    try:
        found = lineage(cluster.database, config.root)
        try:
            return read_outcome(found, run_id)
        except IncompleteRunError:
            return _lost(next(_unfinished(config, found, run_id, logs)))
    except Exception as error:
        return Failed(failure_of(error, config.root))


def _unfinished(config: PipelineConfig, found: "Metadata", run_id: str, logs: pathlib.Path) -> Iterator[str]:
    """Yields the nodes that did not finish, the verdict at least: first those that started, which have a log."""
    from tfx.orchestration.portable.mlmd import execution_lib

    from pipeline.state.lineage import executions_of

    with found as handle:
        executions = executions_of(handle.store, run_id)
    done = {name for name, execution in executions.items() if execution_lib.is_execution_successful(execution)}
    left_out = () if config.tune else OPTIONAL
    missing = [name for name in TITLES if name not in done and name not in left_out]
    yield from sorted(missing, key=lambda name: not (logs / f"{name}.log").exists())


def _lost(node: str) -> Failed:
    """Returns the failure of a node whose pod left none."""
    sentence = f"{node} did not finish and left no failure: its pod was lost, or never started"
    return Failed(Failure(Kind.INFRASTRUCTURE, sentence, value=node, remedy="See the pod's events in the UI"), node)
