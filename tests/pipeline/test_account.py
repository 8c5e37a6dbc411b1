"""The account of runs that took no time; `test_series` and Kubeflow's tests have those of real ones."""

import json

import pytest

from components.pages.account import Change
from pipeline.account import SETTINGS, account_of
from pipeline.state.executions import executions_of
from pipeline.state.lineage import IncompleteRunError
from state_root import PIPELINE, StateRoot

NOW = {"dataset": "toy", "data": None, "epochs": 2, "beam_args": ["--a", "--b"], "new": True}


@pytest.fixture
def state(tmp_path):
    return StateRoot(tmp_path / "root")


@pytest.fixture
def record(state):
    """Records a run whose report has these settings."""

    def run(settings):
        run_id = state.run("a")
        execution = executions_of(state.store, run_id)["Report"]
        execution.custom_properties[SETTINGS].string_value = json.dumps(settings)
        state.store.put_executions([execution])
        return run_id

    return run


def test_every_attempt_counts_and_the_last_one_says_what_it_did(state):
    run = state.run("a", fails="Evaluator")
    state.run("a", again=run)
    found = account_of(state.store, PIPELINE, run, NOW)
    assert [(node.node, node.result, node.attempts) for node in found.nodes] == [
        ("ImageExampleGen", "reused", 2),
        ("Trainer", "reused", 2),
        ("Evaluator", "made", 2),
        ("AtomicPusher", "made", 1),
    ]
    assert sum(node.seconds + node.waited for node in found.nodes) == pytest.approx(found.seconds, abs=0.1)


def test_settings_are_compared_with_the_newest_earlier_run_that_recorded_its_own(state, record):
    old = {"dataset": "toy", "data": None, "epochs": 1, "beam_args": [], "gone": 0.5}
    record({**old, "epochs": 9})
    earlier = record(old)
    state.run("a", fails="Trainer")
    run = record(NOW)
    found = account_of(state.store, PIPELINE, run, NOW)
    assert found.earlier == earlier
    assert found.changes == (
        Change("beam_args", "none", "--a --b"),
        Change("epochs", "1", "2"),
        Change("gone", "0.5", "absent"),
        Change("new", "absent", "true"),
    )
    assert account_of(state.store, PIPELINE, earlier, old).changes == (Change("epochs", "9", "1"),)


def test_a_run_that_stopped_before_its_push_has_no_account(state):
    with pytest.raises(IncompleteRunError, match="AtomicPusher did not run"):
        account_of(state.store, PIPELINE, state.run("a", fails="Evaluator"), NOW)


def test_the_first_run_is_compared_with_none(state, record):
    state.run("a")  # of a version that recorded no settings
    found = account_of(state.store, PIPELINE, record(NOW), NOW)
    assert (found.earlier, found.changes) == (None, ())


def test_the_lineage_ends_with_the_version_or_with_none(state):
    state.run("a")
    refused = account_of(state.store, PIPELINE, state.run("b", refused="it is worse"), NOW).lineage
    assert [step.title for step in refused][-2:] == ["Verdict", "Nothing pushed"]
    assert refused[-2].details[0] == "refused"
    again = account_of(state.store, PIPELINE, state.run("a"), NOW).lineage
    assert again[-1].details == ("already this model",)
    assert again[1].details[0] == "reused, trained by"
