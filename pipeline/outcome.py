"""What a finished run did, read back from ML Metadata."""

import os
from typing import NamedTuple

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration import metadata
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.types import artifact_utils

from components.verdict import Verdict, read_verdict


class Outcome(NamedTuple):
    """A run's end."""

    verdict: Verdict
    pushed_to: str | None  # folder of the version that this run pushed
    unchanged: str | None  # folder of the newest version, when the model is the same
    report: str  # path of the page
    trained: bool  # False: the model came from the cache


class IncompleteRunError(Exception):
    """A component of the run did not finish, though nothing was raised."""


def read_outcome(database: str, pipeline_name: str) -> Outcome:
    """The outcome of the newest run of `pipeline_name` in the SQLite file `database`.

    Raises:
      IncompleteRunError: a component of that run has no successful execution.
    """
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(database)) as handle:
        store = handle.store
        run = _newest_run(store, pipeline_name)
        types = {execution_type.id: execution_type.name for execution_type in store.get_execution_types()}
        executions = {types[e.type_id].split(".")[-1]: e for e in store.get_executions_by_context(run.id)}
        for name, execution in executions.items():
            if not execution_lib.is_execution_successful(execution):
                raise IncompleteRunError(f"{name} did not finish")
        for name in ("Trainer", "Evaluator", "AtomicPusher", "Report"):
            if name not in executions:
                raise IncompleteRunError(f"{name} did not run")
        pushed = _output(store, executions["AtomicPusher"], "pushed_model")
        return Outcome(
            verdict=read_verdict(_output(store, executions["Evaluator"], "evaluation").uri),
            pushed_to=pushed.get_string_custom_property("pushed_destination") or None,
            unchanged=pushed.get_string_custom_property("unchanged") or None,
            report=os.path.join(_output(store, executions["Report"], "report").uri, "index.html"),
            trained=executions["Trainer"].last_known_state == mlmd.Execution.COMPLETE,
        )


def _newest_run(store, pipeline_name: str) -> mlmd.Context:
    pipeline = store.get_context_by_type_and_name("pipeline", pipeline_name)
    of_pipeline = {e.id for e in store.get_executions_by_context(pipeline.id)} if pipeline else set()
    for run in sorted(store.get_contexts_by_type("pipeline_run"), key=lambda c: c.id, reverse=True):
        if any(e.id in of_pipeline for e in store.get_executions_by_context(run.id)):
            return run
    raise IncompleteRunError(f"no run of {pipeline_name} is recorded")


def _output(store, execution: mlmd.Execution, key: str):
    """The artifact that `execution` put out under `key`."""
    for event in store.get_events_by_execution_ids([execution.id]):
        if event.type == mlmd.Event.OUTPUT and event.path.steps[0].key == key:
            artifact = store.get_artifacts_by_id([event.artifact_id])[0]
            (artifact_type,) = store.get_artifact_types_by_id([artifact.type_id])
            return artifact_utils.deserialize_artifact(artifact_type, artifact)
    raise IncompleteRunError(f"execution {execution.id} has no output {key}")
