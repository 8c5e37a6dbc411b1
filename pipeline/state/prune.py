"""Removes what no run needs any more: artifacts of old runs, old versions, and what killed runs and damage left.

What stays: the newest runs and versions; the last run that reached its end, whose newest span the next one is compared
with; the served version; a run that pushed a version that stays; on a volume that others write to, a run that has not
ended; everything that these runs read or wrote; the model last blessed; and the
model of each version that stays, because the gate compares with it after a rollback.

The order makes every moment one that `verify` accepts: a version leaves the push directory before its model does, and
ML Metadata calls an artifact deleted before its files are. What a killed process leaves, the next call removes. ML
Metadata has no call that removes executions, so the records of runs stay.
"""

import datetime
import os
from collections.abc import Iterable
from typing import NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.card.names import model_identity
from components.gate.publish import clear_removed, unpublish
from components.gate.serving import FORMAT_SERVING, LOCK, versions
from components.gate.withdrawal import finish_withdrawals, withdrawals
from pipeline.state.executions import PIPELINE, RunExecutions, runs_of
from pipeline.state.leftovers import damaged, output_folders, remove, size, unpublished
from pipeline.state.runs import changed, is_complete, may_be_running
from pipeline.state.served import origin, push_directory, records
from trainer.errors import ReportedError
from trainer.storage.digests import DamageError, below, read_digests, recorded_or_present
from trainer.storage.lock import locked

MODEL, BLESSING = "Model", "ModelBlessing"  # TFX's types


class Rules(NamedTuple):
    """What to keep. None keeps all."""

    versions: int | None = None  # the newest, at least 1
    runs: int | None = None  # the newest, at least 1
    older_than: datetime.timedelta | None = None  # nothing younger is removed
    run: str | None = None  # which stays: it prunes as it ends, and what comes after it reads its verdict

    @property
    def removes_nothing(self) -> bool:
        """Whether no rule is given."""
        return (self.versions, self.runs, self.older_than) == (None, None, None)


class Pruned(NamedTuple):
    """What is, or would be, removed of a pipeline."""

    pipeline: str
    versions: list[int]
    withdrawn: list[int]  # versions whose files are removed; their notes stay
    runs: list[str]  # whose artifacts are removed, if no other run needs them
    artifacts: list[str]  # folders
    leftovers: list[str]  # folders and files that no run owns
    size: int  # bytes


def prune(
    store: MetadataStore, root: str, pipeline: str, rules: Rules, is_alone: bool = True, dry_run: bool = False
) -> Pruned:
    """Removes what the rules do not keep of `pipeline`, and says what that was.

    Args:
      store: the database.
      root: the state directory.
      pipeline: its name.
      rules: what to keep.
      is_alone: whether no other run is running, because the lock of the state directory is held or free.
      dry_run: whether to change nothing, not even by a lock. The answer may be old when it comes.

    Raises:
      ReportedError: something cannot be removed; the next call tries again.
    """
    base = push_directory(root, pipeline)
    try:
        if dry_run:
            return _Plan(store, root, pipeline, rules, is_alone).summary()
        os.makedirs(base, exist_ok=True)
        with locked(os.path.join(base, LOCK), "push"):
            finish_withdrawals(base)
            clear_removed(base)
            plan = _Plan(store, root, pipeline, rules, is_alone)
            plan.carry_out()
            return plan.summary()
    except OSError as error:
        raise _failed(error, root) from error


class _Plan:
    """Decides what to remove, then removes it."""

    def __init__(self, store: MetadataStore, root: str, pipeline: str, rules: Rules, is_alone: bool) -> None:
        self._store, self._root, self._pipeline, self._rules = store, root, pipeline, rules
        self._base, self._is_alone, self._now = (
            push_directory(root, pipeline),
            is_alone,
            datetime.datetime.now().astimezone(),
        )
        self._plan_versions()
        kept = self._plan_runs()
        self._plan_artifacts(kept)
        self._runs = self._emptied_runs()
        self._plan_leftovers()
        self._size = sum(map(size, self._paths()))

    def summary(self) -> Pruned:
        """Says what is removed."""
        return Pruned(
            pipeline=self._pipeline,
            versions=self._versions,
            withdrawn=[found.version for found in self._withdrawn],
            runs=self._runs,
            artifacts=sorted(artifact.uri for artifact in self._artifacts),
            leftovers=self._leftovers,
            size=self._size,
        )

    def carry_out(self) -> None:
        """Removes it, in an order that a killed process may leave at any point."""
        for version in self._versions:
            unpublish(self._base, version)
        for withdrawal in self._withdrawn:
            remove(withdrawal.moved)
        for artifact in self._artifacts:
            artifact.state = mlmd.Artifact.DELETED
        if self._artifacts:
            self._store.put_artifacts(self._artifacts)
        for path in (*(artifact.uri for artifact in self._artifacts), *self._leftovers):
            remove(path)

    def _plan_versions(self) -> None:
        present = versions(self._base)
        limit = None if self._rules.versions is None else -self._rules.versions
        beyond = present[:-1] if limit is None else present[:limit]
        self._versions = (
            [version for version in beyond if self._is_old(_time(version))] if self._removes_versions else []
        )
        self._kept_versions = [version for version in present if version not in self._versions]
        gone = (
            [found for found in withdrawals(self._base) if os.path.exists(found.moved)]
            if self._removes_versions
            else []
        )
        self._withdrawn = [found for found in gone if self._is_old(_time(found.version))]

    @property
    def _removes_versions(self) -> bool:
        return self._rules.versions is not None or self._rules.older_than is not None

    def _plan_runs(self) -> list[RunExecutions]:
        """Decides about runs, and returns those that stay."""
        known, kept, rules = records(self._store, self._pipeline), [], self._rules
        pushed = {
            known[origin(version, known)].run for version in self._kept_versions if origin(version, known) in known
        }
        found = list(runs_of(self._store, self._pipeline))
        last = {found[0].run, rules.run, *[run.run for run in found if is_complete(run)][:1]} if found else set()
        self._old_runs = []
        for index, run in enumerate(found):
            is_new = rules.runs is not None and index < rules.runs
            may_go = (rules.runs is not None or rules.older_than is not None) and self._is_old(changed(run))
            if run.run not in last | pushed and may_go and not is_new and not self._is_live(run):
                self._old_runs.append(run)
            else:
                kept.append(run)
        return kept

    def _plan_artifacts(self, kept: list[RunExecutions]) -> None:
        executions = [execution.id for run in kept for execution in run.nodes.values()]
        used = (
            {event.artifact_id for event in self._store.get_events_by_execution_ids(executions)}
            if executions
            else set()
        )
        self._all = self._of_pipeline()
        blessed = self._last_blessed()
        served = {
            model_identity(recorded_or_present(os.path.join(self._base, str(one)))) for one in self._kept_versions
        }
        self._artifacts = [
            artifact
            for artifact in self._all
            if self._old_runs
            and artifact.state == mlmd.Artifact.LIVE
            and artifact.id not in used | blessed
            and not (artifact.type == MODEL and _saved_model(artifact.uri) in served)
        ]

    def _of_pipeline(self) -> list[mlmd.Artifact]:
        context = self._store.get_context_by_type_and_name(PIPELINE, self._pipeline)
        return self._store.get_artifacts_by_context(context.id) if context else []

    def _emptied_runs(self) -> list[str]:
        """Returns the old runs that lose an artifact."""
        removed = {artifact.id for artifact in self._artifacts}
        events = self._store.get_events_by_artifact_ids(list(removed)) if removed else []
        losing = {event.execution_id for event in events}
        return [run.run for run in self._old_runs if losing & {execution.id for execution in run.nodes.values()}]

    def _last_blessed(self) -> set[int]:
        """Returns the ids of the last blessing and of its model, which are the baseline if nothing is served."""
        blessings = {
            one.id: one for one in self._all if one.type == BLESSING and one.custom_properties["blessed"].int_value
        }
        events = self._store.get_events_by_artifact_ids(list(blessings)) if blessings else []
        given = [event for event in events if event.type == mlmd.Event.OUTPUT]
        if not given:
            return set()
        last = blessings[max(given, key=lambda event: event.execution_id).artifact_id]
        return {last.id, last.custom_properties["current_model_id"].int_value}

    def _plan_leftovers(self) -> None:
        # In this order, because other runs go on: an execution is recorded before it has a folder, and its artifact
        # before its run ends.
        folders = list(output_folders(os.path.join(self._root, "artifacts", self._pipeline)))
        live = {
            str(execution.id)
            for run in runs_of(self._store, self._pipeline)
            if self._is_live(run)
            for execution in run.nodes.values()
        }
        owned = {one.uri for one in self._of_pipeline() if one.state == mlmd.Artifact.LIVE}
        found = {
            *(path for path in folders if os.path.basename(path) not in live and path not in owned),
            *unpublished(self._base, set(records(self._store, self._pipeline))),
            *(damaged(self._root, self._pipeline) if self._rules.older_than is not None else ()),
        }
        self._leftovers = sorted(path for path in found if self._is_old(_modified(path)))

    def _is_old(self, time: datetime.datetime) -> bool:
        return self._rules.older_than is None or self._now - time > self._rules.older_than

    def _is_live(self, run: RunExecutions) -> bool:
        """Tells whether another process may be at the run."""
        return not self._is_alone and may_be_running(run)

    def _paths(self) -> Iterable[str]:
        yield from (os.path.join(self._base, str(version)) for version in self._versions)
        yield from (found.moved for found in self._withdrawn)
        yield from (artifact.uri for artifact in self._artifacts)
        yield from self._leftovers


def _saved_model(model: str) -> str | None:
    try:
        return model_identity(below(read_digests(model), FORMAT_SERVING))
    except DamageError:
        return None


def _time(version: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(version).astimezone()


def _modified(path: str) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(os.stat(path).st_mtime).astimezone()


def _failed(error: OSError, root: str) -> ReportedError:
    path = error.filename or root
    remedy = "Give this user the right to, and prune again; what was removed before stays removed"
    return ReportedError(f"{path} cannot be removed", value=path, remedy=remedy, cause=error)
