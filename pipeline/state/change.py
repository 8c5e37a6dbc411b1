"""Changes what is served: rolls back to an earlier version, or withdraws one.

The change is one renaming in the push directory, to a new version, because a model server takes the highest number. ML
Metadata has it before it begins, so that a change that a killed process began is seen.
"""

import contextlib
import datetime
import os
from collections.abc import Iterator
from typing import NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.card.files import read_card
from components.card.names import model_identity
from components.gate.publish import publish
from components.gate.serving import LOCK, versions
from components.gate.withdrawal import finish_withdrawals, withdraw, withdrawals
from pipeline.state.executions import PIPELINE
from pipeline.state.runs import PUSHED_TO
from pipeline.state.served import (
    PUSHED_MODEL,
    REASON,
    RESTORES,
    ROLLBACK,
    SERVED,
    VERSION,
    WHO,
    WITHDRAWAL,
    origin,
    push_directory,
    records,
)
from trainer.errors import ReportedError, StorageError, UserError
from trainer.schema import nearest
from trainer.storage.digests import read_digests, recorded_or_present
from trainer.storage.lock import locked
from trainer.storage.quarantine import damage

NOTHING = "nothing"  # to serve


class Author(NamedTuple):
    """Who changes what is served, and why."""

    who: str
    reason: str


class Changed(NamedTuple):
    """What a change did."""

    pipeline: str
    before: int  # the version that was served
    served: int | None  # the version that is served now, if any is
    restores: int | None  # the version whose files it has, if the change made it
    withdrawn: tuple[int, ...] = ()


def roll_back(store: MetadataStore, root: str, pipeline: str, version: int | None, author: Author) -> Changed:
    """Serves the model of `version`, or of the one before the served one, as a new version.

    Raises:
      UserError: there is no such version, or it is served already.
      ReportedError: it is damaged.
      StorageError: it cannot be copied; nothing is changed.
    """
    with _locked(store, root, pipeline) as found:
        target = found.previous() if version is None else version
        if target is None:
            sentence = f"no intact version of another model came before {found.served}, which is served"
            raise UserError(sentence, value=found.served, remedy=found.remedy())
        found.check(target)
        if found.model(target) == found.model(found.served) and not found.damage(found.served):
            sentence = f"version {target} is the model that is served, as version {found.served}"
            raise UserError(sentence, value=target, remedy=found.remedy())
        with found.recorded(ROLLBACK, target, author) as record:
            served = found.restore(target, ROLLBACK, author, record)
    return Changed(pipeline, found.served, served, target)


def withdraw_version(
    store: MetadataStore, root: str, pipeline: str, version: int, author: Author, instead: int | str | None = None
) -> Changed:
    """Moves the version, and every other one of the same model, out of what a model server reads.

    If it is the one that is served, the model before it takes its place first, or `instead`, a version or NOTHING.

    Raises:
      UserError: there is no such version, or none that can take its place.
      ReportedError: the one that takes its place is damaged.
      StorageError: it cannot be copied; nothing is changed.
    """
    with _locked(store, root, pipeline) as found:
        found.check(version, damaged=True)
        model = found.model(version)
        gone = [one for one in found.versions if found.model(one) == model]
        target = None
        if found.served in gone and instead != NOTHING:
            target = found.previous() if instead is None else int(instead)
            if target is None:
                raise UserError(
                    f"version {version} is served, and no intact version of another model came before it",
                    value=version,
                    remedy=f"Choose with --serve: {', '.join(filter(None, [found.others(), NOTHING]))}. With nothing, "
                    "TensorFlow Serving unloads the model and answers requests with an error until the next push",
                )
            found.check(target)
            if target in gone:
                raise UserError("--serve", value=target, valid=f"a version of another model, {found.others()}")
        with found.recorded(WITHDRAWAL, version, author) as record:
            served = found.restore(target, WITHDRAWAL, author, record) if target else None
            for one in gone:
                withdraw(found.base, one, author.who, author.reason)
    left = versions(found.base)
    return Changed(pipeline, found.served, served or (left[-1] if left else None), target, tuple(gone))


class _Directory:
    """The push directory of a pipeline, whose lock is held."""

    def __init__(self, store: MetadataStore, root: str, pipeline: str) -> None:
        self._store, self._pipeline, self.base = store, pipeline, push_directory(root, pipeline)
        finish_withdrawals(self.base)
        self.versions, self._known = versions(self.base), records(store, pipeline)
        if not self.versions:
            remedy = "Push a model first, with vaeiaf run"
            raise UserError(f"{pipeline} serves nothing, so nothing can be changed", value=self.base, remedy=remedy)
        self.served = self.versions[-1]

    def model(self, version: int) -> str:
        """Returns the identity of the version's files."""
        return model_identity(recorded_or_present(self._path(version)))

    def damage(self, version: int) -> str | None:
        """Describes the damage to the version's files, None if they are intact."""
        return damage(self._path(version))

    def others(self) -> str:
        """Names the versions of other models than the served one."""
        served = self.model(self.served)
        return ", ".join(str(one) for one in reversed(self.versions) if self.model(one) != served)

    def remedy(self) -> str:
        """Says which other version may be served."""
        others = self.others()
        return f"Name another: {others}" if others else "Push another model first; there is no version of one"

    def check(self, version: int, damaged: bool = False) -> None:
        """Raises an error about a version that is withdrawn, unknown or, unless `damaged` is allowed, damaged."""
        for found in withdrawals(self.base):
            if found.version == version:
                sentence = f"version {version} was withdrawn by {found.who}: {found.reason}"
                raise UserError(sentence, value=version, remedy="vaeiaf models lists the versions")
        if version not in self.versions:
            names = [str(one) for one in self.versions]
            valid = f"one of {', '.join(names)}"
            raise UserError("version", value=version, valid=valid, remedy=nearest(str(version), names))
        if not damaged and (what := self.damage(version)):
            sentence = f"version {version} is damaged: {what}"
            raise ReportedError(
                sentence, value=version, remedy="Choose another one; vaeiaf models lists them", cause=what
            )

    def previous(self) -> int | None:
        """Returns the newest intact version before the served one that has another model.

        Before a copy that a rollback made are the versions before its original: one rollback after another goes back.
        """
        served = self.model(self.served)
        earlier = [one for one in self.versions if one < origin(self.served, self._known)]
        fit = (one for one in reversed(earlier) if self.model(one) != served and not self.damage(one))
        return next(fit, None)

    @contextlib.contextmanager
    def recorded(self, kind: str, version: int, author: Author) -> Iterator[mlmd.Execution]:
        """Records the change before the block, and its end after it.

        Raises:
          StorageError: the system could not make the change.
        """
        type_id = self._store.put_execution_type(mlmd.ExecutionType(name=kind))
        execution = mlmd.Execution(type_id=type_id, last_known_state=mlmd.Execution.RUNNING)
        execution.custom_properties[WHO].string_value = author.who
        execution.custom_properties[REASON].string_value = author.reason
        execution.custom_properties[VERSION].int_value = version
        context = self._store.get_context_by_type_and_name(PIPELINE, self._pipeline)
        execution.id, _, _ = self._store.put_execution(execution, [], [context])
        try:
            yield execution
        except BaseException as error:
            execution.last_known_state = mlmd.Execution.FAILED
            self._store.put_executions([execution])
            if isinstance(error, OSError):
                raise StorageError("the version", self.base, error) from error
            raise
        execution.last_known_state = mlmd.Execution.COMPLETE
        self._store.put_executions([execution])

    def restore(self, version: int, kind: str, author: Author, execution: mlmd.Execution) -> int:
        """Publishes the files of `version` as a new version, records it as made by `execution`, and returns it.

        Its card is that of `version` with a sentence about this change.
        """
        path, card = self._path(version), read_card(self._path(version))
        if card:
            card = card.copied(kind, author.who, author.reason, datetime.datetime.now(datetime.UTC))
        path = publish(path, read_digests(path), self.base, card)
        served = int(os.path.basename(path))
        execution.custom_properties[SERVED].int_value = served
        artifact = self._artifact(version)
        artifact.uri = path  # without a state, because the push directory alone says which versions there are
        artifact.custom_properties[PUSHED_TO].string_value = path
        artifact.custom_properties[RESTORES].int_value = version
        event = mlmd.Event(type=mlmd.Event.OUTPUT)
        event.path.steps.add().key = "pushed_model"
        event.path.steps.add().index = 0
        self._store.put_execution(execution, [(artifact, event)], [])
        return served

    def _artifact(self, version: int) -> mlmd.Artifact:
        """Returns a new PushedModel with the gate's result of `version`, if ML Metadata has it."""
        if version not in self._known:
            kind = mlmd.ArtifactType(name=PUSHED_MODEL)
            return mlmd.Artifact(type_id=self._store.put_artifact_type(kind, can_omit_fields=True))
        known = self._known[version].artifact
        return mlmd.Artifact(type_id=known.type_id, custom_properties=known.custom_properties)

    def _path(self, version: int) -> str:
        return os.path.join(self.base, str(version))


@contextlib.contextmanager
def _locked(store: MetadataStore, root: str, pipeline: str) -> Iterator[_Directory]:
    base = push_directory(root, pipeline)
    if not os.path.isdir(base):
        remedy = "Push a model first, with vaeiaf run"
        raise UserError(f"{pipeline} serves nothing, so nothing can be changed", value=base, remedy=remedy)
    with locked(os.path.join(base, LOCK), "push"):
        yield _Directory(store, root, pipeline)
