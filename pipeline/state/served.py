"""Pushed versions and who changed what is served, from the push directories and ML Metadata."""

import datetime
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.card.names import HTML, model_identity
from components.gate.result import Result
from components.gate.serving import versions
from components.gate.withdrawal import Withdrawal, is_withdrawn, present, withdrawals
from pipeline.state.executions import PIPELINE, RUN, time_of
from pipeline.state.runs import PUSHED_TO
from trainer.storage.digests import recorded_or_present
from trainer.storage.quarantine import damage

PUSHED_MODEL = "PushedModel"  # TFX's type
PUSHED = "pushed"  # folder of push directories in a state directory
ROLLBACK, WITHDRAWAL = "rollback", "withdrawal"  # types of executions
WHO, REASON, VERSION = "who", "reason", "version"  # properties of changes
SERVED = "served"  # property of a change: the new version
RESTORES = "restores"  # property of a PushedModel: the version whose files it has


class Change(NamedTuple):
    """A change of what is served that no run made."""

    change: str  # rollback or withdrawal
    time: datetime.datetime
    pipeline: str
    who: str
    reason: str
    version: int  # that was rolled back to, or withdrawn
    served: int | None  # the new version, if there is one
    is_complete: bool  # False: it was killed


class Version(NamedTuple):
    """A pushed version."""

    version: int
    pipeline: str
    time: datetime.datetime
    state: str  # served, kept or withdrawn
    restores: int | None  # the version whose files it has, after a rollback
    run: str | None  # that pushed these files
    elbo: float | None  # nats per image, over the test images of that run
    standard_error: float | None
    size: int  # bytes; 0 after a withdrawn version was pruned
    digest: str  # of its files, without its card
    damage: str | None  # None: intact
    card: str | None  # path of its model card, as HTML; None: an earlier version of this project pushed it
    withdrawn: Withdrawal | None


class Record(NamedTuple):
    """What ML Metadata says about a version."""

    artifact: mlmd.Artifact  # a PushedModel
    run: str | None
    restores: int | None


def push_directory(root: str, pipeline: str) -> str:
    """Returns the folder from which the models of `pipeline` are served."""
    return os.path.join(root, PUSHED, pipeline)


def push_directories(root: str) -> dict[str, str]:
    """Returns the push directories in `root`, by the names of their pipelines."""
    pushed = os.path.join(root, PUSHED)
    names = sorted(os.listdir(pushed)) if os.path.isdir(pushed) else []
    return {name: push_directory(root, name) for name in names}


def pushed_versions(store: MetadataStore, root: str, pipeline: str) -> list[Version]:
    """Returns the versions of `pipeline`, the newest first, and verifies the files of each."""
    base, known = push_directory(root, pipeline), records(store, pipeline)
    kept, gone = versions(base), {found.version: found for found in withdrawals(base)}
    for version in present(base):  # also those whose model a killed process began to withdraw
        if withdrawal := is_withdrawn(os.path.join(base, str(version)), list(gone.values())):
            gone.setdefault(version, withdrawal)
    found = [_version(base, pipeline, version, known, version == kept[-1], None) for version in kept]
    found += [_version(base, pipeline, version, known, False, withdrawal) for version, withdrawal in gone.items()]
    return sorted(found, reverse=True)


def served_version(store: MetadataStore, root: str, pipeline: str) -> Version | None:
    """Returns the version that `pipeline` serves, None if it serves nothing. Verifies its files."""
    base = push_directory(root, pipeline)
    kept = versions(base)
    return _version(base, pipeline, kept[-1], records(store, pipeline), True, None) if kept else None


def records(store: MetadataStore, pipeline: str) -> dict[int, Record]:
    """Returns what ML Metadata says about the versions of `pipeline`, also about those that are gone."""
    artifacts = store.get_artifacts_by_type(PUSHED_MODEL)
    pushed = {artifact.id: artifact for artifact in artifacts if _pipeline(artifact) == pipeline}
    found = {}
    for event in store.get_events_by_artifact_ids(list(pushed)) if pushed else []:
        if event.type != mlmd.Event.OUTPUT:
            continue
        artifact = pushed[event.artifact_id]
        restores = artifact.custom_properties[RESTORES].int_value if RESTORES in artifact.custom_properties else None
        runs = [context.name for context in store.get_contexts_by_execution(event.execution_id) if context.type == RUN]
        path = artifact.custom_properties[PUSHED_TO].string_value
        found[int(os.path.basename(path))] = Record(artifact, runs[0] if runs else None, restores)
    return found


def origin(version: int, known: dict[int, Record]) -> int:
    """Returns the version that a run pushed and whose files `version` has."""
    while version in known and known[version].restores is not None:
        version = known[version].restores or version
    return version


def changes(store: MetadataStore, pipelines: Iterable[str]) -> list[Change]:
    """Returns who changed what the `pipelines` serve, the newest first."""
    found = [change for pipeline in pipelines for change in _changes(store, pipeline)]
    return sorted(found, key=lambda change: change.time, reverse=True)


def _changes(store: MetadataStore, pipeline: str) -> Iterator[Change]:
    context = store.get_context_by_type_and_name(PIPELINE, pipeline)
    known = {kind.id: kind.name for kind in store.get_execution_types() if kind.name in (ROLLBACK, WITHDRAWAL)}
    for execution in store.get_executions_by_context(context.id) if context and known else []:
        if execution.type_id in known:
            said = execution.custom_properties
            yield Change(
                change=known[execution.type_id],
                time=time_of(execution.create_time_since_epoch),
                pipeline=pipeline,
                who=said[WHO].string_value,
                reason=said[REASON].string_value,
                version=said[VERSION].int_value,
                served=said[SERVED].int_value if SERVED in said else None,
                is_complete=execution.last_known_state == mlmd.Execution.COMPLETE,
            )


def _version(
    base: str, pipeline: str, version: int, known: dict[int, Record], is_served: bool, withdrawal: Withdrawal | None
) -> Version:
    path = os.path.join(base, str(version))
    if withdrawal and os.path.exists(withdrawal.moved) and withdrawal.version == version:
        path = withdrawal.moved  # otherwise it is being withdrawn, or was pruned
    exists = os.path.exists(path)
    digests = recorded_or_present(path) if exists else {}
    record, first = known.get(version), known.get(origin(version, known))
    result = Result.read(first.artifact.custom_properties) if first else Result()
    return Version(
        version=version,
        pipeline=pipeline,
        time=datetime.datetime.fromtimestamp(version).astimezone(),
        state="served" if is_served else "withdrawn" if withdrawal else "kept",
        restores=record.restores if record else None,
        run=first.run if first else None,
        elbo=result.elbo,
        standard_error=result.standard_error,
        size=sum(digest.size for digest in digests.values()),
        digest=withdrawal.model if withdrawal else model_identity(digests),
        damage=damage(path) if exists else None,
        card=card if os.path.exists(card := os.path.join(path, HTML)) else None,
        withdrawn=withdrawal,
    )


def _pipeline(artifact: mlmd.Artifact) -> str | None:
    """Returns the pipeline for which the PushedModel was pushed as a version; None if it was not."""
    if PUSHED_TO not in artifact.custom_properties:
        return None
    return os.path.basename(os.path.dirname(artifact.custom_properties[PUSHED_TO].string_value))
