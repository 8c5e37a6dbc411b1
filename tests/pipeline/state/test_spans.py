"""Which Examples a run's spans have, and which came before, among those of many runs."""

import json

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.types import artifact_utils, standard_artifacts

from components.ingest.properties import SPAN
from components.ingest.span_window import FILE, Window
from components.ingest.spans import Span
from pipeline.state.database import sqlite_connection
from pipeline.state.lineage import IncompleteRunError
from pipeline.state.metadata import Metadata
from pipeline.state.spans import EXAMPLES, STATISTICS, WINDOW, PreviousSpanStrategy, SpanExamplesStrategy, span_run

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


def resolved(store, window, live):
    found = SpanExamplesStrategy().resolve_artifacts(store, {WINDOW: [window], EXAMPLES: live})
    return [artifact.id for artifact in found[EXAMPLES]]


def test_a_run_has_its_own_ingestion_of_each_span_the_oldest_first(store, record, window):
    three, ten = SPANS
    newer = record(span_run("r", ten), "ImageExampleGen", EXAMPLES, examples(ten))
    older = record(span_run("r", three), "ImageExampleGen", EXAMPLES, examples(three))
    of_another_run = record(span_run("s", three), "ImageExampleGen", EXAMPLES, examples(three))
    assert resolved(store, window, [newer, older, of_another_run]) == [older.id, newer.id]


def test_a_span_that_was_not_ingested_or_is_gone_is_never_left_out_silently(store, record, window):
    three, ten = SPANS
    first = record(span_run("r", three), "ImageExampleGen", EXAMPLES, examples(three))
    with pytest.raises(IncompleteRunError, match="day-10"):
        resolved(store, window, [first])
    second = record(span_run("r", ten), "ImageExampleGen", EXAMPLES, examples(ten))
    with pytest.raises(IncompleteRunError, match="day-3"):
        resolved(store, window, [second])  # the first one was quarantined


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
