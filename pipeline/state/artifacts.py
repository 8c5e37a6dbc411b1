"""Verifies artifacts before a node uses them, and quarantines damaged ones."""

from collections.abc import Iterable, Mapping

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import Artifact

from trainer.errors import ReportedError
from trainer.storage.quarantine import damage, quarantine_folder

BASELINES = ("baseline", "baseline_model", "base_model")  # inputs that come from an earlier run


def verify_inputs(inputs: Mapping[str, Iterable[Artifact]]) -> None:
    """Verifies every file of a node's inputs.

    Raises:
      ReportedError: a file is damaged or missing.
    """
    for key, artifacts in inputs.items():
        for artifact in artifacts:
            if what := damage(artifact.uri):
                if key in BASELINES:
                    sentence = (
                        f"the served model is damaged where it was trained: {what}. Without it no model can be "
                        "compared, and nothing is pushed"
                    )
                    remedy = "Restore the file, or pass --no-baseline to push without a comparison"
                else:
                    sentence = (
                        f"{what}: the {artifact.type_name} that this run made or reused was damaged during the run"
                    )
                    remedy = "Start again: the next run quarantines it and makes it anew"
                raise ReportedError(sentence, value=artifact.uri, remedy=remedy, cause=what)


def quarantine(artifact: Artifact, what: str, store: MetadataStore) -> str:
    """Renames a damaged artifact, writes the reason beside it, and marks it deleted in the metadata.

    Returns the new path.

    Raises:
      ReportedError: it cannot be renamed.
    """
    moved = quarantine_folder(artifact.uri, what)
    artifact.mlmd_artifact.state = mlmd.Artifact.DELETED
    store.put_artifacts([artifact.mlmd_artifact])
    return moved
