"""The outcome of a run, read from ML Metadata."""

import os
from typing import NamedTuple

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.portable.mlmd import execution_lib

from components.gate.pusher import Push, final_verdict
from components.gate.verdict import Verdict
from pipeline.state.executions import executions_of
from pipeline.state.lineage import IncompleteRunError, output_of
from pipeline.state.metadata import Metadata


class Outcome(NamedTuple):
    """How a run ended."""

    verdict: Verdict
    push: Push
    report: str  # path of the page
    trained: bool  # False: the model came from the cache


def read_outcome(lineage: Metadata, run_id: str) -> Outcome:
    """Reads the outcome of the run `run_id`.

    Raises:
      IncompleteRunError: a component of that run has no successful execution.
    """
    with lineage as handle:
        store = handle.store
        executions = executions_of(store, run_id)
        if not executions:
            raise IncompleteRunError(f"no run {run_id} is recorded")
        for name, execution in executions.items():
            if not execution_lib.is_execution_successful(execution):
                raise IncompleteRunError(f"{name} did not finish")
        for name in ("Trainer", "Evaluator", "AtomicPusher", "Report"):
            if name not in executions:
                raise IncompleteRunError(f"{name} did not run")
        pushed = output_of(store, executions["AtomicPusher"], "pushed_model")
        evaluation = output_of(store, executions["Evaluator"], "evaluation").uri
        return Outcome(
            verdict=final_verdict(evaluation, pushed),
            push=Push.read(pushed),
            report=os.path.join(output_of(store, executions["Report"], "report").uri, "index.html"),
            trained=executions["Trainer"].last_known_state == mlmd.Execution.COMPLETE,
        )
