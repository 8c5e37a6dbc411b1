"""The outcome of a run, read from ML Metadata."""

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.portable.mlmd import execution_lib

from components.drift.component import NODES
from components.drift.findings import PAGE, Findings, read_findings
from components.gate.pusher import Push, deciding_evaluation
from components.gate.verdict import Verdict, read_verdict
from pipeline.state.lineage import IncompleteRunError, executions_of, output_of
from pipeline.state.metadata import Metadata


class Comparison(NamedTuple):
    """A comparison of the data with others."""

    findings: Findings
    page: str  # path of the page with both histograms


class Outcome(NamedTuple):
    """How a run ended."""

    verdict: Verdict
    push: Push
    report: str  # path of the page
    trained: bool  # False: the model came from the cache
    comparisons: tuple[Comparison, ...] = ()


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
        verdict = read_verdict(deciding_evaluation(evaluation, pushed))
        comparisons = tuple(_comparisons(store, executions))
        return Outcome(
            verdict=verdict.noted(found.findings.sentence for found in comparisons) if comparisons else verdict,
            push=Push.read(pushed),
            report=os.path.join(output_of(store, executions["Report"], "report").uri, "index.html"),
            trained=executions["Trainer"].last_known_state == mlmd.Execution.COMPLETE,
            comparisons=comparisons,
        )


def _comparisons(store: MetadataStore, executions: Mapping[str, mlmd.Execution]) -> Iterator[Comparison]:
    for node in NODES:
        if node in executions:
            folder = output_of(store, executions[node], "drift").uri
            yield Comparison(read_findings(folder), os.path.join(folder, PAGE))
