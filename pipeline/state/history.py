"""The runs, versions and changes of a state directory, read from ML Metadata and the push directories.

Imports neither TensorFlow nor TFX, so a command shows them at once.
"""

import contextlib
import datetime
import fcntl
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.gate.result import Result
from components.gate.serving import versions
from components.gate.withdrawal import servable, withdrawals
from pipeline.state.database import Database, sqlite_connection
from pipeline.state.store import Store
from trainer.errors import UserError
from trainer.schema import nearest
from trainer.storage.digests import identity, read_digests, recorded_or_present
from trainer.storage.quarantine import damage

METADATA, PUSHED = "metadata.sqlite", "pushed"  # in a state directory
PIPELINE, RUN, NODE = "pipeline", "pipeline_run", "node"  # TFX's types of contexts
PUSHED_TO, UNCHANGED = "pushed_to", "unchanged"  # properties of the pusher's artifact
CHANGES = ("rollback", "withdrawal")  # types of executions that change what is served, apart from runs
RESTORES, WHO, REASON = "restores", "who", "reason"  # their properties
DONE = (mlmd.Execution.COMPLETE, mlmd.Execution.CACHED)


class Run(NamedTuple):
    """A run of the pipeline."""

    run: str  # its id
    pipeline: str
    started: datetime.datetime
    seconds: float  # until its last change
    state: str  # pushed, unchanged, refused, failed, running or stopped
    node: str | None  # that runs, or at which the run ended early
    version: int | None  # that it pushed or found unchanged
    elbo: float | None  # nats per image, of the new model over the test images
    standard_error: float | None
    reasons: str  # of a refusal


class Change(NamedTuple):
    """A change of what is served, apart from runs."""

    change: str  # rollback or withdrawal
    time: datetime.datetime
    who: str
    reason: str
    version: int  # to which was rolled back, or which was withdrawn
    served: int | None  # the new version, if there is one
    is_complete: bool  # False: it was killed, or runs


class Version(NamedTuple):
    """A pushed version."""

    version: int
    pipeline: str
    time: datetime.datetime
    is_served: bool
    restores: int | None  # the version that it is a copy of, after a rollback
    run: str | None  # that pushed it, or pushed what it is a copy of
    elbo: float | None
    standard_error: float | None
    size: int  # bytes
    digest: str  # of its files
    damage: str | None  # None: intact
    withdrawn: str | None  # when, by whom and why


class History:
    """Reads a state directory.

    Args:
      root: the state directory.

    Raises:
      UserError: there is none.
    """

    def __init__(self, root: str) -> None:
        metadata = os.path.join(root, METADATA)
        if not os.path.exists(metadata):
            remedy = "Give the --root of earlier runs, or start one with vaeiaf run"
            raise UserError(
                f"--root {root} has no {METADATA}: it is not the state directory of a run", value=root, remedy=remedy
            )
        self.root = root
        self.store: MetadataStore = Store(root, Database(sqlite_connection(metadata)))

    def pipelines(self) -> list[str]:
        """Returns the names of the pipelines that ran here."""
        return sorted(context.name for context in self._contexts(PIPELINE))

    def pipeline(self, name: str | None) -> str:
        """Returns the pipeline `name`, or the only one.

        Raises:
          UserError: there is no such pipeline, or several and none was named.
        """
        known = self.pipelines()
        valid = f"one of {', '.join(known)}"
        if name is None and len(known) == 1:
            return known[0]
        if name is None:
            raise UserError(
                f"--root {self.root} has {len(known)} pipelines", value=self.root, remedy=f"Give --pipeline, {valid}"
            )
        if name not in known:
            raise UserError("--pipeline", value=name, valid=valid, remedy=nearest(name, known))
        return name
