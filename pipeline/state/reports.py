"""Where the report of a run is. Imports neither TensorFlow nor TFX."""

import os
from typing import NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.state.executions import SUCCESSFUL, RunExecutions, run_named, runs_of
from pipeline.state.runs import LAST
from trainer.errors import UserError


class Report(NamedTuple):
    """The report of a run."""

    run: str
    path: str  # of the page


def report_of(store: MetadataStore, pipeline: str, run: str | None = None) -> Report:
    """Returns the report of the run, or of the last run that has one.

    Raises:
      UserError: there is no such run, or it has no report.
    """
    for found in [run_named(store, pipeline, run)] if run else runs_of(store, pipeline):
        if path := page_of(store, found):
            return Report(found.run, path)
    what = f"run {run}" if run else f"any run of {pipeline}"
    remedy = "It ended early, or prune removed it; vaeiaf status lists the runs"
    raise UserError(f"there is no report of {what}", value=run, remedy=remedy)


def page_of(store: MetadataStore, run: RunExecutions) -> str | None:
    """Returns the path of the run's report, None if it has none any more."""
    execution = run.nodes.get(LAST)
    if execution is None or execution.last_known_state not in SUCCESSFUL:
        return None
    events = store.get_events_by_execution_ids([execution.id])
    outputs = store.get_artifacts_by_id([event.artifact_id for event in events if event.type == mlmd.Event.OUTPUT])
    paths = [os.path.join(one.uri, "index.html") for one in outputs if one.state == mlmd.Artifact.LIVE]
    return next(filter(os.path.exists, paths), None)
