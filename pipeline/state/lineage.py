"""Executions and artifacts of a run, read from ML Metadata."""

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import Artifact, artifact_utils

from trainer.errors import ReportedError


class IncompleteRunError(ReportedError):
    """A component of the run did not finish, though nothing was raised."""


def executions_of(store: MetadataStore, run_id: str) -> dict[str, mlmd.Execution]:
    """Returns the executions of a run by node id; of several attempts at a node, the last."""
    run = store.get_context_by_type_and_name("pipeline_run", run_id)
    tried = sorted(store.get_executions_by_context(run.id), key=lambda execution: execution.id) if run else []
    return {_node_id(store, execution): execution for execution in tried}


def _node_id(store: MetadataStore, execution: mlmd.Execution) -> str:
    (node,) = (context for context in store.get_contexts_by_execution(execution.id) if context.type == "node")
    return node.name.split(".")[-1]  # TFX prefixes the pipeline's name


def output_of(store: MetadataStore, execution: mlmd.Execution, key: str) -> Artifact:
    """Returns the artifact that `execution` has as its output `key`.

    Raises:
      IncompleteRunError: there is none.
    """
    for artifact in artifacts_of(store, execution, mlmd.Event.OUTPUT).get(key, []):
        return artifact
    raise IncompleteRunError(f"execution {execution.id} has no output {key}")


def artifacts_of(store: MetadataStore, execution: mlmd.Execution, kind: mlmd.Event.Type) -> dict[str, list[Artifact]]:
    """Returns the inputs (kind INPUT) or outputs (OUTPUT) of `execution` by TFX's key."""
    found: dict[str, list[Artifact]] = {}
    for event in store.get_events_by_execution_ids([execution.id]):
        if event.type == kind:
            (artifact,) = store.get_artifacts_by_id([event.artifact_id])
            (artifact_type,) = store.get_artifact_types_by_id([artifact.type_id])
            # An artifact under two keys, as of a model that is its own baseline, is one event: key, index, key, index.
            for key in (step.key for step in event.path.steps if step.HasField("key")):
                found.setdefault(key, []).append(artifact_utils.deserialize_artifact(artifact_type, artifact))
    return found
