"""Artifacts of an execution, read from ML Metadata as TFX's."""

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import Artifact, artifact_utils

from trainer.errors import ReportedError


class IncompleteRunError(ReportedError):
    """A component of the run did not finish, though nothing was raised."""


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
