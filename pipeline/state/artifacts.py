"""Artifacts: their digests are written when they are complete, and verified before they are used."""

from collections.abc import Iterable, Mapping

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import Artifact

from trainer.errors import ReportedError
from trainer.storage.quarantine import damage, quarantine_folder

BASELINES = ("baseline", "baseline_model", "base_model")  # inputs that come from an earlier run


def verify_inputs(inputs: Mapping[str, Iterable[Artifact]]) -> None:
    """Reads every file of a node's inputs.

    Raises:
      ReportedError: one is damaged or missing.
    """
    for key, artifacts in inputs.items():
        for artifact in artifacts:
            if what := damage(artifact.uri):
                if key in BASELINES:
                    raise ReportedError(
                        f"the model that is served cannot be read where it was trained: {what}. Without it no model "
                        "can be compared, and nothing is pushed. Bring the file back, or pass --no-baseline to push "
                        "without a comparison"
                    )
                raise ReportedError(
                    f"{what}: the {artifact.type_name} that this run made or reused was damaged meanwhile. Start "
                    "again: it is quarantined, and made anew"
                )


def quarantine(artifact: Artifact, what: str, store: MetadataStore) -> str:
    """Moves a damaged artifact away, with time and reason beside it, and marks it as deleted in the metadata.

    Returns the new name.

    Raises:
      ReportedError: it cannot be moved.
    """
    moved = quarantine_folder(artifact.uri, what)
    artifact.mlmd_artifact.state = mlmd.Artifact.DELETED
    store.put_artifacts([artifact.mlmd_artifact])
    return moved
