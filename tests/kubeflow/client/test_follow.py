import json
import os
import pathlib
import signal

import pytest
from kfp_emulator import Fault

from kubeflow.client import follow
from kubeflow.client.failures import failures
from trainer.failure import Failure, Kind

DATA = pathlib.Path(__file__).parents[1] / "data"
NODES = ("image-example-gen", "trainer", "verdict")

RUNNING = ("RUNNING", {"image-example-gen": "RUNNING"})
TRAINING = ("RUNNING", {"image-example-gen": "SUCCEEDED", "trainer": "RUNNING"})
TRAINED = {"image-example-gen": "SUCCEEDED", "trainer": "SUCCEEDED"}


def test_a_line_tells_each_change_of_a_nodes_state_and_only_that(kfp, vaeiaf, clock):
    kfp.story = [
        ("PENDING", {}),
        RUNNING,
        RUNNING,
        TRAINING,
        TRAINING,
        ("SUCCEEDED", {**TRAINED, "verdict": "SUCCEEDED"}),
    ]
    code, out, _ = vaeiaf("submit", "--wait")
    assert code == 0
    lines = [line.split() for line in out.splitlines() if line.startswith(("image", "trainer", "verdict"))]
    assert lines == [
        ["image-example-gen", "running"],
        ["image-example-gen", "succeeded", "65", "s"],
        ["trainer", "running"],
        ["trainer", "succeeded", "65", "s"],
        ["verdict", "succeeded", "65", "s"],
    ]
    assert "root" not in out
    assert "executor" not in out
    assert clock == [follow.POLL_SECONDS] * 5


REFUSED = {**TRAINED, "verdict": "FAILED"}
REFUSAL = Failure(Kind.REFUSED, "its ELBO -1900.00 is below the bound -100.00")
DIVERGED = Failure(Kind.BAD_INPUT, "the loss is nan", remedy="Lower learning_rate")
SILENT = "verdict: it left no message; see its log for whether the gate refused\n"


def message(failure):
    """What Argo says of a pod that left this failure. The code is that of Kubeflow's launcher."""
    return f"main: Error (exit code 1): {failure.to_json()}"


@pytest.mark.parametrize(
    ("state", "nodes", "code", "words"),
    [
        ("SUCCEEDED", {**TRAINED, "verdict": "SUCCEEDED"}, 0, "pushed, or is unchanged"),
        ("FAILED", {"image-example-gen": "SUCCEEDED", "trainer": "FAILED"}, 1, "FAILED in trainer."),
        ("FAILED", {"trainer": "FAILED", "verdict": "FAILED"}, 1, "FAILED in trainer, verdict."),
        ("FAILED", {**TRAINED, "verdict-driver": "FAILED"}, 1, "FAILED in verdict."),
        ("FAILED", {"trainer-driver": "FAILED"}, 1, "FAILED in trainer."),
        ("FAILED", {}, 1, "FAILED in no node"),
        ("CANCELED", {"trainer": "FAILED"}, 1, "CANCELLED"),
    ],
)
def test_the_exit_code_is_the_verdict(kfp, vaeiaf, state, nodes, code, words):
    kfp.story = [RUNNING, (state, nodes)]
    got, out, err = vaeiaf("submit", "--wait")
    assert (got, err) == (code, "")
    assert words in out
    assert "/#/runs/details/run-" in out.splitlines()[-1]


def test_a_refusal_is_what_the_verdicts_pod_says_it_is(kfp, vaeiaf):
    kfp.story = [RUNNING, ("FAILED", REFUSED)]
    kfp.messages = {"verdict": [message(REFUSAL)]}
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (3, "")
    assert f"REFUSED by the gate: {REFUSAL}. http" in out


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ({}, SILENT),
        ({"trainer": [message(REFUSAL)]}, SILENT),
        ({"verdict": ["The node was low on resource: memory."]}, "verdict: The node was low on resource: memory.\n"),
        ({"verdict": ["OOMKilled (exit code 137)"]}, "verdict: OOMKilled (exit code 137)\n"),
        ({"verdict": [message(DIVERGED)]}, "verdict: the loss is nan. Lower learning_rate\n"),
        ({"verdict": [message(REFUSAL), "pod deleted"]}, "verdict: pod deleted\n"),
    ],
)
def test_a_verdict_that_fails_otherwise_is_no_refusal(kfp, vaeiaf, messages, told):
    kfp.story, kfp.messages = [RUNNING, ("FAILED", REFUSED)], messages
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (1, "")
    assert f"\n{told}FAILED in verdict. http" in out


@pytest.mark.parametrize(
    "fault",
    [
        Fault(404),
        Fault(503),
        Fault(200, b"<html>", "text/html"),
        Fault(200, b"[]"),
        Fault(200, b'{"run": {}}'),
        Fault(200, b'{"pipeline_runtime": {"workflow_manifest": ""}}'),
        Fault(200, b'{"pipeline_runtime": {"workflow_manifest": "{\\"status\\": {\\"nodes\\": [3]}}"}}'),
    ],
)
def test_messages_that_kubeflow_cannot_tell_make_no_refusal_and_no_error(kfp, vaeiaf, fault):
    kfp.story = [RUNNING, ("FAILED", REFUSED)]
    kfp.messages = {"verdict": [message(REFUSAL)]}
    kfp.fault = lambda number, method, path: fault if path.startswith("/apis/v1beta1/") else None
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (1, "")
    assert SILENT in out


def test_a_failed_node_is_told_with_its_last_message(kfp, vaeiaf):
    kfp.story = [RUNNING, ("FAILED", {"image-example-gen": "SUCCEEDED", "trainer": "FAILED"})]
    kfp.messages = {"trainer": ["pod deleted", message(DIVERGED)]}
    code, out, _ = vaeiaf("submit", "--wait")
    assert code == 1
    assert f"\ntrainer: {DIVERGED}\nFAILED in trainer. http" in out


def test_of_a_graph_that_argo_retries_the_newest_tasks_are_told(kfp, vaeiaf):
    def task(name, state, minute):
        return {"display_name": name, "state": state, "start_time": f"2026-01-01T00:{minute:02}:00Z"}

    kfp.recorded = {
        "state": "SUCCEEDED",
        "tasks": [task("trainer", "SUCCEEDED", 9), task("trainer", "FAILED", 1), task("verdict", "SUCCEEDED", 10)],
    }
    code, out, _ = vaeiaf("submit", "--wait")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("trainer")] == [["trainer", "succeeded"]]


def recorded(name, failure=None):
    """What a real Kubeflow 2.17 answered about a run, with `failure` in place of the text that its pod left."""
    answer = json.loads((DATA / f"{name}.json").read_text())
    for node in answer["nodes"]:
        if failure and node.get("message", "").startswith("main: "):
            node["message"] = message(failure)
    return answer


def states(kfp):
    """The states of our tasks in the recorded run."""
    return {task["display_name"]: task.get("state") for task in kfp.recorded["tasks"] if task["display_name"] in NODES}


def test_a_real_refusal_is_one(kfp, vaeiaf):
    kfp.recorded = recorded("refused", REFUSAL)
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (3, "")
    assert f"REFUSED by the gate: {REFUSAL}. http" in out
    assert states(kfp) == {"image-example-gen": "SUCCEEDED", "trainer": "SUCCEEDED", "verdict": "FAILED"}


def test_a_real_failure_is_told_with_the_node_and_what_argo_says(kfp, vaeiaf):
    kfp.recorded = recorded("bad-data-set")
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (1, "")
    assert "\nimage-example-gen: main: Error (exit code 1): unknown data set 'nope_nope'" in out
    assert "\nFAILED in image-example-gen. http" in out
    kfp.recorded = recorded("bad-data-set", DIVERGED)
    assert f"\nimage-example-gen: {DIVERGED}\n" in vaeiaf("submit", "--wait")[1]


def test_a_real_run_that_lost_a_pod_is_told_task_by_task(kfp, vaeiaf):
    kfp.recorded = recorded("pushed-after-deleted-pod")
    code, out, _ = vaeiaf("submit", "--wait")
    assert code == 0
    assert [line.split() for line in out.splitlines() if line.startswith(NODES)] == [
        ["image-example-gen", "succeeded", "173", "s"],
        ["trainer", "succeeded", "813", "s"],
        ["verdict", "succeeded", "85", "s"],
    ]


def test_by_task_the_failures_of_a_real_run_are_those_of_its_last_pods(kfp, api):
    kfp.recorded = recorded("pushed-after-deleted-pod")
    kfp.runs["run"] = {"run_id": "run"}
    assert failures(api, "run") == {"trainer": Failure(Kind.INFRASTRUCTURE, "pod deleted")}
    kfp.recorded = recorded("refused", REFUSAL)
    assert failures(api, "run") == {"verdict": REFUSAL}
    kfp.recorded = recorded("bad-data-set", DIVERGED)
    assert failures(api, "run") == {"image-example-gen": DIVERGED}


def test_an_api_that_is_away_for_a_while_is_waited_for_with_longer_and_longer_pauses(kfp, vaeiaf, clock):
    kfp.story = [RUNNING, ("SUCCEEDED", {**TRAINED, "verdict": "SUCCEEDED"})]
    looks = []
    faults = [None, Fault(503), Fault(500, b"<html>", "text/html"), Fault(429), None]

    def fault(number, method, path):
        if "/runs/run-" not in path:
            return None
        looks.append(path)
        return faults[len(looks) - 1]

    kfp.fault = fault
    assert vaeiaf("submit", "--wait")[0] == 0
    assert clock == [follow.POLL_SECONDS, 1, 2, 4]


@pytest.mark.parametrize(("status", "patient"), [(503, True), (401, False)])
def test_an_api_that_stays_away_is_given_up_but_not_the_run(kfp, refused, clock, status, patient):
    kfp.fault = lambda number, method, path: Fault(status) if "/runs/run-" in path else None
    error = refused("submit", "--wait")
    assert (error.exit_code, error.status) == (1, status)
    (run,) = kfp.runs
    assert error.failure.remedy.endswith(f". The run itself continues: {kfp.host}/#/runs/details/{run}")
    assert sum(clock) >= follow.PATIENCE if patient else clock == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_following_and_not_the_run(kfp, vaeiaf, monkeypatch, number):
    kfp.story = [RUNNING]
    monkeypatch.setattr("kubeflow.client.follow.time.sleep", lambda _: os.kill(os.getpid(), number))
    code, out, err = vaeiaf("submit", "--wait")
    assert code == 128 + number
    assert "No longer followed; the run continues: http" in out
    assert err == f"vaeiaf: interrupted by {number.name}\n"
    assert not any(path.endswith(":terminate") for _, path in kfp.requests)
