"""Executions of runs in ML Metadata, by pipeline and node. Imports neither TensorFlow nor TFX."""

import contextlib
import datetime
import os
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.state.database import AWAY_SECONDS, Database, sqlite_connection
from pipeline.state.store import Store
from trainer.errors import UserError
from trainer.schema import nearest

METADATA = "metadata.sqlite"  # in a state directory
PIPELINE, RUN, NODE = "pipeline", "pipeline_run", "node"  # TFX's types of contexts
PART = re.compile(r"\.span-\d+$")  # end of the id of a part of a run, which ingests one span of its data
MANY = 200  # executions, above which the names of all cost less than one by one: those of some ten runs
SUCCESSFUL = (mlmd.Execution.COMPLETE, mlmd.Execution.CACHED)


class RunExecutions(NamedTuple):
    """The executions of a run."""

    run: str  # its id
    pipeline: str
    started: datetime.datetime
    nodes: dict[str, mlmd.Execution]  # by node id, in the order of their start; of several attempts the last


_shared: dict[str, Callable[[], MetadataStore]] = {}  # state directories whose database is elsewhere


@contextlib.contextmanager
def sharing(root: str, connect: Callable[[], MetadataStore]) -> Iterator[None]:
    """Says for the block that `root` is on a volume that other machines write to, and connects to its database."""
    _shared[root] = connect
    try:
        yield
    finally:
        del _shared[root]


def is_shared(root: str) -> bool:
    """Tells whether other machines write to the state directory, whose lock then says nothing about runs."""
    return root in _shared


def open_store(root: str, away_seconds: float = AWAY_SECONDS) -> MetadataStore:
    """Opens the database of the state directory `root`; calls wait up to `away_seconds` while it is locked.

    Raises:
      UserError: there is none.
    """
    if is_shared(root):
        return _shared[root]()
    path = os.path.join(root, METADATA)
    if not os.path.exists(path):
        remedy = "Give the --root of earlier runs, or start one with vaeiaf run"
        raise UserError(f"--root {root} is not a state directory with {METADATA}", value=root, remedy=remedy)
    return Store(root, Database(sqlite_connection(path), away_seconds))


def executions_of(store: MetadataStore, run_id: str) -> dict[str, mlmd.Execution]:
    """Returns the executions of a run by node id; of several attempts at a node, the last."""
    return {node: executions[-1] for node, executions in attempts_of(store, run_id).items()}


def attempts_of(store: MetadataStore, run_id: str) -> dict[str, list[mlmd.Execution]]:
    """Returns the executions of a run by node id, of each node the oldest first."""
    found: dict[str, list[mlmd.Execution]] = {}
    run = store.get_context_by_type_and_name(RUN, run_id)
    for name, execution in _Names(store).of_run(run) if run else ():
        found.setdefault(name.node, []).append(execution)
    return found


def runs_of(store: MetadataStore, pipeline: str | None = None) -> Iterator[RunExecutions]:
    """Yields the runs of `pipeline`, or of all pipelines, the newest first."""
    found, names = store.get_contexts_by_type(RUN), _Names(store)
    parts: dict[str, list[mlmd.Context]] = {}
    for context in found:
        if PART.search(context.name):
            parts.setdefault(PART.sub("", context.name), []).append(context)
    for context in sorted(found, key=lambda run: (run.create_time_since_epoch, run.id), reverse=True):
        if PART.search(context.name):
            continue
        named = list(names.of_run(context))
        if named and pipeline in (None, named[0][0].pipeline):
            nodes = {name.node: execution for name, execution in named}
            for part in parts.get(context.name, ()):
                suffix = part.name.removeprefix(context.name)
                nodes |= {f"{name.node}{suffix}": execution for name, execution in names.of_run(part)}
            yield RunExecutions(context.name, named[0][0].pipeline, time_of(context.create_time_since_epoch), nodes)


def find_run(store: MetadataStore, pipeline: str, run: str) -> RunExecutions | None:
    """Returns the run with the id `run`; None if none of its nodes was started."""
    return next((found for found in runs_of(store, pipeline) if found.run == run), None)


def pipelines_of(store: MetadataStore) -> list[str]:
    """Returns the names of the pipelines that ran."""
    return sorted(context.name for context in store.get_contexts_by_type(PIPELINE))


def one_pipeline(store: MetadataStore, name: str | None) -> str:
    """Returns the pipeline `name`, or the only one.

    Raises:
      UserError: there is no such pipeline, or several and no name.
    """
    known = pipelines_of(store)
    if name is None and len(known) == 1:
        return known[0]
    if name is None and known:
        remedy = f"Name one with --pipeline: {', '.join(known)}"
        raise UserError("the state directory has several pipelines", value=known, remedy=remedy)
    if name is None or name not in known:
        raise UserError("--pipeline", value=name, valid=f"one of {', '.join(known)}", remedy=nearest(name or "", known))
    return name


def run_named(store: MetadataStore, pipeline: str, run: str | None) -> RunExecutions:
    """Returns the run with the id `run`, or the last one.

    Raises:
      UserError: there is no such run.
    """
    found = {one.run: one for one in runs_of(store, pipeline)}
    if run is None and found:
        return next(iter(found.values()))
    if run not in found:
        newest = ", ".join([*found][:3])
        valid = f"the id of a run of {pipeline}, such as {newest}" if found else f"a run of {pipeline}; there is none"
        raise UserError("--run", value=run, valid=valid, remedy=nearest(run or "", found))
    return found[run]


def time_of(milliseconds: int) -> datetime.datetime:
    """Returns ML Metadata's time, in milliseconds since 1970, as local time."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000).astimezone()


class _Name(NamedTuple):
    pipeline: str
    node: str


class _Names:
    """Pipelines and nodes of executions: asked for one by one, and all at once when there are many."""

    def __init__(self, store: MetadataStore) -> None:
        self._store, self._asked = store, 0
        self._known: dict[int, _Name] = {}  # by the id of an execution

    def of_run(self, run: mlmd.Context) -> Iterator[tuple[_Name, mlmd.Execution]]:
        """Yields the executions of a run in the order of their start, with pipeline and node."""
        for execution in sorted(self._store.get_executions_by_context(run.id), key=lambda execution: execution.id):
            if name := self._known.get(execution.id) or self._ask(execution.id):
                yield name, execution

    def _ask(self, execution: int) -> "_Name | None":
        self._asked += 1
        if self._asked == MANY:
            for context in self._store.get_contexts_by_type(NODE):
                found = self._store.get_executions_by_context(context.id)
                self._known |= dict.fromkeys((one.id for one in found), _name(context))
        contexts = self._store.get_contexts_by_execution(execution)
        return next((_name(context) for context in contexts if context.type == NODE), None)


def _name(context: mlmd.Context) -> _Name:
    pipeline, _, node = context.name.rpartition(".")  # TFX writes PIPELINE.NODE
    return _Name(pipeline, node)
