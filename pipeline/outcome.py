"""The outcome of a run, read from ML Metadata."""

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.portable.mlmd import execution_lib

from components.drift.findings import PAGE, Findings, read_findings
from components.drift.names import NODES, SPAN_DRIFT
from components.gate.pusher import Push, final_verdict
from components.gate.verdict import Verdict
from pipeline.state.executions import executions_of
from pipeline.state.lineage import IncompleteRunError, output_of
from pipeline.state.metadata import Metadata
from pipeline.state.spans import span_run, window_of


class Comparison(NamedTuple):
    """A comparison of the data with others."""

    findings: Findings
    page: str  # path of the page with both histograms
    is_old: bool = False  # whether an earlier run told it, because nothing is new


class Outcome(NamedTuple):
    """How a run ended."""

    verdict: Verdict
    push: Push
    report: str  # path of the page
    trained: bool  # False: the model came from the cache
    newest_span: str | None = None  # name of the newest span; None: the data have no spans
    nothing_new: bool = False  # whether an earlier run made this model of these spans, and decided on it
    comparisons: tuple[Comparison, ...] = ()
    spans: tuple[str, ...] = ()  # names of the spans that the run used, the oldest first


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
        verdict = final_verdict(evaluation, pushed)
        of_newest = executions_of(store, span_run(run_id, spans[-1])) if spans else {}
        nothing_new = bool(spans) and not trained and is_old(push, judged)
        comparisons = tuple(_comparisons(store, {**of_newest, **executions}, nothing_new))
        return Outcome(
            verdict=verdict.noted(found.findings.sentence for found in comparisons) if comparisons else verdict,
            push=push,
            report=os.path.join(output_of(store, executions["Report"], "report").uri, "index.html"),
            trained=trained,
            newest_span=spans[-1].name if spans else None,
            nothing_new=nothing_new,
            comparisons=comparisons,
            spans=tuple(span.name for span in spans),
        )


def _comparisons(
    store: MetadataStore, executions: Mapping[str, mlmd.Execution], nothing_new: bool
) -> Iterator[Comparison]:
    for node in NODES:
        if node in executions:
            folder = output_of(store, executions[node], "drift").uri
            # A push is a new baseline, so an old span is compared anew. Serving data may be new where no span is.
            same = node == SPAN_DRIFT or executions[node].last_known_state == mlmd.Execution.CACHED
            yield Comparison(read_findings(folder), os.path.join(folder, PAGE), nothing_new and same)


def is_old(push: Push, judged: bool) -> bool:
    """Tells whether an earlier run decided on the same model: it pushed it, or refused it.

    A served model is judged again, against itself. A refused one is `judged` again only if something else is new: the
    gate, or the served model.
    """
    return bool(push.unchanged) or not (judged or push.pushed_to or push.decided_again)
