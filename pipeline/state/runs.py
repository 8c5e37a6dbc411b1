"""How the runs in a state directory ended, or where they are."""

import datetime
import os
from collections.abc import Iterator
from typing import NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.gate.result import Result
from pipeline.state.executions import SUCCESSFUL, RunExecutions, is_shared, runs_of, time_of
from trainer.storage.lock import is_held

ALIVE = datetime.timedelta(days=7)  # that a node may take
LOCK = "lock"  # file in a state directory that a run on this machine holds
PUSHER, LAST = "AtomicPusher", "Report"  # nodes
PUSHED_TO, UNCHANGED = "pushed_to", "unchanged"  # properties of the pusher's artifact


class Run(NamedTuple):
    """A run of a pipeline."""

    run: str  # its id
    pipeline: str
    started: datetime.datetime
    seconds: float  # until its last change, or until now if it is running
    state: str  # pushed, unchanged, refused, failed, stopped or running
    node: str | None  # that runs, or at which the run ended early
    version: int | None  # that it pushed or found unchanged
    elbo: float | None  # nats per image, of the new model over the test images
    standard_error: float | None
    reasons: str  # of a refusal


def runs(store: MetadataStore, root: str, pipeline: str | None = None) -> Iterator[Run]:
    """Yields the runs of `pipeline`, or of all pipelines, in the state directory `root`, the newest first."""
    return (run for run, _ in runs_with_executions(store, root, pipeline))


def runs_with_executions(
    store: MetadataStore, root: str, pipeline: str | None = None
) -> Iterator[tuple[Run, RunExecutions]]:
    """Yields what `runs` does, each with its executions."""
    is_running = is_held(os.path.join(root, LOCK))  # by the newest run, because a run waits for no other
    for found in runs_of(store):  # of all pipelines, because the newest may be another's
        if pipeline in (None, found.pipeline):
            yield _run(store, found, is_running or (is_shared(root) and may_be_running(found))), found
        is_running = False


def may_be_running(found: RunExecutions) -> bool:
    """Tells whether the run has not ended and changed lately. On a volume that others write to, no lock tells more."""
    return not is_complete(found) and datetime.datetime.now().astimezone() - changed(found) < ALIVE


def is_complete(found: RunExecutions) -> bool:
    """Tells whether the run reached its end."""
    last = found.nodes.get(LAST)
    return last is not None and last.last_known_state in SUCCESSFUL


def changed(found: RunExecutions) -> datetime.datetime:
    """Returns the time of the run's last change."""
    return time_of(max(execution.last_update_time_since_epoch for execution in found.nodes.values()))


def _run(store: MetadataStore, found: RunExecutions, is_running: bool) -> Run:
    open_ = [name for name, execution in found.nodes.items() if execution.last_known_state not in SUCCESSFUL]
    properties = _pushed_model(store, found.nodes.get(PUSHER))
    result = Result.read(properties)
    paths = [properties[name].string_value for name in (PUSHED_TO, UNCHANGED) if name in properties]
    if is_running and not _has_failed(found) and (open_ or LAST not in found.nodes):
        state = "running"
    elif open_ or LAST not in found.nodes:
        state = "failed" if _has_failed(found) else "stopped"
    elif PUSHED_TO in properties:
        state = "pushed"
    else:
        state = "unchanged" if UNCHANGED in properties else "refused"
    node = open_[0] if open_ else [*found.nodes][-1]
    ended = datetime.datetime.now().astimezone() if state == "running" else changed(found)
    return Run(
        run=found.run,
        pipeline=found.pipeline,
        started=found.started,
        seconds=(ended - found.started).total_seconds(),
        state=state,
        node=node if state in ("running", "failed", "stopped") else None,
        version=version_of(paths[0]) if paths else None,
        elbo=result.elbo,
        standard_error=result.standard_error,
        reasons=result.reasons,
    )


def _has_failed(found: RunExecutions) -> bool:
    return any(execution.last_known_state == mlmd.Execution.FAILED for execution in found.nodes.values())


def _pushed_model(store: MetadataStore, pusher: mlmd.Execution | None) -> dict[str, mlmd.Value]:
    """Returns the custom properties of the pusher's artifact."""
    if pusher is None:
        return {}
    events = store.get_events_by_execution_ids([pusher.id])
    ids = [event.artifact_id for event in events if event.type == mlmd.Event.OUTPUT]
    return dict(store.get_artifacts_by_id(ids)[0].custom_properties) if ids else {}


def version_of(path: str) -> int:
    """Returns the version in the path of a push."""
    return int(os.path.basename(path))
