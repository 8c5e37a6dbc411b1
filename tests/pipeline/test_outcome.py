"""Outcomes read back from runs of a small pipeline that has the names the real one has."""

import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.gate.pusher import Push
from pipeline.outcome import is_old, read_outcome
from pipeline.state.database import sqlite_connection
from pipeline.state.lineage import IncompleteRunError
from pipeline.state.metadata import Metadata

OUTPUTS = {
    "Trainer": ("model", "Model"),
    "Evaluator": ("evaluation", "ModelEvaluation"),
    "AtomicPusher": ("pushed_model", "PushedModel"),
    "Report": ("report", "VaeIafReport"),
}


@pytest.fixture
def database(tmp_path):
    return Metadata(sqlite_connection(str(tmp_path / "metadata.sqlite")), str(tmp_path))


@pytest.fixture
def record(database, monkeypatch):
    """Records a run of a pipeline; `states` says how nodes ended that did not complete."""
    monkeypatch.setattr("pipeline.outcome.final_verdict", lambda uri, pushed: f"verdict of {uri}")

    def write(pipeline, run, states=None):
        with database as handle:
            store = handle.store
            contexts = [context(store, "pipeline", pipeline), context(store, "pipeline_run", f"{pipeline}.{run}")]
            for node, (key, kind) in OUTPUTS.items():
                state = (states or {}).get(node, mlmd.Execution.COMPLETE)
                if state is None:
                    continue
                execution_type = store.put_execution_type(mlmd.ExecutionType(name=f"components.{node}"))
                artifact_type = store.put_artifact_type(mlmd.ArtifactType(name=kind))
                artifact = mlmd.Artifact(type_id=artifact_type, uri=f"/{pipeline}/{run}/{node}")
                if node == "AtomicPusher":
                    artifact.custom_properties["pushed_to"].string_value = f"/pushed/{pipeline}/{run}"
                event = mlmd.Event(type=mlmd.Event.OUTPUT)
                event.path.steps.add().key = key
                event.path.steps.add().index = 0
                store.put_execution(
                    mlmd.Execution(type_id=execution_type, last_known_state=state),
                    [(artifact, event)],
                    [*contexts, context(store, "node", f"{pipeline}.{node}")],
                )

    return write


def context(store, kind, name):
    existing = store.get_context_by_type_and_name(kind, name)
    if existing:
        return existing
    made = mlmd.Context(type_id=store.put_context_type(mlmd.ContextType(name=kind)), name=name)
    (made.id,) = store.put_contexts([made])
    return made


def test_the_outcome_is_that_of_the_run(record, database):
    for pipeline, run in (("cifar10", 1), ("cifar10", 2), ("other", 3)):
        record(pipeline, run)
    outcome = read_outcome(database, "cifar10.2")
    assert outcome.verdict == "verdict of /cifar10/2/Evaluator"
    assert outcome.push.pushed_to == "/pushed/cifar10/2"
    assert outcome.report == "/cifar10/2/Report/index.html"
    assert outcome.trained


def test_a_cached_trainer_trained_nothing(record, database):
    record("cifar10", 1, {"Trainer": mlmd.Execution.CACHED})
    assert not read_outcome(database, "cifar10.1").trained


@pytest.mark.parametrize(
    ("push", "judged", "old"),
    [
        (Push(unchanged="/pushed/7"), True, True),
        (Push(unchanged="/pushed/7"), False, True),
        (Push(pushed_to="/pushed/8"), False, False),
        (Push(pushed_to="/pushed/8"), True, False),
        (Push(), False, True),
        (Push(), True, False),
        (Push(decided_again="evaluation"), False, False),
    ],
)
def test_a_decision_is_old_if_an_earlier_run_made_it_on_the_same_model(push, judged, old):
    assert is_old(push, judged) == old


def test_a_component_that_failed_is_named_though_an_earlier_run_was_whole(record, database):
    record("cifar10", 1)
    record("cifar10", 2, {"Evaluator": mlmd.Execution.FAILED})
    with pytest.raises(IncompleteRunError, match="Evaluator did not finish"):
        read_outcome(database, "cifar10.2")


def test_of_a_component_that_was_tried_twice_the_last_try_counts(record, database):
    record("cifar10", 1, {"Evaluator": mlmd.Execution.FAILED})
    record("cifar10", 1)
    assert read_outcome(database, "cifar10.1").trained
    record("cifar10", 1, {"Trainer": mlmd.Execution.FAILED})
    with pytest.raises(IncompleteRunError, match="Trainer did not finish"):
        read_outcome(database, "cifar10.1")


def test_a_component_that_never_ran_is_named_though_an_earlier_run_was_whole(record, database):
    record("cifar10", 1)
    record("cifar10", 2, {"AtomicPusher": None, "Report": None})
    with pytest.raises(IncompleteRunError, match="AtomicPusher did not run"):
        read_outcome(database, "cifar10.2")


def test_without_a_run_there_is_no_outcome(record, database):
    record("other", 1)
    with pytest.raises(IncompleteRunError, match=r"no run cifar10\.1 "):
        read_outcome(database, "cifar10.1")
