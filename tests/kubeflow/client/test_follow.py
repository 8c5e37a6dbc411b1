import os
import signal

import pytest
from kfp_emulator import Fault

from kubeflow.client import follow

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
    kfp.words = {"verdict": ["Error (exit code 1): REFUSED: its ELBO -1900.00 is below the bound -100.00"]}
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (3, "")
    assert "REFUSED by the gate: its ELBO -1900.00 is below the bound -100.00. http" in out


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"verdict": ["The node was low on resource: memory."]},
        {"verdict": ["OOMKilled (exit code 137)"]},
        {"verdict": ["Error (exit code 1): the mysql database could not be opened: connection REFUSED: it"]},
        {"trainer": ["Error (exit code 1): REFUSED: by nobody"]},
    ],
)
def test_a_verdict_that_fails_otherwise_is_no_refusal(kfp, vaeiaf, words):
    kfp.story, kfp.words = [RUNNING, ("FAILED", REFUSED)], words
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (1, "")
    assert "FAILED in verdict." in out
    if "exit code 1)" not in words.get("verdict", [""])[0]:
        assert "verdict: it left no words, its log may say why, perhaps that the gate refused" in out


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
def test_words_that_cannot_be_had_make_no_refusal_and_no_error(kfp, vaeiaf, fault):
    kfp.story = [RUNNING, ("FAILED", REFUSED)]
    kfp.words = {"verdict": ["Error (exit code 1): REFUSED: its test-set ELBO"]}
    kfp.fault = lambda number, method, path: fault if path.startswith("/apis/v1beta1/") else None
    code, out, err = vaeiaf("submit", "--wait")
    assert (code, err) == (1, "")
    assert "perhaps that the gate refused" in out


def test_a_node_that_failed_is_told_with_its_last_words(kfp, vaeiaf):
    kfp.story = [RUNNING, ("FAILED", {"image-example-gen": "SUCCEEDED", "trainer": "FAILED"})]
    kfp.words = {
        "trainer": [
            "Error (exit code 1): the loss is no number",
            "Error (exit code 1): not tried again, because the try before ended with bad input",
        ]
    }
    code, out, _ = vaeiaf("submit", "--wait")
    assert code == 1
    assert "trainer: not tried again, because the try before ended with bad input\nFAILED in trainer. http" in out


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


def test_an_api_that_stays_away_is_given_up_but_not_the_run(kfp, vaeiaf, clock):
    kfp.fault = lambda number, method, path: Fault(503) if "/runs/run-" in path else None
    code, _, err = vaeiaf("submit", "--wait")
    assert code == 1
    assert "503" in err
    assert "The run itself goes on: http" in err
    assert sum(clock) >= follow.PATIENCE


def test_a_login_that_expires_is_told_at_once(kfp, vaeiaf, clock):
    kfp.fault = lambda number, method, path: Fault(401) if "/runs/run-" in path else None
    code, _, err = vaeiaf("submit", "--wait")
    assert (code, clock) == (1, [])
    assert "wants a login" in err
    assert "The run itself goes on: http" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_following_and_not_the_run(kfp, vaeiaf, monkeypatch, number):
    kfp.story = [RUNNING]
    monkeypatch.setattr("kubeflow.client.follow.time.sleep", lambda _: os.kill(os.getpid(), number))
    code, out, err = vaeiaf("submit", "--wait")
    assert code == 128 + number
    assert "No longer followed; the run goes on: http" in out
    assert err == f"vaeiaf: interrupted by {number.name}\n"
    assert not any(path.endswith(":terminate") for _, path in kfp.requests)
