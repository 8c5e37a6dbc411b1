"""Which Examples a run's spans have, and which came before, among those of many runs."""

import json

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import artifact_utils, standard_artifacts

from components.drift.component import DriftFindings
from components.drift.names import GATE
from components.ingest.properties import SPAN
from components.ingest.span_window import FILE, Window
from components.ingest.spans import Span
from pipeline.state.database import sqlite_connection
from pipeline.state.lineage import IncompleteRunError
from pipeline.state.metadata import Metadata
from pipeline.state.spans import (
    DRIFT,
    EXAMPLES,
    MADE_BY,
    STATISTICS,
    WINDOW,
    PreviousSpanStrategy,
    SpanExamplesStrategy,
    span_run,
)

SPANS = [Span(number, None, f"day-{number}", f"/photos/day-{number}") for number in (3, 10)]


@pytest.fixture
def store(tmp_path):
    with Metadata(sqlite_connection(str(tmp_path / "metadata.sqlite")), str(tmp_path)) as handle:
        yield handle.store


@pytest.fixture
def record(store):
    """Records an execution of a node in a run, its inputs and its output under `key`; returns the output."""

    def write(run, node, key, artifact, inputs=(), state=mlmd.Execution.COMPLETE):
        kind = store.put_execution_type(mlmd.ExecutionType(name=node))
        artifact.mlmd_artifact.type_id = store.put_artifact_type(artifact.artifact_type)
        artifact.mlmd_artifact.state = mlmd.Artifact.LIVE
        pairs = [(found.mlmd_artifact, event(mlmd.Event.INPUT, "examples")) for found in inputs]
        contexts = [context(store, "pipeline_run", run), context(store, "node", f"vaeiaf.{node}")]
        _, ids, _ = store.put_execution(
            mlmd.Execution(type_id=kind, last_known_state=state),
            [*pairs, (artifact.mlmd_artifact, event(mlmd.Event.OUTPUT, key))],
            contexts,
        )
        (found,) = store.get_artifacts_by_id([ids[-1]])
        return artifact_utils.deserialize_artifact(artifact.artifact_type, found)

    return write


def event(kind, key):
    made = mlmd.Event(type=kind)
    made.path.steps.add().key = key
    made.path.steps.add().index = 0
    return made


def context(store, kind, name):
    made = mlmd.Context(type_id=store.put_context_type(mlmd.ContextType(name=kind)), name=name)
    found = store.get_context_by_type_and_name(kind, name)
    if found:
        return found
    (made.id,) = store.put_contexts([made])
    return made


def examples(span):
    made = standard_artifacts.Examples()
    made.uri = f"/artifacts/{span.number}"
    made.set_int_custom_property("span", span.number)
    made.set_string_custom_property(SPAN, span.name)
    return made


@pytest.fixture
def window(record, tmp_path):
    """The window of the run r."""
    made = Window()
    made.uri = str(tmp_path)
    (tmp_path / FILE).write_text(json.dumps([span._asdict() for span in SPANS]))
    return record("r", "SpanWindow", WINDOW, made)


@pytest.fixture
def ingest(record):
    """Records the ingestion of a span for a run: Examples, statistics, and the comparison with the one before."""

    def write(run, span):
        made = {EXAMPLES: examples(span), STATISTICS: standard_artifacts.ExampleStatistics(), DRIFT: DriftFindings()}
        return {key: record(span_run(run, span), node, key, made[key]) for key, node in MADE_BY.items()}

    return write


def resolved(store, window, *live):
    given = {key: [found[key] for found in live] for key in MADE_BY}
    found = SpanExamplesStrategy().resolve_artifacts(store, {WINDOW: [window], **given})
    return {key: [artifact.id for artifact in found[key]] for key in MADE_BY}


def test_a_run_has_its_own_ingestion_of_each_span_the_oldest_first(store, ingest, window):
    three, ten = SPANS
    newer, older, of_another_run = ingest("r", ten), ingest("r", three), ingest("s", three)
    assert resolved(store, window, newer, older, of_another_run) == {
        EXAMPLES: [older[EXAMPLES].id, newer[EXAMPLES].id],
        STATISTICS: [older[STATISTICS].id, newer[STATISTICS].id],
        DRIFT: [newer[DRIFT].id],
    }


def test_a_span_that_was_not_ingested_or_is_gone_is_never_left_out_silently(store, ingest, window):
    three, ten = SPANS
    first = ingest("r", three)
    with pytest.raises(IncompleteRunError, match="day-10"):
        resolved(store, window, first)
    second = ingest("r", ten)
    with pytest.raises(IncompleteRunError, match="day-3"):
        resolved(store, window, second)  # the first one was quarantined


def test_the_span_before_is_the_last_ingestion_of_the_newest_smaller_number(store, record):
    three, ten = SPANS
    other_data = record("a", "ImageExampleGen", EXAMPLES, standard_artifacts.Examples())
    found = [
        record(f"{run}", "ImageExampleGen", EXAMPLES, examples(span)) for run, span in enumerate((ten, three, three))
    ]
    made = [
        record(f"{run}", "StatisticsGen", STATISTICS, standard_artifacts.ExampleStatistics(), [source])
        for run, source in enumerate(found)
    ]
    every = {EXAMPLES: [other_data, *found], STATISTICS: made}

    def before(number):
        answer = PreviousSpanStrategy(number).resolve_artifacts(store, every)
        return [artifact.id for key in (EXAMPLES, STATISTICS) for artifact in answer[key]]

    assert before(11) == [found[0].id, made[0].id]
    assert before(10) == [found[2].id, made[2].id]
    assert before(3) == []
    record("3", "ImageExampleGen", EXAMPLES, found[1])
    assert before(10)[0] == found[1].id, "a run reused the first ingestion last"


def test_a_span_that_drift_stopped_is_not_the_one_before_until_a_run_continues_with_it(store, record):
    accepted, stopped = (record(f"r{i}", "ImageExampleGen", EXAMPLES, examples(span)) for i, span in enumerate(SPANS))

    def before():
        answer = PreviousSpanStrategy(11).resolve_artifacts(store, {EXAMPLES: [accepted, stopped], STATISTICS: []})
        return [artifact.id for artifact in answer[EXAMPLES]]

    assert before() == [stopped.id], "no gate has seen it"
    record("r1", GATE, "unused", standard_artifacts.String(), state=mlmd.Execution.FAILED)
    assert before() == [accepted.id]
    record("r2", GATE, "unused", standard_artifacts.String())
    record("r2", "ImageExampleGen", EXAMPLES, stopped)
    assert before() == [stopped.id]


def test_a_span_is_not_refused_with_one_that_was_compared_with_it(store, record):
    earlier, drifted = (record(f"r.span-{i}", "ImageExampleGen", EXAMPLES, examples(SPANS[i])) for i in range(2))
    record("r.span-1", "SpanDrift", DRIFT, DriftFindings(), [earlier, drifted])
    record("r.span-1", GATE, "unused", standard_artifacts.String(), state=mlmd.Execution.FAILED)
    answer = PreviousSpanStrategy(11).resolve_artifacts(store, {EXAMPLES: [earlier, drifted], STATISTICS: []})
    assert [artifact.id for artifact in answer[EXAMPLES]] == [earlier.id]
