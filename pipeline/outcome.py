"""The outcome of a run, read from ML Metadata."""

import os
from typing import NamedTuple

from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.portable.mlmd import execution_lib

from components.gate.pusher import Push, deciding_evaluation
from components.gate.verdict import Verdict, read_verdict
from pipeline.state.lineage import IncompleteRunError, executions_of, output_of
from pipeline.state.metadata import Metadata
from pipeline.state.spans import window_of


class Outcome(NamedTuple):
    """How a run ended."""

    verdict: Verdict
    push: Push
    report: str  # path of the page
    trained: bool  # False: the model came from the cache
    newest_span: str | None = None  # name of the newest span; None: the data have no spans
    nothing_new: bool = False  # whether an earlier run made this model of these spans, and decided on it


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
        push, spans = Push.read(pushed), window_of(store, run_id)
        trained, judged = (
            executions[name].last_known_state == mlmd.Execution.COMPLETE for name in ("Trainer", "Evaluator")
        )
        evaluation = output_of(store, executions["Evaluator"], "evaluation").uri
        return Outcome(
            verdict=read_verdict(deciding_evaluation(evaluation, pushed)),
            push=push,
            report=os.path.join(output_of(store, executions["Report"], "report").uri, "index.html"),
            trained=trained,
            newest_span=spans[-1].name if spans else None,
            nothing_new=bool(spans) and not trained and is_old(push, judged),
        )


def is_old(push: Push, judged: bool) -> bool:
    """Tells whether an earlier run decided on the same model: it pushed it, or refused it.

    A served model is judged again, against itself. A refused one is `judged` again only if something else is new: the
    gate, or the served model.
    """
    return bool(push.unchanged) or not (judged or push.pushed_to or push.decided_again)
