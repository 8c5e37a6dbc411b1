"""The spans of a run in ML Metadata: each is ingested by executions of its own, in a run of its own.

TFX allows a node one execution in a run, so the ingestion of span 20456 in the run R belongs to the run R.span-20456.
"""

from collections.abc import Sequence

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.dsl.components.common.resolver import ResolverStrategy
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.types import Artifact

from components.artifacts import Artifacts
from components.drift.names import GATE, SPAN_DRIFT
from components.ingest.properties import span_name, span_number
from components.ingest.span_window import read_window
from components.ingest.spans import Span
from pipeline.state.executions import executions_of
from pipeline.state.lineage import IncompleteRunError, artifacts_of, output_of

WINDOW, EXAMPLES, STATISTICS, DRIFT = "window", "examples", "statistics", "drift"  # channels of the resolvers
MADE_BY = {EXAMPLES: "ImageExampleGen", STATISTICS: "StatisticsGen", DRIFT: SPAN_DRIFT}  # of a span
RUN = "pipeline_run"  # type of TFX's context of a run


def span_run(run_id: str, span: Span) -> str:
    """Returns the id of the run that ingests `span` for the run `run_id`."""
    return f"{run_id}.span-{span.number}"


def window_of(store: MetadataStore, run_id: str) -> list[Span]:
    """Returns the spans that the run `run_id` uses, the oldest first; none if its data have no spans.

    Raises:
      IncompleteRunError: they are not decided yet.
    """
    decided = executions_of(store, run_id).get("SpanWindow")
    return read_window(output_of(store, decided, WINDOW)) if decided else []


class SpanExamplesStrategy(ResolverStrategy):
    """The Examples of this run's spans, their statistics, and the comparison of the newest one."""

    def resolve_artifacts(self, store: MetadataStore, input_dict: Artifacts) -> Artifacts:
        """Returns the Examples and statistics of each span in the window, the oldest first.

        Raises:
          IncompleteRunError: a span was not ingested. TFX then records that the resolver failed.
        """
        (window,) = input_dict[WINDOW]
        run_id, spans = _run_of(store, window), read_window(window)
        live = {artifact.id: artifact for artifacts in input_dict.values() for artifact in artifacts}
        found: Artifacts = {WINDOW: [window], EXAMPLES: [], STATISTICS: [], DRIFT: []}
        for span in spans:
            executions = executions_of(store, span_run(run_id, span))
            for key, node in MADE_BY.items():
                if key == DRIFT and span != spans[-1]:
                    continue
                made = output_of(store, executions[node], key) if node in executions else None
                if made is None or made.id not in live:
                    raise IncompleteRunError(f"the span {span.name} was not ingested")
                found[key].append(live[made.id])
        return found


class PreviousSpanStrategy(ResolverStrategy):
    """The Examples and the statistics of the newest accepted span before a span, whichever run ingested it.

    A span that `on_drift` stopped is not accepted until a run continues with it. Otherwise the second night of a shift
    would be compared with the first, and pass.

    Args:
      number: of the span.
    """

    def __init__(self, number: int) -> None:
        self._number = number

    def resolve_artifacts(self, store: MetadataStore, input_dict: Artifacts) -> Artifacts:
        """Returns them, or empty lists for the first span."""
        earlier = earlier_spans(input_dict[EXAMPLES], self._number)
        examples = next((artifact for artifact in earlier if not _is_refused(store, artifact)), None)
        if examples is None:
            return {EXAMPLES: [], STATISTICS: []}
        made = _statistics_of(store, examples)
        statistics = [artifact for artifact in input_dict[STATISTICS] if artifact.id in made]
        return {EXAMPLES: [examples], STATISTICS: statistics[-1:]}


def earlier_spans(examples: Sequence[Artifact], number: int) -> list[Artifact]:
    """Returns the Examples of the spans before `number`, the newest first, and its last ingestion before others."""
    earlier = [artifact for artifact in examples if span_name(artifact) and span_number(artifact) < number]
    return sorted(earlier, key=lambda artifact: (span_number(artifact), artifact.id), reverse=True)


def _statistics_of(store: MetadataStore, examples: Artifact) -> set[int]:
    """Returns the ids of the statistics that were made of `examples`."""
    readers = {event.execution_id for event in store.get_events_by_artifact_ids([examples.id])}
    return {
        artifact.id
        for execution in store.get_executions_by_id(sorted(readers))
        for artifact in artifacts_of(store, execution, mlmd.Event.OUTPUT).get(STATISTICS, [])
    }


def _is_refused(store: MetadataStore, examples: Artifact) -> bool:
    """Tells whether drift stopped each run that came to the gate with this span."""
    runs = (context.name for context in store.get_contexts_by_artifact(examples.id) if context.type == RUN)
    gates = [gate for run in runs if (gate := executions_of(store, run).get(GATE))]
    return bool(gates) and not any(execution_lib.is_execution_successful(gate) for gate in gates)


def _run_of(store: MetadataStore, window: Artifact) -> str:
    """Returns the id of the run that decided on `window`."""
    (run,) = (context for context in store.get_contexts_by_artifact(window.id) if context.type == RUN)
    return run.name
